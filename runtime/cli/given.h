// The flags of a command line as they were given, and what they come to.
#pragma once
#include "runtime/cli/options.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nysjit::cli {

using Text = std::optional<std::string>;

/// Absent flags are empty.
struct Given {
  std::string spec;
  std::string key;
  Text target;
  Text config;
  Text emit;
  Text output; // of compile
  Text device;
  std::map<std::string_view, Text> tensors; // of run: by name, each that has a flag
  // Of calibrate: files by the names of their tensors, and both in the order of the line.
  std::map<std::string_view, std::vector<std::string>> queryFiles;
  std::vector<std::pair<std::string, std::string>> queries;
  Text scale;
  Text maxLength;
  Text outputDtype;
  Text repeat;
  Text threads;
  Text async;
  Text seed;
  Text maxBytes; // of cache gc
  Text maxEntries;
  std::vector<std::string> from;
  std::vector<std::string> bundles;
  Text bundle; // of bundle show and verify
  Text vs;     // of bench, as are the next five
  Text sizes;
  Text batch;
  Text heads;
  Text kvHeads;
  Text seconds;
  Text svg;            // of tune and bench
  bool resume = false; // of tune, as are the next six
  bool restart = false;
  bool compileOnly = false;
  bool stale = false;
  std::vector<std::string> merge;
  std::vector<std::string> exported; // a format and a journal
  bool quiet = false;
  bool check = false;
  bool recompute = false;
  bool sealed = false;
  bool configRequired = false;
  bool json = false;
};

Error argumentError(const std::string &flag, std::string expected, std::string found);
std::string inQuotes(const std::string &text);

/// What else tune does: --merge, --export, --stale. Nothing without such a flag.
std::optional<Result<Options>> otherTuneOptions(const Given &given);

/// Converts and checks all values; an Error names the flag.
Result<Options> compileOptions(const Given &given);
Result<Options> runOptions(const Given &given);
Result<Options> calibrateOptions(const Given &given);
Result<Options> tuneOptions(const Given &given);
Result<Options> benchOptions(const Given &given);
Result<Options> bundleOptions(const Given &given, BundleOptions::Action action);
Result<Options> cacheOptions(const Given &given, CacheOptions::Action action);

} // namespace nysjit::cli

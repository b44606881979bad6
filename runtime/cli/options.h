// What the command line asks for, as data. Values are checked as far as that needs no file.
#pragma once
#include "runtime/base/result.h"
#include "runtime/spec/spec.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace nysjit::cli {

struct CompileOptions {
  std::string spec; // path
  Target target;
  std::optional<std::string> config; // path
  bool isConfigRequired = false;
  std::string emit; // a stage's name, "" for none
  std::string from;
  std::string fromFile; // a stage's name and a path, "" for none
  std::optional<std::string> output;
};

/// The path of an input that comes from standard input.
inline constexpr const char *standardInput = "-";

/// Paths of a run's tensors, inputs and outputs, by the names of the table of tensors.
using TensorFiles = std::map<std::string, std::string, std::less<>>;

struct RunOptions {
  std::string spec;
  DeviceKind device = DeviceKind::Cpu;
  std::optional<Target> target; // absent: the device's own
  std::optional<std::string> config;
  bool isConfigRequired = false;
  TensorFiles tensors; // q, k, v and o at least
  std::optional<float> scale;
  std::optional<int64_t> maxLength; // absent: the longest sequence's
  std::optional<DType> outputDtype; // absent: float32
  int repeat = 1;
  int threads = 0; // 0: all CPUs
  bool check = false;
  bool isRecomputed = false;        // gradients without what a saving run keeps
  std::vector<std::string> bundles; // paths; none: $NYSJIT_BUNDLES
  bool isSealed = false;
  // Of the emulator: when asynchronous copies act, and the order of warps.
  bool isLazy = false;
  uint64_t seed = 0;
};

struct CalibrateOptions {
  std::string spec;
  std::vector<TensorFiles> queries; // of each --q it and its cu_seqlens, seqlens and seq_starts
  std::string output;
  uint64_t seed = 0;
  int threads = 0; // 0: all CPUs
  bool isQuiet = false;
};

struct BundleOptions {
  enum class Action { Make, Show, Verify };
  Action action = Action::Make;
  std::string file; // SPECS of Make, a bundle otherwise: a path
  std::vector<Target> targets;
  std::optional<std::string> config; // path
  bool isC = false;
  std::string output;
};

struct TuneOptions {
  std::string file;   // TUNE.json, a path
  std::string device; // "": what the file says
  std::optional<Target> target;
  std::vector<std::string> bundles; // paths
  bool isCompileOnly = false;       // into a bundle
  bool isResumed = false;
  bool isRestarted = false;
  std::optional<std::string> output; // a path; of isCompileOnly the bundle
  std::optional<std::string> svg;    // a path
  bool isQuiet = false;
};

/// tune --merge: the entries of all files into one.
struct TuneMergeOptions {
  std::vector<std::string> files; // paths
  std::string output;             // a path
};

/// tune --export: a journal's results as files.
struct TuneExportOptions {
  std::string journal; // a path
  std::string output;  // a folder
};

/// tune --stale: again what another build won.
struct TuneStaleOptions {
  std::string device = "cpu";
  std::optional<std::string> output; // a configs.json; absent: the user's
  bool isResumed = false;
  bool isRestarted = false;
  bool isQuiet = false;
};

struct BenchOptions {
  std::string spec; // a path, as are config, vs and svg
  DeviceKind device = DeviceKind::Cpu;
  std::optional<Target> target; // absent: the device's own
  std::optional<std::string> config;
  std::optional<std::string> vs;
  std::vector<int64_t> sizes; // ascending; none: what suits the spec
  int64_t batch = 1;
  int64_t heads = 8;
  std::optional<int64_t> kvHeads; // absent: heads
  int threads = 0;                // 0: all CPUs
  int seconds = 30;
  std::optional<std::string> svg;
  bool isQuiet = false;
};

struct DevicesOptions {};

struct CacheOptions {
  enum class Action { List, Show, Verify, WhyMiss, Collect, Clear };
  Action action = Action::List;
  std::string key;  // of Show
  std::string spec; // of WhyMiss, as are target and config: a path
  Target target;
  std::optional<std::string> config;
  // of Collect; absent: the environment's, or the defaults; 0: no limit
  std::optional<uint64_t> maxBytes;
  std::optional<uint64_t> maxEntries;
};

/// --help or --version: a text for stdout, and nothing else to do.
struct TextOptions {
  std::string text;
};

struct Options {
  std::variant<CompileOptions, RunOptions, CalibrateOptions, TuneOptions, TuneMergeOptions,
               TuneExportOptions, TuneStaleOptions, BenchOptions, BundleOptions, DevicesOptions,
               CacheOptions, TextOptions>
      command;
};

/// Reads the command line. Every failure is an Error that names the flag.
Result<Options> parseCommandLine(int argc, const char *const *argv);

/// Whether --json is among the arguments; known even where they cannot be parsed.
bool wantsJson(int argc, const char *const *argv);

} // namespace nysjit::cli

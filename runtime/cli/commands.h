// The commands. Each does its whole work, files included, and returns what is to be printed; none
// prints by itself but progress.
#pragma once
#include "runtime/cli/options.h"

#include <nlohmann/json.hpp>

#include <string>

namespace nysjit::cli {

/// What a command came to: the object of --json, and the text for a person without it.
struct Reply {
  nlohmann::json json = nlohmann::json::object();
  std::string text;
  bool isOutputTaken = false; // standard output holds a tensor or a stage: the text goes elsewhere
};

/// The signal that asked for the command's end, SIGINT or SIGTERM; 0: none did. Only a tune hears
/// them, others just end.
int endingSignal();

Result<Reply> runCompile(const CompileOptions &options);
Result<Reply> runTensors(const RunOptions &options);
Result<Reply> runCalibrate(const CalibrateOptions &options);
Result<Reply> runTune(const TuneOptions &options);
Result<Reply> runTuneCompile(const TuneOptions &options);
Result<Reply> runTuneMerge(const TuneMergeOptions &options);
Result<Reply> runTuneExport(const TuneExportOptions &options);
Result<Reply> runTuneStale(const TuneStaleOptions &options);
Result<Reply> runBench(const BenchOptions &options);
Result<Reply> runBundle(const BundleOptions &options);
Result<Reply> runDevices(const DevicesOptions &options);
Result<Reply> runCache(const CacheOptions &options);

} // namespace nysjit::cli

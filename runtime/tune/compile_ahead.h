// Compiles side by side what will be asked for, into a cache folder that goes with this object.
// Compiling is done before anything is timed.
#pragma once
#include "runtime/api/context.h"
#include "runtime/base/tool.h"

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace nysjit::tune {

class CompileAhead {
public:
  /// `jobs`: workers at once; with one, or without a folder for what they compile, nothing is done.
  explicit CompileAhead(size_t jobs);
  /// Into this folder, a cache's, which stays.
  CompileAhead(size_t jobs, std::string folder) : jobs(jobs), kept(std::move(folder)) {}

  /// As many as there are CPUs for: a worker generates a program's functions side by side.
  static size_t usualJobs();
  /// For the contexts that use what was compiled; "": there is none.
  std::string folder() const { return scratch ? scratch->name() : kept; }
  /// Compiles them all. What fails or is cancelled by `progress` is known by its error.
  void compile(const std::vector<ProgramRequest> &requests, DeviceKind device, Log log,
               Progress::Report progress, void *progressContext);

  /// How a request came out: the time it took, or why it failed. Nothing if it was not compiled.
  std::optional<Result<double>> outcomeOf(const ProgramRequest &request) const;

private:
  size_t jobs;
  std::optional<ScratchFolder> scratch;
  std::string kept;
  std::mutex mutex;                               // guards `outcomes` while `compile` is under way
  std::map<std::string, Result<double>> outcomes; // by config
};

} // namespace nysjit::tune

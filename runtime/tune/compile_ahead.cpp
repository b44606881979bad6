// Threads, each with a context and so a worker of its own.
#include "runtime/tune/compile_ahead.h"
#include "runtime/api/stopwatch.h"
#include "runtime/device/cpus.h"

#include <atomic>
#include <system_error>
#include <thread>

namespace nysjit::tune {

size_t CompileAhead::usualJobs() {
  constexpr size_t cpusOfWorker = 4;
  return availableCpus() / cpusOfWorker;
}

CompileAhead::CompileAhead(size_t jobs) : jobs(jobs) {
  if (jobs < 2)
    return;
  if (Result<ScratchFolder> made = ScratchFolder::create())
    scratch.emplace(std::move(*made));
}

void CompileAhead::compile(const std::vector<ProgramRequest> &requests, DeviceKind device, Log log,
                           Progress::Report progress, void *progressContext) {
  if (jobs < 2 || folder().empty())
    return;
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    RuntimeContext context({.cacheFolder = folder(),
                            .threads = 1,
                            .device = device,
                            .isForCompiling = true,
                            .log = log,
                            .progress = progress,
                            .progressContext = progressContext});
    for (size_t i; (i = next++) < requests.size();) {
      const Stopwatch watch;
      Result<PreparedProgram> prepared = context.prepare(requests[i]);
      const std::lock_guard lock(mutex);
      outcomes.insert_or_assign(requests[i].configJson,
                                prepared ? Result<double>(watch.ms()) : prepared.takeError());
    }
  };
  std::vector<std::thread> threads;
  try {
    while (threads.size() < std::min(jobs, requests.size()))
      threads.emplace_back([&] {
        try {
          work();
        } catch (const std::exception &) {
          // No memory: what is left is compiled when it is asked for.
        }
      });
  } catch (const std::system_error &) {
    // As many as there are to be had.
  }
  for (std::thread &thread : threads)
    thread.join();
}

std::optional<Result<double>> CompileAhead::outcomeOf(const ProgramRequest &request) const {
  const auto known = outcomes.find(request.configJson);
  return known == outcomes.end() ? std::nullopt : std::optional(known->second);
}

} // namespace nysjit::tune

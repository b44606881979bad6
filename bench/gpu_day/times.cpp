// Times: runs of the shapes that count, and each of their kernels.
#include "bench/gpu_day/apart.h"
#include "bench/gpu_day/counts.h"
#include "bench/gpu_day/steps.h"
#include "bench/gpu_day/timed_run.h"

#include <chrono>
#include <cmath>

namespace nysjit::gpu_day {

using nlohmann::json;

namespace {

/// A record's beginning: what is timed.
json fieldsOf(const TimedCase &one) {
  return {{"case", one.name},
          {"layout", one.spec["layout"]},
          {"dtype", one.spec["dtype"]},
          {"batch", one.batch},
          {"heads", one.heads},
          {"length", one.length},
          {"head_dim", one.spec["head_dim"]}};
}

/// The median time of each kernel, in the order of its first launch; launches of one kernel
/// together.
struct KernelTimes {
  std::vector<std::string> names;
  std::map<std::string, std::vector<double>> times; // one a run
  std::map<std::string, int64_t> grids;

  void add(const std::vector<nysjit_launch_timing> &launches) {
    std::map<std::string, double> sums;
    for (const nysjit_launch_timing &launch : launches) {
      if (!grids.contains(launch.kernel))
        names.push_back(launch.kernel);
      grids[launch.kernel] = launch.grid;
      sums[launch.kernel] += launch.ms;
    }
    for (const auto &[name, ms] : sums)
      times[name].push_back(ms);
  }
};

Result<json> kernelTimes(const Options &options, const TimedRun &run, const TimedCase &one) {
  KernelTimes found;
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(options.seconds);
  for (int i = 0;
       i < 50 && (i < (options.isSmall ? 1 : 3) || std::chrono::steady_clock::now() < end); ++i) {
    std::vector<nysjit_launch_timing> launches;
    NYSJIT_RETURN_IF_ERROR(run.enqueue(&launches));
    found.add(launches);
  }
  json kernels = json::array();
  for (const std::string &name : found.names) {
    const Counts counts = countsOf(one, name);
    kernels.push_back({{"kernel", name},
                       {"ms", median(found.times[name])},
                       {"grid", found.grids[name]},
                       {"flops", counts.flops},
                       {"bytes", counts.bytes}});
  }
  return kernels;
}

/// The last head of the large run beside the same head alone: offsets beyond 32 bits go wrong
/// there.
Status checkLastHead(const Session &session, const Records &records, const TimedRun &run,
                     const TimedCase &one) {
  NYSJIT_RETURN_IF_ERROR(run.enqueue());
  std::vector<char> whole;
  NYSJIT_RETURN_IF_ERROR(run.lastHead(whole));
  NYSJIT_RETURN_IF_ERROR(run.clearOutput());
  NYSJIT_RETURN_IF_ERROR(run.enqueueLastHead());
  std::vector<char> alone;
  NYSJIT_RETURN_IF_ERROR(run.lastHead(alone));
  NYSJIT_RETURN_IF_ERROR(session.synchronize());
  size_t differences = 0;
  for (size_t i = 0; i < whole.size(); ++i)
    differences += whole[i] != alone[i];
  records.add("check", {{"check", "last head as if alone"},
                        {"case", one.name},
                        {"layout", one.spec["layout"]},
                        {"passed", differences == 0},
                        {"found", differences}});
  return {};
}

/// Whether q, k, v, o and what lies between kernels fit, with a tenth to spare.
Result<bool> isTooLarge(const Session &session, const Records &records, const TimedCase &one) {
  size_t there = 0;
  NYSJIT_RETURN_IF_ERROR(session.driver().check(
      session.api().cuDeviceTotalMem(&there, session.gpu().handle), "cuDeviceTotalMem"));
  const double width = one.spec["dtype"] == "float32" ? 4 : 2;
  const double needed = 4 * width * static_cast<double>(one.batch * one.heads * one.length) *
                        one.spec["head_dim"].get<double>() * 1.25;
  const bool isTooLarge = needed > 0.9 * static_cast<double>(there);
  if (isTooLarge)
    records.add("note", {{"text", one.name + " was left out: it takes " +
                                      std::to_string(std::llround(needed / 1e9)) +
                                      " GB of the GPU's memory."}});
  return isTooLarge;
}

Status timeOne(const Options &options, const Records &records, const Session &session,
               const TimedCase &one) {
  (void)isBrokenHere(options, session, one.name);
  Result<bool> tooLarge = isTooLarge(session, records, one);
  NYSJIT_RETURN_IF_ERROR(tooLarge);
  if (*tooLarge)
    return {};
  Result<std::unique_ptr<TimedRun>> run = TimedRun::create(session, one);
  NYSJIT_RETURN_IF_ERROR(run);
  Result<double> ms = session.medianMs(options.seconds, [&] { return (*run)->enqueue(); });
  NYSJIT_RETURN_IF_ERROR(ms);
  const Counts counts = countsOf(one);
  json fields = fieldsOf(one);
  fields.update({{"ms", *ms}, {"flops", counts.flops}, {"bytes", counts.bytes}});
  Result<json> kernels = kernelTimes(options, **run, one);
  NYSJIT_RETURN_IF_ERROR(kernels);
  fields["kernels"] = *kernels;
  records.add("time", std::move(fields));
  return checkLastHead(session, records, **run, one);
}

Status tryBlocks(const Options &options, const Records &records, const Session &session,
                 const SweepCase &one) {
  json fields = fieldsOf(one.timed);
  fields["config"] = one.config;
  Result<std::unique_ptr<TimedRun>> run = TimedRun::create(session, one.timed, one.config.dump());
  Result<json> kernels = run ? kernelTimes(options, **run, one.timed) : Result<json>(run.error());
  if (!kernels && session.isLost())
    return kernels.takeError();
  // such blocks may be too large for this GPU: no failure of the day
  if (kernels)
    fields["kernels"] = *kernels;
  else
    fields["refused"] = kernels.error().message;
  records.add("sweep", std::move(fields));
  return {};
}

} // namespace

Status measureTimes(const Options &options, const Records &records) {
  const std::vector<TimedCase> cases = timedCases(options.isSmall);
  return runApart(options, records,
                  {cases.size(), [&](size_t i) { return cases[i].name; },
                   [&](const Session &session, size_t i) {
                     return timeOne(options, records, session, cases[i]);
                   }});
}

Status measureSweep(const Options &options, const Records &records) {
  const std::vector<SweepCase> cases = sweepCases(options.isSmall);
  return runApart(options, records,
                  {cases.size(),
                   [&](size_t i) { return cases[i].timed.name + " " + cases[i].config.dump(); },
                   [&](const Session &session, size_t i) {
                     return tryBlocks(options, records, session, cases[i]);
                   }});
}

} // namespace nysjit::gpu_day

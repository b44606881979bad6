// Opening a device, running programs on it and timing them by events.
#include "bench/gpu_day/session.h"
#include "runtime/gpu/gpu_timer.h"
#include "runtime/spec/target.h"

#include <algorithm>
#include <chrono>

namespace nysjit::gpu_day {

Error lastError() { return Error::plain(ErrorKind::CheckFailed, "nysjit", nysjit_last_error()); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

namespace {

/// The emulator says it is a GPU of the target's capability, in a schedule that finds most faults.
void configureEmulator(const CudaDriver &driver, const std::string &target) {
  auto *reset =
      reinterpret_cast<decltype(&nysjit_emulator_reset)>(driver.symbol("nysjit_emulator_reset"));
  auto *configure = reinterpret_cast<decltype(&nysjit_emulator_configure)>(
      driver.symbol("nysjit_emulator_configure"));
  if (!reset || !configure)
    return;
  reset();
  nysjit_emulator_options options = {};
  options.size = sizeof options;
  options.lazy = 1;
  options.seed = 7;
  if (const Result<Target> known = parseTarget(target))
    options.compute_capability = known->sm;
  (void)configure(&options);
}

} // namespace

Result<std::unique_ptr<Session>> Session::open(const Options &options) {
  std::unique_ptr<Session> session(new Session);
  session->target = options.target;
  const bool isEmulator = options.device == "ptx-emulator";
  Result<std::vector<std::string>> places =
      isEmulator ? ptxEmulatorPlaces() : Result(cudaDriverPlaces());
  NYSJIT_RETURN_IF_ERROR(places);
  Result<std::shared_ptr<const CudaDriver>> opened = CudaDriver::open(*places);
  NYSJIT_RETURN_IF_ERROR(opened);
  session->library = *opened;
  configureEmulator(session->driver(), options.target);
  const CudaDriver &driver = session->driver();
  NYSJIT_RETURN_IF_ERROR(driver.check(
      driver.api().cuDevicePrimaryCtxRetain(&session->context, driver.gpus()[0].handle),
      "cuDevicePrimaryCtxRetain"));
  NYSJIT_RETURN_IF_ERROR(
      driver.check(driver.api().cuCtxPushCurrent(session->context), "cuCtxPushCurrent"));
  // One that waits for the legacy stream's copies, which may return before they are done.
  NYSJIT_RETURN_IF_ERROR(driver.check(
      driver.api().cuStreamCreate(&session->stream, CU_STREAM_DEFAULT), "cuStreamCreate"));
  std::vector<const char *> bundles;
  for (const std::string &bundle : options.bundles)
    bundles.push_back(bundle.c_str());
  nysjit_context_options host = {};
  host.size = sizeof host;
  host.cache_dir = "";
  host.device = options.device.c_str();
  host.sealed = 1;
  host.bundles = bundles.data();
  host.bundle_count = bundles.size();
  if (nysjit_context_create(&host, &session->host) != NYSJIT_OK)
    return lastError();
  return session;
}

Session::~Session() {
  nysjit_context_destroy(host);
  if (!context)
    return;
  CUcontext popped = nullptr;
  if (stream)
    (void)api().cuStreamDestroy(stream);
  (void)api().cuCtxPopCurrent(&popped);
  (void)api().cuDevicePrimaryCtxRelease(gpu().handle);
}

int Session::attribute(int number) const {
  int value = 0;
  if (api().cuDeviceGetAttribute(&value, static_cast<CUdevice_attribute>(number), gpu().handle) !=
      CUDA_SUCCESS)
    return 0;
  return value;
}

Result<Program> Session::prepare(const std::string &spec, const std::string &config) const {
  nysjit_program *program = nullptr;
  if (nysjit_prepare(host, spec.c_str(), config.empty() ? nullptr : config.c_str(),
                     target.empty() ? nullptr : target.c_str(), &program) != NYSJIT_OK)
    return lastError();
  return Program(program);
}

Status Session::run(const nysjit_program *program, nysjit_run_args &args,
                    std::vector<nysjit_launch_timing> *timings) const {
  nysjit_launch_timing launches[32] = {};
  size_t count = 0;
  args.timings = timings ? launches : nullptr;
  args.timing_capacity = timings ? std::size(launches) : 0;
  args.timing_count = timings ? &count : nullptr;
  if (nysjit_run(program, &args, stream) != NYSJIT_OK)
    return lastError();
  if (timings)
    timings->assign(launches, launches + std::min(count, std::size(launches)));
  return {};
}

Status Session::synchronize() const {
  NYSJIT_RETURN_IF_ERROR(library->check(api().cuStreamSynchronize(stream), "cuStreamSynchronize"));
  const std::string found = library->emulatorReport();
  return found.empty() ? Status() : Error::plain(ErrorKind::CheckFailed, "emulator", found);
}

Result<double> Session::elapsedMs(int count, const std::function<Status()> &enqueue) const {
  return nysjit::elapsedMs(driver(), stream, [&]() -> Status {
    for (int i = 0; i < count; ++i)
      NYSJIT_RETURN_IF_ERROR(enqueue());
    return Status();
  });
}

Result<double> Session::medianMs(double seconds, const std::function<Status()> &enqueue) const {
  // The first call may load and allocate; the second says how many go into a measurement.
  NYSJIT_RETURN_IF_ERROR(enqueue());
  Result<double> once = elapsedMs(1, enqueue);
  NYSJIT_RETURN_IF_ERROR(once);
  const int count = std::clamp(static_cast<int>(2.0 / std::max(*once, 1e-3)), 1, 50);
  std::vector<double> times;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (times.size() < (seconds > 0 ? 3u : 1u) ||
         (std::chrono::steady_clock::now() < end && times.size() < 100)) {
    Result<double> ms = elapsedMs(count, enqueue);
    NYSJIT_RETURN_IF_ERROR(ms);
    times.push_back(*ms / count);
  }
  return median(times);
}

} // namespace nysjit::gpu_day

// What the device is, and the most it does: the roofline that kernels are held against.
#include "bench/gpu_day/kernels.h"
#include "bench/gpu_day/steps.h"
#include "runtime/spec/target.h"

#include <algorithm>
#include <thread>

namespace nysjit::gpu_day {

using nlohmann::json;

namespace {

constexpr int clockRateKHz = 13; // numbers of CUdevice_attribute that only this report asks for
constexpr int memoryClockKHz = 36;
constexpr int memoryBusBits = 37;
constexpr int l2Bytes = 38;

Status copyRate(const Options &options, const Session &session, const Records &records) {
  // As much as the L2 cannot hold, and a small GPU has.
  const size_t bytes = options.isSmall ? size_t(1) << 16 : size_t(1) << 30;
  Result<std::unique_ptr<DeviceMemory>> from = DeviceMemory::allocate(session.driver(), bytes);
  NYSJIT_RETURN_IF_ERROR(from);
  Result<std::unique_ptr<DeviceMemory>> to = DeviceMemory::allocate(session.driver(), bytes);
  NYSJIT_RETURN_IF_ERROR(to);
  NYSJIT_RETURN_IF_ERROR(session.driver().check(
      session.api().cuMemsetD8Async((*from)->address, 1, bytes, session.stream),
      "cuMemsetD8Async"));
  Result<double> ms = session.medianMs(options.seconds, [&] {
    return session.driver().check(
        session.api().cuMemcpyDtoDAsync((*to)->address, (*from)->address, bytes, session.stream),
        "cuMemcpyDtoDAsync");
  });
  NYSJIT_RETURN_IF_ERROR(ms);
  records.add("rate", {{"rate", "copy"},
                       {"meaning", "device to device by the driver, bytes read and written"},
                       {"tb_s", 2.0 * static_cast<double>(bytes) / *ms / 1e9},
                       {"ms", *ms}});
  return {};
}

Status matrixRate(const Options &options, const Session &session, const Records &records) {
  Result<std::unique_ptr<Kernel>> kernel = Kernel::load(session, mmaLoopPtx(), "mma_loop");
  NYSJIT_RETURN_IF_ERROR(kernel);
  const int processors = session.attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  const int blocks = options.isSmall ? 2 : 8 * std::max(processors, 1);
  const int threads = 128;
  uint32_t turns = options.isSmall ? 4 : 4096;
  CUdeviceptr out = 0;
  Result<double> ms = session.medianMs(
      options.seconds, [&] { return (*kernel)->launch(blocks, threads, {&out, &turns}); });
  NYSJIT_RETURN_IF_ERROR(ms);
  const double flops = mmaLoopFlops * turns * blocks * (threads / 32);
  records.add("rate", {{"rate", "mma"},
                       {"meaning", "mma.sync of bfloat16 with float32 sums, registers alone"},
                       {"tflop_s", flops / *ms / 1e9},
                       {"ms", *ms}});
  return {};
}

} // namespace

Status describeDevice(const Options &options, const Records &records) {
  Result<std::unique_ptr<Session>> opened = Session::open(options);
  NYSJIT_RETURN_IF_ERROR(opened);
  const Session &session = **opened;
  size_t bytes = 0;
  NYSJIT_RETURN_IF_ERROR(session.driver().check(
      session.api().cuDeviceTotalMem(&bytes, session.gpu().handle), "cuDeviceTotalMem"));
  const int capability = 10 * session.attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                         session.attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  Result<Target> target = targetForCapability(capability);
  NYSJIT_RETURN_IF_ERROR(target);
  records.add("device",
              {{"name", session.gpu().name},
               {"capability", capability},
               {"target", targetName(*target)},
               {"is_emulator", session.isEmulator()},
               {"driver", session.driver().version()},
               {"memory_bytes", bytes},
               {"processors", session.attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)},
               {"clock_mhz", session.attribute(clockRateKHz) / 1000},
               {"memory_clock_mhz", session.attribute(memoryClockKHz) / 1000},
               {"memory_bus_bits", session.attribute(memoryBusBits)},
               {"l2_bytes", session.attribute(l2Bytes)},
               {"host_cpus", std::thread::hardware_concurrency()}});
  return {};
}

Status measureRates(const Options &options, const Records &records) {
  Result<std::unique_ptr<Session>> session = Session::open(options);
  NYSJIT_RETURN_IF_ERROR(session);
  if (const Status copied = copyRate(options, **session, records); !copied)
    records.failed("copy rate", copied.error());
  return matrixRate(options, **session, records);
}

} // namespace nysjit::gpu_day

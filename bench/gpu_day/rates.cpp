// What the device is, and the most it does: the roofline that kernels are held against.
#include "bench/gpu_day/steps.h"
#include "runtime/gpu/gpu_peaks.h"
#include "runtime/spec/target.h"

#include <thread>

namespace nysjit::gpu_day {

using nlohmann::json;

namespace {

constexpr int clockRateKHz = 13; // numbers of CUdevice_attribute that only this report asks for
constexpr int memoryClockKHz = 36;
constexpr int memoryBusBits = 37;
constexpr int l2Bytes = 38;

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
  Result<std::unique_ptr<Session>> opened = Session::open(options);
  NYSJIT_RETURN_IF_ERROR(opened);
  const Session &session = **opened;
  // As much as the L2 cannot hold, and a small GPU has.
  const size_t bytes = options.isSmall ? size_t(1) << 16 : size_t(1) << 30;
  if (Result<double> copies = copyRate(session.driver(), session.stream, bytes); copies)
    records.add("rate", {{"rate", "copy"},
                         {"meaning", "device to device by the driver, bytes read and written"},
                         {"tb_s", *copies / 1e3}});
  else
    records.failed("copy rate", copies.error());
  const int processors = session.attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  Result<double> products =
      mmaRate(session.driver(), session.stream, options.isSmall ? 1 : processors);
  NYSJIT_RETURN_IF_ERROR(products);
  records.add("rate", {{"rate", "mma"},
                       {"meaning", "mma.sync of bfloat16 with float32 sums, registers alone"},
                       {"tflop_s", *products / 1e3}});
  return {};
}

} // namespace nysjit::gpu_day

// Filling large tensors: random numbers of the host's, copied on and on by the device.
#include "bench/gpu_day/timed_run.h"
#include "runtime/npy/half.h"

#include <algorithm>
#include <cstring>
#include <random>

namespace nysjit::gpu_day {

namespace {

constexpr size_t period = 1048583; // numbers; a prime, so that no two heads have the same

std::vector<char> randomNumbers(size_t count, const std::string &dtype, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const size_t width = dtype == "float32" ? 4 : 2;
  std::vector<char> bytes(count * width);
  for (size_t i = 0; i < count; ++i) {
    const float number = normal(random);
    const uint16_t half = dtype == "float16" ? floatToFloat16(number) : floatToBfloat16(number);
    std::memcpy(&bytes[i * width], width == 4 ? static_cast<const void *>(&number) : &half, width);
  }
  return bytes;
}

DLDataType dlpackType(const std::string &dtype) {
  const DLDataTypeCode code = dtype == "bfloat16" ? kDLBfloat : kDLFloat;
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(dtype == "float32" ? 32 : 16), 1};
}

} // namespace

TimedRun::TimedRun(const Session &session, const TimedCase &one)
    : session(session), width(one.spec["dtype"] == "float32" ? 4 : 2),
      shape{one.batch, one.heads, one.length, one.spec["head_dim"]},
      oneHead{1, 1, one.length, one.spec["head_dim"]} {}

Result<std::unique_ptr<TimedRun>> TimedRun::create(const Session &session, const TimedCase &one,
                                                   const std::string &config) {
  std::unique_ptr<TimedRun> run(new TimedRun(session, one));
  Result<Program> program = session.prepare(one.spec.dump(), config);
  NYSJIT_RETURN_IF_ERROR(program);
  run->program = std::move(*program);
  const std::string dtype = one.spec["dtype"];
  const int64_t headNumbers = run->shape[2] * run->shape[3];
  const size_t bytes =
      static_cast<size_t>(run->shape[0] * run->shape[1] * headNumbers) * run->width;
  for (unsigned i = 0; i < 4; ++i) {
    Result<std::unique_ptr<DeviceMemory>> memory = DeviceMemory::allocate(session.driver(), bytes);
    NYSJIT_RETURN_IF_ERROR(memory);
    run->memory[i] = std::move(*memory);
    if (i < 3) { // the output is only written
      const size_t count = std::min(period, bytes / run->width);
      const std::vector<char> numbers = randomNumbers(count, dtype, i + 1);
      NYSJIT_RETURN_IF_ERROR(run->memory[i]->write(numbers.data(), numbers.size()));
      NYSJIT_RETURN_IF_ERROR(run->fill(*run->memory[i], count * run->width));
    }
    void *data = reinterpret_cast<void *>(run->memory[i]->address);
    run->all[i] = {data, {kDLCUDA, 0}, 4, dlpackType(dtype), run->shape, nullptr, 0};
    run->last[i] = run->all[i];
    run->last[i].shape = run->oneHead;
    run->last[i].byte_offset = bytes - static_cast<size_t>(headNumbers) * run->width;
  }
  return run;
}

/// The first `known` bytes, again and again.
Status TimedRun::fill(const DeviceMemory &memory, size_t known) const {
  for (size_t at = known; at < memory.bytes; at *= 2)
    NYSJIT_RETURN_IF_ERROR(session.driver().check(
        session.api().cuMemcpyDtoDAsync(memory.address + at, memory.address,
                                        std::min(at, memory.bytes - at), session.stream),
        "cuMemcpyDtoDAsync"));
  return session.synchronize();
}

namespace {

nysjit_run_args argumentsOf(const DLTensor (&tensors)[4]) {
  nysjit_run_args args = {};
  args.size = sizeof args;
  args.q = &tensors[0];
  args.k = &tensors[1];
  args.v = &tensors[2];
  args.o = &tensors[3];
  return args;
}

} // namespace

nysjit_run_args TimedRun::arguments() const { return argumentsOf(all); }

Status TimedRun::enqueue(std::vector<nysjit_launch_timing> *timings) const {
  nysjit_run_args args = arguments();
  return session.run(program.get(), args, timings);
}

Status TimedRun::enqueueLastHead() const {
  nysjit_run_args args = argumentsOf(last);
  return session.run(program.get(), args);
}

Status TimedRun::clearOutput() const {
  return session.driver().check(
      session.api().cuMemsetD8Async(memory[3]->address, 0xff, memory[3]->bytes, session.stream),
      "cuMemsetD8Async");
}

Status TimedRun::lastHead(std::vector<char> &bytes) const {
  NYSJIT_RETURN_IF_ERROR(session.synchronize());
  bytes.resize(static_cast<size_t>(oneHead[2] * oneHead[3]) * width);
  return session.driver().check(session.api().cuMemcpyDtoH(bytes.data(),
                                                           memory[3]->address + last[3].byte_offset,
                                                           bytes.size()),
                                "cuMemcpyDtoH");
}

} // namespace nysjit::gpu_day

// Copies and products, timed between events.
#include "runtime/gpu/gpu_peaks.h"
#include "runtime/gpu/device_memory.h"
#include "runtime/gpu/gpu_kernel.h"
#include "runtime/gpu/gpu_timer.h"

#include <algorithm>
#include <limits>

namespace nysjit {

namespace {

constexpr const char *pattern = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry mma_loop(.param .u64 out, .param .u32 turns)
{
  .reg .pred %p;
  .reg .u32 %n;
  .reg .b32 %a<4>, %b<2>;
  .reg .u64 %o;
  .reg .f32 %c<32>;
  ld.param.u64 %o, [out];
  ld.param.u32 %n, [turns];
  // numbers of either sign from 1 to 2, whose bits cost what real ones do
  mov.u32 %a0, %tid.x;
  mad.lo.u32 %a0, %a0, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %a1, %a0, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %a2, %a1, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %a3, %a2, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %b0, %a3, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %b1, %b0, 0x9E3779B1, 0x7F4A7C15;
  BITS
  ZEROS
LOOP:
  MMAS
  sub.u32 %n, %n, 1;
  setp.ne.u32 %p, %n, 0;
  @%p bra LOOP;
  SUMS
  setp.eq.f32 %p, %c0, 0f7F000000;
  @%p st.global.f32 [%o], %c0;
  ret;
}
)";

void replace(std::string &text, const std::string &word, const std::string &by) {
  text.replace(text.find(word), word.size(), by);
}

std::string number(const char *prefix, int n) { return prefix + std::to_string(n); }

} // namespace

std::string mmaLoopPtx() {
  std::string ptx = pattern;
  std::string zeros;
  std::string products;
  std::string sums;
  for (int c = 0; c < 32; ++c)
    zeros += "mov.f32 " + number("%c", c) + ", 0f00000000;\n  ";
  for (int tile = 0; tile < 8; ++tile) {
    const std::string c = "{" + number("%c", 4 * tile) + ", " + number("%c", 4 * tile + 1) + ", " +
                          number("%c", 4 * tile + 2) + ", " + number("%c", 4 * tile + 3) + "}";
    products += "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 " + c +
                ", {%a0, %a1, %a2, %a3}, {%b0, %b1}, " + c + ";\n  ";
  }
  for (int c = 1; c < 32; ++c)
    sums += "add.f32 %c0, %c0, " + number("%c", c) + ";\n  ";
  std::string bits;
  for (const std::string word : {"%a0", "%a1", "%a2", "%a3", "%b0", "%b1"})
    bits += "and.b32 " + word + ", " + word + ", 0x807F807F;\n  or.b32 " + word + ", " + word +
            ", 0x3F803F80;\n  ";
  replace(ptx, "BITS", bits);
  replace(ptx, "ZEROS", zeros);
  replace(ptx, "MMAS", products);
  replace(ptx, "SUMS", sums);
  return ptx;
}

/// The least of some times of a call.
static Result<double> leastMs(const CudaDriver &driver, CUstream stream,
                              const std::function<Status()> &enqueue) {
  constexpr int takes = 5;
  double least = std::numeric_limits<double>::infinity();
  for (int take = 0; take < takes; ++take) {
    Result<double> ms = elapsedMs(driver, stream, enqueue);
    NYSJIT_RETURN_IF_ERROR(ms);
    least = std::min(least, *ms);
  }
  return least;
}

Result<double> copyRate(const CudaDriver &driver, CUstream stream, size_t bytes) {
  Result<std::unique_ptr<DeviceMemory>> from = DeviceMemory::allocate(driver, bytes);
  NYSJIT_RETURN_IF_ERROR(from);
  Result<std::unique_ptr<DeviceMemory>> to = DeviceMemory::allocate(driver, bytes);
  NYSJIT_RETURN_IF_ERROR(to);
  NYSJIT_RETURN_IF_ERROR(driver.check(
      driver.api().cuMemsetD8Async((*from)->address, 1, bytes, stream), "cuMemsetD8Async"));
  Result<double> ms = leastMs(driver, stream, [&] {
    return driver.check(
        driver.api().cuMemcpyDtoDAsync((*to)->address, (*from)->address, bytes, stream),
        "cuMemcpyDtoDAsync");
  });
  NYSJIT_RETURN_IF_ERROR(ms);
  return 2.0 * double(bytes) / *ms / 1e6;
}

Result<double> mmaRate(const CudaDriver &driver, CUstream stream, int multiprocessors) {
  constexpr double flops = 8 * 2.0 * 16 * 8 * 16; // of a warp and turn
  constexpr int threads = 128;
  constexpr double leastLoopMs = 2; // so long that a launch does not matter
  constexpr uint32_t mostTurns = 1u << 20;
  const int blocks = 8 * std::max(multiprocessors, 1);
  Result<std::unique_ptr<GpuKernel>> kernel = GpuKernel::load(driver, mmaLoopPtx(), "mma_loop");
  NYSJIT_RETURN_IF_ERROR(kernel);
  for (uint32_t turns = 1;; turns *= 4) {
    CUdeviceptr out = 0;
    Result<double> ms = leastMs(
        driver, stream, [&] { return (*kernel)->launch(stream, blocks, threads, {&out, &turns}); });
    NYSJIT_RETURN_IF_ERROR(ms);
    if (*ms >= leastLoopMs || turns >= mostTurns)
      return flops * turns * blocks * (threads / 32) / *ms / 1e6;
  }
}

} // namespace nysjit

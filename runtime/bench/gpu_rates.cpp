// A copy and a loop of products, each timed as a graph.
#include "runtime/bench/gpu_rates.h"
#include "runtime/gpu/gpu_timer.h"
#include "runtime/gpu/mma_loop.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace nysjit::bench {

namespace {

constexpr int takes = 5; // the best counts

/// The least of some times of a call, which must have been made once before.
Result<double> leastMs(const GpuStream &stream, const std::function<Status()> &enqueue) {
  Result<std::unique_ptr<GpuGraph>> graph =
      GpuGraph::capture(stream, 1, [&](int) { return enqueue(); });
  NYSJIT_RETURN_IF_ERROR(graph);
  double least = std::numeric_limits<double>::infinity();
  for (int take = 0; take < takes; ++take) {
    Result<double> ms = (*graph)->ms();
    NYSJIT_RETURN_IF_ERROR(ms);
    least = std::min(least, *ms);
  }
  return least;
}

class Memory {
public:
  Memory(const CudaDriver &driver, size_t bytes)
      : driver(driver),
        allocated(driver.check(driver.api().cuMemAlloc(&address, bytes),
                               "cuMemAlloc of " + std::to_string(bytes) + " bytes")) {}
  ~Memory() {
    if (address)
      (void)driver.api().cuMemFree(address);
  }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  const CudaDriver &driver;
  CUdeviceptr address = 0;
  Status allocated;
};

Result<double> copyRate(const GpuStream &stream) {
  constexpr size_t least = size_t(64) << 20;
  constexpr size_t most = size_t(1) << 30;
  const CudaDriver &driver = stream.session.driver();
  const size_t bytes = std::clamp(4 * stream.session.l2Bytes(), least, most);
  Memory from(driver, bytes);
  Memory to(driver, bytes);
  for (Memory *memory : {&from, &to})
    if (!memory->allocated)
      return memory->allocated.takeError();
  const auto copy = [&] {
    return driver.check(
        driver.api().cuMemcpyDtoDAsync(to.address, from.address, bytes, stream.get()),
        "cuMemcpyDtoDAsync");
  };
  NYSJIT_RETURN_IF_ERROR(copy());
  NYSJIT_RETURN_IF_ERROR(stream.synchronize());
  Result<double> ms = leastMs(stream, copy);
  NYSJIT_RETURN_IF_ERROR(ms);
  return 2.0 * double(bytes) / *ms / 1e6;
}

class Module {
public:
  explicit Module(const CudaDriver &driver) : driver(driver) {}
  ~Module() {
    if (module)
      (void)driver.api().cuModuleUnload(module);
  }
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;
  Result<CUfunction> load(const std::string &ptx, const char *name) {
    NYSJIT_RETURN_IF_ERROR(
        driver.check(driver.api().cuModuleLoadData(&module, ptx.c_str()), "cuModuleLoadData"));
    CUfunction function = nullptr;
    NYSJIT_RETURN_IF_ERROR(driver.check(driver.api().cuModuleGetFunction(&function, module, name),
                                        "cuModuleGetFunction"));
    return function;
  }

private:
  const CudaDriver &driver;
  CUmodule module = nullptr;
};

/// In 1e9 operations a second, of 16-bit products.
Result<double> productRate(const GpuStream &stream) {
  constexpr unsigned threads = 128;
  constexpr double leastLoopMs = 2;
  constexpr uint32_t mostTurns = 1u << 20;
  const CudaDriver &driver = stream.session.driver();
  const auto blocks = 8 * unsigned(std::max(stream.session.gpu().multiprocessors, 1));
  Module module(driver);
  Result<CUfunction> function = module.load(mmaLoopPtx(), "mma_loop");
  NYSJIT_RETURN_IF_ERROR(function);
  for (uint32_t turns = 1;; turns *= 4) {
    CUdeviceptr out = 0;
    void *parameters[] = {&out, &turns};
    const auto loop = [&] {
      return driver.check(driver.api().cuLaunchKernel(*function, blocks, 1, 1, threads, 1, 1, 0,
                                                      stream.get(), parameters, nullptr),
                          "cuLaunchKernel (mma_loop)");
    };
    NYSJIT_RETURN_IF_ERROR(loop());
    NYSJIT_RETURN_IF_ERROR(stream.synchronize());
    Result<double> ms = leastMs(stream, loop);
    NYSJIT_RETURN_IF_ERROR(ms);
    if (*ms >= leastLoopMs || turns >= mostTurns)
      return mmaLoopFlops * turns * blocks * (threads / 32) / *ms / 1e6;
  }
}

} // namespace

Result<Rates> takeGpuRates(std::shared_ptr<CudaDevice> device, const KernelSpec &spec) {
  Result<std::unique_ptr<GpuSession>> session = GpuSession::open(std::move(device));
  NYSJIT_RETURN_IF_ERROR(session);
  Result<std::unique_ptr<GpuStream>> stream = GpuStream::create(**session);
  NYSJIT_RETURN_IF_ERROR(stream);
  Result<double> copies = copyRate(**stream);
  NYSJIT_RETURN_IF_ERROR(copies);
  Result<double> products = productRate(**stream);
  NYSJIT_RETURN_IF_ERROR(products);
  const double share = spec.dtype != DType::Float32              ? 1
                       : spec.float32Math == Float32Math::Tf32x3 ? 1.0 / 6
                                                                 : 1.0 / 2;
  return Rates{*copies, *products * share, 0};
}

} // namespace nysjit::bench

// What a stream carries out: kernels, checked as the driver checks them, and copies.
#include "runtime/emulator/driver_state.h"

#include <algorithm>
#include <cstring>

using namespace nysjit::emulator;

namespace nysjit::emulator {
namespace {

CUresult resultOf(Fault fault) {
  switch (fault) {
  case Fault::None: return CUDA_SUCCESS;
  case Fault::IllegalAddress: return CUDA_ERROR_ILLEGAL_ADDRESS;
  case Fault::Misaligned: return CUDA_ERROR_MISALIGNED_ADDRESS;
  case Fault::IllegalInstruction: return CUDA_ERROR_ILLEGAL_INSTRUCTION;
  case Fault::Failed: break;
  }
  return CUDA_ERROR_LAUNCH_FAILED;
}

/// Runs a kernel, and keeps what was found.
void runKernel(Driver &state, Context &context, const Launch &launch) {
  const std::string prefix =
      launch.function->name + " launch " + std::to_string(++state.launches) + ": ";
  Outcome outcome;
  try {
    outcome = run(launch, context.memory, state.options);
  } catch (const std::exception &exception) {
    outcome.fault = Fault::Failed;
    outcome.report.push_back(std::string("the emulator failed: ") + exception.what());
  }
  for (const std::string &line : outcome.report)
    state.report += prefix + line + "\n";
  state.lastCounts = outcome.counts;
  context.fault = resultOf(outcome.fault);
}

/// A graph's operation whose memory or module is gone.
void faultOn(Driver &state, Context &context, const char *what) {
  state.report += std::string("graph: ") + what + "\n";
  context.fault = CUDA_ERROR_ILLEGAL_ADDRESS;
}

} // namespace

CUresult Driver::perform(Context &context, const Operation &operation) {
  if (context.fault != CUDA_SUCCESS) // the device is lost until someone notices
    return CUDA_SUCCESS;
  if (const auto *kernel = std::get_if<KernelLaunch>(&operation)) {
    if (std::shared_ptr<LoadedModule> module = kernel->module.lock())
      runKernel(*this, context, kernel->launch);
    else
      faultOn(*this, context, "a kernel's module was unloaded before its launch");
    return CUDA_SUCCESS;
  }
  bool done = false;
  if (const auto *in = std::get_if<CopyIn>(&operation))
    done = context.memory.copyIn(in->to, in->from, in->bytes);
  else if (const auto *out = std::get_if<CopyOut>(&operation))
    done = context.memory.copyOut(out->to, out->from, out->bytes);
  else if (const auto *within = std::get_if<CopyWithin>(&operation))
    done = context.memory.copyWithin(within->to, within->from, within->bytes);
  else if (const auto *fill = std::get_if<Fill>(&operation))
    done = context.memory.fill(fill->to, fill->value, fill->bytes);
  if (!done)
    faultOn(*this, context, "a copy's memory was freed before its launch");
  return CUDA_SUCCESS;
}

CUresult Driver::enqueue(Context &context, Stream &stream, Operation operation) {
  if (!stream.capture)
    return perform(context, operation);
  Capture &capture = *stream.capture;
  if (capture.invalid)
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  capture.graph.operations.push_back(std::move(operation));
  stream.progress[&stream] = ++capture.issued[&stream];
  return CUDA_SUCCESS;
}

} // namespace nysjit::emulator

namespace {

struct Extent {
  unsigned x;
  unsigned y;
  unsigned z;
};

CUresult checkExtents(const Function &function, Extent grid, Extent block) {
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return CUDA_ERROR_INVALID_VALUE;
  if (!threads || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      threads > std::min(function.maxThreads, 1024u))
    return CUDA_ERROR_INVALID_VALUE;
  const unsigned given[3] = {block.x, block.y, block.z};
  for (int i = 0; i < 3; ++i)
    if (function.requiredThreads[i] && function.requiredThreads[i] != given[i])
      return CUDA_ERROR_INVALID_VALUE;
  return CUDA_SUCCESS;
}

/// `extra`: a list of names and values, the form in which the caller brings the parameter block
/// ready.
CUresult readExtra(const Function &function, void **extra, std::vector<uint8_t> &block) {
  enum { end = 0, bufferPointer = 1, bufferSize = 2 };
  const void *buffer = nullptr;
  const size_t *size = nullptr;
  for (int i = 0; extra[i]; i += 2) {
    const uintptr_t name = reinterpret_cast<uintptr_t>(extra[i]);
    if (name == bufferPointer)
      buffer = extra[i + 1];
    else if (name == bufferSize)
      size = static_cast<const size_t *>(extra[i + 1]);
    else
      return CUDA_ERROR_INVALID_VALUE;
  }
  if (!buffer || !size || *size < function.parameterBytes)
    return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(block.data(), buffer, function.parameterBytes);
  return CUDA_SUCCESS;
}

/// Copies the arguments, as the driver does, before the call returns.
CUresult readParameters(const Function &function, void **parameters, void **extra,
                        std::vector<uint8_t> &block) {
  block.assign(function.parameterBytes, 0);
  if (parameters && extra)
    return CUDA_ERROR_INVALID_VALUE;
  if (extra)
    return readExtra(function, extra, block);
  if (!parameters && !function.parameters.empty())
    return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < function.parameters.size(); ++i) {
    if (!parameters[i])
      return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(block.data() + function.parameters[i].offset, parameters[i],
                function.parameters[i].bytes);
  }
  return CUDA_SUCCESS;
}

CUresult launch(Driver &state, CUfunction handle, Extent grid, Extent block, unsigned sharedBytes,
                CUstream streamHandle, void **parameters, void **extra, bool mayOverlap) {
  Context *context;
  NYSJIT_TRY(state.current(context));
  std::shared_ptr<LoadedFunction> loaded = context->functions.find(handle);
  if (!loaded)
    return CUDA_ERROR_INVALID_HANDLE;
  std::shared_ptr<Stream> stream;
  NYSJIT_TRY(state.stream(*context, streamHandle, stream));
  const Function &function = *loaded->function;
  NYSJIT_TRY(checkExtents(function, grid, block));
  if (sharedBytes > loaded->maxDynamicShared)
    return CUDA_ERROR_INVALID_VALUE;
  KernelLaunch kernel{loaded->module,
                      {&function,
                       {grid.x, grid.y, grid.z},
                       {block.x, block.y, block.z},
                       sharedBytes,
                       mayOverlap,
                       {}}};
  NYSJIT_TRY(readParameters(function, parameters, extra, kernel.launch.parameters));
  return state.enqueue(*context, *stream, std::move(kernel));
}

/// Clusters are not emulated. With programmatic serialisation the launch still runs after the one
/// before it, but is checked as one that may overlap it.
CUresult readAttributes(const CUlaunchConfig &config, int capability, bool &mayOverlap) {
  if (config.numAttrs && !config.attrs)
    return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const CUlaunchAttribute &attribute = config.attrs[i];
    const auto &cluster = attribute.value.clusterDim;
    switch (attribute.id) {
    case CU_LAUNCH_ATTRIBUTE_IGNORE: break;
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
      mayOverlap = capability >= 90 && attribute.value.programmaticStreamSerializationAllowed;
      break;
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
      if (capability < 90 || !cluster.x || !cluster.y || !cluster.z ||
          config.gridDimX % cluster.x || config.gridDimY % cluster.y || config.gridDimZ % cluster.z)
        return CUDA_ERROR_INVALID_VALUE;
      if (uint64_t(cluster.x) * cluster.y * cluster.z > 1)
        return CUDA_ERROR_NOT_SUPPORTED;
      break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
  }
  return CUDA_SUCCESS;
}

} // namespace

CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ,
                        unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                        CUstream stream, void **parameters, void **extra) {
  return call(Symbol::cuLaunchKernel, [&](Driver &state) {
    return launch(state, function, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, sharedBytes,
                  stream, parameters, extra, /*mayOverlap=*/false);
  });
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters,
                          void **extra) {
  return call(Symbol::cuLaunchKernelEx, [&](Driver &state) {
    if (!config)
      return state.initialized ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_INITIALIZED;
    bool mayOverlap = false;
    NYSJIT_TRY(readAttributes(*config, state.capability, mayOverlap));
    return launch(state, function, {config->gridDimX, config->gridDimY, config->gridDimZ},
                  {config->blockDimX, config->blockDimY, config->blockDimZ}, config->sharedMemBytes,
                  config->hStream, parameters, extra, mayOverlap);
  });
}

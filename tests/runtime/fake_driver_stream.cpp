// The fake driver's streams, graphs, events and launches. Work is done when it is enqueued, unless
// a graph captures it.
#include "tests/runtime/fake_driver_state.h"

#include <chrono>
#include <cstring>

using namespace fake_driver;

namespace {

void perform(const Recorded &launch) {
  alignas(64) static thread_local char scratch[2048];
  for (unsigned cell = 0; cell < launch.grid; ++cell)
    launch.function->kernel(launch.parameters.data(), cell, scratch);
}

/// A run is row_sum, then scaled_copy, of one thread.
void watchOrder(const CUfunc_st *function) {
  const std::lock_guard lock(state.mutex);
  const bool isFirst = function == &functions[0];
  if (state.isInRun ? isFirst || state.runner != std::this_thread::get_id() : !isFirst)
    ++state.interleaved;
  state.isInRun = isFirst;
  state.runner = std::this_thread::get_id();
}

CUresult launch(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ,
                unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                CUstream stream, void **parameters, void **extra) {
  if (gridX == 0 || gridY != 1 || gridZ != 1 || blockX != 32 || blockY != 1 || blockZ != 1 ||
      extra || sharedBytes > function->sharedLimit)
    return CUDA_ERROR_INVALID_VALUE;
  Recorded launch{function, gridX, {}};
  for (size_t i = 0; function->types[i]; ++i) {
    int32_t word;
    std::memcpy(&word, parameters[i], sizeof word);
    uint64_t parameter = static_cast<uint64_t>(static_cast<int64_t>(word));
    if (function->types[i] != 'i' && function->types[i] != 'f')
      std::memcpy(&parameter, parameters[i], sizeof parameter);
    launch.parameters.push_back(parameter);
  }
  if (stream && stream->capture) {
    stream->capture->launches.push_back(std::move(launch));
    return CUDA_SUCCESS;
  }
  watchOrder(function);
  perform(launch);
  if (function == &functions[0]) // room for another run that does not wait its turn
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  return CUDA_SUCCESS;
}

} // namespace

extern "C" {

CUresult cuStreamCreate(CUstream *stream, unsigned) {
  BEGIN_IN_CONTEXT(cuStreamCreate);
  *stream = new CUstream_st;
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream) {
  BEGIN_IN_CONTEXT(cuStreamDestroy);
  delete stream;
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) {
  BEGIN_IN_CONTEXT(cuStreamSynchronize);
  return CUDA_SUCCESS;
}
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuStreamGetCtx(CUstream, CUcontext *) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode) {
  BEGIN_IN_CONTEXT(cuStreamBeginCapture);
  stream->capture.emplace();
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  BEGIN_IN_CONTEXT(cuStreamEndCapture);
  *graph = new CUgraph_st(std::move(*stream->capture));
  stream->capture.reset();
  return CUDA_SUCCESS;
}
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
  BEGIN_IN_CONTEXT(cuStreamIsCapturing);
  *status =
      stream && stream->capture ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long) {
  BEGIN_IN_CONTEXT(cuGraphInstantiate);
  *executable = new CUgraphExec_st{graph->launches};
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream) {
  BEGIN_IN_CONTEXT(cuGraphLaunch);
  for (const Recorded &launch : executable->launches)
    perform(launch);
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
  delete executable;
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
  delete graph;
  return CUDA_SUCCESS;
}
CUresult cuEventCreate(CUevent *event, unsigned) {
  BEGIN_IN_CONTEXT(cuEventCreate);
  live(+1);
  *event = new CUevent_st;
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event) {
  BEGIN_IN_CONTEXT(cuEventDestroy);
  live(-1);
  delete event;
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent event, CUstream) {
  BEGIN_IN_CONTEXT(cuEventRecord);
  event->order = ++state.eventCount;
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent) {
  BEGIN_IN_CONTEXT(cuEventSynchronize);
  return CUDA_SUCCESS;
}
CUresult cuEventQuery(CUevent) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end) {
  BEGIN_IN_CONTEXT(cuEventElapsedTime);
  *ms = 0.5f * static_cast<float>(end->order - start->order);
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ,
                        unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                        CUstream stream, void **parameters, void **extra) {
  BEGIN_IN_CONTEXT(cuLaunchKernel);
  return launch(function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes, stream,
                parameters, extra);
}
#ifndef FAKE_DRIVER_LACKS_LAUNCH_EX
CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters,
                          void **extra) {
  BEGIN_IN_CONTEXT(cuLaunchKernelEx);
  const CUlaunchConfig &c = *config;
  if (c.numAttrs != 1 || c.attrs[0].id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION ||
      c.attrs[0].value.programmaticStreamSerializationAllowed != 1)
    return CUDA_ERROR_INVALID_VALUE;
  return launch(function, c.gridDimX, c.gridDimY, c.gridDimZ, c.blockDimX, c.blockDimY, c.blockDimZ,
                c.sharedMemBytes, c.hStream, parameters, extra);
}
#endif

} // extern "C"

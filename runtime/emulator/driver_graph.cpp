// Stream capture and graphs. A graph is the list of its operations in the order of capture: every
// dependency points backward in it, so running it front to back is one of the orders that the
// driver may choose.
#include "runtime/emulator/driver_state.h"

using namespace nysjit::emulator;

namespace {

/// The stream for cuStreamBegin/EndCapture, which may be neither legacy stream.
CUresult findForCapture(Driver &state, CUstream handle, Context *&context,
                        std::shared_ptr<Stream> &stream) {
  NYSJIT_TRY(state.current(context));
  if (reinterpret_cast<uintptr_t>(handle) < 2)
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return state.stream(*context, handle, stream);
}

/// Takes every stream of `capture` out of it.
void leave(Context &context, const std::shared_ptr<Capture> &capture) {
  const auto release = [&](Stream &stream) {
    if (stream.capture == capture) {
      stream.capture.reset();
      stream.progress.clear();
    }
  };
  for (const auto &[handle, stream] : context.streams)
    release(*stream);
  release(*context.perThread);
}

/// Whether the origin waited for everything that other streams of the capture did.
bool isJoined(const Capture &capture, const Stream &origin) {
  for (const auto &[stream, count] : capture.issued) {
    if (stream == &origin)
      continue;
    auto seen = origin.progress.find(stream);
    if (seen == origin.progress.end() || seen->second < count)
      return false;
  }
  return true;
}

} // namespace

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  return call(Symbol::cuStreamBeginCapture, [&](Driver &state) {
    Context *context;
    std::shared_ptr<Stream> stream;
    NYSJIT_TRY(findForCapture(state, handle, context, stream));
    if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
      return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture)
      return illegalState;
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream.get();
    stream->capture->mode = mode;
    stream->capture->thread = std::this_thread::get_id();
    return CUDA_SUCCESS;
  });
}

/// Unlike other calls it spoils no capture, of whichever stream.
CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
  return call(Symbol::cuStreamIsCapturing, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    if (!status)
      return CUDA_ERROR_INVALID_VALUE;
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (reinterpret_cast<uintptr_t>(handle) < 2) {
      for (const auto &[other, one] : context->streams)
        if (one->capture && one->blocking)
          return captureImplicit;
      return CUDA_SUCCESS;
    }
    std::shared_ptr<Stream> stream;
    NYSJIT_TRY(state.stream(*context, handle, stream));
    if (stream->capture)
      *status = stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                         : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph *graph) {
  return call(Symbol::cuStreamEndCapture, [&](Driver &state) {
    Context *context;
    std::shared_ptr<Stream> stream;
    if (!graph)
      return CUDA_ERROR_INVALID_VALUE;
    NYSJIT_TRY(findForCapture(state, handle, context, stream));
    std::shared_ptr<Capture> capture = stream->capture;
    if (!capture)
      return illegalState;
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
        capture->thread != std::this_thread::get_id())
      return captureWrongThread;
    if (capture->origin != stream.get()) {
      capture->invalid = true;
      return captureUnmatched;
    }
    const bool joined = isJoined(*capture, *stream);
    leave(*context, capture);
    *graph = nullptr;
    if (capture->invalid)
      return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (!joined)
      return captureUnjoined;
    *graph = state.graphs.add(std::make_shared<Graph>(std::move(capture->graph)));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph,
                                     unsigned long long flags) {
  return call(Symbol::cuGraphInstantiate, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    if (!executable || flags > 15)
      return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Graph> found = state.graphs.find(graph);
    if (!found)
      return CUDA_ERROR_INVALID_HANDLE;
    *executable = state.executables.add(std::make_shared<Graph>(*found));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream handle) {
  return call(Symbol::cuGraphLaunch, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    std::shared_ptr<Graph> found = state.executables.find(executable);
    if (!found)
      return CUDA_ERROR_INVALID_HANDLE;
    std::shared_ptr<Stream> stream;
    NYSJIT_TRY(state.stream(*context, handle, stream));
    for (const Operation &operation : found->operations)
      NYSJIT_TRY(state.enqueue(*context, *stream, operation));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
  return call(Symbol::cuGraphExecDestroy, [&](Driver &state) {
    if (!state.initialized)
      return CUDA_ERROR_NOT_INITIALIZED;
    return state.executables.erase(executable) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return call(Symbol::cuGraphDestroy, [&](Driver &state) {
    if (!state.initialized)
      return CUDA_ERROR_NOT_INITIALIZED;
    return state.graphs.erase(graph) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

// Streams and events. Work is done when it is enqueued, so a stream holds nothing but its part in a
// capture, an event the time at which it was recorded, and nothing is ever NOT_READY unless a test
// injects it.
#include "runtime/emulator/driver_state.h"

#include <algorithm>

using namespace nysjit::emulator;

namespace nysjit::emulator {

CUresult Driver::stream(Context &context, CUstream handle, std::shared_ptr<Stream> &stream) {
  switch (reinterpret_cast<uintptr_t>(handle)) {
  case 0:
  case 1: // CU_STREAM_LEGACY
    stream = context.legacy;
    break;
  case 2: // CU_STREAM_PER_THREAD
    stream = context.perThread;
    break;
  default: stream = context.streams.find(handle);
  }
  if (!stream)
    return CUDA_ERROR_INVALID_HANDLE;
  if (!stream->legacy)
    return CUDA_SUCCESS;
  // The legacy stream waits for every blocking stream, which one that is being captured cannot
  // serve.
  CUresult result = CUDA_SUCCESS;
  for (const auto &[other, one] : context.streams)
    if (one->capture && one->blocking) {
      one->capture->invalid = true;
      result = captureImplicit;
    }
  return result;
}

CUresult Driver::refuseWhileCapturing(Context &context) {
  CUresult result = CUDA_SUCCESS;
  for (const auto &[handle, one] : context.streams) {
    if (!one->capture || one->capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED)
      continue;
    if (one->capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL &&
        one->capture->thread != std::this_thread::get_id())
      continue;
    one->capture->invalid = true;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

} // namespace nysjit::emulator

namespace {

CUresult findEvent(Driver &state, CUevent handle, Context *&context,
                   std::shared_ptr<Event> &event) {
  NYSJIT_TRY(state.current(context));
  event = context->events.find(handle);
  return event ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/// cuEventQuery and cuEventSynchronize: whatever was recorded has happened.
CUresult waitForEvent(Driver &state, CUevent handle) {
  Context *context;
  std::shared_ptr<Event> event;
  NYSJIT_TRY(findEvent(state, handle, context, event));
  if (event->captured) {
    if (std::shared_ptr<Capture> capture = event->capture.lock())
      capture->invalid = true;
    return capturedEvent;
  }
  NYSJIT_TRY(state.refuseWhileCapturing(*context));
  return context->synchronize();
}

/// A stream waits for an event of a capture: the stream joins it.
CUresult waitForCaptured(Stream &stream, const Event &event) {
  std::shared_ptr<Capture> capture = event.capture.lock();
  if (!capture) // has ended
    return capturedEvent;
  if (capture->invalid)
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (stream.legacy) {
    capture->invalid = true;
    return captureImplicit;
  }
  if (stream.capture && stream.capture != capture) {
    stream.capture->invalid = capture->invalid = true;
    return captureMerge;
  }
  stream.capture = capture;
  for (const auto &[other, count] : event.progress)
    stream.progress[other] = std::max(stream.progress[other], count);
  return CUDA_SUCCESS;
}

} // namespace

CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
  return call(Symbol::cuStreamCreate, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    if (!stream || flags > CU_STREAM_NON_BLOCKING)
      return CUDA_ERROR_INVALID_VALUE;
    auto made = std::make_shared<Stream>();
    made->blocking = flags == CU_STREAM_DEFAULT;
    *stream = context->streams.add(std::move(made));
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return call(Symbol::cuStreamDestroy, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.currentEvenFaulted(context));
    std::shared_ptr<Stream> found = context->streams.find(stream);
    if (!found)
      return CUDA_ERROR_INVALID_HANDLE;
    if (found->capture)
      found->capture->invalid = true;
    context->streams.erase(stream);
    return context->faultSeen ? context->fault : CUDA_SUCCESS;
  });
}

CUresult cuStreamSynchronize(CUstream stream) {
  return call(Symbol::cuStreamSynchronize, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    std::shared_ptr<Stream> found;
    NYSJIT_TRY(state.stream(*context, stream, found));
    if (found->capture) {
      found->capture->invalid = true;
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return context->synchronize();
  });
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return call(Symbol::cuStreamWaitEvent, [&](Driver &state) {
    Context *context;
    std::shared_ptr<Event> awaited;
    NYSJIT_TRY(findEvent(state, event, context, awaited));
    std::shared_ptr<Stream> found;
    if (flags > 1)
      return CUDA_ERROR_INVALID_VALUE;
    if (awaited->captured && reinterpret_cast<uintptr_t>(stream) < 2)
      return waitForCaptured(*context->legacy, *awaited);
    NYSJIT_TRY(state.stream(*context, stream, found));
    if (awaited->captured)
      return waitForCaptured(*found, *awaited);
    // what happened outside cannot come before a graph's node
    if (found->capture && awaited->recorded) {
      found->capture->invalid = true;
      return captureIsolation;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *out) {
  return call(Symbol::cuStreamGetCtx, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    if (!out)
      return CUDA_ERROR_INVALID_VALUE;
    if (reinterpret_cast<uintptr_t>(stream) > 2 && !context->streams.find(stream))
      return CUDA_ERROR_INVALID_HANDLE;
    *out = state.primaryHandle;
    return CUDA_SUCCESS;
  });
}

CUresult cuEventCreate(CUevent *event, unsigned flags) {
  return call(Symbol::cuEventCreate, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    const bool shared = flags & 4; // INTERPROCESS
    if (!event || flags > 7 || (shared && !(flags & CU_EVENT_DISABLE_TIMING)))
      return CUDA_ERROR_INVALID_VALUE;
    auto made = std::make_shared<Event>();
    made->timed = !(flags & CU_EVENT_DISABLE_TIMING);
    *event = context->events.add(std::move(made));
    return CUDA_SUCCESS;
  });
}

CUresult cuEventDestroy_v2(CUevent event) {
  return call(Symbol::cuEventDestroy, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.currentEvenFaulted(context));
    if (!context->events.erase(event))
      return CUDA_ERROR_INVALID_HANDLE;
    return context->faultSeen ? context->fault : CUDA_SUCCESS;
  });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  return call(Symbol::cuEventRecord, [&](Driver &state) {
    Context *context;
    std::shared_ptr<Event> found;
    NYSJIT_TRY(findEvent(state, event, context, found));
    std::shared_ptr<Stream> on;
    NYSJIT_TRY(state.stream(*context, stream, on));
    if (on->capture && on->capture->invalid)
      return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    found->captured = on->capture != nullptr;
    found->capture = on->capture;
    found->progress = on->progress;
    found->recorded = !found->captured;
    found->time = std::chrono::steady_clock::now();
    return CUDA_SUCCESS;
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return call(Symbol::cuEventSynchronize,
              [&](Driver &state) { return waitForEvent(state, event); });
}

CUresult cuEventQuery(CUevent event) {
  return call(Symbol::cuEventQuery, [&](Driver &state) { return waitForEvent(state, event); });
}

CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end) {
  return call(Symbol::cuEventElapsedTime, [&](Driver &state) {
    Context *context;
    std::shared_ptr<Event> first;
    std::shared_ptr<Event> last;
    NYSJIT_TRY(findEvent(state, start, context, first));
    NYSJIT_TRY(findEvent(state, end, context, last));
    if (!ms)
      return CUDA_ERROR_INVALID_VALUE;
    if (first->captured || last->captured)
      return capturedEvent;
    if (!first->timed || !last->timed || !first->recorded || !last->recorded)
      return CUDA_ERROR_INVALID_HANDLE;
    *ms = std::chrono::duration<float, std::milli>(last->time - first->time).count();
    return CUDA_SUCCESS;
  });
}

// Times on a GPU's own clock: between two events, around a graph of calls, so that what the host
// takes to launch is not in them.
#pragma once
#include "runtime/gpu/gpu_session.h"

#include <functional>
#include <memory>

namespace nysjit {

/// A stream of one's own. The session outlives it, here and below.
class GpuStream {
public:
  static Result<std::unique_ptr<GpuStream>> create(const GpuSession &session);
  ~GpuStream();
  GpuStream(const GpuStream &) = delete;
  GpuStream &operator=(const GpuStream &) = delete;
  CUstream get() const { return stream; }
  Status synchronize() const;
  const GpuSession &session;

private:
  explicit GpuStream(const GpuSession &session) : session(session) {}
  CUstream stream = nullptr;
};

/// Milliseconds between events before and after what the call enqueues. Waits.
Result<double> elapsedMs(const CudaDriver &driver, CUstream stream,
                         const std::function<Status()> &enqueue);

/// So many calls of a function that enqueues work on the stream, as one graph.
class GpuGraph {
public:
  /// Each call must have been made before, so that nothing is left to allocate; `call` counts from
  /// 0.
  static Result<std::unique_ptr<GpuGraph>> capture(const GpuStream &stream, int calls,
                                                   const std::function<Status(int call)> &enqueue);
  ~GpuGraph();
  GpuGraph(const GpuGraph &) = delete;
  GpuGraph &operator=(const GpuGraph &) = delete;
  /// Launches it and waits: milliseconds of one call.
  Result<double> ms() const;

private:
  GpuGraph(const GpuStream &stream, int calls) : stream(stream), calls(calls) {}
  const GpuStream &stream;
  const int calls;
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
};

} // namespace nysjit

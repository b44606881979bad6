// Streams, graphs, events.
#include "runtime/gpu/gpu_timer.h"

namespace nysjit {

namespace {

class Event {
public:
  explicit Event(const CudaDriver &driver) : driver(driver) {}
  ~Event() {
    if (event)
      (void)driver.api().cuEventDestroy(event);
  }
  Event(const Event &) = delete;
  Event &operator=(const Event &) = delete;
  Status record(CUstream stream) {
    NYSJIT_RETURN_IF_ERROR(
        driver.check(driver.api().cuEventCreate(&event, CU_EVENT_DEFAULT), "cuEventCreate"));
    return driver.check(driver.api().cuEventRecord(event, stream), "cuEventRecord");
  }
  Result<double> msSince(const Event &start) const {
    NYSJIT_RETURN_IF_ERROR(
        driver.check(driver.api().cuEventSynchronize(event), "cuEventSynchronize"));
    float ms = 0;
    NYSJIT_RETURN_IF_ERROR(driver.check(driver.api().cuEventElapsedTime(&ms, start.event, event),
                                        "cuEventElapsedTime"));
    return double(ms);
  }

private:
  const CudaDriver &driver;
  CUevent event = nullptr;
};

} // namespace

Result<double> elapsedMs(const CudaDriver &driver, CUstream stream,
                         const std::function<Status()> &enqueue) {
  Event start(driver);
  Event end(driver);
  NYSJIT_RETURN_IF_ERROR(start.record(stream));
  NYSJIT_RETURN_IF_ERROR(enqueue());
  NYSJIT_RETURN_IF_ERROR(end.record(stream));
  return end.msSince(start);
}

Result<std::unique_ptr<GpuStream>> GpuStream::create(const GpuSession &session) {
  std::unique_ptr<GpuStream> stream(new GpuStream(session));
  const CudaDriver &driver = session.driver();
  NYSJIT_RETURN_IF_ERROR(driver.check(
      driver.api().cuStreamCreate(&stream->stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate"));
  return stream;
}

GpuStream::~GpuStream() {
  if (stream)
    (void)session.driver().api().cuStreamDestroy(stream);
}

Status GpuStream::synchronize() const {
  return session.driver().check(session.driver().api().cuStreamSynchronize(stream),
                                "cuStreamSynchronize");
}

Result<std::unique_ptr<GpuGraph>> GpuGraph::capture(const GpuStream &stream, int calls,
                                                    const std::function<Status(int)> &enqueue) {
  const CudaDriver &driver = stream.session.driver();
  std::unique_ptr<GpuGraph> graph(new GpuGraph(stream, calls));
  NYSJIT_RETURN_IF_ERROR(driver.check(
      driver.api().cuStreamBeginCapture(stream.get(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
      "cuStreamBeginCapture"));
  Status enqueued;
  for (int call = 0; call < calls && enqueued; ++call)
    enqueued = enqueue(call);
  // A capture that was begun is ended, whatever came of it.
  Status ended = driver.check(driver.api().cuStreamEndCapture(stream.get(), &graph->graph),
                              "cuStreamEndCapture");
  NYSJIT_RETURN_IF_ERROR(enqueued);
  NYSJIT_RETURN_IF_ERROR(ended);
  NYSJIT_RETURN_IF_ERROR(driver.check(
      driver.api().cuGraphInstantiate(&graph->executable, graph->graph, 0), "cuGraphInstantiate"));
  return graph;
}

GpuGraph::~GpuGraph() {
  const CudaSymbols &api = stream.session.driver().api();
  if (executable)
    (void)api.cuGraphExecDestroy(executable);
  if (graph)
    (void)api.cuGraphDestroy(graph);
}

Result<double> GpuGraph::ms() const {
  const CudaDriver &driver = stream.session.driver();
  Result<double> ms = elapsedMs(driver, stream.get(), [&] {
    return driver.check(driver.api().cuGraphLaunch(executable, stream.get()), "cuGraphLaunch");
  });
  NYSJIT_RETURN_IF_ERROR(ms);
  return *ms / calls;
}

} // namespace nysjit

// Streams, events, capture and graphs.
#include "tests/emulator/driver_kernels.h"
#include "tests/emulator/harness.h"

#include <thread>

using namespace nysjit::emulator_test;

namespace {

constexpr CUresult captureIsolation = CUresult(905);
constexpr CUresult captureImplicit = CUresult(906);
constexpr CUresult capturedEvent = CUresult(907);

struct Stream {
  explicit Stream(unsigned flags = CU_STREAM_NON_BLOCKING) {
    NYSJIT_CALL(cuStreamCreate, &stream, flags);
  }
  ~Stream() { api().cuStreamDestroy(stream); }
  operator CUstream() const { return stream; }
  CUstream stream = nullptr;
};

struct Event {
  explicit Event(unsigned flags = CU_EVENT_DEFAULT) { NYSJIT_CALL(cuEventCreate, &event, flags); }
  ~Event() { api().cuEventDestroy(event); }
  operator CUevent() const { return event; }
  CUevent event = nullptr;
};

/// A device, a kernel that adds one to a number, and streams.
struct EmulatorGraph : testing::Test {
  Device device;
  Module module{setPtx};
  Kernel addOne = module.kernel("addOne");
  Kernel set = module.kernel("set");
  Buffer<int> number{std::vector<int>{0}};
  Stream stream;
  Stream other;
  Event event;

  CUresult launch(CUstream on) {
    void *parameters[] = {&number.address};
    return api().cuLaunchKernel(addOne.function, 1, 1, 1, 1, 1, 1, 0, on, parameters, nullptr);
  }
  void begin(CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL) {
    NYSJIT_CALL(cuStreamBeginCapture, stream, mode);
  }
  CUresult end() {
    CUgraph graph = nullptr;
    const CUresult result = api().cuStreamEndCapture(stream, &graph);
    if (graph)
      api().cuGraphDestroy(graph);
    return result;
  }
};

} // namespace

TEST_F(EmulatorGraph, EventsMeasureTime) {
  Event first;
  Event untimed(CU_EVENT_DISABLE_TIMING);
  Event never;
  float ms = -1;
  NYSJIT_CALL(cuEventRecord, first, stream);
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  NYSJIT_CALL(cuEventRecord, event, stream);
  NYSJIT_CALL(cuEventRecord, untimed, stream);
  NYSJIT_CALL(cuEventSynchronize, event);
  NYSJIT_CALL(cuEventQuery, event);
  NYSJIT_CALL(cuEventQuery, never);
  NYSJIT_CALL(cuEventElapsedTime, &ms, first, event);
  EXPECT_GE(ms, 3);
  EXPECT_EQ(api().cuEventElapsedTime(&ms, first, untimed), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(api().cuEventElapsedTime(&ms, first, never), CUDA_ERROR_INVALID_HANDLE);
  CUcontext context;
  NYSJIT_CALL(cuStreamGetCtx, stream, &context);
  EXPECT_EQ(context, device.context);
  CUstream made;
  EXPECT_EQ(api().cuStreamCreate(&made, 2), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(EmulatorGraph, RunsWhatWasCaptured) {
  int host = 10;
  int result = 0;
  begin();
  NYSJIT_CALL(cuMemcpyHtoDAsync, number.address, &host, 4, stream);
  EXPECT_EQ(launch(stream), CUDA_SUCCESS);
  EXPECT_EQ(launch(stream), CUDA_SUCCESS);
  NYSJIT_CALL(cuMemcpyDtoHAsync, &result, number.address, 4, stream);
  CUgraph graph;
  CUgraphExec executable;
  NYSJIT_CALL(cuStreamEndCapture, stream, &graph);
  EXPECT_EQ(result, 0); // nothing ran
  NYSJIT_CALL(cuGraphInstantiate, &executable, graph, 0);
  NYSJIT_CALL(cuGraphDestroy, graph);
  NYSJIT_CALL(cuGraphLaunch, executable, stream);
  EXPECT_EQ(result, 12);
  host = 20; // read when the graph runs
  NYSJIT_CALL(cuGraphLaunch, executable, nullptr);
  EXPECT_EQ(result, 22);
  NYSJIT_CALL(cuGraphExecDestroy, executable);
  EXPECT_EQ(api().cuGraphLaunch(executable, stream), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(EmulatorGraph, KeepsParametersAsTheyWere) {
  int value = 3;
  void *parameters[] = {&number.address, &value};
  begin();
  NYSJIT_CALL(cuLaunchKernel, set.function, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
  value = 4;
  CUgraph graph;
  CUgraphExec executable;
  NYSJIT_CALL(cuStreamEndCapture, stream, &graph);
  NYSJIT_CALL(cuGraphInstantiate, &executable, graph, 0);
  NYSJIT_CALL(cuGraphLaunch, executable, stream);
  EXPECT_EQ(number.read()[0], 3);
  NYSJIT_CALL(cuGraphExecDestroy, executable);
  NYSJIT_CALL(cuGraphDestroy, graph);
}

TEST_F(EmulatorGraph, WaitingSpoilsACapture) {
  begin();
  EXPECT_EQ(api().cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(launch(stream), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(launch(stream), CUDA_SUCCESS); // an ordinary stream again
  EXPECT_EQ(number.read()[0], 1);
}

TEST_F(EmulatorGraph, AskingWhetherAStreamIsCapturedSpoilsNothing) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  NYSJIT_CALL(cuStreamIsCapturing, stream, &status);
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
  begin();
  NYSJIT_CALL(cuStreamIsCapturing, stream, &status);
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
  NYSJIT_CALL(cuStreamIsCapturing, other, &status);
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
  NYSJIT_CALL(cuStreamIsCapturing, nullptr, &status); // a stream that does not block
  CUgraph graph;
  NYSJIT_CALL(cuStreamEndCapture, stream, &graph);
  NYSJIT_CALL(cuGraphDestroy, graph);
  Stream blocking(CU_STREAM_DEFAULT);
  NYSJIT_CALL(cuStreamBeginCapture, blocking, CU_STREAM_CAPTURE_MODE_GLOBAL);
  EXPECT_EQ(api().cuStreamIsCapturing(nullptr, &status), captureImplicit);
  NYSJIT_CALL(cuStreamEndCapture, blocking, &graph);
  NYSJIT_CALL(cuGraphDestroy, graph);
}

TEST_F(EmulatorGraph, AllocatingSpoilsAGlobalCaptureOnly) {
  CUdeviceptr address = 0;
  begin();
  EXPECT_EQ(api().cuMemAlloc(&address, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  begin(CU_STREAM_CAPTURE_MODE_RELAXED);
  EXPECT_EQ(api().cuMemAlloc(&address, 4), CUDA_SUCCESS);
  EXPECT_EQ(end(), CUDA_SUCCESS);
  begin(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  CUresult elsewhere = CUDA_ERROR_UNKNOWN;
  std::thread([&] {
    api().cuCtxPushCurrent(device.context);
    elsewhere = api().cuMemFree(address);
  }).join();
  EXPECT_EQ(elsewhere, CUDA_SUCCESS);
  EXPECT_EQ(api().cuMemAlloc(&address, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(EmulatorGraph, LegacyStreamMayNotMeetABlockingCapture) {
  Stream blocking(CU_STREAM_DEFAULT);
  NYSJIT_CALL(cuStreamBeginCapture, blocking, CU_STREAM_CAPTURE_MODE_RELAXED);
  EXPECT_EQ(launch(nullptr), captureImplicit);
  CUgraph graph;
  EXPECT_EQ(api().cuStreamEndCapture(blocking, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  begin(CU_STREAM_CAPTURE_MODE_RELAXED); // not a blocking stream
  EXPECT_EQ(launch(nullptr), CUDA_SUCCESS);
  EXPECT_EQ(end(), CUDA_SUCCESS);
  EXPECT_EQ(api().cuStreamBeginCapture(nullptr, CU_STREAM_CAPTURE_MODE_RELAXED),
            CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

TEST_F(EmulatorGraph, EventsBringOtherStreamsIn) {
  Event back;
  begin();
  EXPECT_EQ(launch(stream), CUDA_SUCCESS);
  NYSJIT_CALL(cuEventRecord, event, stream);
  NYSJIT_CALL(cuStreamWaitEvent, other, event, 0);
  EXPECT_EQ(launch(other), CUDA_SUCCESS);
  EXPECT_EQ(end(), CUresult(904)); // unjoined
  begin();
  NYSJIT_CALL(cuEventRecord, event, stream);
  NYSJIT_CALL(cuStreamWaitEvent, other, event, 0);
  EXPECT_EQ(launch(other), CUDA_SUCCESS);
  NYSJIT_CALL(cuEventRecord, back, other);
  NYSJIT_CALL(cuStreamWaitEvent, stream, back, 0);
  EXPECT_EQ(end(), CUDA_SUCCESS);
  EXPECT_EQ(number.read()[0], 0);
}

TEST_F(EmulatorGraph, CapturedEventsCannotBeWaitedFor) {
  NYSJIT_CALL(cuEventRecord, event, other);
  begin(CU_STREAM_CAPTURE_MODE_RELAXED);
  EXPECT_EQ(api().cuStreamWaitEvent(stream, event, 0), captureIsolation);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  begin(CU_STREAM_CAPTURE_MODE_RELAXED);
  NYSJIT_CALL(cuEventRecord, event, stream);
  EXPECT_EQ(api().cuEventSynchronize(event), capturedEvent);
  EXPECT_EQ(end(), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(EmulatorGraph, EndsWhereItBegan) {
  CUgraph graph;
  EXPECT_EQ(api().cuStreamEndCapture(stream, &graph), CUresult(401)); // illegal state
  begin();
  EXPECT_EQ(api().cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUresult(401));
  CUresult elsewhere = CUDA_SUCCESS;
  std::thread([&] {
    api().cuCtxPushCurrent(device.context);
    elsewhere = api().cuStreamEndCapture(stream, &graph);
  }).join();
  EXPECT_EQ(elsewhere, CUresult(908)); // wrong thread
  EXPECT_EQ(end(), CUDA_SUCCESS);
}

TEST_F(EmulatorGraph, FindsThatItsMemoryIsGone) {
  CUdeviceptr gone;
  NYSJIT_CALL(cuMemAlloc, &gone, 4);
  begin();
  NYSJIT_CALL(cuMemsetD8Async, gone, 1, 4, stream);
  CUgraph graph;
  CUgraphExec executable;
  NYSJIT_CALL(cuStreamEndCapture, stream, &graph);
  NYSJIT_CALL(cuGraphInstantiate, &executable, graph, 0);
  NYSJIT_CALL(cuMemFree, gone);
  NYSJIT_CALL(cuGraphLaunch, executable, stream);
  EXPECT_EQ(api().cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_NE(std::string(api().report()).find("freed"), std::string::npos);
  api().reset();
}

// The emulated driver's state: what a handle means, the one context, streams, captures, graphs. The
// driver's functions in driver_*.cpp are bodies over it, each run by `call`, which takes the lock,
// looks for an injected failure and lets no exception out.
//
// Handles are numbers that are never used twice, looked up before use: a stale or invented one
// gives INVALID_HANDLE. There is one device, so one context, the primary one; its handle outlives
// it, as the driver's does.
#pragma once
#include "runtime/base/float_environment.h"
#include "runtime/cuda/driver_api.h"
#include "runtime/emulator/emulator.h"
#include "runtime/emulator/machine.h"

#include <chrono>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <variant>

extern "C" {
#define NYSJIT_DECLARE(name, symbol, parameters)                                                   \
  __attribute__((visibility("default"))) CUresult symbol parameters;
NYSJIT_CUDA_SYMBOLS(NYSJIT_DECLARE)
#undef NYSJIT_DECLARE
}

namespace nysjit::emulator {

enum class Symbol {
#define NYSJIT_ENUMERATE(name, symbol, parameters) name,
  NYSJIT_CUDA_SYMBOLS(NYSJIT_ENUMERATE)
#undef NYSJIT_ENUMERATE
};

// Results that driver_api.h need not name, because no caller of ours tells them apart.
constexpr CUresult contextIsDestroyed = CUresult(709);
constexpr CUresult illegalState = CUresult(401);
constexpr CUresult captureMerge = CUresult(902);
constexpr CUresult captureUnmatched = CUresult(903);
constexpr CUresult captureUnjoined = CUresult(904);
constexpr CUresult captureIsolation = CUresult(905);
constexpr CUresult captureImplicit = CUresult(906);
constexpr CUresult capturedEvent = CUresult(907);
constexpr CUresult captureWrongThread = CUresult(908);

#define NYSJIT_TRY(expression)                                                                     \
  do {                                                                                             \
    if (CUresult nysjitResult = (expression); nysjitResult != CUDA_SUCCESS)                        \
      return nysjitResult;                                                                         \
  } while (false)

/// A number that no handle had before.
uintptr_t nextHandle();

/// Live objects of one kind by handle. A handle of another kind is not found.
template <typename Handle, typename Object> class Table {
public:
  Handle add(std::shared_ptr<Object> object) {
    const Handle handle = reinterpret_cast<Handle>(nextHandle());
    objects.emplace(handle, std::move(object));
    return handle;
  }
  std::shared_ptr<Object> find(Handle handle) const {
    auto found = objects.find(handle);
    return found == objects.end() ? nullptr : found->second;
  }
  bool erase(Handle handle) { return objects.erase(handle) != 0; }
  auto begin() const { return objects.begin(); }
  auto end() const { return objects.end(); }

private:
  std::map<Handle, std::shared_ptr<Object>> objects;
};

// What a stream carries out, now or in a graph.
struct KernelLaunch {
  std::weak_ptr<struct LoadedModule> module; // it may be unloaded before a graph runs
  Launch launch;
};
struct CopyIn {
  CUdeviceptr to;
  const void *from;
  size_t bytes;
};
struct CopyOut {
  void *to;
  CUdeviceptr from;
  size_t bytes;
};
struct CopyWithin {
  CUdeviceptr to;
  CUdeviceptr from;
  size_t bytes;
};
struct Fill {
  CUdeviceptr to;
  unsigned char value;
  size_t bytes;
};
using Operation = std::variant<KernelLaunch, CopyIn, CopyOut, CopyWithin, Fill>;

/// A graph's operations in the order in which they were captured, which respects all dependencies.
struct Graph {
  std::vector<Operation> operations;
};

/// How many operations of each captured stream come before a point of a capture.
using Progress = std::map<const struct Stream *, size_t>;

struct Capture {
  const struct Stream *origin = nullptr;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id thread;
  bool invalid = false;
  Graph graph;
  std::map<const struct Stream *, size_t> issued; // operations of each stream that takes part
};

struct Stream {
  bool blocking = true;
  bool legacy = false;
  std::shared_ptr<Capture> capture; // null: not capturing
  Progress progress;                // of `capture`, at this stream's end
};

struct Event {
  bool timed = true;
  bool recorded = false;
  std::chrono::steady_clock::time_point time;
  bool captured = false; // last recorded in a capturing stream
  std::weak_ptr<Capture> capture;
  Progress progress;
};

struct LoadedModule {
  std::unique_ptr<Module> module;
  std::map<std::string, CUfunction> functions; // handles given out
};

struct LoadedFunction {
  std::shared_ptr<LoadedModule> module;
  const Function *function = nullptr;
  uint32_t maxDynamicShared = 0;
};

/// Owns what was made in it. Members are destroyed last first, so modules go before the memory they
/// live in.
struct Context {
  Memory memory;
  std::map<CUdeviceptr, size_t> allocations;
  size_t allocatedBytes = 0;
  Table<CUmodule, LoadedModule> modules;
  Table<CUfunction, LoadedFunction> functions;
  Table<CUstream, Stream> streams;
  Table<CUevent, Event> events;
  std::shared_ptr<Stream> legacy = std::make_shared<Stream>();
  std::shared_ptr<Stream> perThread = std::make_shared<Stream>();
  CUresult fault = CUDA_SUCCESS; // of a launch; nothing runs any more
  bool faultSeen = false;        // a synchronising call returned it: from now on every call does

  Context() { legacy->legacy = true; }
  /// What a call that waits for the device returns.
  CUresult synchronize();
};

struct Device {
  int capability;
  int optInSharedBytes;
  int threadsPerMultiprocessor;
};

/// Facts of the newest entry that is not newer than `capability`.
const Device &deviceFacts(int capability);

constexpr int defaultSharedBytes = 48 << 10;
constexpr int multiprocessors = 108;
constexpr size_t totalMemory = size_t(8) << 30;

struct Driver {
  std::mutex mutex;
  bool initialized = false;
  int capability = 80;
  Options options;

  CUcontext primaryHandle = nullptr; // set by the first retain
  int primaryRetains = 0;
  std::unique_ptr<Context> primary; // null: not retained
  Table<CUgraph, Graph> graphs;
  Table<CUgraphExec, Graph> executables;

  std::multimap<std::pair<Symbol, uint64_t>, CUresult> injected; // by the symbol's count of calls
  std::map<Symbol, uint64_t> calls;

  uint64_t launches = 0;
  std::optional<Counts> lastCounts;
  std::string report;

  /// The context current to this thread; fails as the driver does if there is none, and if its
  /// fault was seen.
  CUresult current(Context *&context);
  /// The same for calls that release something and do so even after a fault.
  CUresult currentEvenFaulted(Context *&context);
  /// `handle`'s stream, for a call that enqueues to it or waits for it.
  CUresult stream(Context &context, CUstream handle, std::shared_ptr<Stream> &stream);
  /// Fails, and spoils the captures concerned, if a capture in progress forbids calls that may wait
  /// for the device.
  CUresult refuseWhileCapturing(Context &context);
  /// Runs `operation`, or keeps it if the stream is being captured.
  CUresult enqueue(Context &context, Stream &stream, Operation operation);
  CUresult perform(Context &context, const Operation &operation);

  std::optional<CUresult> takeInjected(Symbol symbol);
};

Driver &driver();
/// The calling thread's stack of contexts.
std::vector<CUcontext> &contextStack();

/// The body of a driver's function: `body(Driver &)` under the lock, unless a failure was injected.
template <typename Body> CUresult call(Symbol symbol, Body body) noexcept {
  const DefaultFloatEnvironment environment; // kernels run within the calls, on their thread
  try {
    Driver &state = driver();
    std::lock_guard lock(state.mutex);
    if (std::optional<CUresult> failure = state.takeInjected(symbol))
      return *failure;
    return body(state);
  } catch (const std::bad_alloc &) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (...) {
    return CUDA_ERROR_UNKNOWN;
  }
}

} // namespace nysjit::emulator

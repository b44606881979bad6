// What the fake driver's files share: its handles, and one state under one lock.
#pragma once
#include "tests/runtime/fake_driver.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

struct CUctx_st {
  int device;
};
struct CUmod_st {
  bool isCubin;
};
struct Recorded {
  CUfunction function;
  unsigned grid;
  std::vector<uint64_t> parameters;
};
struct CUgraph_st {
  std::vector<Recorded> launches;
};
struct CUgraphExec_st {
  std::vector<Recorded> launches;
};
struct CUstream_st {
  std::optional<CUgraph_st> capture;
};
struct CUevent_st {
  int order = 0;
};
struct CUfunc_st {
  void (*kernel)(const uint64_t *, int64_t, void *);
  const char *types; // of parameters: p pointer, i i32, l i64, f f32
  unsigned sharedLimit = 48 << 10;
};

namespace fake_driver {

struct State {
  std::mutex mutex;
  std::map<std::string, int> calls;
  std::multimap<std::pair<std::string, int>, CUresult> injected;
  std::string called;
  bool isReady = false;
  bool refusesCubins = false;
  int version = 13000;
  int capability = 90;
  int live = 0;
  int eventCount = 0;
  int interleaved = 0;
  std::vector<std::unique_ptr<CUctx_st>> contexts; // that a test made; they outlive its handles
  std::thread::id runner; // whose row_sum ran last and waits for its scaled_copy
  bool isInRun = false;
};
extern State state;
extern CUfunc_st functions[2]; // row_sum, scaled_copy
extern thread_local std::vector<CUcontext> stack;

/// Counts the call; the failure that was ordered for it, if any.
CUresult begin(const char *name);
/// Counts what must be given back.
void live(int change);

} // namespace fake_driver

#define BEGIN(name)                                                                                \
  if (const CUresult result = fake_driver::begin(#name); result != CUDA_SUCCESS)                   \
  return result
#define BEGIN_IN_CONTEXT(name)                                                                     \
  BEGIN(name);                                                                                     \
  if (fake_driver::stack.empty() || !fake_driver::stack.back())                                    \
  return CUDA_ERROR_INVALID_CONTEXT

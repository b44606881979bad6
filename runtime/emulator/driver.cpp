// The emulated driver's heart: its one state, injected failures, whose context is current, and
// nysjit_emulator_*.
#include "runtime/emulator/driver_state.h"

#include <algorithm>
#include <cstring>

using namespace nysjit::emulator;

namespace nysjit::emulator {

// Never destroyed: a host may call the driver from its own static destructors.
Driver &driver() {
  static Driver *state = new Driver;
  return *state;
}

std::vector<CUcontext> &contextStack() {
  static thread_local std::vector<CUcontext> stack;
  return stack;
}

uintptr_t nextHandle() {
  static uintptr_t last = 0x100000; // under the driver's lock
  return last += 64;
}

std::optional<CUresult> Driver::takeInjected(Symbol symbol) {
  auto found = injected.find({symbol, calls[symbol]++});
  if (found == injected.end())
    return std::nullopt;
  const CUresult result = found->second;
  injected.erase(found);
  return result;
}

CUresult Driver::currentEvenFaulted(Context *&context) {
  if (!initialized)
    return CUDA_ERROR_NOT_INITIALIZED;
  if (contextStack().empty())
    return CUDA_ERROR_INVALID_CONTEXT;
  if (!primary)
    return contextIsDestroyed;
  context = primary.get();
  return CUDA_SUCCESS;
}

CUresult Driver::current(Context *&context) {
  NYSJIT_TRY(currentEvenFaulted(context));
  return context->faultSeen ? context->fault : CUDA_SUCCESS;
}

CUresult Context::synchronize() {
  faultSeen = fault != CUDA_SUCCESS;
  return fault;
}

} // namespace nysjit::emulator

namespace {

// Both spellings of each symbol: "cuMemAlloc" and "cuMemAlloc_v2". Taking the address of each makes
// a forgotten one a link error.
struct Known {
  const char *name;
  const char *symbolName;
  Symbol symbol;
  void (*address)();
};
const Known known[] = {
#define NYSJIT_KNOW(name, symbol, parameters)                                                      \
  {#name, #symbol, Symbol::name, reinterpret_cast<void (*)()>(&symbol)},
    NYSJIT_CUDA_SYMBOLS(NYSJIT_KNOW)
#undef NYSJIT_KNOW
};

/// Runs `body(Driver &)`, which gives a value, under the lock; `failure` if it throws.
template <typename Value, typename Body> Value atBorder(Value failure, Body body) noexcept {
  try {
    std::lock_guard lock(driver().mutex);
    return body(driver());
  } catch (...) {
    return failure;
  }
}

} // namespace

#define NYSJIT_EXPORTED extern "C" __attribute__((visibility("default")))

NYSJIT_EXPORTED int nysjit_emulator_configure(const nysjit_emulator_options *options) {
  return atBorder(-1, [&](Driver &state) {
    if (options && options->size != sizeof(nysjit_emulator_options))
      return -1;
    state.options = {};
    if (!options) {
      state.capability = 80;
      return 0;
    }
    state.options.lazy = options->lazy != 0;
    state.options.seed = options->seed;
    if (options->max_instructions)
      state.options.maxInstructions = options->max_instructions;
    if (options->compute_capability)
      state.capability = options->compute_capability;
    return 0;
  });
}

NYSJIT_EXPORTED void nysjit_emulator_reset(void) {
  atBorder(0, [](Driver &state) {
    if (state.primary) {
      state.primary->fault = CUDA_SUCCESS;
      state.primary->faultSeen = false;
    }
    state.report.clear();
    state.launches = 0;
    state.injected.clear();
    return 0;
  });
}

NYSJIT_EXPORTED int nysjit_emulator_last_counts(nysjit_emulator_counts *counts) {
  return atBorder(-1, [&](Driver &state) {
    if (!counts || counts->size < sizeof(size_t) || !state.lastCounts)
      return -1;
    const Counts &last = *state.lastCounts;
    const nysjit_emulator_counts all = {sizeof(nysjit_emulator_counts),
                                        last.instructions,
                                        last.mmaFlops,
                                        last.globalReadBytes,
                                        last.globalWriteBytes,
                                        last.globalSectors,
                                        last.bankConflicts,
                                        last.ldmatrixConflicts,
                                        last.sharedStoreConflicts,
                                        last.barriers,
                                        last.races};
    const size_t bytes = std::min(counts->size, sizeof all);
    std::memcpy(counts, &all, bytes);
    counts->size = bytes;
    return 0;
  });
}

NYSJIT_EXPORTED const char *nysjit_emulator_report(void) {
  return atBorder("", [](Driver &state) { return state.report.c_str(); });
}

NYSJIT_EXPORTED int nysjit_emulator_inject(const char *symbol, int after, int result) {
  return atBorder(-1, [&](Driver &state) {
    if (!symbol || after < 0)
      return -1;
    for (const Known &one : known)
      if (!std::strcmp(symbol, one.name) || !std::strcmp(symbol, one.symbolName)) {
        state.injected.insert(
            {{one.symbol, state.calls[one.symbol] + unsigned(after)}, CUresult(result)});
        return 0;
      }
    return -1;
  });
}

// What atomics and fences order. A store with .release (or one that is only atomic, after a fence)
// publishes its warp's time at its address; a load with .acquire (or one that is only atomic,
// before a fence) takes it up.
#pragma once
#include "runtime/emulator/execution.h"

namespace nysjit::emulator {

/// `space` is Shared (an offset) or anything else (a global address).
void publish(Warp &warp, Space space, uint64_t address, bool release);
void hear(Warp &warp, Space space, uint64_t address, bool acquire);

} // namespace nysjit::emulator

// Checked accesses to memory, shared by loads and stores, atomics, matrices and asynchronous
// copies. Each returns null after a fault (out of bounds, misaligned), which has then been reported
// and has stopped the launch. Uninitialised reads and races are reported and do not stop.
#pragma once
#include "runtime/emulator/execution.h"

namespace nysjit::emulator {

/// An address in a space of its own.
struct Resolved {
  Space space;
  uint64_t
      // Shared: offset in the block's; Local: in the thread's frame; Param: in the parameters; else
      // global
      address;
};
Resolved resolve(uint64_t generic);

void reportEarly(Warp &warp, uint32_t mask);

/// Reports lanes of `mask` that are about to touch global memory before they waited for the launch
/// before theirs.
inline void checkWaited(Warp &warp, uint32_t mask) {
  if (warp.early & mask) [[unlikely]]
    reportEarly(warp, warp.early & mask);
}

/// `count` bytes of the block's shared memory; `align` is what the address must be a multiple of.
uint8_t *accessShared(Warp &warp, uint32_t lane, uint64_t offset, uint32_t count, uint32_t align,
                      Touch touch);
/// The same without the data races' check, for mbarrier objects and the landing of copies.
uint8_t *boundsShared(Warp &warp, uint32_t lane, uint64_t offset, uint32_t count, uint32_t align);
uint8_t *accessGlobal(Warp &warp, uint32_t lane, uint64_t address, uint32_t count, uint32_t align,
                      Touch touch);
uint8_t *accessLocal(Warp &warp, uint32_t lane, uint64_t offset, uint32_t count, uint32_t align,
                     bool write);

} // namespace nysjit::emulator

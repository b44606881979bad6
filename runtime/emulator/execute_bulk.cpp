// cp.async.bulk, one-dimensional. Loads: op[0] the destination in shared memory, op[1] the source,
// op[2] the bytes, op[3] the mbarrier. Stores: op[0] the destination in global memory, op[1] the
// source in shared memory, op[2] the bytes. Addresses and sizes are multiples of 16. Eagerly they
// act at the issue; lazily a load when someone looks at its mbarrier, a store when its group is
// waited for. The generic and the async proxy are not told apart.
#include "runtime/emulator/access.h"
#include "runtime/emulator/handlers.h"

#include <cstring>

namespace nysjit::emulator {

namespace {
bool sized(Warp &warp, uint64_t bytes) {
  if (bytes % 16 == 0 && bytes < 1u << 20)
    return true;
  warp.execution->fault(Fault::Misaligned, warp,
                        "cp.async.bulk: expected a size that is a multiple of 16, found " +
                            std::to_string(bytes));
  return false;
}
uint64_t inShared(uint64_t address) { return address >> 32 ? resolve(address).address : address; }

bool act(Warp &warp, const BulkStore &s) {
  uint32_t pc = warp.pc;
  warp.pc = s.pc;
  for (uint32_t b = 0; b < s.bytes; b += 16) {
    const uint8_t *from = accessShared(warp, s.lane, s.from + b, 16, 16, Touch::Read);
    uint8_t *to = from ? accessGlobal(warp, s.lane, s.to + b, 16, 16, Touch::Write) : nullptr;
    if (!to)
      return false;
    std::memcpy(to, from, 16);
  }
  warp.execution->counts.globalWriteBytes += s.bytes;
  warp.pc = pc;
  return true;
}
} // namespace

bool actBulkLoad(PendingArrival &load) {
  Warp &warp = *load.warp;
  uint32_t pc = warp.pc;
  warp.pc = load.pc;
  for (uint32_t b = 0; b < load.bytes; b += 16) {
    const uint8_t *from = accessGlobal(warp, 0, load.from + b, 16, 16, Touch::Read);
    if (!from)
      return false;
    std::memcpy(warp.block->shared.data() + load.to + b, from, 16);
  }
  warp.execution->counts.globalReadBytes += load.bytes;
  warp.pc = pc;
  return true;
}

void executeBulkLoad(Warp &warp, const Instruction &i, uint32_t mask) {
  checkWaited(warp, mask);
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint64_t bytes = warp.value(i, 2, lane);
    uint64_t to = inShared(warp.value(i, 0, lane));
    Mbarrier *m = sized(warp, bytes) ? findMbarrier(warp, lane, warp.value(i, 3, lane)) : nullptr;
    if (!m)
      return;
    for (uint64_t b = 0; b < bytes; b += 16)
      if (!accessShared(warp, lane, to + b, 16, 16, Touch::Copy))
        return;
    PendingArrival load;
    load.warp = &warp;
    load.pc = warp.pc;
    load.time = warp.now;
    load.to = uint32_t(to);
    load.from = warp.value(i, 1, lane);
    load.bytes = uint32_t(bytes);
    warp.release(); // what the warp does next is later than this copy
    if (!warp.execution->options.lazy && !actBulkLoad(load))
      return;
    m->awaited.push_back(std::move(load));
  }
  warp.block->wakeMbarrierWaiters();
}

void executeBulkStore(Warp &warp, const Instruction &i, uint32_t mask) {
  checkWaited(warp, mask);
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    BulkStore s{lane, uint32_t(inShared(warp.value(i, 1, lane))), 0, warp.pc,
                warp.value(i, 0, lane)};
    uint64_t bytes = warp.value(i, 2, lane);
    if (!sized(warp, bytes))
      return;
    s.bytes = uint32_t(bytes);
    if (warp.execution->options.lazy)
      warp.openStores.push_back(s);
    else if (!act(warp, s))
      return;
  }
}

void executeBulkCommit(Warp &warp, const Instruction &, uint32_t) {
  warp.storeGroups.push_back(std::move(warp.openStores));
  warp.openStores.clear();
}

void executeBulkWait(Warp &warp, const Instruction &i, uint32_t) {
  for (; int64_t(warp.storeGroups.size()) > i.immediate; warp.storeGroups.pop_front())
    for (const BulkStore &s : warp.storeGroups.front())
      if (!act(warp, s))
        return;
}

void actBulkStores(Warp &warp) {
  for (const auto &group : warp.storeGroups)
    for (const BulkStore &s : group)
      if (!act(warp, s))
        return;
  warp.storeGroups.clear();
  for (const BulkStore &s : warp.openStores)
    if (!act(warp, s))
      return;
  warp.openStores.clear();
}

} // namespace nysjit::emulator

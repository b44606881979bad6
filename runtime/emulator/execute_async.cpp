// cp.async: op[0] the destination in shared memory, op[1] the source, op[2] the bytes to read
// (src-size) or, as a predicate, op[3]: ignore-src. bytes: the size. Eagerly a copy acts when
// issued, lazily when it has been waited for; either way its destination is in flight in between
// (race.h). Groups are each lane's own and end in order.
#include "runtime/emulator/access.h"
#include "runtime/emulator/bank_conflicts.h"
#include "runtime/emulator/handlers.h"

#include <cstring>

namespace nysjit::emulator {

namespace {
/// Reads and writes one lane's bytes; the source is checked here, when it is read.
bool act(Warp &warp, const CopyBatch &b, uint32_t lane) {
  Execution &x = *warp.execution;
  uint8_t *to = warp.block->shared.data() + b.to[lane];
  if (b.take[lane]) {
    // The source's alignment is that of the whole copy.
    const uint8_t *from =
        accessGlobal(warp, lane, b.from[lane], b.take[lane], b.bytes, Touch::Read);
    if (!from)
      return false;
    x.counts.globalReadBytes += b.take[lane];
    std::memmove(to, from, b.take[lane]);
  }
  std::memset(to + b.take[lane], 0, b.bytes - b.take[lane]);
  return true;
}
} // namespace

void landCopies(Warp &warp, CopyBatch &batch, uint32_t mask, uint32_t time) {
  uint32_t landing = batch.mask & mask;
  batch.mask &= ~mask;
  Actor actor = warp.actor();
  actor.pc = batch.pc;
  actor.now = time;
  for (uint32_t rest = landing; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    if (warp.execution->options.lazy) {
      uint32_t pc = warp.pc;
      warp.pc = batch.pc; // what goes wrong goes wrong there
      bool good = act(warp, batch, lane);
      warp.pc = pc;
      if (!good)
        return;
    }
    warp.block->shadow->land(batch.to[lane], batch.bytes, actor);
  }
}

void executeCopy(Warp &warp, const Instruction &i, uint32_t mask) {
  Execution &x = *warp.execution;
  checkWaited(warp, mask); // it may read at once
  CopyBatch batch;
  batch.mask = mask;
  batch.pc = warp.pc;
  batch.bytes = i.bytes;
  uint32_t ignored = i.op[3] == noOperand ? 0 : warp.predicate(i.op[3]);
  if (i.flag)
    ignored = ~ignored;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint64_t to = warp.value(i, 0, lane) + uint64_t(i.immediate >> 32);
    uint64_t from = warp.value(i, 1, lane) + uint64_t(int64_t(int32_t(i.immediate)));
    if (!(i.wide & 1))
      to = uint32_t(to);
    if (Resolved r = resolve(from); r.space != Space::Global)
      return x.fault(Fault::IllegalAddress, warp,
                     "cp.async: expected a source in global memory, found one in " +
                         std::string(spaceName(r.space)) + " memory");
    uint64_t take = i.op[2] == noOperand ? i.bytes : warp.value(i, 2, lane);
    if (take > i.bytes)
      return x.fault(Fault::Failed, warp,
                     "cp.async: expected at most " + std::to_string(i.bytes) +
                         " bytes to read, found " + std::to_string(take));
    if (!accessShared(warp, lane, to, i.bytes, i.bytes, Touch::Copy))
      return;
    batch.to[lane] = uint32_t(to);
    batch.from[lane] = from;
    batch.take[lane] = ignored >> lane & 1 ? 0 : uint8_t(take);
    if (!x.options.lazy && !act(warp, batch, lane))
      return;
  }
  uint32_t conflicts = bankConflicts(batch.to, mask, i.bytes);
  x.counts.bankConflicts += conflicts;
  x.counts.sharedStoreConflicts += conflicts;
  warp.open.push_back(batch);
}

void executeCopyCommit(Warp &warp, const Instruction &, uint32_t mask) {
  CopyGroup group;
  group.lanes = mask;
  for (CopyBatch &batch : warp.open) {
    if (!(batch.mask & mask))
      continue;
    group.batches.push_back(batch);
    group.batches.back().mask &= mask;
    batch.mask &= ~mask;
  }
  std::erase_if(warp.open, [](const CopyBatch &b) { return b.mask == 0; });
  warp.groups.push_back(std::move(group));
}

void executeCopyWait(Warp &warp, const Instruction &i, uint32_t mask) {
  // From the newest on, each lane passes over `immediate` of its groups; the others are done, the
  // oldest first.
  int64_t left[32];
  for (int64_t &l : left)
    l = std::max<int64_t>(i.immediate, 0);
  std::vector<uint32_t> done(warp.groups.size());
  for (size_t g = warp.groups.size(); g-- > 0;)
    for (uint32_t rest = warp.groups[g].lanes & mask; rest; rest &= rest - 1)
      if (left[__builtin_ctz(rest)]-- <= 0)
        done[g] |= rest & -rest;
  for (size_t g = 0; g < done.size(); ++g) {
    warp.groups[g].lanes &= ~done[g];
    for (CopyBatch &batch : warp.groups[g].batches)
      landCopies(warp, batch, done[g], warp.now);
  }
  while (!warp.groups.empty() && warp.groups.front().lanes == 0)
    warp.groups.pop_front();
  if (i.immediate < 0) {
    for (CopyBatch &batch : warp.open)
      landCopies(warp, batch, mask, warp.now);
    std::erase_if(warp.open, [](const CopyBatch &b) { return b.mask == 0; });
  }
}

/// op[1]: the mbarrier; flag: .noinc. The lanes' copies so far leave their groups: the mbarrier
/// ends them.
void executeCopyArrive(Warp &warp, const Instruction &i, uint32_t mask) {
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint32_t own = rest & -rest;
    Mbarrier *m = findMbarrier(warp, lane, warp.value(i, 1, lane) + uint64_t(i.immediate));
    if (!m)
      return;
    PendingArrival pending;
    pending.warp = &warp;
    pending.pc = warp.pc;
    pending.arrivals = 1;
    auto move = [&](CopyBatch &batch) {
      if (!(batch.mask & own))
        return;
      pending.batches.push_back(batch);
      pending.batches.back().mask = own;
      batch.mask &= ~own;
    };
    for (CopyGroup &group : warp.groups)
      for (CopyBatch &batch : group.batches)
        move(batch);
    for (CopyBatch &batch : warp.open)
      move(batch);
    if (!i.flag)
      ++m->pending;
    pending.time = warp.now;
    pending.clock = warp.release();
    m->awaited.push_back(std::move(pending));
  }
  std::erase_if(warp.open, [](const CopyBatch &b) { return b.mask == 0; });
  warp.block->wakeMbarrierWaiters();
}

} // namespace nysjit::emulator

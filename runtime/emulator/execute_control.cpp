// Branches, calls and exits. A call copies its arguments between .param variables, which lie in
// each thread's frame.
#include "runtime/emulator/handlers.h"

#include <cstring>

namespace nysjit::emulator {

void executeNothing(Warp &, const Instruction &, uint32_t) {}

void executeDependencyWait(Warp &warp, const Instruction &, uint32_t mask) { warp.early &= ~mask; }

void executeYield(Warp &warp, const Instruction &, uint32_t) { warp.yield = true; }

void executeBranch(Warp &warp, const Instruction &i, uint32_t mask) {
  warp.isolate(mask, warp.pc + 1);
  warp.current->pc = uint32_t(i.immediate);
}

void executeIndexedBranch(Warp &warp, const Instruction &i, uint32_t mask) {
  const uint32_t *list = warp.execution->code.lists.data() + i.list; // count, targets
  warp.isolate(mask, warp.pc + 1);
  while (true) {
    uint32_t left = warp.current->mask;
    uint32_t index = warp.lanes<uint32_t>(i.op[0])[__builtin_ctz(left)];
    uint32_t same = 0;
    if (index >= list[0])
      return warp.execution->fault(Fault::Failed, warp,
                                   "brx: expected an index below " + std::to_string(list[0]) +
                                       ", found " + std::to_string(index));
    for (uint32_t rest = left; rest; rest &= rest - 1)
      same |= warp.lanes<uint32_t>(i.op[0])[__builtin_ctz(rest)] == index ? rest & -rest : 0;
    warp.current->pc = list[1 + index];
    if (same == left)
      return;
    // The lanes with this index leave in a fragment of their own; the rest look on.
    Fragment leaving = *warp.current;
    leaving.mask = same;
    warp.current->mask = left & ~same;
    warp.fragments.push_back(std::move(leaving));
  }
}

namespace {
/// list: count, then {from, to, bytes} in the frame.
const uint32_t *copyFrame(Warp &warp, const uint32_t *list, uint32_t mask) {
  size_t size = warp.execution->code.frameBytes;
  uint32_t count = *list++;
  for (uint32_t c = 0; c < count; ++c, list += 3)
    for (uint32_t rest = mask; rest; rest &= rest - 1) {
      size_t base = size * uint32_t(__builtin_ctz(rest));
      std::memcpy(warp.frame.data() + base + list[1], warp.frame.data() + base + list[0], list[2]);
      std::memcpy(warp.frameWritten.data() + base + list[1],
                  warp.frameWritten.data() + base + list[0], list[2]);
    }
  return list;
}
} // namespace

void executeCall(Warp &warp, const Instruction &i, uint32_t mask) {
  warp.isolate(mask, warp.pc + 1);
  copyFrame(warp, warp.execution->code.lists.data() + i.list, mask);
  warp.current->stack.push_back(warp.pc);
  warp.current->pc = uint32_t(i.immediate);
}

void executeReturn(Warp &warp, const Instruction &i, uint32_t mask) {
  if (warp.current->stack.empty())
    return executeExit(warp, i, mask);
  warp.isolate(mask, warp.pc + 1);
  uint32_t at = warp.current->stack.back();
  warp.current->stack.pop_back();
  // Behind the call's arguments stand its results.
  const uint32_t *list =
      warp.execution->code.lists.data() + warp.execution->code.instructions[at].list;
  copyFrame(warp, list + 1 + 3 * list[0], mask);
  warp.current->pc = at + 1;
}

void executeExit(Warp &warp, const Instruction &, uint32_t mask) {
  // Copies that nobody waited for: they have been at work all the time.
  for (CopyGroup &group : warp.groups)
    for (CopyBatch &batch : group.batches)
      landCopies(warp, batch, mask, warp.now);
  for (CopyBatch &batch : warp.open)
    landCopies(warp, batch, mask, warp.now);
  actBulkStores(warp);
  warp.noteExit(mask);
  warp.isolate(mask, warp.pc + 1);
  warp.current->mask = 0;
  warp.live &= ~mask;
  warp.block->settleBarriers();
}

void executeTrap(Warp &warp, const Instruction &i, uint32_t mask) {
  warp.execution->fault(i.flag ? Fault::Failed : Fault::IllegalInstruction, warp,
                        (i.flag ? "assertion: " : "trap: ") +
                            warp.execution->threadName(warp, uint32_t(__builtin_ctz(mask))) +
                            " stops");
}

void executeClock(Warp &warp, const Instruction &i, uint32_t mask) {
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    warp.setValue(i, 0, uint32_t(__builtin_ctz(rest)),
                  i.flag ? warp.execution->clock >> 32 : warp.execution->clock);
}

} // namespace nysjit::emulator

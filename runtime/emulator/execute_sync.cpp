// Block barriers, fences and the warp's barrier. immediate of a barrier: its number, or -1 if op[1]
// holds it; op[2]: the thread count; op[3]: bar.red's predicate.
#include "runtime/emulator/handlers.h"

namespace nysjit::emulator {

namespace {
enum Variant : uint8_t { Sync, Arrive, RedPopc, RedAnd, RedOr };
}

void executeBarrier(Warp &warp, const Instruction &i, uint32_t mask) {
  Execution &x = *warp.execution;
  uint32_t lane = uint32_t(__builtin_ctz(mask));
  uint32_t number = uint32_t(i.op[1] == noOperand ? i.immediate : warp.value(i, 1, lane));
  if (number >= 16)
    return x.fault(Fault::IllegalInstruction, warp,
                   "barrier: expected a barrier below 16, found " + std::to_string(number));
  uint32_t threads = uint32_t(i.op[2] == noOperand ? 0 : warp.value(i, 2, lane));
  if (i.op[2] != noOperand && (threads == 0 || threads % 32 || threads > 1024))
    return x.fault(Fault::IllegalInstruction, warp,
                   "barrier: expected a thread count that is a multiple of 32 up to 1024, found " +
                       std::to_string(threads));
  Barrier &b = warp.block->barriers[number];
  if (b.arrived && b.expected != threads)
    return x.fault(Fault::Failed, warp,
                   "barrier: expected the " + std::to_string(b.expected) +
                       " threads (0: all) of the arrival at " + x.code.where(b.pc) + ", found " +
                       std::to_string(threads));
  if (b.lanesArrived[warp.index] & mask)
    return x.fault(Fault::Failed, warp,
                   "barrier: warp " + std::to_string(warp.index) + " arrives twice at barrier " +
                       std::to_string(number));
  if (b.arrived == 0)
    b.pc = warp.pc;
  b.expected = threads;
  b.lanesArrived[warp.index] |= mask;
  b.arrived += mask == warp.live && threads ? 32 : uint32_t(__builtin_popcount(mask));
  b.warpsArrived |= 1u << warp.index;
  ++x.counts.barriers;
  if (i.variant >= RedPopc) {
    uint32_t p = warp.predicate(i.op[3]);
    p = (i.flag ? ~p : p) & mask;
    b.count += uint32_t(__builtin_popcount(p));
    b.all &= p == mask;
    b.any |= p != 0;
  }
  b.joined.join(warp.release());
  if (i.variant != Arrive) {
    warp.isolate(mask, warp.pc + 1);
    warp.current->state = Fragment::State::AtBarrier;
    warp.current->barrier = number;
  }
  warp.block->settleBarriers();
}

void executeFence(Warp &warp, const Instruction &, uint32_t) {
  if (warp.hasHeard)
    warp.acquire(warp.heard);
  warp.fenced = warp.release();
  warp.hasFenced = true;
}

void executeWarpBarrier(Warp &, const Instruction &, uint32_t) {
} // lanes of a warp are not told apart by the race check

} // namespace nysjit::emulator

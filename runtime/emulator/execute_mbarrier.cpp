// mbarriers. The object's 64 bits in shared memory only show that something is there; its state is
// beside (Block::mbarriers). Arrivals release, waits that see the phase end acquire. op[0]: the
// state or predicate, op[1]: the address, op[2]: count, bytes, state or parity. A try_wait that
// would fail blocks until a phase ends, since it may take any time.
#include "runtime/emulator/access.h"
#include "runtime/emulator/decoder.h"
#include "runtime/emulator/handlers.h"

#include <cstring>

namespace nysjit::emulator {

Mbarrier *findMbarrier(Warp &warp, uint32_t lane, uint64_t offset) {
  if (offset >> 32)
    offset = resolve(offset).address;
  uint8_t *at = accessShared(warp, lane, offset, 8, 8, Touch::StrongRead);
  if (!at)
    return nullptr;
  auto found = warp.block->mbarriers.find(uint32_t(offset));
  if (found != warp.block->mbarriers.end())
    return &found->second;
  warp.execution->fault(Fault::Failed, warp,
                        "mbarrier: expected an initialised object at shared offset " +
                            std::to_string(offset) + ", found none");
  return nullptr;
}

namespace {

void settle(Warp &warp, Mbarrier &m) {
  if (m.pending != 0 || m.transactions != 0)
    return;
  ++m.phase;
  m.pending = m.expected;
  m.ended.join(m.arriving);
  warp.block->wakeMbarrierWaiters();
}

bool arrive(Warp &warp, Mbarrier &m, uint64_t count) {
  if (count > m.pending) {
    warp.execution->fault(Fault::Failed, warp,
                          "mbarrier: expected at most " + std::to_string(m.pending) +
                              " more arrivals in this phase, found " + std::to_string(count));
    return false;
  }
  m.pending -= uint32_t(count);
  return true;
}

/// Ends the copies that were to arrive here.
bool look(Warp &warp, Mbarrier &m) {
  std::vector<PendingArrival> awaited = std::move(m.awaited);
  m.awaited.clear();
  for (PendingArrival &p : awaited) {
    for (CopyBatch &batch : p.batches)
      landCopies(*p.warp, batch, ~0u, p.time);
    if (p.bytes) {
      if (warp.execution->options.lazy && !actBulkLoad(p))
        return false;
      Actor actor{p.warp->index, p.time, p.pc, p.clock.known};
      warp.block->shadow->land(p.to, p.bytes, actor);
      m.transactions -= p.bytes;
      p.clock = Clock();
      p.clock.known[p.warp->index] = p.time;
    }
    m.arriving.join(p.clock);
    if (!arrive(warp, m, p.arrivals))
      return false;
    settle(warp, m);
  }
  return !warp.execution->stop;
}

void initialise(Warp &warp, const Instruction &i, uint32_t lane, uint64_t offset) {
  uint64_t count = warp.value(i, 2, lane);
  if (count == 0 || count >= 1u << 20)
    return warp.execution->fault(Fault::Failed, warp,
                                 "mbarrier.init: expected a count of 1 to 2^20 - 1, found " +
                                     std::to_string(count));
  uint8_t *at = accessShared(warp, lane, offset, 8, 8, Touch::Write);
  if (!at)
    return;
  std::memset(at, 0, 8);
  Mbarrier &m = warp.block->mbarriers[uint32_t(offset)];
  m = Mbarrier();
  m.expected = m.pending = uint32_t(count);
}

/// Waits: which lanes see their phase ended.
void wait(Warp &warp, const Instruction &i, uint32_t mask) {
  uint32_t ended = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    Mbarrier *m = findMbarrier(warp, lane, warp.value(i, 1, lane) + uint64_t(i.immediate));
    if (!m || !look(warp, *m))
      return;
    uint64_t which = warp.value(i, 2, lane);
    bool parity = MbarrierOp(i.variant) == MbarrierOp::TestWaitParity ||
                  MbarrierOp(i.variant) == MbarrierOp::TryWaitParity;
    if (parity ? (m->phase & 1) != (which & 1) : m->phase != uint32_t(which >> 32)) {
      ended |= 1u << lane;
      warp.acquire(m->ended);
    }
  }
  bool tries = MbarrierOp(i.variant) == MbarrierOp::TryWait ||
               MbarrierOp(i.variant) == MbarrierOp::TryWaitParity;
  if (!ended && tries) {
    warp.isolate(mask, warp.pc + 1);
    warp.current->pc = warp.pc;
    warp.current->state = Fragment::State::AtMbarrier;
    return;
  }
  uint32_t &p = warp.predicate(i.op[0]);
  p = (p & ~mask) | ended;
  if (ended != mask)
    warp.yield = true; // a loop that tests: let others run
}

} // namespace

void executeMbarrier(Warp &warp, const Instruction &i, uint32_t mask) {
  MbarrierOp op = MbarrierOp(i.variant);
  if (op >= MbarrierOp::TestWait)
    return wait(warp, i, mask);
  for (uint32_t rest = mask; rest && !warp.execution->stop; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    if (op == MbarrierOp::PendingCount) {
      warp.setValue(i, 0, lane, uint32_t(warp.value(i, 1, lane)));
      continue;
    }
    uint64_t address = warp.value(i, 1, lane) + uint64_t(i.immediate);
    if (address >> 32)
      address = resolve(address).address;
    if (op == MbarrierOp::Init) {
      initialise(warp, i, lane, address);
      continue;
    }
    Mbarrier *m = findMbarrier(warp, lane, address);
    if (!m)
      return;
    uint64_t amount = i.op[2] == noOperand ? 1 : warp.value(i, 2, lane);
    uint64_t state = uint64_t(m->phase) << 32 | m->pending;
    switch (op) {
    case MbarrierOp::Inval: warp.block->mbarriers.erase(uint32_t(address)); continue;
    case MbarrierOp::ExpectTx: m->transactions += int64_t(amount); continue;
    case MbarrierOp::CompleteTx: m->transactions -= int64_t(amount); break;
    case MbarrierOp::ArriveExpectTx:
      m->transactions += int64_t(amount);
      amount = 1;
      [[fallthrough]];
    default:
      m->arriving.join(warp.release());
      if (!arrive(warp, *m, amount))
        return;
      if (op == MbarrierOp::ArriveDrop)
        m->expected -= uint32_t(amount);
      warp.setValue(i, 0, lane, state);
    }
    settle(warp, *m);
  }
}

} // namespace nysjit::emulator

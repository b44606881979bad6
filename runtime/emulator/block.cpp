// A block: its shared memory, its barriers, and the order in which its warps run.
//
// bar.sync without a count waits for all threads that have not exited, as GPUs do since sm_70; with
// a count, a warp that arrives whole counts as 32 threads, exited ones included.
#include "runtime/emulator/execution.h"

#include <cstring>

namespace nysjit::emulator {

namespace {
uint64_t specialValue(Special special, const Execution &x, const Block &block, uint32_t warp,
                      uint32_t lane) {
  const Launch &l = x.launch;
  uint32_t thread = warp * 32 + lane;
  uint32_t tx = thread % l.block[0];
  uint32_t rest = thread / l.block[0];
  switch (special) {
  case Special::TidX: return tx;
  case Special::TidY: return rest % l.block[1];
  case Special::TidZ: return rest / l.block[1];
  case Special::NtidX: return l.block[0];
  case Special::NtidY: return l.block[1];
  case Special::NtidZ: return l.block[2];
  case Special::CtaidX: return block.id[0];
  case Special::CtaidY: return block.id[1];
  case Special::CtaidZ: return block.id[2];
  case Special::NctaidX: return l.grid[0];
  case Special::NctaidY: return l.grid[1];
  case Special::NctaidZ: return l.grid[2];
  case Special::LaneId: return lane;
  case Special::WarpId: return warp;
  case Special::NwarpId: return block.warps.size();
  case Special::SmId: return block.number % 4;
  case Special::NsmId: return 4;
  case Special::GridId: return x.memory.launch;
  case Special::LaneMaskEq: return 1u << lane;
  case Special::LaneMaskLt: return (1u << lane) - 1;
  case Special::LaneMaskLe: return lane == 31 ? ~0u : (1u << (lane + 1)) - 1;
  case Special::LaneMaskGt: return lane == 31 ? 0 : ~0u << (lane + 1);
  case Special::LaneMaskGe: return ~0u << lane;
  case Special::DynamicSharedSize: return l.dynamicSharedBytes;
  case Special::TotalSharedSize: return block.shared.size() - sharedBase;
  case Special::Zero: return 0;
  case Special::One: return 1;
  }
  return 0;
}
} // namespace

Block::Block(Execution &execution, uint32_t number, const uint32_t blockId[3])
    : execution(execution), number(number) {
  std::memcpy(id, blockId, sizeof id);
  const Launch &launch = execution.launch;
  const Code &code = execution.code;
  uint32_t threads = launch.block[0] * launch.block[1] * launch.block[2];
  uint32_t warpCount = (threads + 31) / 32;
  uint32_t sharedEnd =
      std::max(sharedBase + code.sharedBytes, code.dynamicShared + launch.dynamicSharedBytes);
  shared.assign(sharedEnd, 0xff); // what was never written reads as NaN
  sharedWritten.assign(sharedEnd, 0);
  shadow = std::make_unique<SharedShadow>(sharedEnd, warpCount);
  for (uint32_t w = 0; w < warpCount; ++w)
    warps.push_back(std::make_unique<Warp>());
  for (uint32_t w = 0; w < warpCount; ++w) {
    Warp &warp = *warps[w];
    warp.execution = &execution;
    warp.block = this;
    warp.index = w;
    uint32_t here = std::min(32u, threads - 32 * w);
    warp.valid = warp.live = here == 32 ? ~0u : (1u << here) - 1;
    warp.early = execution.launch.mayOverlap ? warp.valid : 0;
    warp.clock.known[w] = warp.now;
    warp.storage.assign(code.registerBytes + 63, 0);
    warp.registers = reinterpret_cast<uint8_t *>(
        (reinterpret_cast<uintptr_t>(warp.storage.data()) + 63) & ~uintptr_t(63));
    warp.frame.assign(size_t(code.frameBytes) * 32, 0xff);
    warp.frameWritten.assign(warp.frame.size(), 0);
    for (const Code::Constant &c : code.constants) {
      if (c.predicate)
        warp.predicate(c.offset) = c.bits ? ~0u : 0;
      else
        for (uint32_t l = 0; l < 32; ++l)
          c.wide ? void(warp.lanes<uint64_t>(c.offset)[l] = c.bits)
                 : void(warp.lanes<uint32_t>(c.offset)[l] = uint32_t(c.bits));
    }
    for (const Code::SpecialRegister &s : code.specials)
      for (uint32_t l = 0; l < 32; ++l) {
        uint64_t value = specialValue(s.special, execution, *this, w, l);
        s.wide ? void(warp.lanes<uint64_t>(s.offset)[l] = value)
               : void(warp.lanes<uint32_t>(s.offset)[l] = uint32_t(value));
      }
    warp.fragments.reserve(80);
    Fragment whole;
    whole.mask = warp.valid;
    warp.fragments.push_back(whole);
  }
}

uint32_t Block::liveThreads() const {
  uint32_t threads = 0;
  for (const auto &w : warps)
    threads += uint32_t(__builtin_popcount(w->live));
  return threads;
}

void Block::completeBarrier(Barrier &barrier) {
  uint32_t which = uint32_t(&barrier - barriers);
  for (const auto &w : warps)
    for (Fragment &f : w->fragments) {
      if (!f.mask || f.state != Fragment::State::AtBarrier || f.barrier != which)
        continue;
      f.state = Fragment::State::Running;
      w->acquire(barrier.joined);
      const Instruction &i = execution.code.instructions[f.pc - 1];
      if (i.op[0] == noOperand)
        continue;
      // bar.red
      if (i.variant == 2) {
        for (uint32_t rest = f.mask; rest; rest &= rest - 1)
          w->lanes<uint32_t>(i.op[0])[__builtin_ctz(rest)] = barrier.count;
      } else {
        uint32_t &p = w->predicate(i.op[0]);
        bool value = i.variant == 3 ? barrier.all : barrier.any;
        p = (p & ~f.mask) | (value ? f.mask : 0);
      }
    }
  barrier = Barrier();
}

void Block::settleBarriers() {
  uint32_t live = 0;
  for (Barrier &b : barriers) {
    if (b.arrived == 0)
      continue;
    if (!live)
      live = liveThreads();
    if (b.expected ? b.arrived >= b.expected : b.arrived >= live)
      completeBarrier(b);
  }
}

void Block::wakeMbarrierWaiters() {
  for (const auto &w : warps)
    for (Fragment &f : w->fragments)
      if (f.state == Fragment::State::AtMbarrier)
        f.state = Fragment::State::Running;
}

void Block::run(uint64_t budget) {
  uint64_t end = execution.clock + budget;
  std::vector<Warp *> ready;
  while (!execution.stop && execution.clock < end) {
    ready.clear();
    bool alive = false;
    for (const auto &w : warps) {
      alive |= w->live != 0;
      if (w->live && w->runnable())
        ready.push_back(w.get());
    }
    if (!alive)
      return;
    if (ready.empty())
      return reportDeadlock();
    Warp &chosen = *ready[execution.random.below(uint32_t(ready.size()))];
    // Mostly long slices, some of a few instructions.
    uint32_t length = execution.random.below(4) == 0 ? 1 + execution.random.below(8)
                                                     : 16 + execution.random.below(256);
    chosen.run(length);
    if (execution.clock > execution.options.maxInstructions && !execution.stop)
      execution.fault(Fault::Failed, chosen,
                      "limit: the launch ran more than " +
                          std::to_string(execution.options.maxInstructions) + " warp instructions");
  }
}

void Block::reportDeadlock() {
  std::string sentence = "deadlock: ";
  const char *separator = "";
  Warp *first = nullptr;
  uint32_t told = 0;
  for (const auto &w : warps)
    for (const Fragment &f : w->fragments) {
      if (!f.mask || !w->live)
        continue;
      uint32_t at = f.state == Fragment::State::AtBarrier ? f.pc - 1 : f.pc;
      if (!first) {
        first = w.get();
        first->pc = at;
      }
      if (++told > 8)
        continue;
      sentence += separator + std::string("warp ") + std::to_string(w->index) + " waits at " +
                  execution.code.places[at].text + ", " + execution.code.where(at);
      separator = "; ";
    }
  for (uint32_t b = 0; b < 16; ++b) {
    const Barrier &barrier = barriers[b];
    if (barrier.arrived == 0)
      continue;
    uint32_t expected = barrier.expected ? barrier.expected : liveThreads();
    sentence += "; barrier " + std::to_string(b) + " at " + execution.code.where(barrier.pc) +
                " has " + std::to_string(barrier.arrived) + " of " + std::to_string(expected) +
                " threads";
    std::string missing;
    for (const auto &w : warps)
      if (w->live && !(barrier.warpsArrived >> w->index & 1))
        missing += (missing.empty() ? "" : ", ") + std::to_string(w->index);
    if (!missing.empty())
      sentence += "; missing warps: " + missing;
  }
  execution.fault(Fault::Failed, first ? *first : *warps[0], sentence);
}

} // namespace nysjit::emulator

// A warp's lanes may part at a branch. The fragment with the deepest call and the lowest pc runs,
// and fragments that meet at a pc merge, which brings lanes together behind an if and after a loop
// when blocks stand in their natural order. Where they do not, an instruction that needs its lanes
// together (.aligned, or a membermask) waits for them: its fragment stands still until the others
// arrive there too. If none of them can, threads miss the instruction, and that is reported.
#include "runtime/emulator/handlers.h"

namespace nysjit::emulator {

namespace {
constexpr uint64_t patience = 2000; // instructions of one fragment while another could run
}

Clock Warp::release() {
  clock.known[index] = block->time;
  Clock published = clock;
  now = ++block->time;
  clock.known[index] = now;
  return published;
}

void Warp::acquire(const Clock &other) {
  clock.join(other);
  clock.known[index] = now;
}

void Warp::isolate(uint32_t mask, uint32_t otherPc) {
  uint32_t others = current->mask & ~mask;
  if (!others)
    return;
  Fragment rest = *current;
  rest.mask = others;
  rest.pc = otherPc;
  rest.state = Fragment::State::Running;
  current->mask = mask;
  fragments.push_back(std::move(rest)); // room was reserved: `current` stays valid
}

bool Warp::runnable() const {
  for (const Fragment &f : fragments)
    if (f.mask && (f.state == Fragment::State::Running ||
                   (f.state == Fragment::State::Converging && fragments.size() == 1)))
      return true;
  bool converging = false;
  for (const Fragment &f : fragments) {
    if (!f.mask)
      continue;
    if (f.state != Fragment::State::Converging)
      return false;
    converging = true;
  }
  return converging; // select() will find who can go on, or report
}

uint32_t Warp::required(const Instruction &i, uint32_t mask) {
  if (i.converge == Converge::Aligned)
    return live;
  uint32_t members = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    members |= lanes<uint32_t>(i.member)[__builtin_ctz(rest)];
  return members & live;
}

bool Warp::arrive(const Instruction &i, uint32_t mask) {
  if ((required(i, mask) & ~mask) == 0)
    return true;
  isolate(mask, pc + 1);
  current->state = Fragment::State::Converging;
  return false;
}

void Warp::noteStray(uint32_t mask) {
  for (const Fragment &f : fragments)
    if (f.state == Fragment::State::Converging) {
      strayed |= mask;
      return;
    }
}

/// Lanes may exit where others wait for them, as behind an early return; but if they did something
/// else first, the others' instruction stood in divergent code.
void Warp::noteExit(uint32_t mask) {
  if (!(strayed & mask))
    return;
  for (Fragment &f : fragments)
    if (f.state == Fragment::State::Converging &&
        execution->code.instructions[f.pc].converge == Converge::Aligned)
      f.missed |= strayed & mask;
}

void Warp::mergeFragments() {
  for (size_t f = 0; f < fragments.size(); ++f) {
    Fragment &one = fragments[f];
    for (size_t g = fragments.size() - 1; g > f; --g) {
      Fragment &other = fragments[g];
      bool met =
          one.mask && other.mask && one.pc == other.pc && one.state == other.state &&
          (one.state == Fragment::State::Running || one.state == Fragment::State::Converging) &&
          one.stack == other.stack;
      if (met)
        one.mask |= other.mask, one.missed |= other.missed;
      if (met || !other.mask)
        fragments.erase(fragments.begin() + int64_t(g));
    }
  }
  if (fragments.size() > 0 && !fragments[0].mask)
    fragments.erase(fragments.begin());
}

/// Chooses `current`. False if none can run.
bool Warp::select() {
  mergeFragments();
  bool waitsForOthers = false;
  bool converges = false;
  Fragment *best = nullptr;
  Fragment *oldest = nullptr;
  for (Fragment &f : fragments) {
    if (f.state == Fragment::State::Converging) {
      const Instruction &i = execution->code.instructions[f.pc];
      if (required(i, f.mask) & ~f.mask) {
        converges = true;
        continue;
      }
      if (f.missed) {
        reportStuck();
        return false;
      }
      f.state = Fragment::State::Running;
      strayed = 0;
    }
    if (f.state != Fragment::State::Running) {
      waitsForOthers = true;
      continue;
    }
    if (!best || f.stack.size() > best->stack.size() ||
        (f.stack.size() == best->stack.size() && f.pc < best->pc))
      best = &f;
    if (!oldest || f.lastRun < oldest->lastRun)
      oldest = &f;
  }
  if (!best) {
    if (converges && !waitsForOthers)
      reportStuck();
    return false;
  }
  // The lowest pc runs, unless another fragment has waited for long: then the one that waited
  // longest does, for a while.
  if (turn > 0 && turnOf && --turn > 0 && turnOf->mask &&
      turnOf->state == Fragment::State::Running && turnOf >= fragments.data() &&
      turnOf < fragments.data() + fragments.size()) {
    current = turnOf;
  } else if (oldest != best && execution->clock - oldest->lastRun > patience) {
    current = turnOf = oldest;
    turn = patience;
  } else {
    current = best;
    turn = 0;
  }
  current->lastRun = execution->clock;
  return true;
}

void Warp::reportStuck() {
  std::string sentence = "divergence: ";
  uint32_t at = pc;
  const char *separator = "";
  for (const Fragment &f : fragments) {
    if (!f.mask || f.state != Fragment::State::Converging)
      continue;
    const Instruction &i = execution->code.instructions[f.pc];
    char lanesText[64];
    std::snprintf(lanesText, sizeof lanesText, "%slanes 0x%08x reached ", separator, f.mask);
    sentence +=
        lanesText + execution->code.places[f.pc].text + " at " + execution->code.where(f.pc);
    std::snprintf(lanesText, sizeof lanesText, ", which 0x%08x must reach together",
                  required(i, f.mask) | f.missed);
    sentence += lanesText;
    separator = "; ";
    at = f.pc;
  }
  pc = at;
  execution->fault(Fault::Failed, *this, sentence + ": some threads miss it");
}

void Warp::run(uint32_t budget) {
  yield = false;
  const Instruction *code = execution->code.instructions.data();
  uint64_t executed = 0;
  while (executed < budget && !yield && !execution->stop && select()) {
    Fragment &f = *current;
    do {
      pc = f.pc;
      const Instruction &i = code[pc];
      uint32_t mask = f.mask;
      if (i.guard != noOperand)
        mask &= i.guardNegated ? ~predicate(i.guard) : predicate(i.guard);
      if (i.converge != Converge::No && mask != live && mask && !arrive(i, mask))
        break;
      f.pc = pc + 1;
      ++executed;
      ++execution->clock;
      if (!mask)
        continue;
      if (fragments.size() > 1 && i.handler != executeBranch && i.handler != executeReturn &&
          i.handler != executeExit)
        noteStray(mask);
      if (i.lanes) {
        i.lanes(registers, i, mask);
        continue;
      }
      i.handler(*this, i, mask);
      if (yield || execution->stop || f.state != Fragment::State::Running || !f.mask)
        break;
    } while (executed < budget && fragments.size() == 1);
  }
  execution->counts.instructions += int64_t(executed);
}

} // namespace nysjit::emulator

// The rules, and the little that they know of a kernel's data flow and text.
#include "tests/conformance/ptx_equivalences.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace nysjit::conformance {

namespace {

constexpr const char *minusInfinity = "0fFF800000";

bool isNumber(const std::string &operand) { return operand.find_first_not_of("-0123456789") == std::string::npos; }

enum class Bit { Zero, One, Unknown };

/// Low bits of registers, as far as every writer says the same.
class BitAnalysis {
public:
  BitAnalysis(const PtxText &ptx, size_t line) : ptx(ptx), line(line) {}

  Bit bit(const std::string &operand, int number) {
    if (isNumber(operand))
      return std::stoll(operand) >> number & 1 ? Bit::One : Bit::Zero;
    const std::pair<std::string, int> key(operand, number);
    if (const auto known = pending.find(key); known != pending.end())
      return known->second; // a loop's register: what it starts from decides, if the loop keeps it
    pending[key] = Bit::Unknown;
    bool isFirst = true;
    for (size_t writer : ptx.writers(line, operand)) {
      const Bit written = ofInstruction(*ptx.instruction(writer), number);
      if (!isFirst && written != pending[key]) {
        pending[key] = Bit::Unknown;
        break;
      }
      pending[key] = written;
      isFirst = false;
    }
    const Bit known = pending[key];
    pending.erase(key);
    return known;
  }

private:
  Bit ofInstruction(const PtxInstruction &i, int number) {
    const bool hasConstant = i.operands.size() > 2 && isNumber(i.operands.back());
    const int constant = hasConstant ? std::stoi(i.operands.back()) : 0;
    if (i.is("mov.b32"))
      return bit(i.operands[1], number);
    if (i.is("shl.b32") && hasConstant)
      return number < constant ? Bit::Zero : bit(i.operands[1], number - constant);
    if (i.is("bfe.u32") && hasConstant && isNumber(i.operands[2]))
      return number >= constant ? Bit::Zero : bit(i.operands[1], number + std::stoi(i.operands[2]));
    if (i.is("and.b32") || i.is("or.b32")) {
      const Bit decides = i.is("or.b32") ? Bit::One : Bit::Zero, a = bit(i.operands[1], number), b = bit(i.operands[2], number);
      return a == decides || b == decides ? decides : a == b ? a : Bit::Unknown;
    }
    if (i.is("add.s32")) // where one number has nothing up to this bit, nothing is carried into the other's
      for (size_t zero : {1, 2})
        if (hasZerosUpTo(i.operands[zero], number))
          return bit(i.operands[3 - zero], number);
    return Bit::Unknown;
  }
  bool hasZerosUpTo(const std::string &operand, int number) {
    for (int below = 0; below <= number; ++below)
      if (bit(operand, below) != Bit::Zero)
        return false;
    return true;
  }

  const PtxText &ptx;
  size_t line;
  std::map<std::pair<std::string, int>, Bit> pending; // being found out, with what is assumed meanwhile
};

/// Row and column of a mask, or a turn and a constant, that differ in a bit whatever they are: < and <= are the same.
bool neverEqual(const PtxText &ptx, const Mutation &mutation) {
  if (mutation.kind != "bound off by one")
    return false;
  const PtxInstruction *compare = ptx.instruction(mutation.line);
  for (int number = 0; number < 8; ++number) {
    const Bit a = BitAnalysis(ptx, mutation.line).bit(compare->operands[1], number), b = BitAnalysis(ptx, mutation.line).bit(compare->operands[2], number);
    if (a != Bit::Unknown && b != Bit::Unknown && a != b)
      return true;
  }
  return false;
}

/// The outer of two loops over the steps of a product, whose number is the constant + 1: it steps by eights, from 0.
bool stepsByEights(const PtxText &ptx, const Mutation &mutation) {
  const PtxInstruction *compare = ptx.instruction(mutation.line);
  if (mutation.kind != "bound off by one" || !compare->is("setp.gt.s32") || !isNumber(compare->operands[2]) || std::stoi(compare->operands[2]) % 8 == 0)
    return false;
  auto next = ptx.instructions().upper_bound(mutation.line); // the branch, then: end = min(start + 8, steps)
  const PtxInstruction &add = std::next(next)->second, &end = std::next(next, 2)->second;
  return add.is("add.s32") && add.operands[1] == compare->operands[1] && add.operands[2] == "8" && end.is("min.s32") && end.operands[1] == add.operands[0] &&
         end.operands[2] == std::to_string(std::stoi(compare->operands[2]) + 1);
}

/// The branches that a compare decides.
std::vector<size_t> branchesOn(const PtxText &ptx, size_t line) {
  std::vector<size_t> branches;
  for (const auto &[at, instruction] : ptx.instructions())
    if (instruction.is("bra") && ptx.kernel(at) == ptx.kernel(line) && (instruction.guard == "@" + ptx.instruction(line)->operands[0]))
      branches.push_back(at);
  return branches;
}

/// Whether what runs if the branch is not taken is copies into shared memory and their addresses, up to where both ways meet.
bool jumpsOverCopies(const PtxText &ptx, size_t branch) {
  const size_t meeting = ptx.label(branch, ptx.instruction(branch)->operands[0]);
  bool hasCopy = false;
  for (auto at = ptx.instructions().upper_bound(branch); at != ptx.instructions().end() && at->first != meeting; ++at) {
    const PtxInstruction &i = at->second;
    if (i.is("bra") && i.guard.empty() && ptx.label(at->first, i.operands[0]) == meeting)
      break;
    hasCopy |= i.is("cp.async.cg") || i.is("ld.global");
    if (i.is("st.global") || i.is("mma") || i.is("ldmatrix") || i.is("bar") || i.is("ex2") || (i.is("bra") && i.guard.empty()))
      return false;
    if (at->first < meeting && std::next(at) != ptx.instructions().end() && std::next(at)->first > meeting)
      break;
  }
  return hasCopy;
}

/// What is guarded by the mutated branch, or by every branch on the mutated compare.
bool guardsCopiesOnly(const PtxText &ptx, const Mutation &mutation) {
  if (mutation.kind == "guarded code always runs")
    return jumpsOverCopies(ptx, mutation.line);
  if (mutation.kind != "bound off by one" || !ptx.instruction(mutation.line)->is("setp.ge"))
    return false;
  const std::vector<size_t> branches = branchesOn(ptx, mutation.line);
  return !branches.empty() && std::all_of(branches.begin(), branches.end(), [&](size_t branch) { return jumpsOverCopies(ptx, branch); });
}

/// Whether the exponentials nearest to `line`, as control flows, are of logits without a mask: the loop has none.
bool isBeforeUnmaskedLoop(const PtxText &ptx, size_t line) {
  std::deque<size_t> places = {line};
  std::set<size_t> seen;
  for (; !places.empty(); places.pop_front()) {
    const size_t at = places.front();
    if (at >= ptx.lines().size() || !seen.insert(at).second)
      continue;
    const PtxInstruction *i = ptx.instruction(at);
    if (i && (i->is("ex2") || (i->is("selp.f32") && i->operands[1] == minusInfinity)))
      return i->is("ex2");
    if (i && i->is("bra"))
      places.push_back(ptx.label(at, i->operands[0]));
    if (!i || !(i->is("ret") || (i->is("bra") && i->guard.empty())))
      places.push_back(at + 1);
  }
  return false;
}

bool isRowBound(const PtxText &ptx, const Mutation &mutation) {
  const PtxInstruction *i = ptx.instruction(mutation.line);
  return mutation.kind == "copy without a bound" || (mutation.kind == "bound off by one" && (i->is("setp.lt.u32") || i->is("setp.ge.u32"))) ||
         (mutation.kind == "guarded code always runs" && jumpsOverCopies(ptx, mutation.line));
}

bool isInUnmaskedLoop(const PtxText &ptx, const Mutation &mutation) { return isRowBound(ptx, mutation) && isBeforeUnmaskedLoop(ptx, mutation.line); }

/// exact_causal here has tiles of four blocks of keys.
bool isExact(const PtxText &ptx, size_t line) { return ptx.kernel(line).starts_with("exact_causal"); }

bool isNeverTwoTurns(const PtxText &ptx, const Mutation &mutation) {
  const PtxInstruction *i = ptx.instruction(mutation.line);
  return isExact(ptx, mutation.line) && mutation.kind == "bound off by one" && i->is("setp.lt.u32") && i->operands[2] == "2";
}

/// The barrier before the second pipelined loop of two stages, which is the last before its first copy: no wait before it.
bool isBetweenEvenTurns(const PtxText &ptx, const Mutation &mutation) {
  if (!isExact(ptx, mutation.line) || mutation.kind != "barrier deleted")
    return false;
  bool hasProducts = false, hasTwoStages = false;
  size_t waits = 0;
  for (const auto &[line, i] : ptx.instructions()) {
    if (ptx.kernel(line) != ptx.kernel(mutation.line) || line >= mutation.line)
      continue;
    hasProducts |= i.is("mma");
    waits = i.is("cp.async.wait_group") ? line : waits;
    hasTwoStages |= i.is("setp.eq.b32") && i.operands[2] == "2";
  }
  return hasProducts && hasTwoStages && waits + 1 != mutation.line;
}

struct Rule {
  const char *reason;
  bool (*holds)(const PtxText &, const Mutation &);
};
constexpr Rule rules[] = {
    {"the two numbers are never equal, so < is <=", neverEqual},
    {"multiples of 8 below a number that is none, by eights", stepsByEights},
    {"a loop without a mask has all its rows inside", isInUnmaskedLoop},
    {"a copy too many fills a stage that is filled again before it is read, or never read", guardsCopiesOnly},
    {"the unmasked loop of these blocks turns a multiple of 4 times, not 2", isNeverTwoTurns},
    {"after an even number of turns, stage 0 of two was read a turn and a barrier ago", isBetweenEvenTurns},
};

} // namespace

const char *equivalenceOf(const PtxText &ptx, const Mutation &mutation) {
  for (const Rule &rule : rules)
    if (rule.holds(ptx, mutation))
      return rule.reason;
  return nullptr;
}

} // namespace nysjit::conformance

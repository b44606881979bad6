// Two registers are compared with all that they were computed from.
#include "tests/conformance/ptx_heads.h"
#include "tests/conformance/ptx_rows.h"

namespace nysjit::conformance {

namespace {

class Heads {
public:
  Heads(const PtxText &ptx, size_t line, const ProgramFacts &facts)
      : ptx(ptx), line(line), facts(facts) {}

  bool areSame(const std::string &a, const std::string &b, int deepest = 24) const {
    if (isNumber(a) || isNumber(b))
      return a == b;
    const std::vector<size_t> &ofA = ptx.writers(line, a);
    const std::vector<size_t> &ofB = ptx.writers(line, b);
    if (a == b)
      return ofA.size() == 1 && !isInLoop(ptx, ofA[0]);
    // One, or one before a branch around the other.
    if (deepest == 0 || ofA.size() != ofB.size() || ofA.empty() || ofA.size() > 2)
      return false;
    if (ofA.size() == 2) {
      const std::string skipsA = skips(ofA[1]);
      const std::string skipsB = skips(ofB[1]);
      if (!skips(ofA[0]).empty() || !skips(ofB[0]).empty() || skipsA.empty() || skipsB.empty() ||
          !areSame(skipsA, skipsB, deepest - 1))
        return false;
    }
    for (size_t i = 0; i < ofA.size(); ++i)
      if (!areSameResults(*ptx.instruction(ofA[i]), *ptx.instruction(ofB[i]), deepest - 1))
        return false;
    return true;
  }

private:
  bool areSameResults(const PtxInstruction &a, const PtxInstruction &b, int deepest) const {
    if (a.opcode != b.opcode || !a.guard.empty() || !b.guard.empty() ||
        a.operands.size() != b.operands.size())
      return false;
    if (a.is("div.u32") && (isOneSequence(a, b) || isOneSequence(b, a)))
      return true;
    for (size_t i = 1; i < a.operands.size(); ++i)
      if (!areSameOperands(a.operands[i], b.operands[i], deepest))
        return false;
    return true;
  }
  /// A register, a number, or "[%rd1+4]".
  bool areSameOperands(const std::string &a, const std::string &b, int deepest) const {
    if (a[0] != '[' || b[0] != '[')
      return a[0] != '[' && b[0] != '[' && areSame(a, b, deepest);
    const size_t endA = a.find_first_of("+]");
    const size_t endB = b.find_first_of("+]");
    return a.substr(endA) == b.substr(endB) &&
           areSame(a.substr(1, endA - 1), b.substr(1, endB - 1), deepest);
  }

  /// The predicate of a branch that only skips the few lines around `at`; "" if there is none.
  std::string skips(size_t at) const {
    const auto isLabel = [&](size_t each) { return ptx.lines()[each].starts_with("$"); };
    const auto isBranch = [&](size_t each) {
      const PtxInstruction *i = ptx.instruction(each);
      return i && (i->is("bra") || i->is("ret"));
    };
    size_t before = at - 1;
    while (before > 0 && !isLabel(before) && !isBranch(before))
      --before;
    size_t after = at + 1;
    while (after + 1 < ptx.lines().size() && !isLabel(after) && !isBranch(after))
      ++after;
    const PtxInstruction *i = ptx.instruction(before);
    const bool isAround = i && i->is("bra") && i->guard.starts_with("@%") && isLabel(after) &&
                          ptx.label(at, i->operands[0]) == after;
    return isAround ? i->guard.substr(1) : "";
  }

  /// Whether a / H and b / H are the same sequence: of H query heads, G share a key head, and G is
  /// H / K rounded down of K key heads. a is q H + r G, r the rest of a number by K; b is a + t, t
  /// from 0 below G. So both are at least q H, and below it + (K - 1) G + G, which is at most H.
  bool isOneSequence(const PtxInstruction &a, const PtxInstruction &b) const {
    const PtxInstruction *first = writerOf(ptx, line, a.operands[1]);
    const PtxInstruction *own = writerOf(ptx, line, b.operands[1]);
    if (!first || !first->is("mad.lo.s32") || first->operands[2] != a.operands[2] ||
        a.operands[2] != b.operands[2] || !own || !own->is("add.s32") ||
        own->operands[1] != a.operands[1])
      return false;
    const PtxInstruction *ofKey = writerOf(ptx, line, first->operands[3]);
    const PtxInstruction *rest =
        ofKey && ofKey->is("mul.lo.s32") ? writerOf(ptx, line, ofKey->operands[1]) : nullptr;
    const std::string keyHeads = rest ? divisorOf(*rest) : "";
    if (keyHeads.empty() ||
        !isBelow(own->operands[2], ofKey->operands[2], ptx.writers(line, b.operands[1])[0]))
      return false;
    const Expression *all = parameterOf(ptx, line, a.operands[2], facts);
    const Expression *keys = parameterOf(ptx, line, keyHeads, facts);
    const Expression *shared = parameterOf(ptx, line, ofKey->operands[2], facts);
    return all && keys && shared && isShare(*shared, *all, *keys);
  }
  static bool isShare(const Expression &shared, const Expression &all, const Expression &keys) {
    const Expression atLeastOne = Expression::make(Operator::Max, {keys, Expression(1)});
    return shared == Expression::make(Operator::FloorDiv, {all, keys}) ||
           shared == Expression::make(Operator::FloorDiv, {all, atLeastOne});
  }
  /// K, if the number is x - x / K * K, unsigned.
  std::string divisorOf(const PtxInstruction &rest) const {
    const PtxInstruction *product =
        rest.is("sub.s32") ? writerOf(ptx, line, rest.operands[2]) : nullptr;
    const PtxInstruction *quotient =
        product && product->is("mul.lo.s32") ? writerOf(ptx, line, product->operands[1]) : nullptr;
    const bool isSo = quotient && quotient->is("div.u32") &&
                      quotient->operands[1] == rest.operands[1] &&
                      quotient->operands[2] == product->operands[2];
    return isSo ? quotient->operands[2] : "";
  }
  /// Whether line `at` comes just after "t >= end: leave the loop", and t counts up from 0.
  bool isBelow(const std::string &t, const std::string &end, size_t at) const {
    const std::vector<size_t> &writers = ptx.writers(line, t);
    for (size_t each : writers) {
      const PtxInstruction &i = *ptx.instruction(each);
      if (!(i.is("mov.b32") && i.operands[1] == "0") &&
          !(i.is("add.s32") && i.operands[1] == t && i.operands[2] == "1"))
        return false;
    }
    bool hasLeft = false;
    std::string predicate;
    for (size_t before = at - 1; before > 0 && !ptx.lines()[before].starts_with("$"); --before) {
      const PtxInstruction *i = ptx.instruction(before);
      if (i && i->is("bra")) {
        if (hasLeft || !i->guard.starts_with("@%"))
          return false;
        hasLeft = true;
        predicate = i->guard.substr(1);
      }
      if (hasLeft && i && i->is("setp.ge.s32") && i->operands[0] == predicate)
        return !writers.empty() && i->operands[1] == t && i->operands[2] == end;
    }
    return false;
  }

  const PtxText &ptx;
  const size_t line;
  const ProgramFacts &facts;
};

} // namespace

bool areSameForHeads(const PtxText &ptx, size_t line, const std::string &a, const std::string &b,
                     const ProgramFacts &facts) {
  return Heads(ptx, line, facts).areSame(a, b);
}

} // namespace nysjit::conformance

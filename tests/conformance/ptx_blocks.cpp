// Block b of level l has number (2 b + 1) 2^l - 1 among all, and `step` rows. What is compared is
// number * step + rest, 0 <= rest < step, with 2 N * step: it is below if the number is at most
// 2 N - 1, and (2 b + 1) 2^l - 1 = 2 (b + 1) 2^l - 2^l - 1 is at most 2 N - 2 if (b + 1) 2^l is at
// most N. Of number -1 it is below 0. All of that is read from the instructions.
#include "tests/conformance/ptx_blocks.h"
#include "tests/conformance/ptx_rows.h"

namespace nysjit::conformance {

namespace {

/// A number times 2^l.
struct Scaled {
  const PtxInstruction *number;
  std::string name; // of the number
  std::string size; // 2^l, or l
  bool isLog;
  std::string added; // "" if nothing
};

class Blocks {
public:
  Blocks(const PtxText &ptx, size_t line, const ProgramFacts &facts)
      : ptx(ptx), line(line), facts(facts) {}

  bool isBelow(std::string row, const std::string &end) const {
    int64_t rest = 0;
    const PtxInstruction *i = writer(row);
    for (; i && i->is("add.s32") && isNumber(i->operands[2]); i = writer(i->operands[1]))
      rest += std::stoll(i->operands[2]);
    // number * step + start against 2 (N * step)
    const PtxInstruction *twice = writer(end);
    if (!i || !i->is("mad.lo.s32") || !twice || !twice->is("shl.b32") || twice->operands[2] != "1")
      return false;
    const PtxInstruction *all = writer(twice->operands[1]);
    const std::string &step = i->operands[2];
    return all && all->is("mul.lo.s32") && all->operands[2] == step &&
           isOfBlock(i->operands[1], all->operands[1]) && isWithin(i->operands[3], rest, step);
  }

private:
  const PtxInstruction *writer(const std::string &name) const { return writerOf(ptx, line, name); }

  /// -1, or the number of a block that ends by segment `count`.
  bool isOfBlock(const std::string &name, const std::string &count) const {
    const PtxInstruction *i = writer(name);
    bool isChosen = false;
    const PtxInstruction *test = nullptr;
    for (; i && i->is("selp.b32") && i->operands[2] == "-1"; i = writer(i->operands[1])) {
      isChosen = true;
      const PtxInstruction *choice = writer(i->operands[3]);
      if (choice && choice->is("setp.le.s32") && choice->operands[2] == count)
        test = choice;
    }
    if (!isChosen || !test || !i)
      return false;
    const PtxInstruction *last = writer(test->operands[1]);
    return last && (isPair(*i, *last, /*isLog=*/false) || isPair(*i, *last, /*isLog=*/true));
  }

  /// Whether `number` is (2 b + 1) 2^l - 1, and `last` (b + 1) 2^l.
  bool isPair(const PtxInstruction &number, const PtxInstruction &last, bool isLog) const {
    const PtxInstruction *product = &number;
    std::string block;
    std::string size;
    if (isLog) {
      product =
          number.is("add.s32") && number.operands[2] == "-1" ? writer(number.operands[1]) : nullptr;
      const PtxInstruction *next = last.is("shl.b32") ? writer(last.operands[1]) : nullptr;
      if (!product || !product->is("shl.b32") || !next || !next->is("add.s32") ||
          next->operands[2] != "1")
        return false;
      block = next->operands[1];
      size = last.operands[2];
    } else {
      if (!number.is("mad.lo.s32") || number.operands[3] != "-1" || !last.is("mad.lo.s32") ||
          last.operands[1] != last.operands[3])
        return false;
      block = last.operands[2];
      size = last.operands[1];
    }
    const PtxInstruction *odd = writer(product->operands[1]);
    const PtxInstruction *twice =
        odd && odd->is("or.b32") && odd->operands[2] == "1" ? writer(odd->operands[1]) : nullptr;
    return twice && twice->is("shl.b32") && twice->operands[2] == "1" &&
           twice->operands[1] == block && product->operands[2] == size &&
           isOneOfConstants(size, isLog ? 0 : 1, isLog ? 16 : 1 << 16);
  }
  /// Chosen among constants from `least` to `most`.
  bool isOneOfConstants(const std::string &name, int64_t least, int64_t most) const {
    if (isNumber(name))
      return std::stoll(name) >= least && std::stoll(name) <= most;
    const PtxInstruction *i = writer(name);
    return i && i->is("selp.b32") && isOneOfConstants(i->operands[1], least, most) &&
           isOneOfConstants(i->operands[2], least, most);
  }

  /// Whether start + rest is at least 0 and below `step`: start = (x mod heads) * probes, where a
  /// block has heads * probes rows, and rest is less than probes.
  bool isWithin(const std::string &start, int64_t rest, const std::string &step) const {
    const PtxInstruction *product = writer(start);
    if (!product || !isNumber(product->operands.back()))
      return false;
    const int64_t constant = std::stoll(product->operands[2]);
    const bool isShift = product->is("shl.b32") && constant >= 0 && constant < 8;
    if (!isShift && !product->is("mul.lo.s32"))
      return false;
    const int64_t probes = isShift ? int64_t(1) << constant : constant;
    const std::string heads = divisorOf(product->operands[1]);
    const Expression *of = heads.empty() ? nullptr : parameterOf(ptx, line, heads, facts);
    const Expression *rows = parameterOf(ptx, line, step, facts);
    return of && rows && rest >= 0 && rest < probes &&
           (*rows == Expression::make(Operator::Mul, {*of, Expression(probes)}) ||
            *rows == Expression::make(Operator::Mul, {Expression(probes), *of}));
  }
  /// heads, if the number is x - x / heads * heads, unsigned.
  std::string divisorOf(const std::string &name) const {
    const PtxInstruction *rest = writer(name);
    const PtxInstruction *product =
        rest && rest->is("sub.s32") ? writer(rest->operands[2]) : nullptr;
    const PtxInstruction *quotient =
        product && product->is("mul.lo.s32") ? writer(product->operands[1]) : nullptr;
    const bool isSo = quotient && quotient->is("div.u32") &&
                      quotient->operands[1] == rest->operands[1] &&
                      quotient->operands[2] == product->operands[2];
    return isSo ? quotient->operands[2] : "";
  }

  const PtxText &ptx;
  const size_t line;
  const ProgramFacts &facts;
};

} // namespace

bool isRowOfCompleteBlock(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts) {
  const PtxInstruction *i = ptx.instruction(mutation.line);
  return mutation.kind == "bound off by one" && (i->is("setp.lt.u32") || i->is("setp.ge.u32")) &&
         Blocks(ptx, mutation.line, facts).isBelow(i->operands[1], i->operands[2]);
}

} // namespace nysjit::conformance

// The columns' ends are computed for every number of segments.
#include "tests/conformance/ptx_columns.h"
#include "tests/conformance/ptx_rows.h"

#include <algorithm>

namespace nysjit::conformance {

namespace {

/// Registers that follow from one number alone, which does not change: of segments where there are
/// rows, else 0.
class OfSegments : public FollowingNumbers {
public:
  using FollowingNumbers::FollowingNumbers;

  void begin(uint32_t of) {
    segments = of;
    forget();
  }

private:
  std::optional<uint32_t> result(const PtxInstruction &i) override {
    if (i.is("selp.b32") && i.operands[2] == "0" && !isNumber(i.operands[1])) {
      if (number.empty() && !isInLoop(ptx, ptx.writers(line, i.operands[0])[0]))
        number = i.operands[0];
      return number == i.operands[0] ? std::optional(segments) : std::nullopt;
    }
    if (i.operands.size() != 3)
      return std::nullopt;
    const std::optional<uint32_t> a = value(i.operands[1]);
    const std::optional<uint32_t> b = a ? value(i.operands[2]) : std::nullopt;
    if (!b)
      return std::nullopt;
    if (i.is("add.s32"))
      return *a + *b;
    if (i.is("sub.s32"))
      return *a - *b;
    if (i.is("max.s32") || i.is("min.s32"))
      return (int32_t(*a) < int32_t(*b)) == i.is("min.s32") ? a : b;
    if ((i.is("shl.b32") || i.is("shr.u32")) && *b < 32)
      return i.is("shl.b32") ? *a << *b : *a >> *b;
    return std::nullopt;
  }

  uint32_t segments = 0;
  std::string number; // the register that holds it
};

/// What becomes of a number.
class Followed {
public:
  Followed(const PtxText &ptx, size_t line) : ptx(ptx), line(line) {}

  /// Whether all that follows from `name` is chosen by one predicate, -1 instead; which one.
  std::optional<std::string> chooserOf(const std::string &name) {
    return isChosen(name) && !chooser.empty() ? std::optional(chooser) : std::nullopt;
  }

private:
  bool isChosen(const std::string &name) {
    if (!seen.insert(name).second)
      return true;
    return writerOf(ptx, line, name) &&
           std::ranges::all_of(ptx.instructions(), [&](const auto &each) {
             const auto &[at, i] = each;
             return ptx.kernel(at) != ptx.kernel(line) || isHarmless(i, name);
           });
  }
  bool isHarmless(const PtxInstruction &i, const std::string &name) {
    const auto reads = [&](const std::string &text) {
      for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1))
        if (at + name.size() == text.size() || !std::isdigit(text[at + name.size()]))
          return true;
      return false;
    };
    if (reads(i.guard))
      return false;
    const auto from = i.operands.begin() + (i.is("st.") || i.is("red.") ? 0 : 1);
    if (i.operands.empty() ||
        std::none_of(std::min(from, i.operands.end()), i.operands.end(), reads))
      return i.operands.empty() || i.operands[0][0] != '[' || !reads(i.operands[0]);
    if (i.opcode == "selp.b32" && i.operands[2] == "-1" && i.operands[1] == name &&
        i.operands[3] != name) {
      chooser = chooser.empty() ? i.operands[3] : chooser;
      return chooser == i.operands[3];
    }
    static const std::set<std::string> sums = {"selp.b32", "add.s32", "sub.s32",
                                               "shl.b32",  "shr.u32", "or.b32"};
    return sums.contains(i.opcode) && isChosen(i.operands[0]);
  }

  const PtxText &ptx;
  const size_t line;
  std::set<std::string> seen;
  std::string chooser;
};

/// Whether both lines run one after the other, and what they compare is not written between them.
bool areTogether(const PtxText &ptx, size_t a, size_t b, const std::string &compared) {
  const auto [begin, end] = std::minmax(a, b);
  for (size_t line = begin; line < end; ++line) {
    const PtxInstruction *i = ptx.instruction(line);
    if (ptx.lines()[line].starts_with("$") || (i && (i->is("bra") || i->is("ret"))))
      return false;
    if (i && !i->operands.empty() && i->operands[0] == compared)
      return false;
  }
  return true;
}

} // namespace

bool isNeverTheFirstOfALevel(const PtxText &ptx, const Mutation &mutation,
                             const ProgramFacts &facts) {
  const size_t line = mutation.line;
  const PtxInstruction &i = *ptx.instruction(line);
  if (mutation.kind != "bound off by one" || !(i.is("setp.lt.s32") || i.is("setp.ge.s32")) ||
      !ptx.kernel(line).starts_with("causal_output"))
    return false;
  const std::optional<std::string> chooser = Followed(ptx, line).chooserOf(i.operands[0]);
  const PtxInstruction *there = chooser ? writerOf(ptx, line, *chooser) : nullptr;
  const std::string &column = i.operands[1];
  if (!there || !there->is("setp.lt.s32") || there->operands[1] != column ||
      ptx.writers(line, column).size() != 1 ||
      !areTogether(ptx, line, ptx.writers(line, *chooser)[0], column))
    return false;
  const KnownValues &values = facts.values[0][0];
  if (!values.isReached(line))
    return false;
  const KnownBits bits = values.before(line, column);
  constexpr uint32_t most = 1 << 14; // more segments than a test has positions
  OfSegments of(ptx, line);
  for (uint32_t segments = 0; segments < most; ++segments) {
    of.begin(segments);
    const std::optional<uint32_t> begin = of.value(i.operands[2]);
    const std::optional<uint32_t> end = begin ? of.value(there->operands[2]) : std::nullopt;
    if (!end || (*begin != *end && !bits.differsFrom(KnownBits::of(*begin))))
      return false;
  }
  return true;
}

} // namespace nysjit::conformance

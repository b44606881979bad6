// Where loops begin and end is computed from a tile's first row and the sequence's length.
#include "tests/conformance/ptx_tile_loops.h"
#include "tests/conformance/ptx_heads.h"
#include "tests/conformance/ptx_rows.h"

#include <algorithm>
#include <map>

namespace nysjit::conformance {

std::vector<size_t> waysFrom(const PtxText &ptx, size_t line) {
  const PtxInstruction *i = ptx.instruction(line);
  std::vector<size_t> ways;
  if (i && i->is("bra"))
    ways.push_back(ptx.label(line, i->operands[0]));
  if (!i || !(i->is("bra") || i->is("ret")) || !i->guard.empty())
    ways.push_back(line + 1);
  return ways;
}

namespace {

/// All lines that ways lead to from those after `from`, none of them further than `barriers`.
std::set<size_t> reachedFrom(const PtxText &ptx, size_t from, const std::set<size_t> &barriers) {
  std::set<size_t> reached;
  std::vector<size_t> open = {from};
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    for (size_t way : waysFrom(ptx, at))
      if (way < ptx.lines().size() && ptx.kernel(way) == ptx.kernel(from) &&
          reached.insert(way).second && !barriers.contains(way))
        open.push_back(way);
  }
  return reached;
}

/// Which of a register's writers `line` sees, if only one can be: the others are copies that end
/// the turns of another loop.
std::optional<size_t> onlyWriterSeenAt(const PtxText &ptx, size_t line, const std::string &name,
                                       std::optional<size_t> except = {}) {
  std::vector<size_t> writers = ptx.writers(line, name);
  std::erase_if(writers, [&](size_t at) { return at == except; });
  std::vector<size_t> seen;
  for (size_t writer : writers) {
    std::set<size_t> others(writers.begin(), writers.end());
    if (except)
      others.insert(*except);
    others.erase(writer);
    if (reachedFrom(ptx, writer, others).contains(line))
      seen.push_back(writer);
  }
  return seen.size() == 1 ? std::optional(seen[0]) : std::nullopt;
}

/// Of the loop: from where ways lead to its end without its top.
std::set<size_t> linesBetween(const PtxText &ptx, size_t top, size_t latch) {
  std::map<size_t, std::vector<size_t>> before;
  for (size_t line = 0; line < ptx.lines().size(); ++line)
    if (ptx.kernel(line) == ptx.kernel(top))
      for (size_t way : waysFrom(ptx, line))
        before[way].push_back(line);
  std::set<size_t> lines = {top, latch};
  std::vector<size_t> open = {latch};
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    for (size_t line : before[at])
      if (lines.insert(line).second)
        open.push_back(line);
  }
  return lines;
}

//===- Number of turns ------------------------------------------------------------------------===//

/// Numbers that follow from a tile's first row and the length of the sequence.
class OfTile : public FollowingNumbers {
public:
  OfTile(const PtxText &ptx, size_t line, const ProgramFacts &facts)
      : FollowingNumbers(ptx, line), facts(facts) {}
  void begin(uint32_t itsRow, uint32_t itsLength) {
    row = itsRow;
    length = itsLength;
    forget();
  }
  std::optional<uint32_t> written(size_t by) { return result(*ptx.instruction(by)); }

private:
  bool isWrittenBy(const std::string &name, const char *opcode) const {
    const PtxInstruction *i = writerOf(ptx, line, name);
    return i && i->is(opcode);
  }
  /// What headOf() gives, for one head or another.
  bool isLength(const PtxInstruction &i) {
    if (!i.is("min.s32") || writerOf(ptx, line, i.operands[0]) != &i)
      return false;
    const auto [known, isNew] = lengths.try_emplace(i.operands[0]);
    if (isNew)
      known->second = isLengthOfHead(i);
    return known->second;
  }
  bool isLengthOfHead(const PtxInstruction &i) {
    const PtxInstruction *own = writerOf(ptx, line, i.operands[1]);
    const PtxInstruction *most = own ? writerOf(ptx, line, i.operands[2]) : nullptr;
    if (!most || !own->is("max.s32") || own->operands[2] != "0" || !most->is("min.s32") ||
        !isWrittenBy(own->operands[1], "selp.b32") ||
        !isWrittenBy(most->operands[1], "ld.param.b32") ||
        !isWrittenBy(most->operands[2], "sub.s32"))
      return false;
    lengthsName = lengthsName.empty() ? i.operands[0] : lengthsName;
    return lengthsName == i.operands[0] ||
           areSameForHeads(ptx, line, lengthsName, i.operands[0], facts) ||
           areSameForHeads(ptx, line, i.operands[0], lengthsName, facts);
  }
  /// 32 rows a tile; only one register is taken for it.
  bool isFirstRow(const PtxInstruction &i) {
    if (!i.is("shl.b32") || i.operands[2] != "5" || !isWrittenBy(i.operands[1], "div.u32"))
      return false;
    rowsName = rowsName.empty() ? i.operands[0] : rowsName;
    return rowsName == i.operands[0];
  }
  std::optional<uint32_t> result(const PtxInstruction &i) override {
    if (isLength(i))
      return length;
    if (isFirstRow(i))
      return row;
    if (i.is("mov.b32"))
      return i.guard.empty() ? value(i.operands[1]) : std::nullopt;
    if (i.operands.size() < 3 || !i.guard.empty())
      return std::nullopt;
    const std::optional<uint32_t> a = value(i.operands[1]);
    const std::optional<uint32_t> b = a ? value(i.operands[2]) : std::nullopt;
    if (!b)
      return std::nullopt;
    if (i.is("selp.b32")) {
      const std::optional<uint32_t> chooses = value(i.operands[3]);
      return chooses ? *chooses ? a : b : std::nullopt;
    }
    if (i.is("setp.lt.s32"))
      return int32_t(*a) < int32_t(*b);
    if (i.is("max.s32") || i.is("min.s32"))
      return (int32_t(*a) < int32_t(*b)) == i.is("min.s32") ? a : b;
    if ((i.is("shl.b32") || i.is("shr.u32")) && *b < 32)
      return i.is("shl.b32") ? *a << *b : *a >> *b;
    return i.is("add.s32")   ? std::optional(*a + *b)
           : i.is("sub.s32") ? std::optional(*a - *b)
           : i.is("or.b32")  ? std::optional(*a | *b)
           : i.is("and.b32") ? std::optional(*a & *b)
                             : std::nullopt;
  }

  const ProgramFacts &facts;
  uint32_t row = 0;
  uint32_t length = 0;
  std::string rowsName;
  std::string lengthsName;
  std::map<std::string, bool> lengths; // by register
};

} // namespace

std::optional<TileLoop> loopAt(const PtxText &ptx, size_t test) {
  const PtxInstruction *i = ptx.instruction(test);
  if (!i || !i->is("setp.ge.s32") || isNumber(i->operands[2]) || test == 0 ||
      !ptx.lines()[test - 1].starts_with("$") || ptx.writers(test, i->operands[1]).size() != 2)
    return std::nullopt;
  const std::string &index = i->operands[1];
  for (size_t latch : ptx.writers(test, index)) {
    const PtxInstruction &copy = *ptx.instruction(latch);
    if (!copy.is("mov.b32"))
      continue;
    const PtxInstruction *add = writerOf(ptx, test, copy.operands[1]);
    if (!add || !add->is("add.s32") || add->operands[1] != index || !isNumber(add->operands[2]))
      continue;
    TileLoop loop{test - 1, test, 0, latch, 0, copy.operands[1], 0, {}, {}};
    loop.step = uint32_t(std::stoll(add->operands[2]));
    loop.lines = linesBetween(ptx, loop.top, latch);
    loop.early = reachedFrom(ptx, loop.top, {ptx.writers(test, loop.following)[0], loop.top});
    const std::optional<size_t> begin = onlyWriterSeenAt(ptx, test, index, latch);
    const std::optional<size_t> end = onlyWriterSeenAt(ptx, test, i->operands[2]);
    if (!begin || !end || loop.step == 0 || loop.lines.contains(*begin) ||
        loop.early.contains(latch) || !copy.guard.empty() ||
        std::ranges::any_of(ptx.writers(test, i->operands[2]),
                            [&](size_t at) { return loop.lines.contains(at); }))
      return std::nullopt;
    loop.begin = *begin;
    loop.end = *end;
    return loop;
  }
  return std::nullopt;
}

std::optional<uint32_t> turnsOf(const PtxText &ptx, const TileLoop &loop,
                                const ProgramFacts &facts) {
  constexpr uint32_t few = 2;
  uint32_t most = 0;
  OfTile of(ptx, loop.test, facts);
  // False where the number is not known, or not small.
  const auto isFew = [&](uint32_t row, uint32_t length) {
    of.begin(row, length);
    const std::optional<uint32_t> begin = of.written(loop.begin);
    const std::optional<uint32_t> end = begin ? of.written(loop.end) : std::nullopt;
    uint32_t turns = 0;
    while (end && turns <= few && int32_t(*begin + turns * loop.step) < int32_t(*end))
      ++turns;
    most = std::max(most, turns);
    return end && turns <= few;
  };
  // The first tiles, and some so far on that no constant of the kernel lies beyond.
  for (uint32_t row : {0u, 32u, 64u, 96u, 128u, 1u << 10, 1u << 14, 1u << 20}) {
    if (!isFew(row, 0) || !isFew(row, 1u << 28))
      return std::nullopt;
    for (uint32_t length = row < 64 ? 0 : row - 64; length <= row + 160; ++length)
      if (!isFew(row, length))
        return std::nullopt;
  }
  return most;
}

} // namespace nysjit::conformance

// The bits by a forward walk over blocks until nothing changes.
#include "tests/conformance/ptx_values.h"

#include <algorithm>
#include <bit>
#include <deque>

namespace nysjit::conformance {

namespace {

std::optional<uint32_t> constantOf(const std::string &operand) {
  if (operand.empty() || operand.find_first_not_of("-0123456789") != std::string::npos)
    return std::nullopt;
  return uint32_t(std::stoll(operand));
}

/// What both have.
KnownBits both(const KnownBits &a, const KnownBits &b) {
  return {a.zeros & b.zeros, a.ones & b.ones};
}

KnownBits atMost(KnownBits bits, uint64_t most) {
  if (most < (uint64_t(1) << 32))
    bits.zeros |= most ? ~(~0u >> std::countl_zero(uint32_t(most))) : ~0u;
  return bits;
}

/// A bit of a sum is known where the two are and what is carried there: what the largest and the
/// smallest numbers carry.
KnownBits sum(const KnownBits &a, const KnownBits &b) {
  const uint32_t most = a.most() + b.most();
  const uint32_t least = a.least() + b.least();
  const uint32_t carriesNot = ~(most ^ a.zeros ^ b.zeros);
  const uint32_t carries = least ^ a.ones ^ b.ones;
  const uint32_t known = (a.zeros | a.ones) & (b.zeros | b.ones) & (carriesNot | carries);
  const KnownBits bits = {~most & known, least & known};
  return atMost(bits, uint64_t(a.most()) + b.most());
}

KnownBits product(const KnownBits &a, const KnownBits &b) {
  if (a.isWhole() && b.isWhole())
    return KnownBits::of(a.ones * b.ones);
  const int low = std::min(31, std::countr_one(a.zeros) + std::countr_one(b.zeros));
  return atMost({(1u << low) - 1, 0}, uint64_t(a.most()) * b.most());
}

KnownBits shifted(const KnownBits &a, uint32_t count, bool isLeft) {
  if (count > 31)
    return KnownBits::of(0);
  return isLeft ? KnownBits{(a.zeros << count) | ((1u << count) - 1), a.ones << count}
                : KnownBits{~(~a.zeros >> count), a.ones >> count};
}

/// a < b, if it is known.
std::optional<bool> isLess(const KnownBits &a, const KnownBits &b, bool isSigned) {
  constexpr uint32_t sign = 0x80000000;
  if (isSigned && !((a.zeros & sign) && (b.zeros & sign))) {
    if ((a.ones & b.zeros & sign) || (a.zeros & b.ones & sign))
      return (a.ones & sign) != 0;
    if (!(a.ones & b.ones & sign))
      return std::nullopt;
  }
  if (a.most() < b.least())
    return true;
  return a.least() >= b.most() ? std::optional(false) : std::nullopt;
}

KnownBits truth(std::optional<bool> value) {
  return value ? KnownBits::of(*value) : KnownBits{~1u, 0};
}

std::vector<std::string> registersIn(const std::string &operand) {
  std::vector<std::string> names;
  for (size_t at = operand.find('%'); at != std::string::npos; at = operand.find('%', at + 1))
    names.push_back(operand.substr(at, operand.find_first_of(", }+]|", at) - at));
  return names;
}

} // namespace

//===- Instructions ---------------------------------------------------------------------------===//

int KnownValues::numberOf(const std::string &name) const {
  const auto known = registers.find(name);
  return known == registers.end() ? -1 : known->second;
}

KnownBits KnownValues::read(const State &state, const std::string &operand) const {
  if (const std::optional<uint32_t> constant = constantOf(operand))
    return KnownBits::of(*constant);
  if (operand == "%tid.x")
    return atMost({}, threads - 1);
  const int number = numberOf(operand);
  return number < 0 ? KnownBits() : state[size_t(number)];
}

void KnownValues::write(State &state, const std::string &name, const KnownBits &bits) const {
  if (const int number = numberOf(name); number >= 0)
    state[size_t(number)] = bits;
}

KnownBits KnownValues::comparison(const State &state, const PtxInstruction &i) const {
  const std::string operation = i.opcode.substr(5, 2);
  const std::string type = i.opcode.substr(i.opcode.rfind('.') + 1);
  KnownBits a = read(state, i.operands[1]);
  KnownBits b = read(state, i.operands[2]);
  if (operation == "eq" || operation == "ne") {
    if (type != "b32" && type != "s32" && type != "u32")
      return truth(std::nullopt);
    if (a.differsFrom(b))
      return truth(operation == "ne");
    return a.isWhole() && a == b ? truth(operation == "eq") : truth(std::nullopt);
  }
  if (type != "u32" && type != "s32")
    return truth(std::nullopt);
  // a > b: b < a; a >= b: not a < b
  const bool isSwapped = operation == "gt" || operation == "le";
  const bool isNegated = operation == "ge" || operation == "le";
  std::string left = i.operands[1];
  std::string right = i.operands[2];
  if (isSwapped) {
    std::swap(a, b);
    std::swap(left, right);
  }
  std::optional<bool> less = isLess(a, b, type == "s32");
  if (assumption && assumption->type == type && assumption->a == left && assumption->b == right)
    less = assumption->isLess;
  return truth(less ? std::optional(*less != isNegated) : less);
}

/// Of the first operand.
KnownBits KnownValues::result(const State &state, const PtxInstruction &i) const {
  auto operand = [&](size_t number) { return read(state, i.operands[number]); };
  const std::optional<uint32_t> constant =
      i.operands.size() > 2 ? constantOf(i.operands[2]) : std::nullopt;
  const std::string &name = i.opcode;
  if (name == "mov.b32" || name == "mov.u32" || name == "mov.pred" || name == "cvt.u64.u32" ||
      name == "cvt.s64.s32" || name == "cvt.u32.u64" || name == "shfl.sync.idx.b32")
    return operand(1);
  if ((name == "shl.b32" || name == "shr.u32") && constant)
    return shifted(operand(1), *constant, name == "shl.b32");
  if (name == "bfe.u32" && constant && constantOf(i.operands[3]))
    return atMost(shifted(operand(1), *constant, false),
                  (uint64_t(1) << *constantOf(i.operands[3])) - 1);
  if (name == "and.b32" || name == "and.pred")
    return {operand(1).zeros | operand(2).zeros, operand(1).ones & operand(2).ones};
  if (name == "or.b32" || name == "or.pred")
    return {operand(1).zeros & operand(2).zeros, operand(1).ones | operand(2).ones};
  if (name == "xor.b32" || name == "xor.pred") {
    const KnownBits a = operand(1);
    const KnownBits b = operand(2);
    return {(a.zeros & b.zeros) | (a.ones & b.ones), (a.zeros & b.ones) | (a.ones & b.zeros)};
  }
  if (name == "not.pred")
    return {operand(1).ones | ~1u, operand(1).zeros & 1};
  if (name == "add.s32")
    return sum(operand(1), operand(2));
  if (name == "mul.lo.s32")
    return product(operand(1), operand(2));
  if (name == "mad.lo.s32")
    return sum(product(operand(1), operand(2)), operand(3));
  if (name == "min.s32" || name == "max.s32") {
    const std::optional<bool> less = isLess(operand(1), operand(2), true);
    return less ? operand(*less == (name == "min.s32") ? 1 : 2) : both(operand(1), operand(2));
  }
  if (name == "selp.b32") {
    const KnownBits chooses = operand(3);
    return chooses.ones & 1    ? operand(1)
           : chooses.zeros & 1 ? operand(2)
                               : both(operand(1), operand(2));
  }
  if (name.starts_with("setp."))
    return comparison(state, i);
  return {};
}

void KnownValues::execute(State &state, size_t line) const {
  if (!ptx->instruction(line))
    return;
  const PtxInstruction &i = *ptx->instruction(line);
  if (i.operands.empty() || i.is("st.") || i.is("bra") || i.is("red."))
    return;
  const std::vector<std::string> names = registersIn(i.operands[0]);
  if (i.operands[0][0] == '[')
    return;
  for (const std::string &name : names) {
    const KnownBits bits = names.size() == 1 ? result(state, i) : KnownBits();
    write(state, name, i.guard.empty() ? bits : both(bits, read(state, name)));
  }
}

//===- Ways -----------------------------------------------------------------------------------===//

std::vector<size_t> KnownValues::next(size_t line, const State &state) const {
  const PtxInstruction *i = ptx->instruction(line);
  if (i && i->is("ret") && i->guard.empty())
    return {};
  if (!i || !i->is("bra"))
    return {line + 1};
  const size_t target = ptx->label(line, i->operands[0]);
  if (i->guard.empty())
    return {target};
  const bool isNegated = i->guard[1] == '!';
  const KnownBits bits = read(state, i->guard.substr(isNegated ? 2 : 1));
  std::vector<size_t> ways;
  if (!((isNegated ? bits.ones : bits.zeros) & 1))
    ways.push_back(target);
  if (!((isNegated ? bits.zeros : bits.ones) & 1))
    ways.push_back(line + 1);
  return ways;
}

bool KnownValues::meet(State &state, const State &other) {
  bool isLess = false;
  for (size_t i = 0; i < state.size(); ++i) {
    const KnownBits bits = both(state[i], other[i]);
    isLess |= !(bits == state[i]);
    state[i] = bits;
  }
  return isLess;
}

void KnownValues::findBlocks(const std::string &kernel) {
  for (size_t line = 0; line < ptx->lines().size(); ++line) {
    if (ptx->kernel(line) != kernel)
      continue;
    if (blocks.empty())
      blocks.insert(line);
    if (const size_t at = ptx->lines()[line].find(".reqntid "); at != std::string::npos)
      threads = uint32_t(std::stoul(ptx->lines()[line].substr(at + 9)));
    const PtxInstruction *i = ptx->instruction(line);
    if (!i)
      continue;
    for (const std::string &operand : i->operands)
      for (const std::string &name : registersIn(operand))
        registers.try_emplace(name, int(registers.size()));
    if (i->is("bra")) {
      blocks.insert({ptx->label(line, i->operands[0]), line + 1});
    }
  }
}

size_t KnownValues::blockOf(size_t line) const { return *std::prev(blocks.upper_bound(line)); }

void KnownValues::solve() {
  const size_t first = *blocks.begin();
  atBlocks[first] = State(registers.size());
  std::set<size_t> open = {first};
  while (!open.empty()) {
    const size_t block = *open.begin();
    open.erase(open.begin());
    State state = atBlocks[block];
    auto arrive = [&](size_t at) {
      const auto [known, isNew] = atBlocks.try_emplace(at, state);
      if (isNew || meet(known->second, state))
        open.insert(at);
    };
    for (size_t line = block;; ++line) {
      const std::vector<size_t> ways = next(line, state);
      execute(state, line);
      if (ways.size() == 1 && ways[0] == line + 1 && !blocks.contains(line + 1) &&
          line + 1 < ptx->lines().size())
        continue;
      for (size_t way : ways)
        if (way < ptx->lines().size())
          arrive(way);
      break;
    }
  }
}

KnownValues::KnownValues(const PtxText &text, const std::string &kernel,
                         std::optional<Assumption> assumed)
    : ptx(&text), assumption(std::move(assumed)) {
  findBlocks(kernel);
  solve();
}

KnownValues::State KnownValues::stateBefore(size_t line) const {
  const size_t block = blockOf(line);
  State state = atBlocks.at(block);
  for (size_t at = block; at < line; ++at)
    execute(state, at);
  return state;
}

KnownBits KnownValues::before(size_t line, const std::string &operand) const {
  return read(stateBefore(line), operand);
}

std::optional<bool> KnownValues::predicate(size_t line, const std::string &name) const {
  const KnownBits bits = before(line, name);
  return bits.ones & 1 ? std::optional(true) : bits.zeros & 1 ? std::optional(false) : std::nullopt;
}

//===- Alternatives ---------------------------------------------------------------------------===//

bool isInLoop(const PtxText &ptx, size_t line) {
  std::deque<size_t> places = {line};
  std::set<size_t> seen;
  for (; !places.empty(); places.pop_front()) {
    const PtxInstruction *i = ptx.instruction(places.front());
    std::vector<size_t> next;
    if (i && i->is("bra"))
      next.push_back(ptx.label(places.front(), i->operands[0]));
    if (!i || !(i->is("ret") || (i->is("bra") && i->guard.empty())))
      next.push_back(places.front() + 1);
    for (size_t at : next) {
      if (at == line)
        return true;
      if (at < ptx.lines().size() && seen.insert(at).second)
        places.push_back(at);
    }
  }
  return false;
}

std::vector<Alternatives> alternativesOf(const PtxText &ptx, const std::string &kernel) {
  std::vector<Alternatives> all;
  all.push_back({KnownValues(ptx, kernel)});
  std::set<std::string> known;
  auto isFixed = [&](size_t line, const std::string &operand) {
    const std::vector<size_t> &writers = ptx.writers(line, operand);
    return constantOf(operand) || (writers.size() == 1 && !isInLoop(ptx, writers[0]));
  };
  for (const auto &[line, select] : ptx.instructions()) {
    if (ptx.kernel(line) != kernel || !select.is("selp.b32") || !constantOf(select.operands[1]) ||
        !constantOf(select.operands[2]) || select.operands[1] == "16")
      continue;
    const std::vector<size_t> &tests = ptx.writers(line, select.operands[3]);
    const PtxInstruction *test = tests.size() == 1 ? ptx.instruction(tests[0]) : nullptr;
    if (!test || !(test->is("setp.lt.") || test->is("setp.ge.")) ||
        !isFixed(line, test->operands[1]) || !isFixed(line, test->operands[2]))
      continue;
    Assumption less = {test->opcode.substr(8), test->operands[1], test->operands[2], true};
    if (!known.insert(less.type + less.a + "<" + less.b).second)
      continue;
    Assumption notLess = less;
    notLess.isLess = false;
    all.push_back({KnownValues(ptx, kernel, less), KnownValues(ptx, kernel, notLess)});
  }
  return all;
}

} // namespace nysjit::conformance

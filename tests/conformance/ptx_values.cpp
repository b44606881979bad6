// The bits by a forward walk over blocks until nothing changes.
#include "tests/conformance/ptx_values.h"

#include <bit>
#include <deque>

namespace nysjit::conformance {

namespace {

std::optional<uint32_t> constantOf(const std::string &operand) {
  if (operand.empty() || operand.find_first_not_of("-0123456789") != std::string::npos)
    return std::nullopt;
  return uint32_t(std::stoll(operand));
}

KnownValues::Known both(const KnownValues::Known &a, const KnownValues::Known &b) {
  return {both(a.bits, b.bits), a.term == b.term ? a.term : Terms::unknown};
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
  return number < 0 ? KnownBits() : state[size_t(number)].bits;
}

int KnownValues::term(const State &state, const std::string &operand) const {
  if (const std::optional<uint32_t> constant = constantOf(operand))
    return terms->constant(*constant);
  const int number = numberOf(operand);
  return number < 0 ? Terms::unknown : state[size_t(number)].term;
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
    if (const int same = term(state, i.operands[1]);
        same != Terms::unknown && same == term(state, i.operands[2]))
      return truth(operation == "eq");
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
  const int leftTerm = term(state, left);
  if (leftTerm != Terms::unknown && leftTerm == term(state, right))
    less = false;
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
    const std::optional<bool> less = firstIsLess(operand(1), operand(2));
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

/// That the two numbers of the assumption are, where they are known.
std::optional<Terms::Less> KnownValues::knownOrder(const State &state) const {
  if (!assumption || assumption->type != "s32" || !assumption->isLess)
    return std::nullopt;
  const Terms::Less less = {term(state, assumption->a), term(state, assumption->b)};
  const bool isKnown = less.first != Terms::unknown && less.second != Terms::unknown;
  return isKnown ? std::optional(less) : std::nullopt;
}

int KnownValues::resultTerm(const State &state, const PtxInstruction &i) const {
  auto operand = [&](size_t number) { return term(state, i.operands[number]); };
  const std::optional<uint32_t> constant =
      i.operands.size() > 2 ? constantOf(i.operands[2]) : std::nullopt;
  const std::string &name = i.opcode;
  if (name == "mov.b32" || name == "mov.u32")
    return operand(1);
  if (name == "add.s32" || name == "sub.s32")
    return terms->sum(operand(1), operand(2), name == "add.s32" ? 1 : ~0u);
  if (name == "shl.b32" && constant && *constant < 32)
    return terms->sum(terms->constant(0), operand(1), 1u << *constant);
  if (name == "shr.u32" && constant && *constant > 0 && *constant < 32)
    return terms->shiftedRight(operand(1), int(*constant), knownOrder(state));
  if (name == "and.b32" && constant && std::has_single_bit(uint64_t(*constant) + 1) && *constant)
    return terms->lowBits(operand(1), std::countr_one(*constant));
  if (name == "mul.lo.s32")
    return terms->product(operand(1), operand(2));
  if (name == "mad.lo.s32")
    return terms->sum(terms->product(operand(1), operand(2)), operand(3));
  if (name == "min.s32" || name == "max.s32") {
    const bool isMin = name == "min.s32";
    if (const auto less = firstIsLess(read(state, i.operands[1]), read(state, i.operands[2])))
      return operand(*less == isMin ? 1 : 2);
    return isMin ? terms->smaller(operand(1), operand(2)) : terms->larger(operand(1), operand(2));
  }
  if (name == "selp.b32") {
    const KnownBits chooses = read(state, i.operands[3]);
    return chooses.ones & 1           ? operand(1)
           : chooses.zeros & 1        ? operand(2)
           : operand(1) == operand(2) ? operand(1)
                                      : Terms::unknown;
  }
  return Terms::unknown;
}

KnownValues::Known KnownValues::known(const State &state, const PtxInstruction &i, size_t line,
                                      const std::string &name) const {
  const bool isOnly = registersIn(i.operands[0]).size() == 1;
  Known all;
  if (isOnly)
    all.bits = result(state, i);
  if (!name.starts_with("%r") || name.starts_with("%rd"))
    return all; // terms are of 32 bits
  if (all.bits.isWhole())
    all.term = terms->constant(all.bits.ones);
  else if (isOnly)
    all.term = resultTerm(state, i);
  // A name of its own, unless another number may come from the same line.
  if (all.term == Terms::unknown && !inLoops.contains(blockOf(line)))
    all.term = terms->named(std::to_string(line) + " " + name);
  if (const std::optional<uint32_t> value = terms->valueOf(all.term))
    all.bits = KnownBits::of(*value);
  return all;
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
  std::vector<Known> results;
  for (const std::string &name : names)
    results.push_back(known(state, i, line, name));
  for (size_t at = 0; at < names.size(); ++at) {
    const int number = numberOf(names[at]);
    if (number >= 0)
      state[size_t(number)] =
          i.guard.empty() ? results[at] : both(results[at], state[size_t(number)]);
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
    const Known known = both(state[i], other[i]);
    isLess |= !(known == state[i]);
    state[i] = known;
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

void KnownValues::findLoops() {
  std::map<size_t, std::set<size_t>> ways;
  for (auto block = blocks.begin(); block != blocks.end(); ++block) {
    const size_t end = std::next(block) == blocks.end() ? *block + 1 : *std::next(block);
    const PtxInstruction *last = nullptr; // a branch ends a block
    for (size_t line = *block; line < end; ++line)
      last = ptx->instruction(line) ? ptx->instruction(line) : last;
    if (last && last->is("bra"))
      ways[*block].insert(ptx->label(*block, last->operands[0]));
    if (!last || !last->is("bra") || !last->guard.empty())
      ways[*block].insert(end);
  }
  for (size_t block : blocks) {
    std::set<size_t> seen;
    std::deque<size_t> open = {block};
    for (; !open.empty(); open.pop_front())
      for (size_t way : ways[open.front()])
        if (seen.insert(way).second)
          open.push_back(way);
    if (seen.contains(block))
      inLoops.insert(block);
  }
}

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
  findLoops();
  solve();
}

KnownValues::State KnownValues::stateBefore(size_t line) const {
  const size_t block = blockOf(line);
  State state = atBlocks.at(block);
  for (size_t at = block; at < line; ++at)
    execute(state, at);
  return state;
}

void KnownValues::assume(State &state, const std::string &predicate, bool holds) const {
  state[size_t(numberOf(predicate))].bits = truth(holds);
}

KnownBits KnownValues::before(size_t line, const std::string &operand) const {
  return read(stateBefore(line), operand);
}

std::optional<bool> KnownValues::predicate(size_t line, const std::string &name) const {
  const KnownBits bits = before(line, name);
  return bits.ones & 1 ? std::optional(true) : bits.zeros & 1 ? std::optional(false) : std::nullopt;
}

} // namespace nysjit::conformance

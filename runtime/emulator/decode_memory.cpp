// ld, st, atom, red, cvta and what only hints.
#include "runtime/emulator/decoder.h"

namespace nysjit::emulator {

using syntax::Operand;
using Kind = Operand::Kind;

void Decoder::nothing() {
  left.clear();
  out.handler = executeNothing;
  // createpolicy's result is a 64-bit register that only hints take: leave it as it is.
}

void Decoder::loadStore() {
  bool store = text->opcode == "st";
  Type type = takeType();
  takeSpace();
  takeOrder();
  takeCacheHints();
  uint32_t count = take("v2") ? 2 : take("v4") ? 4 : take("v8") ? 8 : 1;
  if (type == Type::Pred || typeBytes(type) == 0 || typeBytes(type) > 8)
    return fail("the type ." + std::string(typeName(type)) + " is not supported");
  if (!expectOperands(2, 3)) // the third is a cache policy
    return;
  out.type = type;
  out.bytes = uint8_t(typeBytes(type));
  out.count = uint8_t(count);
  const Operand &value = operand(store ? 1 : 0);
  const Operand &address = operand(store ? 0 : 1);
  // Parameters: the kernel's own are constant, those of calls lie in the thread's frame.
  bool constantPlace = false;
  if (out.space == Space::Param && address.kind == Kind::Address && !address.elements.empty()) {
    const Operand &base = address.elements[0];
    bool formalOfKernel = functionIndex == entry && base.kind == Kind::Variable &&
                          !base.moduleVariable &&
                          base.index < function->resultCount + function->parameterCount;
    if (formalOfKernel && !store) {
      const uint64_t offset = uint64_t(base.offset) + uint64_t(address.offset);
      const uint64_t at = framePlaces[functionIndex][base.index] + offset;
      const uint64_t size = uint64_t(count) * out.bytes;
      if (at > code.parameterBytes || size > code.parameterBytes - at || at % size)
        return fail("expected a place in the kernel's parameters, found offset " +
                    std::to_string(int64_t(offset)) + " of " + base.text);
      out.immediate = int64_t(at);
      constantPlace = true;
    } else if (base.kind == Kind::Register) {
      out.space = functionIndex == entry ? Space::Generic : Space::Local;
    } else {
      out.space = Space::Local;
    }
  }
  if (!constantPlace)
    bindAddress(1, store ? 0 : 1);
  bool wide = false;
  uint32_t list = registerList(value, type, wide, true, !store);
  uint32_t elements = uint32_t(code.lists.size()) - list;
  if (elements != count)
    return fail("expected " + std::to_string(count) + " registers, found " +
                std::to_string(elements));
  out.wide = uint8_t((out.wide & ~1u) | uint32_t(wide));
  const Operand &first = value.kind == Kind::Vector ? value.elements[0] : value;
  out.variant = uint8_t(wide                           ? 8
                        : first.kind == Kind::Register ? typeBytes(registerType(first))
                                                       : 4);
  if (count == 1) {
    out.op[0] = code.lists.back();
    code.lists.pop_back();
  } else {
    out.list = list;
  }
  out.handler = constantPlace ? executeLoadParameter : store ? executeStore : executeLoad;
}

/// Whether only bits count, whatever the type.
static bool movesBits(AtomicOp op) {
  return op == AtomicOp::Exchange || op == AtomicOp::CompareAndSwap || op == AtomicOp::And ||
         op == AtomicOp::Or || op == AtomicOp::Xor;
}

static bool isAtomic(AtomicOp op, Type type) {
  uint32_t bytes = typeBytes(type);
  bool half =
      type == Type::F16 || type == Type::BF16 || type == Type::F16x2 || type == Type::BF16x2;
  if (bytes < 2 || bytes > 8)
    return false;
  if (bytes == 2 && !half)
    return op == AtomicOp::CompareAndSwap || op == AtomicOp::Exchange;
  return !isFloat(type) || movesBits(op) || op == AtomicOp::Add ||
         (half && (op == AtomicOp::Min || op == AtomicOp::Max));
}

void Decoder::atomic() {
  bool reduce = text->opcode == "red";
  if (take("async"))
    return fail("this instruction is not supported");
  takeSpace();
  takeOrder();
  takeCacheHints();
  take("noftz");
  constexpr std::pair<const char *, AtomicOp> names[] = {
      {"add", AtomicOp::Add},       {"min", AtomicOp::Min},
      {"max", AtomicOp::Max},       {"inc", AtomicOp::Inc},
      {"dec", AtomicOp::Dec},       {"and", AtomicOp::And},
      {"or", AtomicOp::Or},         {"xor", AtomicOp::Xor},
      {"exch", AtomicOp::Exchange}, {"cas", AtomicOp::CompareAndSwap}};
  bool known = false;
  for (const auto &[name, op] : names)
    if (!known && take(name)) {
      out.variant = uint8_t(op);
      known = true;
    }
  if (!known)
    return fail("expected an operation");
  AtomicOp op = AtomicOp(out.variant);
  uint32_t count = take("v2") ? 2 : take("v4") ? 4 : take("v8") ? 8 : 1;
  Type type = takeType();
  uint32_t bytes = typeBytes(type);
  if (!isAtomic(op, type))
    return fail("the type ." + std::string(typeName(type)) + " is not supported here");
  size_t operands = (reduce ? 2 : 3) + (op == AtomicOp::CompareAndSwap);
  if (!expectOperands(operands, operands + 1)) // and a cache policy
    return;
  out.type = type;
  if (movesBits(op))
    out.type = bytes == 8 ? Type::B64 : bytes == 4 ? Type::B32 : Type::B16;
  out.bytes = uint8_t(bytes);
  out.count = uint8_t(count);
  out.strong = true;
  size_t at = reduce ? 0 : 1;
  if (!reduce && count == 1)
    bindDestination(0, 0, type);
  else if (!reduce && operand(0).kind != Kind::Discard)
    return fail("vector atomics that return a value are not supported");
  bindAddress(1, at);
  if (count == 1) {
    bind(2, at + 1, type);
  } else {
    bool wide = false;
    out.list = registerList(operand(at + 1), type, wide, false, false);
    out.wide = uint8_t((out.wide & ~4u) | uint32_t(wide) << 2);
    if (code.lists.size() - out.list != count)
      return fail("expected " + std::to_string(count) + " registers, found " +
                  std::to_string(code.lists.size() - out.list));
  }
  if (op == AtomicOp::CompareAndSwap)
    bind(3, at + 2, type);
  if (out.space != Space::Generic && out.space != Space::Global && out.space != Space::Shared)
    return fail("expected global or shared memory");
  out.handler = executeAtomic;
}

/// cvta.shared.u64 d, a and cvta.to.shared.u64 d, a: plus or minus the window.
void Decoder::convertAddress() {
  bool to = take("to");
  if (!takeSpace())
    return fail("expected a state space");
  Type type = takeType();
  if (!expectOperands(2, 2))
    return;
  uint64_t window = out.space == Space::Shared  ? sharedWindow
                    : out.space == Space::Local ? localWindow
                                                : 0; // parameters' addresses are generic already
  bool wide = typeBytes(type) == 8;
  bindDestination(0, 0, type);
  bind(1, 1, type);
  if (!wide) // 32-bit generic addresses do not occur with 64-bit PTX
    return fail("expected 64-bit addresses");
  out.op[2] = constant(to ? -window : window, wide);
  useLanes(table.integer(LaneOp::Add, Type::U64));
}

namespace {
void executeIsSpace(Warp &warp, const Instruction &i, uint32_t mask) {
  uint32_t &p = warp.predicate(i.op[0]);
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint64_t window = warp.value(i, 1, lane) >> 32;
    Space is = window == sharedWindow >> 32  ? Space::Shared
               : window == localWindow >> 32 ? Space::Local
               : window == paramWindow >> 32 ? Space::Param
                                             : Space::Global;
    p = is == i.space ? p | (rest & -rest) : p & ~(rest & -rest);
  }
}
} // namespace

void Decoder::isSpace() {
  if (!takeSpace())
    return fail("expected a state space");
  if (!expectOperands(2, 2))
    return;
  bindPredicateDestination(0, 0);
  bind(1, 1, Type::U64);
  out.handler = executeIsSpace;
}

/// Clusters of one block: mapa gives the address back, getctarank 0.
void Decoder::mapRank() {
  takeSpace();
  Type type = takeType();
  bool rank = text->opcode == "getctarank";
  if (!expectOperands(rank ? 2 : 3, rank ? 2 : 3))
    return;
  if (rank) {
    bindDestination(0, 0, Type::U32);
    out.op[1] = constant(0, false);
    return useLanes(table.integer(LaneOp::Mov, Type::B32));
  }
  bindDestination(0, 0, type);
  bind(1, 1, type);
  useLanes(table.integer(LaneOp::Mov, typeBytes(type) == 8 ? Type::B64 : Type::B32));
}

} // namespace nysjit::emulator

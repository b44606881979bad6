// Comparison, selection and moves.
#include "runtime/emulator/decoder.h"

namespace nysjit::emulator {

using syntax::Operand;
using Kind = Operand::Kind;

namespace {

bool compareNamed(const std::string &name, bool isSigned, Compare &compare) {
  constexpr std::pair<const char *, Compare> names[] = {
      {"eq", Compare::Eq},   {"ne", Compare::Ne},   {"lt", Compare::Lt},   {"le", Compare::Le},
      {"gt", Compare::Gt},   {"ge", Compare::Ge},   {"equ", Compare::Equ}, {"neu", Compare::Neu},
      {"ltu", Compare::Ltu}, {"leu", Compare::Leu}, {"gtu", Compare::Gtu}, {"geu", Compare::Geu},
      {"num", Compare::Num}, {"nan", Compare::Nan}, {"lo", Compare::Lt},   {"ls", Compare::Le},
      {"hi", Compare::Gt},   {"hs", Compare::Ge}};
  for (const auto &[known, value] : names)
    if (name == known &&
        !(isSigned && (name == "lo" || name == "ls" || name == "hi" || name == "hs"))) {
      compare = value;
      return true;
    }
  return false;
}
} // namespace

/// setp.lt.and.f32 p|q, a, b, c.
void Decoder::setPredicate() {
  Type type = takeType();
  Compare compare;
  if (left.empty() || !compareNamed(left[0], isSigned(type), compare))
    return fail("expected a comparison");
  left.erase(left.begin());
  out.variant = uint8_t(compare);
  out.ftz = take("ftz");
  Combine combine = take("and")   ? Combine::And
                    : take("or")  ? Combine::Or
                    : take("xor") ? Combine::Xor
                                  : Combine::None;
  out.count = uint8_t(combine);
  size_t count = combine == Combine::None ? 3 : 4;
  if (!expectOperands(count, count))
    return;
  const Operand &p = operand(0);
  if (p.kind == Kind::Register) {
    Operand first = p;
    first.second = -1;
    out.op[0] = predicate(first, nullptr);
  } else if (p.kind != Kind::Discard) {
    return fail("expected a predicate register");
  }
  if (p.second >= 0) {
    if (function->registers[uint32_t(p.second)].type != Type::Pred)
      return fail("expected two predicate registers");
    out.op[4] = registerPlaces[functionIndex][uint32_t(p.second)];
  }
  bind(1, 1, type);
  bind(2, 2, type);
  if (combine != Combine::None)
    bindPredicate(3, 3, &out.flag);
  useLanes(laneHandler(table, LaneOp::Setp, type));
}

/// set.lt.u32.f32 d, a, b.
void Decoder::set() {
  Type to = takeType();
  Type from = takeType();
  Compare compare;
  if (left.empty() || !compareNamed(left[0], isSigned(from), compare))
    return fail("expected a comparison");
  left.erase(left.begin());
  out.ftz = take("ftz");
  Combine combine = take("and")   ? Combine::And
                    : take("or")  ? Combine::Or
                    : take("xor") ? Combine::Xor
                                  : Combine::None;
  out.variant = uint8_t(uint8_t(compare) | (typeBytes(to) == 2 ? 0x80 : 0));
  out.count = uint8_t(combine);
  out.type = to;
  size_t count = combine == Combine::None ? 3 : 4;
  if (!expectOperands(count, count))
    return;
  if (typeBytes(to) == 8)
    return fail("a 64-bit destination is not supported");
  bindDestination(0, 0, to);
  bind(1, 1, from);
  bind(2, 2, from);
  if (combine != Combine::None)
    bindPredicate(3, 3, &out.flag);
  useLanes(laneHandler(table, LaneOp::Set, from));
}

/// selp and slct.
void Decoder::selectLane() {
  bool selp = text->opcode == "selp";
  out.ftz = take("ftz");
  Type type = takeType();
  Type third = selp ? Type::Pred : takeType();
  if (!expectOperands(4, 4))
    return;
  bindDestination(0, 0, type);
  bind(1, 1, type);
  bind(2, 2, type);
  if (selp)
    bindPredicate(3, 3, &out.flag);
  else
    bind(3, 3, third);
  if (!selp)
    out.flag = third == Type::F32;
  Type plain = typeBytes(type) == 8 ? Type::B64 : typeBytes(type) == 4 ? Type::B32 : Type::B16;
  useLanes(table.integer(selp ? LaneOp::Selp : LaneOp::Slct, plain));
}

void Decoder::move() {
  Type type = takeType();
  if (!expectOperands(2, 2))
    return;
  if (type == Type::Pred) {
    bindPredicateDestination(0, 0);
    bindPredicate(1, 1, &out.flag);
    return useLanes(table.integer(LaneOp::MovPredicate, type));
  }
  if (operand(0).kind == Kind::Vector || operand(1).kind == Kind::Vector)
    return vectorMove(operand(0).kind == Kind::Vector, type);
  if (typeBytes(type) < 2 || typeBytes(type) > 8)
    return fail("the type ." + std::string(typeName(type)) + " is not supported");
  bindDestination(0, 0, type);
  if (const Operand &from = operand(1); from.kind == Kind::Name) {
    const std::string &name = from.text;
    if (name == "%clock" || name == "%clock64" || name == "%clock_hi" || name == "%globaltimer" ||
        name == "%globaltimer_lo" || name == "%globaltimer_hi") {
      out.handler = executeClock;
      out.flag = name.find("_hi") != std::string::npos;
      return;
    }
    if (name == "%pm0" || name.compare(0, 7, "%envreg") == 0 || name == "%is_explicit_cluster") {
      out.op[1] = constant(0, typeBytes(type) == 8);
      return useLanes(table.integer(LaneOp::Mov, typeBytes(type) == 8 ? Type::B64 : Type::B32));
    }
  }
  bind(1, 1, type);
  useLanes(table.integer(LaneOp::Mov, typeBytes(type) == 8   ? Type::B64
                                      : typeBytes(type) == 4 ? Type::B32
                                                             : Type::B16));
}

/// mov.b64 d, {a, b} and mov.b64 {a, b}, d.
void Decoder::vectorMove(bool toVector, Type type) {
  const Operand &vector = operand(toVector ? 0 : 1);
  size_t whole = toVector ? 1 : 0;
  size_t parts = vector.elements.size();
  uint32_t bytes = typeBytes(type);
  if (!((bytes == 4 && parts == 2) || (bytes == 8 && (parts == 2 || parts == 4))))
    return fail("expected two halves or, of 64 bits, four quarters, found " +
                std::to_string(parts) + " parts");
  Type part = bytes / parts == 2 ? Type::B16 : Type::B32;
  if (toVector) {
    bind(4, whole, type);
    for (uint32_t p = 0; p < parts; ++p) {
      const Operand &e = vector.elements[p];
      bool wide = false;
      if (e.kind == Kind::Register)
        out.op[p] = place(e, part, wide);
      else if (e.kind != Kind::Discard)
        fail("expected destination registers");
    }
    // op[4] is taken, so four quarters and the source fit exactly.
    return useLanes(table.integer(parts == 4   ? LaneOp::Unpack16Wide
                                  : bytes == 8 ? LaneOp::Unpack32
                                               : LaneOp::Unpack16,
                                  type));
  }
  bindDestination(0, whole, type);
  for (uint32_t p = 0; p < parts; ++p) {
    bool wide = false;
    out.op[1 + p] = place(vector.elements[p], part, wide);
  }
  useLanes(table.integer(parts == 4   ? LaneOp::Pack16Wide
                         : bytes == 8 ? LaneOp::Pack32
                                      : LaneOp::Pack16,
                         type));
}

} // namespace nysjit::emulator

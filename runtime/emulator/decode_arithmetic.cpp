// Arithmetic, logic and bits.
#include "runtime/emulator/decoder.h"

namespace nysjit::emulator {

using syntax::Operand;
using Kind = Operand::Kind;

static bool isHalf(Type type) {
  return type == Type::F16 || type == Type::F16x2 || type == Type::BF16 || type == Type::BF16x2;
}

LaneHandler laneHandler(const Lanes &table, LaneOp op, Type type) {
  return isHalf(type)    ? table.half(op, type)
         : isFloat(type) ? table.floating(op, type)
                         : table.integer(op, type);
}

/// add, sub, div, rem, min, max, sad, fma, copysign.
void Decoder::arithmetic() {
  constexpr std::pair<const char *, LaneOp> names[] = {
      {"add", LaneOp::Add}, {"sub", LaneOp::Sub}, {"div", LaneOp::Div},
      {"rem", LaneOp::Rem}, {"min", LaneOp::Min}, {"max", LaneOp::Max},
      {"sad", LaneOp::Sad}, {"fma", LaneOp::Fma}, {"copysign", LaneOp::Copysign}};
  LaneOp op = LaneOp::Add;
  for (const auto &[name, value] : names)
    if (text->opcode == name)
      op = value;
  if (text->modifiers.size() && (text->modifiers[0] == "cc"))
    return carry();
  Type type = takeType();
  if (isFloat(type)) {
    out.rounding = takeRounding();
    out.ftz = take("ftz");
    out.saturate = take("sat");
    out.relu = take("relu");
    out.flag = take("NaN");
    if (take("xorsign")) {
      out.variant = 1;
      take("abs");
    }
    if (op == LaneOp::Div) { // .approx and .full: the quotient, rounded correctly
      take("approx");
      take("full");
    }
    // Mixed arithmetic, sm_100 on: 16-bit multiplicands of a float32 sum.
    if (type == Type::F32 && (op == LaneOp::Add || op == LaneOp::Sub || op == LaneOp::Fma))
      out.variant = take("f16") ? 2 : take("bf16") ? 3 : 0;
    // add.sat.s32: through 64 bits there is no lane loop; rare enough to refuse
  } else if (take("sat")) {
    return fail("saturating integer arithmetic is not supported");
  } else if (take("relu")) { // of min and max on s32, sm_90 on
    if (type != Type::S32 || (op != LaneOp::Min && op != LaneOp::Max))
      return fail("integer .relu is supported for min.s32 and max.s32 only");
    out.relu = true;
  }
  bool three =
      op == LaneOp::Fma || op == LaneOp::Sad ||
      (operandCount() == 4 && type == Type::F32 && (op == LaneOp::Min || op == LaneOp::Max));
  if (!expectOperands(three ? 4 : 3, three ? 4 : 3))
    return;
  const bool mixed = isFloat(type) && out.variant >= 2;
  const Type narrow = mixed ? (out.variant == 2 ? Type::F16 : Type::BF16) : type;
  bindDestination(0, 0, type);
  bind(1, 1, narrow);
  bind(2, 2, three ? narrow : type);
  if (three)
    bind(3, 3, type);
  useLanes(laneHandler(table, op, type));
}

void Decoder::unary() {
  constexpr std::pair<const char *, LaneOp> names[] = {
      {"abs", LaneOp::Abs},     {"neg", LaneOp::Neg},  {"rcp", LaneOp::Rcp}, {"sqrt", LaneOp::Sqrt},
      {"rsqrt", LaneOp::Rsqrt}, {"ex2", LaneOp::Ex2},  {"lg2", LaneOp::Lg2}, {"sin", LaneOp::Sin},
      {"cos", LaneOp::Cos},     {"tanh", LaneOp::Tanh}};
  LaneOp op = LaneOp::Abs;
  for (const auto &[name, value] : names)
    if (text->opcode == name)
      op = value;
  Type type = takeType();
  out.rounding = takeRounding();
  out.ftz = take("ftz");
  take("approx");
  if (!expectOperands(2, 2))
    return;
  bindDestination(0, 0, type);
  bind(1, 1, type);
  useLanes(laneHandler(table, op, type));
}

void Decoder::testFloat() {
  constexpr std::pair<const char *, FloatClass> names[] = {
      {"finite", FloatClass::Finite}, {"infinite", FloatClass::Infinite},
      {"number", FloatClass::Number}, {"notanumber", FloatClass::NotANumber},
      {"normal", FloatClass::Normal}, {"subnormal", FloatClass::Subnormal}};
  for (const auto &[name, value] : names)
    if (take(name))
      out.variant = uint8_t(value);
  Type type = takeType();
  if (!expectOperands(2, 2))
    return;
  bindPredicateDestination(0, 0);
  bind(1, 1, type);
  useLanes(laneHandler(table, LaneOp::Testp, type));
}

/// The integer product of `mul`, `mad` and their 24-bit forms.
static LaneOp productOf(bool narrow, bool add, bool wide, bool high) {
  if (narrow && add)
    return high ? LaneOp::Mad24High : LaneOp::Mad24Low;
  if (narrow)
    return high ? LaneOp::Mul24High : LaneOp::Mul24Low;
  if (add)
    return wide ? LaneOp::MadWide : high ? LaneOp::MadHigh : LaneOp::MadLow;
  return wide ? LaneOp::MulWide : high ? LaneOp::MulHigh : LaneOp::MulLow;
}

/// mul, mad, mul24, mad24, mad.cc, madc.
void Decoder::multiply() {
  bool add = text->opcode[1] == 'a';
  bool narrow = text->opcode.find("24") != std::string::npos;
  bool takesCarry = text->opcode == "madc";
  Type type = takeType();
  if (isFloat(type)) { // mul.f32; mad.f32 is fma
    out.rounding = takeRounding();
    out.ftz = take("ftz");
    out.saturate = take("sat");
    out.relu = take("relu");
    if (!expectOperands(add ? 4 : 3, add ? 4 : 3))
      return;
    bindDestination(0, 0, type);
    bind(1, 1, type);
    bind(2, 2, type);
    if (add)
      bind(3, 3, type);
    return useLanes(laneHandler(table, add ? LaneOp::Fma : LaneOp::Mul, type));
  }
  if (narrow && typeBytes(type) != 4)
    return fail("expected .u32 or .s32");
  bool wide = take("wide");
  bool high = take("hi");
  if (!wide && !high && !take("lo"))
    return fail("expected .lo, .hi or .wide");
  bool givesCarry = take("cc");
  if (take("sat"))
    return fail("saturating integer arithmetic is not supported");
  if (!expectOperands(add ? 4 : 3, add ? 4 : 3))
    return;
  Type result = !wide                                    ? type
                : type == Type::U16 || type == Type::B16 ? Type::U32
                : type == Type::S16                      ? Type::S32
                : type == Type::S32                      ? Type::S64
                                                         : Type::U64;
  bindDestination(0, 0, result);
  bind(1, 1, type);
  bind(2, 2, type);
  if (add)
    bind(3, 3, result);
  LaneOp op = productOf(narrow, add, wide, high);
  if (takesCarry || givesCarry) {
    out.flag = takesCarry;
    out.saturate = givesCarry;
    out.op[4] = carryPlace;
    op = high ? LaneOp::MadCHigh : LaneOp::MadCLow;
    // The high half of a signed product needs the signed type, which withCarry's modular sums do
    // not have.
    if (high && isSigned(type))
      return fail("signed .hi with a carry is not supported");
  }
  useLanes(table.integer(op, type));
}

/// add.cc, addc, sub.cc, subc.
void Decoder::carry() {
  bool subtract = text->opcode[0] == 's';
  out.flag = text->opcode.back() == 'c'; // addc takes the carry
  out.saturate = take("cc");             // gives it
  Type type = takeType();
  if (!expectOperands(3, 3))
    return;
  bindDestination(0, 0, type);
  bind(1, 1, type);
  bind(2, 2, type);
  out.op[4] = carryPlace;
  useLanes(table.integer(subtract ? LaneOp::SubC : LaneOp::AddC, type));
}

void Decoder::bitwise() {
  Type type = takeType();
  const std::string &name = text->opcode;
  bool one = name == "not" || name == "cnot";
  if (!expectOperands(one ? 2 : 3, one ? 2 : 3))
    return;
  if (type == Type::Pred) {
    bindPredicateDestination(0, 0);
    bindPredicate(1, 1);
    if (!one)
      bindPredicate(2, 2);
    return useLanes(table.integer(name == "and"   ? LaneOp::AndPredicate
                                  : name == "or"  ? LaneOp::OrPredicate
                                  : name == "xor" ? LaneOp::XorPredicate
                                                  : LaneOp::NotPredicate,
                                  type));
  }
  bindDestination(0, 0, type);
  bind(1, 1, type);
  if (!one)
    bind(2, 2, type);
  useLanes(table.integer(name == "and"    ? LaneOp::And
                         : name == "or"   ? LaneOp::Or
                         : name == "xor"  ? LaneOp::Xor
                         : name == "cnot" ? LaneOp::CNot
                                          : LaneOp::Not,
                         type));
}

void Decoder::shift() {
  Type type = takeType();
  if (!expectOperands(3, 3))
    return;
  bindDestination(0, 0, type);
  bind(1, 1, type);
  bind(2, 2, Type::U32);
  useLanes(table.integer(text->opcode == "shl" ? LaneOp::Shl : LaneOp::Shr, type));
}

void Decoder::funnelShift() {
  bool toLeft = take("l");
  if (!toLeft && !take("r"))
    return fail("expected .l or .r");
  out.flag = take("wrap");
  take("clamp");
  Type type = takeType();
  if (!expectOperands(4, 4))
    return;
  bindDestination(0, 0, type);
  for (uint32_t o = 1; o < 4; ++o)
    bind(o, o, Type::B32);
  useLanes(table.integer(toLeft ? LaneOp::ShfLeft : LaneOp::ShfRight, type));
}

/// bfe, bfi, bfind, brev, clz, popc, fns, bmsk.
void Decoder::bits() {
  const std::string &name = text->opcode;
  bool isShiftAmount = take("shiftamt");
  out.flag = take("wrap") || isShiftAmount;
  take("clamp");
  Type type = takeType();
  size_t count = name == "bfe" || name == "fns" ? 4 : name == "bfi" ? 5 : name == "bmsk" ? 3 : 2;
  if (!expectOperands(count, count))
    return;
  bool narrow = name == "bfind" || name == "clz" || name == "popc" || name == "fns";
  bindDestination(0, 0, narrow ? Type::U32 : type);
  bind(1, 1, type);
  if (name == "bfi")
    bind(2, 2, type);
  for (uint32_t o = name == "bfi" ? 3 : 2; o < count; ++o)
    bind(o, o, Type::U32);
  useLanes(table.integer(name == "bfe"     ? LaneOp::Bfe
                         : name == "bfi"   ? LaneOp::Bfi
                         : name == "bfind" ? LaneOp::Bfind
                         : name == "brev"  ? LaneOp::Brev
                         : name == "clz"   ? LaneOp::Clz
                         : name == "popc"  ? LaneOp::Popc
                         : name == "fns"   ? LaneOp::Fns
                                           : LaneOp::Bmsk,
                         type));
}

void Decoder::permute() {
  constexpr const char *modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
  Type type = takeType();
  for (uint8_t m = 0; m < 6; ++m)
    if (take(modes[m]))
      out.variant = uint8_t(m + 1);
  if (!expectOperands(4, 4))
    return;
  bindDestination(0, 0, type);
  for (uint32_t o = 1; o < 4; ++o)
    bind(o, o, Type::B32);
  useLanes(table.integer(LaneOp::Prmt, type));
}

void Decoder::lop3() {
  Type type = takeType();
  if (!expectOperands(5, 5))
    return;
  if (operand(4).kind != Kind::Integer)
    return fail("expected an immediate table");
  bindDestination(0, 0, type);
  for (uint32_t o = 1; o < 4; ++o)
    bind(o, o, Type::B32);
  out.immediate = int64_t(operand(4).bits & 0xff);
  useLanes(table.integer(LaneOp::Lop3, type));
}

void Decoder::dot() {
  Type a = takeType();
  Type b = takeType();
  if (!expectOperands(4, 4))
    return;
  out.variant = uint8_t((a == Type::S32) | (b == Type::S32) << 1);
  bindDestination(0, 0, Type::B32);
  for (uint32_t o = 1; o < 4; ++o)
    bind(o, o, Type::B32);
  useLanes(table.integer(LaneOp::Dp4a, Type::U32));
}

} // namespace nysjit::emulator

// cvt.
#include "runtime/emulator/decoder.h"

namespace nysjit::emulator {

void Decoder::convert() {
  Type to = takeType();
  Type from = takeType();
  out.rounding = takeRounding();
  out.ftz = take("ftz");
  out.saturate = take("sat");
  out.relu = take("relu");
  bool finite = take("satfinite");
  out.type = to;
  out.sourceType = from;
  if (to == Type::F16x2 || to == Type::BF16x2) {
    if (from != Type::F32 || (out.rounding != Rounding::Nearest && out.rounding != Rounding::Zero))
      return fail("expected two .f32 with .rn or .rz");
    if (!expectOperands(3, 3))
      return;
    out.flag = finite;
    bindDestination(0, 0, to);
    bind(1, 1, from);
    bind(2, 2, from);
    return useLanes(table.convertPacked(to));
  }
  if (finite && to != Type::TF32)
    return fail(".satfinite is supported for pairs alone");
  if (!expectOperands(2, 2))
    return;
  if (to == Type::TF32) {
    bindDestination(0, 0, Type::B32);
    bind(1, 1, from);
  } else {
    // Integers may stand in wider registers.
    bindDestination(0, 0, to, !isFloat(to));
    bind(1, 1, from, !isFloat(from));
  }
  if ((typeBytes(to) == 2) && isFloat(to) &&
      (out.rounding == Rounding::Down || out.rounding == Rounding::Up))
    return fail("rounding up or down to 16 bits is not supported");
  out.variant = uint8_t(typeBytes(registerType(operand(0))));
  useLanes(table.convert(to, from, out));
}

} // namespace nysjit::emulator

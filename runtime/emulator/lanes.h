// Arithmetic on 32 lanes at once. The sources lanes_*.cpp are compiled once for each instruction
// set, each into a namespace of its own (NYSJIT_LANES); `chooseLanes` takes the best that this CPU
// has. Inputs are read whole and results written for the mask's lanes alone, so that full masks
// vectorise.
#pragma once
#include "runtime/emulator/code.h"

namespace nysjit::emulator {

enum class LaneOp : uint8_t {
  // Integers; op: d, a, b, c.
  Add,
  Sub,
  MulLow,
  MulHigh,
  MulWide,
  MadLow,
  MadHigh,
  MadWide,
  Mul24Low,
  Mul24High,
  Mad24Low,
  Mad24High,
  Div,
  Rem,
  Abs,
  Neg,
  Min,
  Max,
  Sad,
  And,
  Or,
  Xor,
  Not,
  CNot,
  Shl,
  Shr,
  ShfLeft,
  ShfRight,
  Bfe,
  Bfi,
  Bfind,
  Brev,
  Clz,
  Popc,
  Prmt,
  Lop3,
  Fns,
  Dp4a,
  Dp2a,
  Bmsk,
  Szext,
  AddC,
  SubC,
  MadCLow,
  MadCHigh, // op[4]: the carry; flag: takes it; saturate: gives it
  // Any; Setp's variant is a Compare, count a Combine, op: p, a, b, the combined predicate, q.
  Setp,
  Set,
  Selp,
  Slct,
  Mov,
  MovPredicate,
  AndPredicate,
  OrPredicate,
  XorPredicate,
  NotPredicate,
  Pack16,
  Pack32,
  Pack16Wide,
  Unpack16,
  Unpack32,
  Unpack16Wide, // list-free: up to four halves in op
  // Floats.
  Mul,
  Fma,
  Rcp,
  Sqrt,
  Rsqrt,
  Ex2,
  Lg2,
  Sin,
  Cos,
  Tanh,
  Copysign,
  Testp,
};

enum class Compare : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan };
enum class Combine : uint8_t { None, And, Or, Xor };
enum class FloatClass : uint8_t { Finite, Infinite, Number, NotANumber, Normal, Subnormal };

/// The tables of one instruction set; null where there is no such operation.
struct Lanes {
  LaneHandler (*integer)(LaneOp op, Type type);
  LaneHandler (*floating)(LaneOp op, Type type); // F32, F64
  LaneHandler (*half)(LaneOp op, Type type);     // F16, F16x2, BF16, BF16x2
  /// From and to; registers may be wider than the types: i.wide, and the types in the instruction.
  LaneHandler (*convert)(Type to, Type from, const Instruction &i);
  /// d, a and b of two f32: cvt.rn.f16x2.f32
  LaneHandler (*convertPacked)(Type to);
  /// registers: d, a, b, c of the fragment layout. `k` and the types choose.
  MmaHandler (*mma)(Type d, Type a, Type b, uint32_t k);
};
const Lanes &chooseLanes();

namespace baseline {
extern const Lanes lanes;
}
namespace v3 {
extern const Lanes lanes;
}

} // namespace nysjit::emulator

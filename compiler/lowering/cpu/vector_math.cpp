// Elementary functions and 16-bit conversions as straight-line vector code: no libm, no
// compiler-rt.
#include "compiler/lowering/cpu/vector_builder.h"

using namespace mlir;
namespace nysjit::cpu {

Value VectorBuilder::constant(Type type, double value) {
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(builder, loc,
                                     DenseElementsAttr::get(vector, static_cast<float>(value)));
  return arith::ConstantOp::create(builder, loc,
                                   builder.getF32FloatAttr(static_cast<float>(value)));
}

Value VectorBuilder::integerConstant(Type type, int64_t value) {
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(
        builder, loc,
        DenseElementsAttr::get(vector, builder.getIntegerAttr(vector.getElementType(), value)));
  return arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(type, value));
}

Value VectorBuilder::splat(Value scalar, int64_t count) {
  return vector::BroadcastOp::create(builder, loc, VectorType::get({count}, scalar.getType()),
                                     scalar);
}

Value VectorBuilder::offset(Value base, Value bytes) {
  return LLVM::GEPOp::create(builder, loc, base.getType(), builder.getI8Type(), base,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

Value VectorBuilder::load(Type type, Value address, int64_t alignment) {
  return LLVM::LoadOp::create(builder, loc, type, address, static_cast<unsigned>(alignment));
}

void VectorBuilder::store(Value value, Value address, int64_t alignment) {
  LLVM::StoreOp::create(builder, loc, value, address, static_cast<unsigned>(alignment));
}

llvm::SmallVector<int64_t> rowPieces(int64_t length, int64_t widest) {
  llvm::SmallVector<int64_t> widths;
  while (length > 0) {
    widths.push_back(std::min<int64_t>(widest, llvm::bit_floor(static_cast<uint64_t>(length))));
    length -= widths.back();
  }
  return widths;
}

Pieces VectorBuilder::loadPieces(int64_t length, Value address) {
  Pieces pieces;
  int64_t start = 0;
  for (int64_t width : rowPieces(length)) {
    pieces.push_back(load(f32Vector(width), offset(address, start * 4)));
    start += width;
  }
  return pieces;
}

void VectorBuilder::storePieces(const Pieces &pieces, Value address) {
  int64_t start = 0;
  for (Value piece : pieces) {
    store(piece, offset(address, start * 4));
    auto vector = dyn_cast<VectorType>(piece.getType());
    start += vector ? vector.getDimSize(0) : 1;
  }
}

VectorBuilder::Values VectorBuilder::loop(Value count, int64_t step, ValueRange carried,
                                          llvm::function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(builder, loc, i64(0), count, i64(step), carried);
  OpBuilder::InsertionGuard guard(builder);
  if (carried.empty())
    builder.setInsertionPoint(loop.getBody()->getTerminator());
  else
    builder.setInsertionPointToStart(loop.getBody());
  Values next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty())
    scf::YieldOp::create(builder, loc, next);
  return Values(loop.getResults());
}

/// The integer type of the same shape, `bits` wide.
static Type integerLike(Type type, int bits) {
  Type element = IntegerType::get(type.getContext(), bits);
  if (auto vector = dyn_cast<VectorType>(type))
    return VectorType::get(vector.getShape(), element);
  return element;
}

Value emitExp2(VectorBuilder &e, Value x) {
  OpBuilder &b = e.builder;
  const Type type = x.getType();
  const Type integer = integerLike(type, 32);
  auto add = [&](Value l, Value r) -> Value { return arith::AddFOp::create(b, e.loc, l, r); };
  auto sub = [&](Value l, Value r) -> Value { return arith::SubFOp::create(b, e.loc, l, r); };
  auto clamp = [&](arith::CmpFPredicate predicate, double limit) { // keeps NaN
    Value bound = e.constant(type, limit);
    Value beyond = arith::CmpFOp::create(b, e.loc, predicate, bound, x);
    x = arith::SelectOp::create(b, e.loc, beyond, bound, x);
  };
  clamp(arith::CmpFPredicate::OGT, -127.0);
  clamp(arith::CmpFPredicate::OLT, 128.0);
  // x = n + f with n the nearest integer: adding 1.5 * 2^23 leaves n in the low bits.
  Value shifter = e.constant(type, 12582912.0);
  Value shifted = add(x, shifter);
  Value fraction = sub(x, sub(shifted, shifter));
  // 2^f on [-1/2, 1/2], minimax with the constant term exactly 1
  constexpr double coefficients[] = {1.5353360504377633e-4,
                                     1.3398875016719103e-3,
                                     9.61843691766262e-3,
                                     5.5503323674201965e-2,
                                     2.4022647738456726e-1,
                                     6.931471824645996e-1,
                                     1.0};
  Value power = e.constant(type, coefficients[0]);
  for (int i = 1; i < 7; ++i)
    power = LLVM::FMAOp::create(b, e.loc, power, fraction, e.constant(type, coefficients[i]));
  // times 2^n: n into the exponent
  Value nearest = arith::BitcastOp::create(b, e.loc, integer, shifted);
  Value mantissa = arith::BitcastOp::create(b, e.loc, integer, power);
  Value exponent = arith::ShLIOp::create(b, e.loc, nearest, e.integerConstant(integer, 23));
  return arith::BitcastOp::create(b, e.loc, type, e.add(mantissa, exponent));
}

Value emitLog2(VectorBuilder &e, Value x) {
  OpBuilder &b = e.builder;
  const Type type = x.getType();
  const Type integer = integerLike(type, 32);
  // x = 2^n f with f in [sqrt 1/2, sqrt 2): subtract the bits of sqrt 1/2, keep the exponent.
  Value bits = arith::BitcastOp::create(b, e.loc, integer, x);
  Value offset = arith::SubIOp::create(b, e.loc, bits, e.integerConstant(integer, 0x3f3504f3));
  Value n = arith::ShRSIOp::create(b, e.loc, offset, e.integerConstant(integer, 23));
  Value scale = arith::ShLIOp::create(b, e.loc, n, e.integerConstant(integer, 23));
  Value mantissa = arith::SubIOp::create(b, e.loc, bits, scale);
  Value f = arith::BitcastOp::create(b, e.loc, type, mantissa);
  // log2 f = s P(s^2), s = (f - 1) / (f + 1)
  Value one = e.constant(type, 1.0);
  Value above = arith::SubFOp::create(b, e.loc, f, one);
  Value below = arith::AddFOp::create(b, e.loc, f, one);
  Value s = arith::DivFOp::create(b, e.loc, above, below);
  Value square = arith::MulFOp::create(b, e.loc, s, s);
  Value series = e.constant(type, 0.43174833059310913);
  for (double coefficient : {0.5767138600349426, 0.9617988467216492, 2.885390043258667})
    series = LLVM::FMAOp::create(b, e.loc, series, square, e.constant(type, coefficient));
  Value whole = arith::SIToFPOp::create(b, e.loc, type, n);
  Value result = LLVM::FMAOp::create(b, e.loc, series, s, whole);
  Value isZero =
      arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ, x, e.constant(type, 0.0));
  return arith::SelectOp::create(b, e.loc, isZero, e.constant(type, -__builtin_inf()), result);
}

Value emitWiden(VectorBuilder &e, Value value, Type element) {
  OpBuilder &b = e.builder;
  const Type bits16 = value.getType();
  const Type bits32 = integerLike(bits16, 32); // value: raw 16-bit integers
  auto withElement = [&](Type like, Type t) -> Type {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(VectorType::get(vector.getShape(), t)) : t;
  };
  if (element.isF16()) {
    Value half = arith::BitcastOp::create(b, e.loc, withElement(bits16, element), value);
    return arith::ExtFOp::create(b, e.loc, withElement(bits16, b.getF32Type()), half);
  }
  Value extended = arith::ExtUIOp::create(b, e.loc, bits32, value);
  Value wide = arith::ShLIOp::create(b, e.loc, extended, e.integerConstant(bits32, 16));
  return arith::BitcastOp::create(b, e.loc, withElement(bits16, b.getF32Type()), wide);
}

Value emitNarrow(VectorBuilder &e, Value value, Type element) {
  OpBuilder &b = e.builder;
  const Type bits16 = integerLike(value.getType(), 16);
  const Type bits32 = integerLike(value.getType(), 32);
  if (element.isF16()) {
    auto vector = dyn_cast<VectorType>(value.getType());
    const Type half = vector ? Type(VectorType::get(vector.getShape(), element)) : element;
    Value rounded = arith::TruncFOp::create(b, e.loc, half, value);
    return arith::BitcastOp::create(b, e.loc, bits16, rounded);
  }
  // bfloat16, nearest even: add 0x7fff plus the lowest kept bit; a NaN stays one.
  Value bits = arith::BitcastOp::create(b, e.loc, bits32, value);
  Value kept = arith::ShRUIOp::create(b, e.loc, bits, e.integerConstant(bits32, 16));
  Value lowest = arith::AndIOp::create(b, e.loc, kept, e.integerConstant(bits32, 1));
  Value rounded = e.add(e.add(bits, e.integerConstant(bits32, 0x7fff)), lowest);
  Value isNaN = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::UNO, value, value);
  Value quiet = arith::OrIOp::create(b, e.loc, bits, e.integerConstant(bits32, 0x400000));
  Value chosen = arith::SelectOp::create(b, e.loc, isNaN, quiet, rounded);
  Value high = arith::ShRUIOp::create(b, e.loc, chosen, e.integerConstant(bits32, 16));
  return arith::TruncIOp::create(b, e.loc, bits16, high);
}

} // namespace nysjit::cpu

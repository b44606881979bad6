// Scalar arithmetic: among constants and host expressions it folds into an Expression; with a
// kernel value it emits arith.
#include "compiler/tile/builder/emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
namespace nysjit {

void failTemplate(SourceLocation where, const std::string &message) {
  throw TemplateError{std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " +
                      message};
}

namespace {

using EmitFunction = Value (*)(OpBuilder &, Location, Value, Value);

template <typename Op> Value emitOp(OpBuilder &builder, Location loc, Value a, Value b) {
  return Op::create(builder, loc, a, b);
}

template <arith::CmpIPredicate predicate>
Value emitCompare(OpBuilder &builder, Location loc, Value a, Value b) {
  Value bit = arith::CmpIOp::create(builder, loc, predicate, a, b);
  return arith::ExtUIOp::create(builder, loc, a.getType(), bit);
}

bool isConstant(const Scalar &s, int64_t value) { return s.isConstant() && s.constant() == value; }

/// One binary operation: folded when both sides are known to the host, else emitted 64 bits wide if
/// either side is.
Scalar combine(Operator op, EmitFunction emit, const ScalarOperand &a, const ScalarOperand &b) {
  const bool wide = a.scalar.isWide() || b.scalar.isWide();
  if (a.scalar.isHost() && b.scalar.isHost())
    return Scalar(Expression::make(op, {a.scalar.expression(), b.scalar.expression()}), wide);
  Kernel *kernel = a.scalar.owner() ? a.scalar.owner() : b.scalar.owner();
  Kernel::Emitter &emitter = kernel->emitter();
  Value left = emitter.integer(a.scalar, wide, a.where);
  Value right = emitter.integer(b.scalar, wide, b.where);
  return emitter.scalar(emit(emitter.builder, emitter.at(a.where), left, right), wide);
}

} // namespace

Scalar operator+(ScalarOperand a, ScalarOperand b) {
  if (isConstant(a.scalar, 0))
    return b.scalar;
  if (isConstant(b.scalar, 0))
    return a.scalar;
  return combine(Operator::Add, emitOp<arith::AddIOp>, a, b);
}

Scalar operator-(ScalarOperand a, ScalarOperand b) {
  return isConstant(b.scalar, 0) ? a.scalar : combine(Operator::Sub, emitOp<arith::SubIOp>, a, b);
}

Scalar operator*(ScalarOperand a, ScalarOperand b) {
  if (isConstant(a.scalar, 1))
    return b.scalar;
  if (isConstant(b.scalar, 1))
    return a.scalar;
  return combine(Operator::Mul, emitOp<arith::MulIOp>, a, b);
}

Scalar operator/(ScalarOperand a, ScalarOperand b) {
  return isConstant(b.scalar, 1) ? a.scalar
                                 : combine(Operator::FloorDiv, emitOp<arith::DivUIOp>, a, b);
}

Scalar operator%(ScalarOperand a, ScalarOperand b) {
  return combine(Operator::Mod, emitOp<arith::RemUIOp>, a, b);
}

Scalar ceilDiv(ScalarOperand a, ScalarOperand b) {
  if (isConstant(b.scalar, 1))
    return a.scalar;
  if (a.scalar.isHost() && b.scalar.isHost())
    return Scalar(
        Expression::make(Operator::CeilDiv, {a.scalar.expression(), b.scalar.expression()}),
        a.scalar.isWide());
  Scalar rounded =
      ScalarOperand(a.scalar, a.where) +
      ScalarOperand(ScalarOperand(b.scalar, b.where) - ScalarOperand(1, b.where), b.where);
  return ScalarOperand(rounded, a.where) / b;
}

Scalar min(ScalarOperand a, ScalarOperand b) {
  return combine(Operator::Min, emitOp<arith::MinSIOp>, a, b);
}
Scalar max(ScalarOperand a, ScalarOperand b) {
  return combine(Operator::Max, emitOp<arith::MaxSIOp>, a, b);
}
Scalar operator<(ScalarOperand a, ScalarOperand b) {
  return combine(Operator::Lt, emitCompare<arith::CmpIPredicate::slt>, a, b);
}
Scalar operator<=(ScalarOperand a, ScalarOperand b) {
  return combine(Operator::Le, emitCompare<arith::CmpIPredicate::sle>, a, b);
}
Scalar operator==(ScalarOperand a, ScalarOperand b) {
  return combine(Operator::Eq, emitCompare<arith::CmpIPredicate::eq>, a, b);
}

Scalar operator&(ScalarOperand a, ScalarOperand b) {
  if (isConstant(a.scalar, 1))
    return b.scalar;
  return isConstant(b.scalar, 1) ? a.scalar : combine(Operator::And, emitOp<arith::AndIOp>, a, b);
}

Scalar operator|(ScalarOperand a, ScalarOperand b) {
  if (isConstant(a.scalar, 0))
    return b.scalar;
  return isConstant(b.scalar, 0) ? a.scalar : combine(Operator::Or, emitOp<arith::OrIOp>, a, b);
}

Scalar operator!(ScalarOperand a) {
  if (a.scalar.isHost())
    return Scalar(Expression::make(Operator::Not, {a.scalar.expression()}), a.scalar.isWide());
  return a == ScalarOperand(0, a.where);
}

Scalar select(ScalarOperand condition, ScalarOperand chosen, ScalarOperand otherwise) {
  const bool wide = chosen.scalar.isWide() || otherwise.scalar.isWide();
  if (condition.scalar.isConstant())
    return condition.scalar.constant() ? chosen.scalar : otherwise.scalar;
  if (condition.scalar.isHost() && chosen.scalar.isHost() && otherwise.scalar.isHost())
    return Scalar(Expression::make(Operator::Select,
                                   {condition.scalar.expression(), chosen.scalar.expression(),
                                    otherwise.scalar.expression()}),
                  wide);
  Kernel *kernel = nullptr;
  for (const ScalarOperand *operand : {&condition, &chosen, &otherwise})
    if (operand->scalar.owner())
      kernel = operand->scalar.owner();
  Kernel::Emitter &emitter = kernel->emitter();
  const Location loc = emitter.at(condition.where);
  Value number = emitter.integer(condition.scalar, condition.scalar.isWide(), condition.where);
  Value zero = arith::ConstantOp::create(emitter.builder, loc,
                                         emitter.builder.getIntegerAttr(number.getType(), 0));
  Value bit = arith::CmpIOp::create(emitter.builder, loc, arith::CmpIPredicate::ne, number, zero);
  Value left = emitter.integer(chosen.scalar, wide, chosen.where);
  Value right = emitter.integer(otherwise.scalar, wide, otherwise.where);
  return emitter.scalar(arith::SelectOp::create(emitter.builder, loc, bit, left, right), wide);
}

} // namespace nysjit

// The arithmetic of expressions on 64-bit integers, overflow-checked. Used for folding and for
// evaluation.
#pragma once
#include "runtime/plan/expression.h"

namespace nysjit {

/// Deepest nesting of a parsed expression; also the evaluator's stack.
constexpr int maxExpressionDepth = 100;

/// The operator as plan JSON spells it.
const char *operatorName(Operator op);
/// Operands it takes; 0 for constants and symbols.
size_t operatorArity(Operator op);
/// Letters, digits and _, not starting with a digit, at most 64.
bool isSymbolName(const std::string &name);

/// a op b (`not` ignores b); false on overflow, division by zero or of negatives, and for operators
/// that are not arithmetic.
inline bool applyOperator(Operator op, int64_t a, int64_t b, int64_t &result) noexcept {
  switch (op) {
  case Operator::Add: return !__builtin_add_overflow(a, b, &result);
  case Operator::Sub: return !__builtin_sub_overflow(a, b, &result);
  case Operator::Mul: return !__builtin_mul_overflow(a, b, &result);
  case Operator::CeilDiv:
  case Operator::FloorDiv:
  case Operator::Mod: {
    if (a < 0 || b <= 0)
      return false;
    const int64_t quotient = a / b;
    const int64_t remainder = a % b;
    result =
        op == Operator::Mod ? remainder : quotient + (op == Operator::CeilDiv && remainder != 0);
    return true;
  }
  case Operator::Min: result = a < b ? a : b; return true;
  case Operator::Max: result = a > b ? a : b; return true;
  case Operator::Lt: result = a < b; return true;
  case Operator::Le: result = a <= b; return true;
  case Operator::Eq: result = a == b; return true;
  case Operator::And: result = a != 0 && b != 0; return true;
  case Operator::Or: result = a != 0 || b != 0; return true;
  case Operator::Not: result = a == 0; return true;
  case Operator::Constant:
  case Operator::Symbol:
  case Operator::Select: return false;
  }
  return false;
}

} // namespace nysjit

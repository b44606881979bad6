// CompiledExpression: postfix over numbered symbols, evaluated on a small stack without allocation.
// An operand that fails (overflow, division by zero) marks its stack slot; `select` drops a failed
// branch that it does not choose, all else passes the mark on.
#include "runtime/plan/arithmetic.h"
#include "runtime/plan/expression.h"

#include <algorithm>

namespace nysjit {

namespace {

/// Slots of the evaluation stack that `expression` takes.
size_t stackDepth(const Expression &expression, int level) {
  if (level > maxExpressionDepth)
    return level;
  size_t depth = 1;
  for (size_t i = 0; i < expression.operands().size(); ++i)
    depth = std::max(depth, i + stackDepth(expression.operands()[i], level + 1));
  return depth;
}

constexpr size_t maxStack = maxExpressionDepth + 8;

} // namespace

Result<CompiledExpression> CompiledExpression::compile(const Expression &expression,
                                                       const std::vector<std::string> &symbols) {
  if (stackDepth(expression, 0) > static_cast<size_t>(maxExpressionDepth))
    return Error::mismatch(ErrorKind::InvalidJson, "expression",
                           "at most " + std::to_string(maxExpressionDepth) + " levels of nesting",
                           "more");
  CompiledExpression compiled;
  // Operands first, then their operator; an explicit stack would only repeat what the bounded
  // recursion says.
  const auto emit = [&](const auto &self, const Expression &e) -> Status {
    for (const Expression &operand : e.operands())
      NYSJIT_RETURN_IF_ERROR(self(self, operand));
    int64_t immediate = 0;
    if (e.operands().size() != operatorArity(e.op()))
      return Error::mismatch(ErrorKind::InvalidJson, "expression",
                             std::string("'") + operatorName(e.op()) + "' with " +
                                 std::to_string(operatorArity(e.op())) + " operands",
                             std::to_string(e.operands().size()));
    if (e.op() == Operator::Constant)
      immediate = e.constant();
    if (e.op() == Operator::Symbol) {
      const auto found = std::find(symbols.begin(), symbols.end(), e.symbolName());
      if (found == symbols.end())
        return Error::mismatch(ErrorKind::InvalidJson, "expression",
                               "a symbol that an argument binds", "'" + e.symbolName() + "'");
      immediate = found - symbols.begin();
    }
    compiled.steps.push_back({e.op(), immediate});
    return {};
  };
  NYSJIT_RETURN_IF_ERROR(emit(emit, expression));
  return compiled;
}

bool CompiledExpression::tryEvaluate(const int64_t *values, int64_t &result) const noexcept {
  if (steps.size() == 1) { // most parameters: a constant or a symbol
    result = steps[0].op == Operator::Constant ? steps[0].immediate : values[steps[0].immediate];
    return true;
  }
  struct Slot {
    int64_t value;
    bool failed;
  };
  Slot stack[maxStack];
  size_t top = 0; // slots in use
  for (const Step &step : steps) {
    switch (step.op) {
    case Operator::Constant: stack[top++] = {step.immediate, false}; break;
    case Operator::Symbol: stack[top++] = {values[step.immediate], false}; break;
    case Operator::Not: stack[top - 1].value = stack[top - 1].value == 0; break;
    case Operator::Select: {
      top -= 2;
      const Slot condition = stack[top - 1];
      const Slot chosen = condition.value ? stack[top] : stack[top + 1];
      stack[top - 1] = {chosen.value, condition.failed || chosen.failed};
      break;
    }
    default: {
      --top;
      Slot &left = stack[top - 1];
      const Slot right = stack[top];
      left.failed = left.failed || right.failed ||
                    !applyOperator(step.op, left.value, right.value, left.value);
      break;
    }
    }
  }
  result = stack[0].value;
  return !stack[0].failed;
}

Result<int64_t> CompiledExpression::evaluate(const int64_t *values) const {
  int64_t result = 0;
  if (tryEvaluate(values, result))
    return result;
  return Error::plain(
      ErrorKind::InvalidShape, "expression",
      "an expression of the plan overflows 64 bits, divides by zero or divides a negative number");
}

} // namespace nysjit

// Expression: a small integer expression over a program's run-time symbols (B, Hq, n, strides,
// ...). The template builder writes them, the plan carries them as JSON, the runtime evaluates
// them, overflow-checked. JSON form: an integer, a symbol's name, or [operator, operand...] with
// operators
//   "+" "-" "*" "ceildiv" "floordiv" "mod" "min" "max"   (two operands; division by zero or of
//                                                        negatives is an error)
//   "<" "<=" "==" "and" "or" "not"                        (0 or 1)
//   "select"                                              (condition, then, else; a failing branch
//                                                         not taken is no failure)
#pragma once
#include "runtime/base/json.h"
#include "runtime/base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace nysjit {

enum class Operator {
  Constant,
  Symbol,
  Add,
  Sub,
  Mul,
  CeilDiv,
  FloorDiv,
  Mod,
  Min,
  Max,
  Lt,
  Le,
  Eq,
  And,
  Or,
  Not,
  Select
};

/// Immutable; cheap to copy. Constructors fold constants and the obvious identities (x+0, x*1,
/// x*0).
class Expression {
public:
  Expression() : Expression(0) {}
  Expression(int64_t constant);
  static Expression symbol(std::string name);
  /// Folds; on overflow or division by zero among constants it is left unfolded and fails when
  /// evaluated.
  static Expression make(Operator op, std::vector<Expression> operands);

  Operator op() const;
  bool isConstant() const { return op() == Operator::Constant; }
  int64_t constant() const;              // only if isConstant()
  const std::string &symbolName() const; // only if op() == Symbol
  const std::vector<Expression> &operands() const;
  bool operator==(const Expression &other) const; // structural

  Json toJson() const;
  static Result<Expression> fromJson(const Json &json);

private:
  struct Node;
  std::shared_ptr<const Node> node;
  explicit Expression(std::shared_ptr<const Node> node);
};

/// An expression flattened to postfix over numbered symbols: what a prepared program evaluates at
/// each call.
class CompiledExpression {
public:
  /// Fails if the expression names a symbol that is not in `symbols`.
  static Result<CompiledExpression> compile(const Expression &expression,
                                            const std::vector<std::string> &symbols);
  /// `values` has one value a symbol, in the order given to compile. Overflow and division by zero
  /// are errors. No allocation on success.
  Result<int64_t> evaluate(const int64_t *values) const;
  /// The same without a message: false where evaluate would fail.
  bool tryEvaluate(const int64_t *values, int64_t &result) const noexcept;

private:
  struct Step {
    Operator op;
    int64_t immediate; // constant, or symbol number
  };
  std::vector<Step> steps;
};

} // namespace nysjit

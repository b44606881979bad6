// Expression: construction with folding, and JSON both ways. Arithmetic itself is applyOperator,
// which folding and evaluation share, so that a folded expression and an evaluated one cannot
// differ.
#include "runtime/plan/expression.h"
#include "runtime/plan/arithmetic.h"

#include <array>

namespace nysjit {

namespace {

struct OperatorRow {
  Operator op;
  const char *name;
  size_t arity;
};
constexpr std::array<OperatorRow, 15> operatorTable = {{
    {Operator::Add, "+", 2},
    {Operator::Sub, "-", 2},
    {Operator::Mul, "*", 2},
    {Operator::CeilDiv, "ceildiv", 2},
    {Operator::FloorDiv, "floordiv", 2},
    {Operator::Mod, "mod", 2},
    {Operator::Min, "min", 2},
    {Operator::Max, "max", 2},
    {Operator::Lt, "<", 2},
    {Operator::Le, "<=", 2},
    {Operator::Eq, "==", 2},
    {Operator::And, "and", 2},
    {Operator::Or, "or", 2},
    {Operator::Not, "not", 1},
    {Operator::Select, "select", 3},
}};

const OperatorRow *rowOf(Operator op) {
  for (const OperatorRow &row : operatorTable)
    if (row.op == op)
      return &row;
  return nullptr;
}

const OperatorRow *rowOf(const std::string &name) {
  for (const OperatorRow &row : operatorTable)
    if (row.name == name)
      return &row;
  return nullptr;
}

Error jsonError(const std::string &expected, const Json &found) {
  std::string text = found.dump();
  if (text.size() > 80)
    text = text.substr(0, 80) + "...";
  return Error::mismatch(ErrorKind::InvalidJson, "expression", expected, text);
}

} // namespace

const char *operatorName(Operator op) {
  const OperatorRow *row = rowOf(op);
  return row ? row->name : op == Operator::Symbol ? "symbol" : "constant";
}

size_t operatorArity(Operator op) {
  const OperatorRow *row = rowOf(op);
  return row ? row->arity : 0;
}

bool isSymbolName(const std::string &name) {
  if (name.empty() || name.size() > 64 || (name[0] >= '0' && name[0] <= '9'))
    return false;
  for (char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
      return false;
  return true;
}

struct Expression::Node {
  Operator op = Operator::Constant;
  int64_t constant = 0;
  std::string name;
  std::vector<Expression> operands;
};

Expression::Expression(std::shared_ptr<const Node> n) : node(std::move(n)) {}
Expression::Expression(int64_t constant)
    : node(std::make_shared<Node>(Node{Operator::Constant, constant, {}, {}})) {}
Expression Expression::symbol(std::string name) {
  return Expression(std::make_shared<const Node>(Node{Operator::Symbol, 0, std::move(name), {}}));
}

Operator Expression::op() const { return node->op; }
int64_t Expression::constant() const { return node->constant; }
const std::string &Expression::symbolName() const { return node->name; }
const std::vector<Expression> &Expression::operands() const { return node->operands; }

bool Expression::operator==(const Expression &other) const {
  if (node == other.node)
    return true;
  return node->op == other.node->op && node->constant == other.node->constant &&
         node->name == other.node->name && node->operands == other.node->operands;
}

Expression Expression::make(Operator op, std::vector<Expression> operands) {
  const auto is = [&](size_t i, int64_t constant) {
    return operands[i].isConstant() && operands[i].constant() == constant;
  };
  const bool binary = operands.size() == 2;
  // x + 0, x - 0, x * 1, x / 1 and their mirror images are x; x * 0 is 0.
  if (binary && ((op == Operator::Add && is(1, 0)) || (op == Operator::Sub && is(1, 0)) ||
                 (op == Operator::Mul && is(1, 1))))
    return operands[0];
  if (binary && ((op == Operator::Add && is(0, 0)) || (op == Operator::Mul && is(0, 1))))
    return operands[1];
  if (binary && op == Operator::Mul && (is(0, 0) || is(1, 0)))
    return Expression(0);
  if (op == Operator::Select && operands.size() == 3 && operands[0].isConstant())
    return operands[operands[0].constant() ? 1 : 2];

  bool constant = !operands.empty();
  for (const Expression &operand : operands)
    constant = constant && operand.isConstant();
  const OperatorRow *row = rowOf(op);
  if (constant && row && row->arity == operands.size()) {
    const int64_t left = operands[0].constant();
    const int64_t right = binary ? operands[1].constant() : 0;
    int64_t result = 0;
    if (applyOperator(op, left, right, result))
      return Expression(result);
  }
  return Expression(std::make_shared<const Node>(Node{op, 0, {}, std::move(operands)}));
}

Json Expression::toJson() const {
  if (op() == Operator::Constant)
    return constant();
  if (op() == Operator::Symbol)
    return symbolName();
  Json json = Json::array({operatorName(op())});
  for (const Expression &operand : operands())
    json.push_back(operand.toJson());
  return json;
}

namespace {

Result<Expression> parse(const Json &json, int depth) {
  if (depth > maxExpressionDepth)
    return Error::mismatch(ErrorKind::InvalidJson, "expression",
                           "at most " + std::to_string(maxExpressionDepth) + " levels of nesting",
                           "more");
  if (json.is_number_unsigned() && json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    return jsonError("an integer of 64 bits", json);
  if (json.is_number_integer())
    return Expression(json.get<int64_t>());
  if (json.is_string()) {
    if (!isSymbolName(json.text()))
      return jsonError("a symbol's name: letters, digits and _, at most 64", json);
    return Expression::symbol(json.get<std::string>());
  }
  if (!json.is_array() || json.empty() || !json.elements()[0].is_string())
    return jsonError("an integer, a symbol's name or [operator, operand...]", json);
  const OperatorRow *row = rowOf(json.elements()[0].text());
  if (!row)
    return jsonError("an operator: + - * ceildiv floordiv mod min max < <= == and or not select",
                     json.elements()[0]);
  if (json.size() != row->arity + 1)
    return jsonError(
        std::string("'") + row->name + "' with " + std::to_string(row->arity) + " operands", json);
  std::vector<Expression> operands;
  for (size_t i = 1; i < json.size(); ++i) {
    Result<Expression> operand = parse(json[i], depth + 1);
    if (!operand)
      return operand.takeError();
    operands.push_back(std::move(*operand));
  }
  return Expression::make(row->op, std::move(operands));
}

} // namespace

Result<Expression> Expression::fromJson(const Json &json) { return parse(json, 0); }

} // namespace nysjit

// Expressions against an independent evaluator in 128 bits, their JSON, and what foreign JSON may
// not say.
#include "runtime/plan/arithmetic.h"
#include "runtime/plan/expression.h"
#include "tests/spec/own_json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

namespace nysjit {
namespace {

using Json = nlohmann::json; // hides the runtime's own
const std::vector<std::string> symbols = {"B", "n", "m"};

/// What the operators mean, from the JSON, in 128 bits; nothing where it does not fit 64 bits or
/// divides by less than 1.
std::optional<__int128> meaning(const Json &json, const int64_t *values) {
  if (json.is_number())
    return json.get<int64_t>();
  if (json.is_string())
    return values[std::find(symbols.begin(), symbols.end(), json.get<std::string>()) -
                  symbols.begin()];
  const std::string op = json[0];
  const auto a = meaning(json[1], values);
  if (!a)
    return std::nullopt;
  if (op == "not")
    return *a == 0;
  if (op == "select")
    return meaning(*a ? json[2] : json[3], values);
  const auto b = meaning(json[2], values);
  if (!b)
    return std::nullopt;
  const bool divides = op == "ceildiv" || op == "floordiv" || op == "mod";
  if (divides && (*a < 0 || *b <= 0))
    return std::nullopt;
  __int128 result = op == "+"          ? *a + *b
                    : op == "-"        ? *a - *b
                    : op == "*"        ? *a * *b
                    : op == "ceildiv"  ? (*a + *b - 1) / *b
                    : op == "floordiv" ? *a / *b
                    : op == "mod"      ? *a % *b
                    : op == "min"      ? std::min(*a, *b)
                    : op == "max"      ? std::max(*a, *b)
                    : op == "<"        ? *a < *b
                    : op == "<="       ? *a <= *b
                    : op == "=="       ? *a == *b
                    : op == "and"      ? (*a && *b)
                                       : (*a || *b);
  if (result > INT64_MAX || result < INT64_MIN)
    return std::nullopt;
  return result;
}

Json randomExpression(std::mt19937_64 &random, int depth) {
  const int64_t constants[] = {0, 1, 2, -1, 3, 64, INT64_MAX, INT64_MIN, int64_t(random() % 1000)};
  if (depth == 0 || random() % 4 == 0)
    return random() % 2 ? Json(constants[random() % 9]) : Json(symbols[random() % 3]);
  const char *operators[] = {"+", "-",  "*",  "ceildiv", "floordiv", "mod", "min",   "max",
                             "<", "<=", "==", "and",     "or",       "not", "select"};
  const std::string op = operators[random() % 15];
  Json json = {op};
  for (int i = 0; i < (op == "not" ? 1 : op == "select" ? 3 : 2); ++i)
    json.push_back(randomExpression(random, depth - 1));
  return json;
}

TEST(Expression, agrees_with_128_bit_arithmetic) {
  const uint64_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  int failing = 0;
  for (int i = 0; i < 20000; ++i) {
    const Json json = randomExpression(random, 4);
    const int64_t values[] = {int64_t(random() % 100), int64_t(random() % 5) - 2,
                              random() % 8 ? int64_t(random()) : 0};
    const auto expected = meaning(json, values);
    Result<Expression> parsed = Expression::fromJson(ownJson(json));
    ASSERT_TRUE(parsed.ok()) << json;
    Result<CompiledExpression> compiled = CompiledExpression::compile(*parsed, symbols);
    ASSERT_TRUE(compiled.ok()) << json;
    const Result<int64_t> found = compiled->evaluate(values);
    failing += !expected;
    // Folding may drop a failing operand (x * 0), never change a value.
    if (expected) {
      ASSERT_TRUE(found.ok() && *found == *expected) << json << " seed " << seed;
    } else if (found.ok()) {
      ASSERT_TRUE(json.dump().find("\"*\"") != std::string::npos) << json << " seed " << seed;
    }
  }
  EXPECT_GT(failing, 100); // the inputs reach the failures, too
}

TEST(Expression, json_round_trip_keeps_the_expression) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    Result<Expression> first = Expression::fromJson(ownJson(randomExpression(random, 5)));
    ASSERT_TRUE(first.ok());
    Result<Expression> second = Expression::fromJson(first->toJson());
    ASSERT_TRUE(second.ok() && *second == *first) << first->toJson().dump() << " seed " << seed;
  }
}

TEST(Expression, folds_identities) {
  const Expression n = Expression::symbol("n");
  EXPECT_EQ(Expression::make(Operator::Add, {n, Expression(0)}), n);
  EXPECT_EQ(Expression::make(Operator::Mul, {Expression(1), n}), n);
  EXPECT_EQ(Expression::make(Operator::Mul, {n, Expression(0)}), Expression(0));
  EXPECT_EQ(Expression::make(Operator::CeilDiv, {Expression(7), Expression(2)}), Expression(4));
  EXPECT_FALSE(
      Expression::make(Operator::Add, {Expression(INT64_MAX), Expression(1)}).isConstant());
}

TEST(Expression, select_leaves_the_other_branch_alone) {
  const Json json = {"select", {"==", "n", 0}, 7, {"floordiv", 6, "n"}};
  Result<CompiledExpression> compiled =
      CompiledExpression::compile(*Expression::fromJson(ownJson(json)), symbols);
  const int64_t zero[] = {1, 0, 1};
  const int64_t two[] = {1, 2, 1};
  EXPECT_EQ(*compiled->evaluate(zero), 7);
  EXPECT_EQ(*compiled->evaluate(two), 3);
}

TEST(Expression, an_unknown_symbol_does_not_compile) {
  Result<CompiledExpression> compiled =
      CompiledExpression::compile(Expression::symbol("x"), symbols);
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.error().found, "'x'");
}

TEST(Expression, foreign_json_is_refused) {
  const char *texts[] = {"1.5",
                         "true",
                         "null",
                         "{}",
                         "[]",
                         "[1,2]",
                         "[\"^\",1,2]",
                         "[\"+\",1]",
                         "[\"+\",1,2,3]",
                         "[\"not\",1,2]",
                         "\"\"",
                         "\"1n\"",
                         "\"a b\"",
                         "18446744073709551615",
                         "[\"select\",1,2]",
                         "[\"+\",1,[\"?\"]]",
                         "[[\"+\"],1,2]"};
  for (const char *text : texts)
    EXPECT_FALSE(Expression::fromJson(ownJson(Json::parse(text))).ok()) << text;
}

TEST(Expression, deep_nesting_is_refused) {
  Json json = "n";
  for (int i = 0; i < maxExpressionDepth; ++i)
    json = Json{"+", 1, json};
  EXPECT_TRUE(Expression::fromJson(ownJson(json)).ok());
  for (int i = 0; i < 100; ++i)
    json = Json{"+", 1, std::move(json)};
  EXPECT_FALSE(Expression::fromJson(ownJson(json)).ok());
}

} // namespace
} // namespace nysjit

// The plan's JSON both ways; every way in which a foreign plan may be wrong.
#include "runtime/plan/plan.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace nysjit {
namespace {

using Json = nlohmann::json;

Plan samplePlan() {
  const Expression B = Expression::symbol("B");
  const Expression n = Expression::symbol("n");
  const Expression stride = Expression::symbol("q_stride_0");
  Plan plan;
  plan.layout = "causal";
  plan.target = "cpu:native";
  plan.specJson = R"({"head_dim":64,"layout":"causal"})";
  plan.arguments = {
      {"q",
       false,
       {"bfloat16"},
       "",
       {B, n, Expression(64)},
       {stride, Expression::symbol("q_stride_1"), Expression(1)}},
      {"o",
       true,
       {"float32", "bfloat16"},
       "o_dtype",
       {B, n, Expression(64)},
       {Expression::symbol("o_stride_0"), Expression::symbol("o_stride_1"), Expression(1)}}};
  plan.preconditions = {
      {Expression::make(Operator::Le, {n, Expression(100)}), "q", "at most 100", "{n}"}};
  plan.buffers = {{"sums", Expression::make(Operator::Mul, {n, Expression(4)})}};
  plan.kernels = {
      {"first",
       128,
       {{"q", ParameterType::Pointer, "q", {}}, {"sums", ParameterType::Pointer, "sums", {}}},
       BlockConfig{.blockM = 64}},
      {"second",
       0,
       {{"o", ParameterType::Pointer, "o", {}},
        {"n", ParameterType::I32, "", n},
        {"q_stride_0", ParameterType::I64, "", stride},
        {"scale", ParameterType::F32, "", {}}},
       BlockConfig{}}};
  plan.launches = {{"first", n, Expression(1)},
                   {"second", Expression::make(Operator::CeilDiv, {n, Expression(64)}), n}};
  return plan;
}

TEST(Plan, json_round_trip_gives_the_same_bytes) {
  const std::string text = planToJson(samplePlan());
  Result<Plan> plan = planFromJson(text);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(planToJson(*plan), text);
  EXPECT_EQ(text.back(), '\n');
}

TEST(Plan, symbols_are_dimensions_then_dtypes) {
  const std::vector<std::string> expected = {"B",          "n",          "q_stride_0", "q_stride_1",
                                             "o_stride_0", "o_stride_1", "o_dtype"};
  EXPECT_EQ(planSymbols(samplePlan()), expected);
}

TEST(Plan, an_optional_outputs_presence_is_a_symbol_and_kept) {
  Plan plan = samplePlan();
  plan.arguments[1].isOptional = true;
  plan.arguments[1].presenceSymbol = "o_is_given";
  EXPECT_EQ(planSymbols(plan).back(), "o_is_given");
  Result<Plan> read = planFromJson(planToJson(plan));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read->arguments[1].isOptional);
  EXPECT_EQ(read->arguments[1].presenceSymbol, "o_is_given");
  EXPECT_EQ(read->arguments[0].presenceSymbol, "");
}

/// The same for a GPU, with an alignment symbol that chooses the launch.
Plan gpuPlan() {
  Plan plan = samplePlan();
  plan.target = "cuda:sm_80";
  plan.arguments[0].alignmentSymbol = "q_align";
  for (PlanKernel &kernel : plan.kernels)
    kernel.blockThreads = 128;
  plan.kernels[1].sharedBytes = 65536;
  plan.kernels[1].mayOverlap = true;
  plan.launches[1].when =
      Expression::make(Operator::Eq, {Expression::symbol("q_align"), Expression(16)});
  return plan;
}

TEST(Plan, a_gpus_kernels_say_block_and_shared_memory) {
  const std::string text = planToJson(gpuPlan());
  EXPECT_NE(text.find(R"("block": 128, "shared_bytes": 65536, "may_overlap": true, )"
                      R"("config")"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(R"("block": 128, "shared_bytes": 0, "config")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("alignment_symbol":"q_align")"), std::string::npos) << text;
  Result<Plan> plan = planFromJson(text);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(planToJson(*plan), text);
  EXPECT_EQ(planSymbols(*plan).back(), "q_align");
  EXPECT_FALSE(plan->kernels[0].mayOverlap);
  EXPECT_TRUE(plan->kernels[1].mayOverlap);
  EXPECT_EQ(planToJson(samplePlan()).find("shared_bytes"), std::string::npos);
}

TEST(Plan, a_gpus_plan_that_is_wrong_is_refused) {
  const std::tuple<const char *, const char *, const char *> wrong[] = {
      {"/kernels/0/block", "0", "block"},
      {"/kernels/0/block", "1025", "from 1 to 1024"},
      {"/kernels/0/block", "\"n\"", "block"},
      {"/kernels/0/shared_bytes", "-1", "shared_bytes"},
      {"/kernels/0/may_overlap", "1", "true or false"},
      {"/target", "\"cpu:native\"", "none for cpu:native"},
      {"/arguments/0/alignment_symbol", "\"n\"", "alignment symbol of its own"},
      {"/arguments/1/alignment_symbol", "\"q_align\"", "alignment symbol of its own"},
      {"/arguments/1/dtype_symbol", "\"q_align\"", "of its own"},
      {"/buffers/0/bytes", "\"q_align\"", "buffers.sums.bytes"}, // asked for without addresses
      {"/preconditions/0/holds", "\"q_align\"", "preconditions.q"}};
  for (const auto &[pointer, value, where] : wrong) {
    Json json = Json::parse(planToJson(gpuPlan()));
    json[Json::json_pointer(pointer)] = Json::parse(value);
    Result<Plan> plan = planFromJson(json.dump());
    ASSERT_FALSE(plan.ok()) << pointer;
    EXPECT_NE(plan.error().message.find(where), std::string::npos) << plan.error().message;
  }
  Json json = Json::parse(planToJson(gpuPlan()));
  json["kernels"][0].erase("block");
  EXPECT_FALSE(planFromJson(json.dump()).ok());
}

/// Puts `value` (JSON text) at `pointer` of the sample plan, then reads it.
Result<Plan> planWith(const std::string &pointer, const std::string &value) {
  Json json = Json::parse(planToJson(samplePlan()));
  json[Json::json_pointer(pointer)] = Json::parse(value);
  return planFromJson(json.dump());
}

TEST(Plan, the_way_of_changing_it_works) { EXPECT_TRUE(planWith("/program", "\"x\"").ok()); }

struct BadPlan {
  const char *pointer;
  const char *value;
  const char *where; // where: part of the message
};
class ForeignPlan : public testing::TestWithParam<BadPlan> {};

TEST_P(ForeignPlan, is_refused) {
  Result<Plan> plan = planWith(GetParam().pointer, GetParam().value);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().kind, ErrorKind::InvalidJson);
  EXPECT_NE(plan.error().message.find(GetParam().where), std::string::npos) << plan.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Plan, ForeignPlan,
    testing::Values(BadPlan{"/schema", "2", "schema"}, BadPlan{"/surprise", "1", "surprise"},
                    BadPlan{"/program", "1", "program"}, BadPlan{"/spec", "[]", "spec"},
                    BadPlan{"/arguments", "{}", "arguments"},
                    BadPlan{"/arguments/0/name", "\"q q\"", "name"},
                    BadPlan{"/arguments/1/name", "\"q\"", "twice"},
                    BadPlan{"/arguments/0/output", "1", "output"},
                    BadPlan{"/arguments/0/dtypes", "[\"float64\"]", "float64"},
                    BadPlan{"/arguments/0/dtypes", "[]", "dtypes"},
                    BadPlan{"/arguments/0/shape/0", "-1", "shape"},
                    BadPlan{"/arguments/0/shape/0", "[\"+\",\"B\",1]", "shape"},
                    BadPlan{"/arguments/0/strides", "[1]", "strides"},
                    BadPlan{"/arguments/1/dtype_symbol", "\"n\"", "dtype symbol"},
                    BadPlan{"/preconditions/0/holds", "\"x\"", "'x'"},
                    BadPlan{"/preconditions/0/where", "null", "where"},
                    BadPlan{"/buffers/0/name", "\"q\"", "twice"},
                    BadPlan{"/buffers/0/bytes", "[\"*\",\"n\"]", "operands"},
                    BadPlan{"/kernels/0/scratch_bytes", "-4", "scratch_bytes"},
                    BadPlan{"/kernels/0/scratch_bytes", "1e99", "scratch_bytes"},
                    BadPlan{"/kernels/0/scratch_bytes", "99999999999", "scratch_bytes"},
                    BadPlan{"/kernels/0/shared_bytes", "64", "neither shared_bytes"},
                    BadPlan{"/kernels/0/may_overlap", "true", "neither shared_bytes"},
                    BadPlan{"/kernels/0/config", "3", "config"},
                    BadPlan{"/kernels/0/config/block_m", "48", "config.block_m"},
                    BadPlan{"/kernels/1/name", "\"first\"", "twice"},
                    BadPlan{"/kernels/0/parameters/0/memory", "\"z\"", "'z'"},
                    BadPlan{"/kernels/0/parameters/0/type", "\"f64\"", "f64"},
                    BadPlan{"/kernels/0/parameters/1/name", "\"q\"", "twice"},
                    BadPlan{"/kernels/1/parameters/1/value", "\"zz\"", "'zz'"},
                    BadPlan{"/launches/0/kernel", "\"third\"", "'third'"},
                    BadPlan{"/launches/0/grid", "[\"pow\",2,3]", "grid"},
                    BadPlan{"/launches/1/when", "\"q\"", "'q'"}));

/// The sample with the lengths of its sequences, whose one stride is `stride`.
Result<Plan> planWithSequences(const char *stride, const char *maxLength) {
  Json json = Json::parse(planToJson(samplePlan()));
  json["arguments"].push_back({{"name", "lengths"},
                               {"output", false},
                               {"dtypes", {"int32"}},
                               {"shape", {"count"}},
                               {"strides", {Json::parse(stride)}}});
  json["sequences"] = {{"lengths", "lengths"}, {"rows", "n"}, {"max_length", maxLength}};
  return planFromJson(json.dump());
}

TEST(Plan, sequences_are_dense_vectors_and_their_maximum_is_a_symbol_of_its_own) {
  EXPECT_TRUE(planWithSequences("1", "longest").ok());
  for (const auto &[stride, maxLength] :
       {std::pair("\"s\"", "longest"), {"2", "longest"}, {"1", "n"}, {"1", "o_dtype"}}) {
    Result<Plan> plan = planWithSequences(stride, maxLength);
    ASSERT_FALSE(plan.ok()) << stride << " " << maxLength;
    EXPECT_NE(plan.error().where.find("sequences"), std::string::npos) << plan.error().message;
  }
}

/// The sample with its buffer saved, as this object says.
Result<Plan> planThatSaves(const Json &saved) {
  Json json = Json::parse(planToJson(samplePlan()));
  json["buffers"][0]["saved"] = true;
  if (!saved.is_null())
    json["saved"] = saved;
  return planFromJson(json.dump());
}

TEST(Plan, saved_memory_is_kept_and_its_symbol_is_the_last) {
  Result<Plan> plan = planThatSaves({{"symbol", "is_given"}, {"needed", true}});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_TRUE(plan->buffers[0].isSaved);
  EXPECT_TRUE(plan->saved.isNeeded);
  EXPECT_EQ(planSymbols(*plan).back(), "is_given");
  const std::string text = planToJson(*plan);
  plan = planFromJson(text);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_TRUE(plan->buffers[0].isSaved);
  EXPECT_TRUE(plan->saved.isNeeded);
  EXPECT_EQ(planToJson(*plan), text);
}

TEST(Plan, saved_memory_has_a_symbol_of_its_own) {
  for (const Json &saved : {Json(), Json({{"symbol", "n"}, {"needed", false}}),
                            Json({{"symbol", "o_dtype"}, {"needed", false}}),
                            Json({{"symbol", "is_given"}}), Json({{"symbol", 1}, {"needed", 1}})}) {
    Result<Plan> plan = planThatSaves(saved);
    ASSERT_FALSE(plan.ok()) << saved;
    EXPECT_NE(plan.error().where.find("saved"), std::string::npos) << plan.error().message;
  }
}

TEST(Plan, deep_nesting_is_refused_without_a_deep_stack) {
  const std::string deep = std::string(500000, '[') + std::string(500000, ']');
  for (const std::string &rest :
       {"\"arguments\": " + deep, "\"surprise\": " + deep, "\"spec\": {\"a\": " + deep + "}"})
    EXPECT_FALSE(
        planFromJson("{\"schema\": 1, \"program\": \"p\", \"target\": \"t\", " + rest + "}").ok());
}

TEST(Plan, a_key_that_is_given_twice_is_refused) {
  EXPECT_FALSE(planFromJson("{\"schema\": 1, " + planToJson(samplePlan()).substr(1)).ok());
}

TEST(Plan, text_that_is_no_json_is_refused) {
  for (const char *text : {"", "{", "[]", "1", "{}", "\xff\xfe"})
    EXPECT_FALSE(planFromJson(text).ok()) << text;
}

TEST(Plan, a_truncated_plan_is_refused) {
  const std::string text = planToJson(samplePlan());
  for (size_t length = 0; length + 2 < text.size(); length += 7)
    EXPECT_FALSE(planFromJson(text.substr(0, length)).ok()) << length;
}

} // namespace
} // namespace nysjit

// Every row of the contract's key table, violated in each way. The rows below are written from the
// contract by hand, not taken from the implementation's table.
#include "runtime/spec/spec.h"
#include "tests/spec/own_json.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

using nlohmann::json;
using namespace nysjit;

namespace {

/// A valid spec of each layout, needed keys only.
json minimal(const std::string &layout) {
  json spec = {{"layout", layout}, {"head_dim", 64}};
  if (layout != "exact_causal")
    spec["landmarks"] = 8;
  if (layout == "scan")
    spec["landmark_source"] = "learned";
  return spec;
}

const std::vector<std::string> layouts = {"causal",         "exact_causal", "bidirectional",
                                          "segment_causal", "prefix_lm",    "scan"};

struct Row {
  std::string key;
  std::string layouts; // that use it, from minimal(); "all" or names
  std::vector<json> good;
  std::vector<json> bad;
};

const double nan = std::numeric_limits<double>::quiet_NaN();
const json notIntegers = {
    true, 64.0, "64", 1.5, nullptr, json::array(), json::object(), 18446744073709551615u, nan};
const json notChoices = {true, 1, "", "Causal", nullptr, json::array(), json::object()};

std::vector<json> join(const json &a, std::vector<json> b) {
  b.insert(b.end(), a.begin(), a.end());
  return b;
}

const std::vector<Row> rows = {
    {"head_dim", "all", {16, 24, 64, 256}, join(notIntegers, {0, 8, 15, 20, 257, 264, -64})},
    {"segment_len",
     "causal segment_causal bidirectional prefix_lm",
     {1, 64, 65536},
     join(notIntegers, {0, -1, 65537})},
    {"window", "causal", {0, 1, 8}, join(notIntegers, {-1, 9})},
    {"landmark_weight", "causal prefix_lm", {"tangent", "count"}, join(notChoices, {"mean"})},
    {"landmark_value", "causal prefix_lm", {"nystrom", "streaming"}, join(notChoices, {"stream"})},
    {"stabilizer",
     "causal segment_causal prefix_lm",
     {0, 0.25, 1, 1e6, 1000000},
     {true, "0.25", nullptr, json::array(), -1, -1e-9, 1000000.5, 1e7, nan,
      std::numeric_limits<double>::infinity()}},
    {"inverse_iterations", "bidirectional prefix_lm scan", {0, 6, 32}, join(notIntegers, {-1, 33})},
    {"landmark_source", "scan", {"learned"}, join(notChoices, {"segment_mean"})},
    {"landmark_source", "causal", {"segment_mean"}, join(notChoices, {"first_k"})},
    {"probes", "", {}, {}}, // used only with landmark_source learned, as the next two: below
    {"landmark_spacing", "", {}, {}},
    {"level_width", "", {}, {}},
    {"first_k", "", {}, {}}, // used only with landmark_source first_k: below
    {"conv_kernel",
     "causal bidirectional segment_causal prefix_lm scan",
     {0, 3, 129},
     join(notIntegers, {-1, 130})},
    {"dtype", "all", {"float32", "float16", "bfloat16"}, join(notChoices, {"float64", "half"})},
    {"float32_math", "all", {"tf32x3", "tf32"}, join(notChoices, {"float32"})},
    {"landmarks", "causal segment_causal", {1, 8, 512, 1024}, join(notIntegers, {0, -1, 1025})},
    {"landmarks", "bidirectional prefix_lm scan", {1, 512}, join(notIntegers, {0, 513, 1024})},
};

bool uses(const Row &row, const std::string &layout) {
  return row.layouts == "all" ||
         (" " + row.layouts + " ").find(" " + layout + " ") != std::string::npos;
}

void expectKeyError(const json &spec, const std::string &key, const std::string &expected = "") {
  Result<KernelSpec> parsed = parseKernelSpec(ownJson(spec));
  ASSERT_FALSE(parsed.ok()) << spec;
  const Error &error = parsed.error();
  EXPECT_EQ(error.kind, ErrorKind::InvalidKey) << spec;
  EXPECT_EQ(error.where, key) << spec << ": " << error.message;
  EXPECT_NE(error.message.find(key), std::string::npos) << error.message;
  EXPECT_FALSE(error.found.empty());
  EXPECT_EQ(error.expected, expected.empty() ? error.expected : expected) << spec;
}

void expectAccepted(const json &spec) {
  Result<KernelSpec> parsed = parseKernelSpec(ownJson(spec));
  EXPECT_TRUE(parsed.ok()) << spec << parsed.error().message;
}

json with(json spec, const std::string &key, const json &value) {
  spec[key] = value;
  return spec;
}

TEST(KeyTable, MinimalSpecsAreAccepted) {
  for (const std::string &layout : layouts)
    expectAccepted(minimal(layout));
}

TEST(KeyTable, ValuesInRangeAreAccepted) {
  for (const Row &row : rows)
    for (const std::string &layout : layouts)
      for (const json &value : uses(row, layout) ? row.good : std::vector<json>())
        expectAccepted(with(minimal(layout), row.key, value));
}

TEST(KeyTable, WrongTypeOrRangeNamesTheKey) {
  for (const Row &row : rows)
    for (const std::string &layout : layouts)
      for (const json &value : uses(row, layout) ? row.bad : std::vector<json>())
        expectKeyError(with(minimal(layout), row.key, value), row.key);
}

TEST(KeyTable, AKeyTheLayoutDoesNotUseIsAnErrorEvenAtItsDefault) {
  const json defaults = {{"segment_len", 8},
                         {"window", 0},
                         {"landmark_weight", "tangent"},
                         {"landmark_value", "nystrom"},
                         {"stabilizer", 0.25},
                         {"inverse_iterations", 6},
                         {"landmark_source", "learned"},
                         {"first_k", 8},
                         {"probes", 4},
                         {"landmark_spacing", "uniform"},
                         {"level_width", 1},
                         {"conv_kernel", 0}};
  auto usesKey = [&](const std::string &key, const std::string &layout) {
    return std::ranges::any_of(rows,
                               [&](const Row &row) { return row.key == key && uses(row, layout); });
  };
  for (const Row &row : rows)
    for (const std::string &layout : layouts)
      if (!usesKey(row.key, layout) && defaults.contains(row.key))
        expectKeyError(with(minimal(layout), row.key, defaults[row.key]), row.key);
  expectKeyError(with(minimal("exact_causal"), "landmarks", 8), "landmarks",
                 "no such key with layout exact_causal");
}

TEST(KeyTable, ANeededKeyThatIsMissingIsNamed) {
  for (const std::string &layout : layouts) {
    json needed = minimal(layout);
    for (const auto &[key, value] : needed.items()) {
      json spec = needed;
      spec.erase(key);
      expectKeyError(spec, key);
    }
  }
}

TEST(KeyTable, UnknownLayoutNamesTheLayouts) {
  for (const json &value : join(notChoices, {"nystrom", "CAUSAL"}))
    expectKeyError(with(minimal("causal"), "layout", value), "layout",
                   "\"causal\", \"exact_causal\", \"bidirectional\", \"segment_causal\", "
                   "\"prefix_lm\" or \"scan\"");
}

TEST(KeyTable, UnknownKeyIsNamed) {
  expectKeyError(with(minimal("causal"), "headdim", 64), "headdim");
  expectKeyError(with(minimal("causal"), "Layout", "causal"), "Layout");
  expectKeyError(with(minimal("causal"), "block_m", 64), "block_m");
  expectKeyError(with(minimal("causal"), "", 64), "''"); // the place of an error is never empty
}

TEST(KeyTable, StabilizerIsNotUsedWhenStreaming) {
  for (const char *layout : {"causal", "prefix_lm"})
    expectKeyError(with(with(minimal(layout), "landmark_value", "streaming"), "stabilizer", 0.25),
                   "stabilizer", "no such key with landmark_value streaming");
}

TEST(KeyTable, Float32MathIsUsedOnlyWithFloat32) {
  for (const char *dtype : {"float16", "bfloat16"})
    expectKeyError(with(with(minimal("causal"), "dtype", dtype), "float32_math", "tf32x3"),
                   "float32_math", std::string("no such key with dtype ") + dtype);
}

TEST(KeyTable, FirstKGoesWithItsSourceOnly) {
  json spec = with(minimal("scan"), "landmark_source", "first_k");
  expectKeyError(spec, "first_k");
  for (int good : {8, 16, 1 << 20})
    expectAccepted(with(spec, "first_k", good));
  for (const json &bad : join(notIntegers, {0, -8, 4, 12}))
    expectKeyError(with(spec, "first_k", bad), "first_k",
                   "an integer, 1 to 2147483647, multiple of landmarks (8)");
  expectKeyError(with(minimal("scan"), "first_k", 8), "first_k",
                 "no such key with landmark_source learned");
}

/// causal with learned probes.
json learned() { return with(with(minimal("causal"), "landmark_source", "learned"), "probes", 4); }
/// The same whose blocks grow with distance.
json dyadic() { return with(with(learned(), "segment_len", 64), "landmark_spacing", "dyadic"); }

TEST(KeyTable, ProbesGoWithTheirSourceOnly) {
  expectAccepted(learned());
  for (int good : {1, 16})
    expectAccepted(with(learned(), "probes", good));
  for (const json &bad : join(notIntegers, {0, 17, -1}))
    expectKeyError(with(learned(), "probes", bad), "probes", "an integer, 1 to 16");
  json none = learned();
  none.erase("probes");
  expectKeyError(none, "probes", "an integer, 1 to 16");
  expectKeyError(with(minimal("causal"), "probes", 4), "probes",
                 "no such key with landmark_source segment_mean");
  expectKeyError(with(minimal("scan"), "probes", 4), "probes", "no such key with layout scan");
  expectKeyError(with(minimal("causal"), "landmark_source", "first_k"), "landmark_source",
                 "\"learned\" or \"segment_mean\"");
}

TEST(KeyTable, ProbesTakeThePlaceOfLandmarksValues) {
  for (const auto &[key, value] : std::map<std::string, json>{
           {"landmark_weight", "tangent"}, {"landmark_value", "nystrom"}, {"stabilizer", 0.25}})
    expectKeyError(with(learned(), key, value), key, "no such key with landmark_source learned");
}

TEST(KeyTable, BlocksThatGrowHaveTheirOwnKeys) {
  expectAccepted(dyadic());
  expectAccepted(with(learned(), "landmark_spacing", "uniform"));
  for (const json &bad : join(notChoices, {"linear"}))
    expectKeyError(with(learned(), "landmark_spacing", bad), "landmark_spacing",
                   "\"uniform\" or \"dyadic\"");
  expectKeyError(with(minimal("causal"), "landmark_spacing", "uniform"), "landmark_spacing",
                 "no such key with landmark_source segment_mean");
  for (int good : {1, 16})
    expectAccepted(with(dyadic(), "level_width", good));
  for (const json &bad : join(notIntegers, {0, 17}))
    expectKeyError(with(dyadic(), "level_width", bad), "level_width", "an integer, 1 to 16");
  expectKeyError(with(learned(), "level_width", 1), "level_width",
                 "no such key with landmark_spacing uniform");
}

TEST(KeyTable, BlocksThatGrowTakeMoreLandmarksAndNeedTheirSegments) {
  expectAccepted(with(with(dyadic(), "landmarks", 65536), "window", 65536));
  expectKeyError(with(dyadic(), "landmarks", 65537), "landmarks", "an integer, 1 to 65536");
  expectKeyError(with(learned(), "landmarks", 65536), "landmarks", "an integer, 1 to 1024");
  json without = dyadic();
  without.erase("segment_len");
  expectKeyError(without, "segment_len", "an integer, 1 to 65536");
}

TEST(KeyTable, WindowIsAtMostLandmarks) {
  expectKeyError(with(minimal("causal"), "window", 9), "window", "an integer, 0 to landmarks (8)");
}

TEST(KeyTable, ExpectedSentencesGiveRangeAndMultiple) {
  expectKeyError(with(minimal("causal"), "head_dim", 20), "head_dim",
                 "an integer, 16 to 256, multiple of 8");
  expectKeyError(with(minimal("causal"), "landmarks", 2000), "landmarks", "an integer, 1 to 1024");
  expectKeyError(with(minimal("scan"), "landmarks", 600), "landmarks", "an integer, 1 to 512");
  expectKeyError(with(minimal("causal"), "stabilizer", -1), "stabilizer", "a number, 0 to 1000000");
  expectKeyError(with(minimal("causal"), "dtype", "half"), "dtype",
                 "\"float32\", \"float16\" or \"bfloat16\"");
  expectKeyError(with(minimal("causal"), "segment_len", 0), "segment_len",
                 "an integer, 1 to 65536");
}

TEST(KeyTable, SchemaIsOneOrAbsent) {
  expectAccepted(with(minimal("causal"), "schema", 1));
  for (const json &bad : {json(2), json(0), json(1.0), json("1"), json(true), json()})
    expectKeyError(with(minimal("causal"), "schema", bad), "schema", "1");
}

TEST(KeyTable, FoundShowsTheValue) {
  Result<KernelSpec> parsed = parseKernelSpec(ownJson(with(minimal("causal"), "head_dim", 64.0)));
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().message,
            "head_dim: expected an integer, 16 to 256, multiple of 8, found 64.0");
}

} // namespace

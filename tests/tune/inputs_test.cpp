// Tensors of a lab's runs: which there are, and how outputs are compared.
#include "runtime/tune/inputs.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

KernelSpec specOf(const std::string &keys) {
  Result<KernelSpec> spec = parseKernelSpec(std::string_view("{\"head_dim\": 16, " + keys + "}"));
  EXPECT_TRUE(spec.ok()) << keys;
  return *spec;
}

std::vector<std::string> namesOf(std::vector<RunOutput> &outputs) {
  std::vector<std::string> names;
  for (const RunOutput &output : outputs)
    names.push_back(output.row->name);
  return names;
}

TEST(RunInputs, AreThoseOfThePass) {
  for (const char *pass : {"forward", "saving", "backward"}) {
    const bool isBackward = std::string(pass) == "backward";
    RunInputs inputs(
        specOf(std::string(R"("layout": "scan", "landmarks": 4, "landmark_source": "learned",
                                           "conv_kernel": 3, "pass": ")") +
               pass + "\""),
        {.length = 5, .heads = 4, .kvHeads = 2}, 1);
    EXPECT_EQ(namesOf(inputs.outputs()),
              isBackward ? (std::vector<std::string>{"dq", "dk", "dv", "dlandmark_q", "dlandmark_k",
                                                     "dconv"})
                         : std::vector<std::string>{"o"});
    EXPECT_TRUE(inputs.args().o) << "a backward reads it";
    EXPECT_EQ(inputs.args().dout != nullptr, isBackward);
    ASSERT_TRUE(inputs.args().landmark_k);
    EXPECT_EQ(inputs.args().landmark_k->shape[0], 2); // key heads
    if (isBackward) {
      EXPECT_EQ(inputs.args().dk->shape[1], 2);
      EXPECT_EQ(inputs.outputs()[1].numbers.size(), size_t(2 * 5 * 16));
    }
  }
}

TEST(RunInputs, OneWrongOutputIsFound) {
  for (const char *keys : {R"("layout": "exact_causal", "pass": "backward")",
                           R"("layout": "bidirectional", "landmarks": 4, "pass": "backward")",
                           R"("layout": "exact_causal")"}) {
    RunInputs inputs(specOf(keys), {.length = 3}, 1);
    std::vector<RunOutput> right = inputs.outputs();
    for (RunOutput &output : right)
      std::ranges::fill(output.numbers, 2.0f);
    EXPECT_EQ(inputs.difference(right, right, false).error, 0);
    EXPECT_TRUE(inputs.difference(right, right, false).isWithin());
    for (size_t i = 0; i < right.size(); ++i) {
      std::vector<RunOutput> found = right;
      found[i].numbers[7] = 4; // of 48 that are 2
      const Difference wrong = inputs.difference(found, right, false);
      EXPECT_NEAR(wrong.error, 1 / std::sqrt(48), 1e-6) << right[i].row->name;
      EXPECT_FALSE(wrong.isWithin());
      found[i].numbers[7] = NAN;
      EXPECT_FALSE(inputs.difference(found, right, false).isWithin()) << right[i].row->name;
    }
  }
}

TEST(RunInputs, NothingOfAnEarlierRunIsLeft) {
  RunInputs inputs(specOf(R"("layout": "exact_causal", "pass": "backward")"), {.length = 3}, 1);
  inputs.clearOutputs();
  for (const RunOutput &output : inputs.outputs())
    for (const float number : output.numbers)
      EXPECT_TRUE(std::isnan(number)) << output.row->name;
}

} // namespace

// The float64 reference's gradients against those of the golden cases.
#include "runtime/reference/gradients.h"
#include "tests/reference/golden.h"

using namespace nysjit;
using namespace nysjit::reference;

namespace {

/// The cases that have gradients, or those that have none: scores where one takes all, or of 1e4.
std::vector<std::string> cases(bool withGradients) {
  std::vector<std::string> found;
  for (const std::string &name : golden::names())
    if (std::filesystem::exists(golden::root() + name + "/dq.npy") == withGradients)
      found.push_back(name);
  return found;
}

constexpr const char *names[] = {"dq", "dk", "dv", "dlandmark_q", "dlandmark_k", "dconv"};

class GoldenGradients : public testing::TestWithParam<std::string> {};

TEST_P(GoldenGradients, MatchTheReference) {
  const golden::Case c = golden::load(GetParam());
  std::map<std::string, std::vector<double>> storage;
  const Result<Gradients> found = gradients(golden::inputOf(c, storage));
  ASSERT_TRUE(found.ok()) << found.error().message;
  for (const char *name : names) {
    const std::vector<double> &gradient = (*found).*gradientTensor(name);
    EXPECT_EQ(gradient.empty(), !c.has(name)) << name;
    if (!c.has(name))
      continue;
    const double error = gradientError(gradient, c.arrays.at(name).toDouble(), found->doutNorm);
    RecordProperty(name, testing::PrintToString(error));
    EXPECT_LE(error, 2e-7) << name; // the files are float32: half an ulp is 6e-8
  }
}
INSTANTIATE_TEST_SUITE_P(Cases, GoldenGradients, testing::ValuesIn(cases(true)),
                         [](const auto &info) {
                           std::string s = info.param;
                           std::replace(s.begin(), s.end(), '-', '_');
                           return s;
                         });

TEST(GoldenGradients, AreThereButForSharpAndHugeScores) {
  EXPECT_EQ(cases(false),
            (std::vector<std::string>{"causal-dyadic-huge-scores", "causal-dyadic-sharp",
                                      "causal-huge-scores", "causal-sharp"}));
}

TEST(GoldenGradients, AreFiniteForSharpAndHugeScores) {
  for (const std::string &name : cases(false)) {
    const golden::Case c = golden::load(name);
    std::map<std::string, std::vector<double>> storage;
    const Result<Gradients> found = gradients(golden::inputOf(c, storage));
    ASSERT_TRUE(found.ok()) << found.error().message;
    for (const char *gradient : names)
      EXPECT_TRUE(std::isfinite(norm((*found).*gradientTensor(gradient)))) << name << gradient;
  }
}

} // namespace

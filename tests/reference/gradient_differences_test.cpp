// The float64 reference's gradients against central differences of its output: random specs and
// shapes, along a random direction of each tensor.
#include "runtime/reference/accuracy.h"
#include "tests/reference/gradient_case.h"

using namespace nysjit;
using namespace nysjit::reference;

namespace {

/// The sum of O * dout.
double loss(const GradientCase &c) {
  const Result<std::vector<double>> o = compute(c.input());
  EXPECT_TRUE(o.ok()) << (o.ok() ? "" : o.error().message);
  double sum = 0;
  const std::vector<double> &dout = c.tensors.at("dout");
  for (size_t i = 0; o.ok() && i < o->size(); ++i)
    sum += std::isnan(dout[i]) ? 0 : (*o)[i] * dout[i]; // NaN outside of the sequences
  return sum;
}

/// The loss's derivative along `direction` of a tensor, from values on one side: at 0 to 4 steps,
/// to fourth order.
double slope(const GradientCase &c, const std::string &tensor, const std::vector<double> &direction,
             double step) {
  double sum = 0;
  for (const auto &[distance, weight] :
       {std::pair(0, -25.0), {1, 48.0}, {2, -36.0}, {3, 16.0}, {4, -3.0}}) {
    GradientCase moved = c;
    addTo(moved.tensors[tensor].data(), distance * step, direction.data(),
          int64_t(direction.size()));
    sum += weight / 12 * loss(moved);
  }
  return sum / step;
}

/// How far `derivative` is from the differences: the least over steps and both sides, or the first
/// that is `enough`. The norms of the iterated inverse have kinks, where another column becomes the
/// largest, hardly ever on both sides; sharp scores have a large fifth derivative. A wrong gradient
/// is far from all.
double leastError(const GradientCase &c, const std::string &tensor,
                  const std::vector<double> &direction, double derivative, double enough) {
  double least = INFINITY;
  for (const double step : {1e-4, -1e-4, 1e-3, -1e-3, 1e-5, -1e-5})
    if (least > enough)
      least = std::min(least, std::abs(slope(c, tensor, direction, step) - derivative));
  return least;
}

class Differences : public testing::TestWithParam<const char *> {};

TEST_P(Differences, OfTheOutputAreTheGradients) {
  Seeded random;
  double worst = 0;
  for (int trial = 0; trial < 40; ++trial) {
    const GradientCase c = drawCase(random, GetParam());
    const Gradients found = gradientsOf(c);
    for (const auto &[tensor, numbers] : c.tensors) {
      if (tensor == "dout")
        continue;
      const std::vector<double> &gradient = found.*gradientTensor("d" + tensor);
      ASSERT_EQ(gradient.size(), numbers.size()) << tensor;
      std::vector<double> direction(numbers.size());
      for (double &x : direction)
        x = std::normal_distribution<double>()(random.generator);
      const double derivative = dot(gradient.data(), direction.data(), int64_t(direction.size()));
      const double size = std::max({std::abs(derivative), found.doutNorm / 100, 1e-12});
      const double error = leastError(c, tensor, direction, derivative, 1e-9 * size) / size;
      EXPECT_LE(error, 1e-6) << tensor << " of " << c;
      worst = std::max(worst, error);
    }
  }
  RecordProperty("worst", testing::PrintToString(worst));
}
INSTANTIATE_TEST_SUITE_P(Layouts, Differences, testing::ValuesIn(gradientLayouts),
                         [](const auto &info) { return std::string(info.param); });

} // namespace

// Learned probes in float64: which blocks stand for the past, and the facts of the tangents.
#include "runtime/reference/accuracy.h"
#include "runtime/reference/layouts.h"
#include "runtime/reference/probes.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

using namespace nysjit;
using namespace nysjit::reference;

namespace {

KernelSpec spec(LandmarkSpacing spacing, int width = 1, int window = 0) {
  KernelSpec spec;
  spec.layout = Layout::Causal;
  spec.landmarkSource = LandmarkSource::Learned;
  spec.landmarkSpacing = spacing;
  spec.levelWidth = width;
  spec.window = window;
  return spec;
}
const KernelSpec uniform = spec(LandmarkSpacing::Uniform);
const KernelSpec dyadic = spec(LandmarkSpacing::Dyadic);

/// A random head, and probes for it; the seed is printed with every failure.
class Probes : public testing::Test {
protected:
  Matrix random(int64_t rows, int64_t columns, double spread = 1) {
    std::normal_distribution<double> normal(0, spread);
    Matrix matrix(rows, columns);
    for (double &value : matrix.values)
      value = normal(generator);
    return matrix;
  }
  static Matrix outputOf(const Head &head, const KernelSpec &spec, int64_t s, const Matrix &p) {
    return causal({head, spec, s, 0, p, Matrix()});
  }
  static void expectNear(const Matrix &a, const Matrix &b, double bound) {
    EXPECT_LE(relativeError(a.values, b.values), bound);
  }

  static constexpr int64_t n = 77;
  static constexpr int64_t d = 8;
  unsigned seed = std::random_device{}();
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
  std::mt19937 generator{seed};
  Head head{random(n, d), random(n, d), random(n, d), 0.5};
  Matrix probes = random(3, d);
};

TEST(Blocks, GrowWithDistance) {
  using List = std::vector<Block>;
  EXPECT_EQ(blocksBefore(7, dyadic), (List{{6, 7}, {4, 6}, {0, 4}}));
  EXPECT_EQ(blocksBefore(8, dyadic), (List{{7, 8}, {6, 7}, {4, 6}, {0, 4}}))
      << "an odd number of pairs is left: one more is taken";
  EXPECT_EQ(blocksBefore(3, uniform), (List{{2, 3}, {1, 2}, {0, 1}}));
  EXPECT_EQ(blocksBefore(1, dyadic), (List{{0, 1}}));
  EXPECT_TRUE(blocksBefore(0, dyadic).empty());
}

/// Aligned, without a gap up to the near set, `width` or one more of each size but the largest.
TEST(Blocks, CoverThePastOnce) {
  for (int width : {1, 2, 3, 16})
    for (int64_t count = 0; count < 300; ++count) {
      int64_t end = count;
      std::map<int64_t, int> sizes;
      for (const Block &block : blocksBefore(count, spec(LandmarkSpacing::Dyadic, width))) {
        const int64_t size = block.end - block.first;
        EXPECT_EQ(block.end, end);
        EXPECT_EQ(block.first % size, 0);
        EXPECT_EQ(size & (size - 1), 0);
        ++sizes[size];
        end = block.first;
      }
      EXPECT_EQ(end, 0);
      for (const auto &[size, blocks] : sizes) {
        EXPECT_LE(blocks, width + 1) << count;
        EXPECT_TRUE(blocks >= width || size == sizes.rbegin()->first) << count;
      }
    }
}

TEST_F(Probes, MergingIsComputingFromThePositions) {
  for (double sharp : {1.0, 30.0, 1e3}) {
    for (double &value : head.k.values)
      value *= sharp;
    const ProbeView both =
        merged(viewOf(head, probes.row(0), 0, 13), viewOf(head, probes.row(0), 13, 40));
    const ProbeView direct = viewOf(head, probes.row(0), 0, 40);
    EXPECT_LE(relativeError(both.khat, direct.khat), 1e-12);
    EXPECT_LE(relativeError(both.value, direct.value), 1e-12);
    EXPECT_NEAR(both.c, direct.c, 1e-9);
    EXPECT_NEAR(both.logMass, direct.logMass, 1e-12 * std::abs(direct.logMass));
    EXPECT_NEAR(direct.logit(probes.row(0), head.scale), direct.logMass,
                1e-12 * std::abs(direct.logMass) + 1e-9); // it touches at the probe
  }
}

TEST_F(Probes, OneThatEveryQueryEqualsIsExact) {
  const Matrix p = random(1, d);
  for (int64_t i = 0; i < n; ++i)
    std::copy_n(p.row(0), d, head.q.row(i));
  const Matrix exact = exactCausal({head, uniform});
  for (int window : {0, 2})
    for (int64_t s : {1, 3, 8})
      for (LandmarkSpacing spacing : {LandmarkSpacing::Uniform, LandmarkSpacing::Dyadic})
        expectNear(outputOf(head, spec(spacing, 1, window), s, p), exact, 1e-12);
}

TEST_F(Probes, KeysOfZeroGiveTheRunningMean) {
  std::fill(head.k.values.begin(), head.k.values.end(), 0.0);
  for (const KernelSpec &each : {uniform, dyadic}) {
    const Matrix o = outputOf(head, each, 5, probes);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum += head.v(i, 3);
      EXPECT_NEAR(o(i, 3), sum / double(i + 1), 1e-12) << i;
    }
  }
}

/// With values 1 and 0 at a position, O is its weight; a row's mass is what makes the weights of
/// near positions, whose logits are exact.
TEST_F(Probes, ARowsMassIsNeverAboveTheExactOnes) {
  std::fill(head.v.values.begin(), head.v.values.end(), 0.0);
  constexpr int64_t i = n - 1;
  head.v(i, 0) = 1;
  for (double &value : head.k.values)
    value *= 3;
  const double exact = exactCausal({head, uniform})(i, 0);
  for (const KernelSpec &each : {uniform, dyadic})
    EXPECT_GE(outputOf(head, each, 4, probes)(i, 0), exact * (1 - 1e-12));
}

TEST_F(Probes, WhatIsNearOrAPositionAloneIsExact) {
  const Matrix exact = exactCausal({head, uniform});
  expectNear(outputOf(head, uniform, 1, probes), exact, 1e-12);
  for (LandmarkSpacing spacing : {LandmarkSpacing::Uniform, LandmarkSpacing::Dyadic})
    expectNear(outputOf(head, spec(spacing, 1, 2), 26, probes), exact, 1e-12); // n <= (w + 1) s
}

TEST_F(Probes, LaterPositionsDoNotMatter) {
  constexpr int64_t last = 40;
  for (const KernelSpec &each : {uniform, dyadic}) {
    const Matrix before = outputOf(head, each, 4, probes);
    Head changed = head;
    for (Matrix *m : {&changed.q, &changed.k, &changed.v})
      std::fill(m->row(last + 1), m->row(n - 1) + d, 1e4);
    const Matrix after = outputOf(changed, each, 4, probes);
    const Matrix shorter = outputOf({head.q.slice(0, last + 1), head.k.slice(0, last + 1),
                                     head.v.slice(0, last + 1), head.scale},
                                    each, 4, probes);
    for (int64_t i = 0; i <= last; ++i)
      for (int64_t e = 0; e < d; ++e) {
        EXPECT_EQ(before(i, e), after(i, e)) << i;
        EXPECT_EQ(before(i, e), shorter(i, e)) << i;
      }
  }
}

} // namespace

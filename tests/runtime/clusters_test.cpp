// k-means against what can be computed by hand, and what must hold of any points.
#include "runtime/calibrate/clusters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace nysjit {
namespace {

Points pointsOf(const std::vector<float> &values, int64_t size) {
  return {values.data(), int64_t(values.size()) / size, size};
}

std::vector<float> normal(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw;
  std::vector<float> values(count);
  std::ranges::generate(values, [&] { return draw(random); });
  return values;
}

double squaredDistance(const float *x, const double *mean, int64_t size) {
  double sum = 0;
  for (int64_t e = 0; e < size; ++e)
    sum += (x[e] - mean[e]) * (x[e] - mean[e]);
  return sum;
}

/// The nearest mean, the first of several.
int64_t nearest(const Clusters &found, const float *x, int64_t size) {
  const int64_t clusters = int64_t(found.means.size()) / size;
  int64_t best = 0;
  for (int64_t c = 1; c < clusters; ++c)
    if (squaredDistance(x, &found.means[size_t(c * size)], size) <
        squaredDistance(x, &found.means[size_t(best * size)], size))
      best = c;
  return best;
}

TEST(Clusters, OneIsTheMean) {
  const std::vector<float> values = {0, 0, 2, 0, 0, 4, 2, 4};
  const Clusters found = findClusters(pointsOf(values, 2), 1, 0);
  EXPECT_EQ(found.means, (std::vector<double>{1, 2}));
  EXPECT_EQ(found.meanSquare, 1 + 4);
  EXPECT_EQ(found.rounds, 1);
}

TEST(Clusters, GroupsFarApartAreFoundWhateverTheSeedAndTheirSizes) {
  std::vector<float> values;
  for (int i = 0; i < 60; ++i)
    values.insert(values.end(), {float(i % 2), 0});         // mean (0.5, 0), each 0.25 away
  values.insert(values.end(), {1000, 0, 1004, 0});          // mean (1002, 0), each 4 away
  values.insert(values.end(), {0, 1000, 3, 1000, 0, 1003}); // mean (1, 1001): 2, 5, 5
  values.insert(values.end(), {1000, 1000});
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Clusters found = findClusters(pointsOf(values, 2), 4, seed);
    std::vector<std::pair<double, double>> means;
    for (size_t c = 0; c < 4; ++c)
      means.emplace_back(found.means[2 * c], found.means[2 * c + 1]);
    std::ranges::sort(means);
    EXPECT_EQ(means, (std::vector<std::pair<double, double>>{
                         {0.5, 0}, {1, 1001}, {1000, 1000}, {1002, 0}}))
        << "seed " << seed;
    EXPECT_DOUBLE_EQ(found.meanSquare, (60 * 0.25 + 2 * 4 + (2 + 5 + 5)) / 66) << "seed " << seed;
  }
}

// One draw alone misses a group with more than a tenth of the seeds.
TEST(Clusters, TheBestOfFourDrawsMissesNoneOfTwelveGroups) {
  constexpr int groups = 12;
  std::vector<float> values; // around 10 on each axis two points 1 away along every axis
  for (int g = 0; g < groups; ++g)
    for (int i = 0; i < 2 * groups; ++i)
      for (int e = 0; e < groups; ++e)
        values.push_back(float((e == g ? 10 : 0) + (e == i / 2 ? 1 - i % 2 * 2 : 0)));
  for (uint64_t seed = 0; seed < 50; ++seed)
    EXPECT_EQ(findClusters(pointsOf(values, groups), groups, seed).meanSquare, 1)
        << "seed " << seed;
}

TEST(Clusters, ThereMayBeFewerDifferentPoints) {
  const std::vector<float> values = {1, 2, 3, 4, 1, 2, 1, 2};
  const Clusters found = findClusters(pointsOf(values, 2), 5, 3);
  ASSERT_EQ(found.means.size(), 10u);
  EXPECT_EQ(found.meanSquare, 0);
  for (size_t c = 0; c < 5; ++c)
    EXPECT_TRUE((found.means[2 * c] == 1 && found.means[2 * c + 1] == 2) ||
                (found.means[2 * c] == 3 && found.means[2 * c + 1] == 4))
        << found.means[2 * c] << " " << found.means[2 * c + 1];
}

TEST(Clusters, MeansAreThoseOfTheirPointsAndNoPointIsNearerToAnother) {
  for (const int64_t size : {1, 7, 8, 19}) {
    const std::vector<float> values = normal(size_t(400 * size), unsigned(size));
    const Points points = pointsOf(values, size);
    const Clusters found = findClusters(points, 6, 1);
    ASSERT_LT(found.rounds, 100);
    std::vector<double> sums(found.means.size());
    std::vector<double> counts(6);
    double distance = 0;
    for (int64_t i = 0; i < points.count; ++i) {
      const int64_t c = nearest(found, points.row(i), size);
      distance += squaredDistance(points.row(i), &found.means[size_t(c * size)], size);
      ++counts[size_t(c)];
      for (int64_t e = 0; e < size; ++e)
        sums[size_t(c * size + e)] += points.row(i)[e];
    }
    for (size_t i = 0; i < sums.size(); ++i)
      EXPECT_NEAR(found.means[i], sums[i] / counts[i / size_t(size)], 1e-12) << "size " << size;
    EXPECT_NEAR(found.meanSquare, distance / 400, 1e-12) << "size " << size;
  }
}

TEST(Clusters, MoreAreNearer) {
  const std::vector<float> values = normal(300 * 8, 5);
  double before = INFINITY;
  for (const int64_t clusters : {1, 2, 4, 8, 16}) {
    const double now = findClusters(pointsOf(values, 8), clusters, 0).meanSquare;
    EXPECT_LT(now, before) << clusters;
    before = now;
  }
}

TEST(Clusters, ASeedIsAllThatIsRandom) {
  const std::vector<float> values = normal(200 * 4, 6);
  const Clusters first = findClusters(pointsOf(values, 4), 8, 7);
  EXPECT_EQ(findClusters(pointsOf(values, 4), 8, 7).means, first.means);
  EXPECT_NE(findClusters(pointsOf(values, 4), 8, 8).means, first.means);
}

TEST(Clusters, HugeAndTinyNumbersAreNoTrouble) {
  const std::vector<float> values = {3e38f, -3e38f, 3e38f, -3e38f};
  const Clusters huge = findClusters(pointsOf(values, 1), 2, 0);
  EXPECT_EQ(huge.meanSquare, 0);
  EXPECT_EQ(std::abs(huge.means[0]), double(3e38f));
  EXPECT_EQ(huge.means[0], -huge.means[1]);
}

} // namespace
} // namespace nysjit

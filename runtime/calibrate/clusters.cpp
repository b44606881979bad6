// Begin with draws, then move until nothing changes.
#include "runtime/calibrate/clusters.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace nysjit {

namespace {

constexpr int drawsOfACluster = 4;
constexpr int64_t mostRounds = 100;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  /// In [0, 1), a multiple of 2^-53.
  double unit() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return double((z ^ z >> 31) >> 11) * 0x1p-53;
  }

private:
  uint64_t state;
};

/// In eight sums, which a vector unit can hold, added at the end.
template <typename To> double squaredDistance(const float *from, const To *to, int64_t size) {
  constexpr int64_t lanes = 8;
  double sums[lanes] = {};
  const auto add = [&](int64_t e, int64_t lane) {
    const double difference = double(from[e]) - double(to[e]);
    sums[lane] += difference * difference;
  };
  int64_t e = 0;
  for (; e + lanes <= size; e += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane)
      add(e + lane, lane);
  for (int64_t lane = 0; e < size; ++e, ++lane)
    add(e, lane);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// Squared distances of all points to the nearest of some places, and their sum.
struct Distances {
  std::vector<double> values;
  double sum = 0;
};

/// What they become with one place more, the point `place`.
void bringNearer(const Points &points, int64_t place, const Distances &before, Distances &after) {
  after.sum = 0;
  for (int64_t i = 0; i < points.count; ++i) {
    const double distance = squaredDistance(points.row(i), points.row(place), points.size);
    double &value = after.values[size_t(i)];
    value = std::min(before.values[size_t(i)], distance);
    after.sum += value;
  }
}

/// A point drawn with probability proportional to its distance; the first where all are 0.
int64_t draw(const Distances &distances, Random &random) {
  const double target = random.unit() * distances.sum;
  double sum = 0;
  int64_t last = 0;
  for (size_t i = 0; i < distances.values.size() && sum <= target; ++i) {
    if (distances.values[i] > 0)
      last = int64_t(i);
    sum += distances.values[i];
  }
  return last;
}

/// The points where clusters begin.
std::vector<int64_t> drawPlaces(const Points &points, int64_t clusters, Random &random) {
  const auto count = size_t(points.count);
  std::vector<int64_t> places = {int64_t(random.unit() * double(points.count))};
  const Distances none{std::vector(count, std::numeric_limits<double>::infinity()), 0};
  Distances now{std::vector<double>(count), 0};
  Distances tried{std::vector<double>(count), 0};
  Distances best{std::vector<double>(count), 0};
  bringNearer(points, places[0], none, now);
  while (int64_t(places.size()) < clusters) {
    int64_t chosen = -1;
    for (int i = 0; i < drawsOfACluster; ++i) {
      const int64_t place = draw(now, random);
      bringNearer(points, place, now, tried);
      if (chosen < 0 || tried.sum < best.sum) {
        chosen = place;
        std::swap(tried, best);
      }
    }
    places.push_back(chosen);
    std::swap(now, best);
  }
  return places;
}

/// Clusters while they move.
class Moving {
public:
  Moving(const Points &points, const std::vector<int64_t> &places)
      : points(points), clusters(int64_t(places.size())), nearest(size_t(points.count), -1) {
    found.means.resize(size_t(clusters * points.size));
    for (int64_t c = 0; c < clusters; ++c)
      std::copy_n(points.row(places[size_t(c)]), points.size, mean(c));
  }

  /// Each point to the nearest mean. Did one change its cluster?
  bool assign() {
    bool isChanged = false;
    double sum = 0;
    for (int64_t i = 0; i < points.count; ++i) {
      double least = std::numeric_limits<double>::infinity();
      int64_t where = 0;
      for (int64_t c = 0; c < clusters; ++c) {
        const double distance = squaredDistance(points.row(i), mean(c), points.size);
        if (distance < least) {
          least = distance;
          where = c;
        }
      }
      sum += least;
      isChanged = isChanged || nearest[size_t(i)] != where;
      nearest[size_t(i)] = where;
    }
    found.meanSquare = sum / double(points.count);
    return isChanged;
  }

  /// Each mean to its points' own.
  void move() {
    std::vector<double> sums(found.means.size());
    std::vector<int64_t> counts(size_t(clusters), 0);
    for (int64_t i = 0; i < points.count; ++i) {
      const int64_t c = nearest[size_t(i)];
      ++counts[size_t(c)];
      for (int64_t e = 0; e < points.size; ++e)
        sums[size_t(c * points.size + e)] += double(points.row(i)[e]);
    }
    for (int64_t c = 0; c < clusters; ++c)
      for (int64_t e = 0; e < points.size && counts[size_t(c)] > 0; ++e)
        mean(c)[e] = sums[size_t(c * points.size + e)] / double(counts[size_t(c)]);
    ++found.rounds;
  }

  Clusters found;

private:
  double *mean(int64_t c) { return found.means.data() + c * points.size; }

  const Points &points;
  int64_t clusters;
  std::vector<int64_t> nearest; // of each point; -1: not known yet
};

} // namespace

Clusters findClusters(const Points &points, int64_t clusters, uint64_t seed) {
  Random random(seed);
  Moving moving(points, drawPlaces(points, clusters, random));
  while (moving.assign() && moving.found.rounds < mostRounds)
    moving.move();
  return std::move(moving.found);
}

} // namespace nysjit

// k-means: where clusters of points lie. The same points, number and seed give the same bits on
// every machine: float64, sums in an order that the points' positions alone set, no library's
// mathematics and no library's random numbers.
#pragma once
#include <cstdint>
#include <vector>

namespace nysjit {

/// `count` points of `size` finite numbers, one after the other.
struct Points {
  const float *values;
  int64_t count;
  int64_t size;

  const float *row(int64_t i) const { return values + i * size; }
};

struct Clusters {
  std::vector<double> means; // of each cluster `size` numbers
  int64_t rounds = 0;        // in which means moved
  double meanSquare = 0;     // of the points' distances to the nearest mean
};

/// As many clusters as asked for, of at least one point. They begin at points that are drawn with
/// probability proportional to the squared distance to those before, the best of four draws each
/// (greedy k-means++), and are then moved to the means of the points they are nearest to (Lloyd),
/// the first of several that are as near, until no point changes its cluster, at most 100 times. A
/// cluster that is nearest to no point stays where it is. Where there are fewer different points
/// than clusters, some lie at the same place.
Clusters findClusters(const Points &points, int64_t clusters, uint64_t seed);

} // namespace nysjit

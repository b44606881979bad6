// What pairs of times say of two programs. Pure functions.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace nysjit::bench {

enum class Verdict {
  Fast,     // the first is faster, beyond doubt and by the least effect or more
  Slow,     // the second is
  Same,     // they are within the least effect of each other, beyond doubt
  Undecided // these pairs do not tell
};
const char *verdictName(Verdict verdict); // "FAST", "SLOW", "SAME", "UNDECIDED"

/// Two numbers that something lies between.
struct Interval {
  double low = 0;
  double high = 0;
};

struct Comparison {
  Verdict verdict = Verdict::Undecided;
  double ratio = 1; // median of the pairs' ratios, the first's time over the second's
  std::optional<Interval> interval; // of that; nothing of fewer than 10 pairs
  int pairs = 0;
  int wins = 0; // of the first
};

/// Where the median of what the values are drawn from lies with at least 99.8 %, whatever its
/// distribution: between the kth least and the kth greatest of n, with k such that a fair coin
/// shows heads at most k - 1 times of n in at most 0.1 % of all cases (n 40: k 10). Nothing where
/// there is no such k: n < 10.
std::optional<Interval> medianInterval(std::vector<double> values);

/// The quartiles, between which the middle half of the values lies; between two values linearly. Of
/// at least one.
Interval quartiles(std::vector<double> values);

/// By the interval of the median ratio. Fast: it lies below 1, and the ratio is at most 1 -
/// leastEffect; Slow: above 1, and at least the inverse of that; Same: between 1 - leastEffect and
/// its inverse. That it lies below 1 is to say that the first won as many pairs as a sign test asks
/// for at the level of 0.1 % (31 of 40). Pairs are equally many on both sides, at least one.
Comparison compare(std::span<const double> first, std::span<const double> second,
                   double leastEffect);

} // namespace nysjit::bench

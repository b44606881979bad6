// How many rounds each size gets. A pure function.
#pragma once
#include <span>
#include <vector>

namespace nysjit::bench {

/// A size: what one round takes there, and how many it wants at most.
struct Wanted {
  double roundSeconds = 0;
  int rounds = 0;
};

/// Each size gets rounds for an equal share of `seconds`; what a size does not need goes to the
/// others.
std::vector<int> shareRounds(std::span<const Wanted> sizes, double seconds);

} // namespace nysjit::bench

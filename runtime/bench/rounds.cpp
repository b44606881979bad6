// The cheapest size first: what it leaves is shared by the rest.
#include "runtime/bench/rounds.h"

#include <algorithm>
#include <numeric>

namespace nysjit::bench {

std::vector<int> shareRounds(std::span<const Wanted> sizes, double seconds) {
  const auto need = [&](size_t size) { return sizes[size].roundSeconds * sizes[size].rounds; };
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::ranges::sort(order, {}, need);
  std::vector<int> rounds(sizes.size());
  double left = seconds;
  for (size_t i = 0; i < order.size(); ++i) {
    const Wanted &size = sizes[order[i]];
    const double share = std::max(left, 0.0) / double(order.size() - i);
    rounds[order[i]] = need(order[i]) <= share ? size.rounds : int(share / size.roundSeconds);
    left -= rounds[order[i]] * size.roundSeconds;
  }
  return rounds;
}

} // namespace nysjit::bench

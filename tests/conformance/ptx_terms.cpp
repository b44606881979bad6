// Sums of multiples of atoms, each held once. An atom is a name, or an operation on terms that is
// no sum.
#include "tests/conformance/ptx_terms.h"

#include <algorithm>

namespace nysjit::conformance {

int Terms::of(const Sum &sum) {
  constexpr size_t most = 4; // longer sums are of no use here
  if (sum.factors.size() > most)
    return unknown;
  const auto [known, isNew] = numbers.try_emplace(sum, int(sums.size()));
  if (isNew)
    sums.push_back(sum);
  return known->second;
}

Terms::Sum Terms::atom(const Atom &atom) {
  const auto [known, isNew] = atomNumbers.try_emplace(atom, int(atoms.size()));
  if (isNew)
    atoms.push_back(atom);
  return {0, {{known->second, 1}}};
}

std::optional<uint32_t> Terms::valueOf(int term) const {
  if (term == unknown || !sums[size_t(term)].factors.empty())
    return std::nullopt;
  return sums[size_t(term)].constant;
}

int Terms::sum(int a, int b, uint32_t timesB) {
  if (a == unknown || b == unknown)
    return unknown;
  Sum all = sums[size_t(a)];
  all.constant += sums[size_t(b)].constant * timesB;
  for (const auto &[atom, factor] : sums[size_t(b)].factors)
    all.factors[atom] += factor * timesB;
  std::erase_if(all.factors, [](const auto &one) { return one.second == 0; });
  return of(all);
}

int Terms::product(int a, int b) {
  if (const std::optional<uint32_t> times = valueOf(a))
    return sum(constant(0), b, *times);
  if (const std::optional<uint32_t> times = valueOf(b))
    return sum(constant(0), a, *times);
  return unknown;
}

int Terms::ofBoth(const char *name, int a, int b) {
  if (a == unknown || b == unknown || a == b)
    return a == b ? a : unknown;
  return of(atom({name, {std::min(a, b), std::max(a, b)}, 0}));
}

std::optional<Terms::Sum> Terms::divided(int a, int count) const {
  Sum all = sums[size_t(a)];
  uint32_t remainders = all.constant;
  all.constant >>= count;
  for (auto &[atom, factor] : all.factors) {
    remainders |= factor;
    factor >>= count;
  }
  return remainders & ((1u << count) - 1) ? std::nullopt : std::optional(all);
}

int Terms::lowBits(int a, int count) {
  if (a == unknown || count == 32)
    return a;
  // Multiples of 2^count change nothing.
  const uint32_t mask = (1u << count) - 1;
  Sum rest = sums[size_t(a)];
  rest.constant &= mask;
  for (auto &[atom, factor] : rest.factors)
    factor &= mask;
  std::erase_if(rest.factors, [](const auto &one) { return one.second == 0; });
  return rest.factors.empty() ? constant(rest.constant) : of(atom({"low bits", {of(rest)}, count}));
}

/// Another number with the same a >> count. min(x + 2^count, y) - 1, where x < y is known and x is
/// a multiple of 2^count, is x to x + 2^count - 1; also where x + 2^count is the least number, as
/// that less one is the largest.
int Terms::roundedDown(int a, int count, const std::optional<Less> &known) {
  const Sum &less = sums[size_t(a)];
  if (!known || less.constant != ~0u || less.factors.size() != 1 ||
      less.factors.begin()->second != 1)
    return a;
  const Atom least = atoms[size_t(less.factors.begin()->first)];
  if (least.name != "min" || !divided(known->first, count))
    return a;
  const int next = sum(known->first, constant(1u << count));
  return least.terms ==
                 std::vector<int>{std::min(next, known->second), std::max(next, known->second)}
             ? known->first
             : a;
}

int Terms::shiftedRight(int a, int count, const std::optional<Less> &known) {
  if (a == unknown)
    return unknown;
  if (const std::optional<uint32_t> value = valueOf(a))
    return constant(*value >> count);
  const int same = roundedDown(a, count, known);
  if (const std::optional<Sum> whole = divided(same, count))
    return lowBits(of(*whole), 32 - count);
  return of(atom({"shifted right", {same}, count}));
}

} // namespace nysjit::conformance

// What 32-bit numbers of a kernel are computed from, modulo 2^32: two of the same term are the same
// number in every run.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nysjit::conformance {

/// A term is the number of one here, `unknown` where nothing is known. Whoever names a number says
/// that it is the same one wherever the name is used.
class Terms {
public:
  static constexpr int unknown = -1;
  /// That a < b, signed.
  using Less = std::pair<int, int>;

  int constant(uint32_t value) { return of({value, {}}); }
  int named(const std::string &name) { return of(atom({name, {}, 0})); }
  std::optional<uint32_t> valueOf(int term) const;
  /// Of terms that may be unknown.
  int sum(int a, int b, uint32_t timesB = 1);
  int product(int a, int b);
  int smaller(int a, int b) { return ofBoth("min", a, b); }
  int larger(int a, int b) { return ofBoth("max", a, b); }
  /// The lowest `count` bits, 1 to 32.
  int lowBits(int a, int count);
  /// a >> count, 1 to 31, unsigned.
  int shiftedRight(int a, int count, const std::optional<Less> &known);

private:
  /// constant + factor * atom + ...; factors are not 0.
  struct Sum {
    uint32_t constant = 0;
    std::map<int, uint32_t> factors;
    auto operator<=>(const Sum &) const = default;
  };
  struct Atom {
    std::string name;
    std::vector<int> terms;
    int count;
    auto operator<=>(const Atom &) const = default;
  };
  int of(const Sum &sum);
  Sum atom(const Atom &atom);
  int ofBoth(const char *name, int a, int b);
  /// The sum that 2^count times is `a`, if there is one.
  std::optional<Sum> divided(int a, int count) const;
  int roundedDown(int a, int count, const std::optional<Less> &known);

  std::map<Sum, int> numbers;
  std::vector<Sum> sums;
  std::map<Atom, int> atomNumbers;
  std::vector<Atom> atoms;
};

} // namespace nysjit::conformance

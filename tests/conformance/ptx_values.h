// What is known of a kernel's integers and predicates without running it: bits that are the same
// whenever an instruction is reached, and which instructions are.
#pragma once
#include "tests/conformance/ptx_mutations.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nysjit::conformance {

/// Bits that are surely 0 and surely 1. A predicate is a number of one bit; of 64-bit numbers it is
/// the lower half.
struct KnownBits {
  uint32_t zeros = 0;
  uint32_t ones = 0;

  static KnownBits of(uint32_t value) { return {~value, value}; }
  uint32_t least() const { return ones; } // unsigned
  uint32_t most() const { return ~zeros; }
  bool isWhole() const { return (zeros ^ ones) == ~0u; }
  /// Whether a number of these bits is never one of those.
  bool differsFrom(const KnownBits &other) const {
    return ((zeros & other.ones) | (ones & other.zeros)) != 0;
  }
  bool operator==(const KnownBits &) const = default;
};

/// That a < b, or that it is not, all through a run: both are written once, before any loop.
struct Assumption {
  std::string type; // "u32", "s32"
  std::string a;
  std::string b;
  bool isLess;
};

/// From the parameters, which are unknown, and the number of threads on, whatever comes first at
/// loops: known is what all ways to an instruction agree on.
class KnownValues {
public:
  KnownValues(const PtxText &ptx, const std::string &kernel,
              std::optional<Assumption> assumption = std::nullopt);
  /// Whether some way leads to the instruction.
  bool isReached(size_t line) const { return atBlocks.contains(blockOf(line)); }
  /// A number or register where `line`, which is reached, reads it.
  KnownBits before(size_t line, const std::string &operand) const;
  std::optional<bool> predicate(size_t line, const std::string &name) const;

  /// What is known at one place, by number of a register.
  using State = std::vector<KnownBits>;
  /// Before `line`, which is reached.
  State stateBefore(size_t line) const;
  /// What `line` makes of it.
  void execute(State &state, size_t line) const;
  /// The lines that control may go to from there.
  std::vector<size_t> next(size_t line, const State &state) const;
  /// Leaves in `state` what `other` has, too. Whether that is less.
  static bool meet(State &state, const State &other);

private:
  int numberOf(const std::string &name) const;
  KnownBits read(const State &state, const std::string &operand) const;
  void write(State &state, const std::string &name, const KnownBits &bits) const;
  KnownBits result(const State &state, const PtxInstruction &i) const;
  KnownBits comparison(const State &state, const PtxInstruction &i) const;
  size_t blockOf(size_t line) const;
  void findBlocks(const std::string &kernel);
  void solve();

  const PtxText *ptx;
  std::optional<Assumption> assumption;
  uint32_t threads = 1024;
  std::map<std::string, int> registers;
  std::set<size_t> blocks;          // their first lines
  std::map<size_t, State> atBlocks; // of those that are reached
};

/// Alternatives of which one always holds: what is so in each of them is so.
using Alternatives = std::vector<KnownValues>;

/// Nothing assumed; then each condition that chooses between two constants before any loop, true
/// and false.
std::vector<Alternatives> alternativesOf(const PtxText &ptx, const std::string &kernel);

/// Whether control comes back to `line`.
bool isInLoop(const PtxText &ptx, size_t line);

} // namespace nysjit::conformance

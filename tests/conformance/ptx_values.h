// What is known of a kernel's integers and predicates without running it: bits that are the same
// whenever an instruction is reached, what numbers are computed from, and which instructions are
// reached.
#pragma once
#include "tests/conformance/ptx_bits.h"
#include "tests/conformance/ptx_mutations.h"
#include "tests/conformance/ptx_terms.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace nysjit::conformance {

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

  struct Known {
    KnownBits bits;
    int term = Terms::unknown;
    bool operator==(const Known &) const = default;
  };
  /// What is known at one place, by number of a register.
  using State = std::vector<Known>;
  /// Before `line`, which is reached.
  State stateBefore(size_t line) const;
  /// What `line` makes of it.
  void execute(State &state, size_t line) const;
  /// The lines that control may go to from there.
  std::vector<size_t> next(size_t line, const State &state) const;
  KnownBits bitsOf(const State &state, const std::string &operand) const {
    return read(state, operand);
  }
  /// Of the first operand, if `i` was the next instruction.
  KnownBits valueOf(const State &state, const PtxInstruction &i) const { return result(state, i); }
  void assume(State &state, const std::string &predicate, bool holds) const;
  /// Leaves in `state` what `other` has, too. Whether that is less.
  static bool meet(State &state, const State &other);

private:
  int numberOf(const std::string &name) const;
  KnownBits read(const State &state, const std::string &operand) const;
  int term(const State &state, const std::string &operand) const;
  KnownBits result(const State &state, const PtxInstruction &i) const;
  int resultTerm(const State &state, const PtxInstruction &i) const;
  /// What `i` writes into one of its registers.
  Known known(const State &state, const PtxInstruction &i, size_t line,
              const std::string &name) const;
  KnownBits comparison(const State &state, const PtxInstruction &i) const;
  std::optional<Terms::Less> knownOrder(const State &state) const;
  size_t blockOf(size_t line) const;
  void findBlocks(const std::string &kernel);
  void findLoops();
  void solve();

  const PtxText *ptx;
  std::optional<Assumption> assumption;
  uint32_t threads = 1024;
  std::map<std::string, int> registers;
  std::shared_ptr<Terms> terms = std::make_shared<Terms>();
  std::set<size_t> blocks;          // their first lines
  std::set<size_t> inLoops;         // those that control comes back to
  std::map<size_t, State> atBlocks; // of those that are reached
};

/// Alternatives of which one always holds: what is so in each of them is so.
using Alternatives = std::vector<KnownValues>;

/// Nothing assumed; then each condition that chooses between two constants, or between a number and
/// 0, before any loop, true and false.
std::vector<Alternatives> alternativesOf(const PtxText &ptx, const std::string &kernel);

/// Whether control comes back to `line`.
bool isInLoop(const PtxText &ptx, size_t line);

} // namespace nysjit::conformance

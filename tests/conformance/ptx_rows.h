// Where rows of memory come from: parameters that the plan gives, multiples of these, blocks that
// are gathered.
#pragma once
#include "tests/conformance/ptx_equivalences.h"

#include <map>
#include <optional>

namespace nysjit::conformance {

bool isNumber(const std::string &operand);

/// The only instruction that writes a register, if it always does; else null.
const PtxInstruction *writerOf(const PtxText &ptx, size_t line, const std::string &name);

/// What registers are that a line reads, where a few numbers are given; each is found once.
class FollowingNumbers {
public:
  FollowingNumbers(const PtxText &itsPtx, size_t itsLine) : ptx(itsPtx), line(itsLine) {}
  virtual ~FollowingNumbers() = default;
  /// Nothing where a register follows from anything else.
  std::optional<uint32_t> value(const std::string &name);

protected:
  /// What an instruction that is the only writer of its register gives.
  virtual std::optional<uint32_t> result(const PtxInstruction &i) = 0;
  /// Other numbers are given.
  void forget() { known.clear(); }

  const PtxText &ptx;
  const size_t line;

private:
  std::map<std::string, std::optional<uint32_t>> known; // by register
};

/// What the plan gives for a register that holds an integer parameter of the kernel, null for
/// others.
const Expression *parameterOf(const PtxText &ptx, size_t line, const std::string &name,
                              const ProgramFacts &facts);

/// A number that divides a register's or a number, 0 for 0; 1 where nothing is known. Of rows of
/// memory, whose products and sums do not wrap around.
int64_t factorOf(const PtxText &ptx, size_t line, const std::string &name,
                 const ProgramFacts &facts);

/// A row that is gathered: step times a block's row, or times -1 where there is none, and more that
/// is below the step; or the next rows, as many as are below the step in all.
bool isGatheredRow(const PtxText &ptx, size_t line, const std::string &name);

} // namespace nysjit::conformance

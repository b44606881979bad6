// Wrong programs, one small step from a right one: each mutation changes one instruction of a PTX
// text in a way that a slip in the lowering could. What a right test of the kernels must catch,
// mutation_test.cpp asks.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit::conformance {

/// One PTX instruction: "@%p1 bra $L" is guard "@%p1", opcode "bra", operands {"$L"}; braces are
/// one operand.
struct PtxInstruction {
  std::string guard;
  std::string opcode;
  std::vector<std::string> operands;
  bool is(std::string_view start) const { return opcode.starts_with(start); }
  std::string text() const;
};

/// A PTX module by lines, with its instructions. An instruction over several lines is all in its
/// first.
class PtxText {
public:
  explicit PtxText(const std::string &ptx);
  const std::vector<std::string> &lines() const { return text; }
  /// Null where the line has none (labels, directives).
  const PtxInstruction *instruction(size_t line) const {
    return found.contains(line) ? &found.at(line) : nullptr;
  }
  const std::map<size_t, PtxInstruction> &instructions() const { return found; }
  const std::string &kernel(size_t line) const { return kernels[line]; } // "" outside
  /// The instructions of `line`'s kernel that write a register.
  const std::vector<size_t> &writers(size_t line, const std::string &name) const;
  /// The line of a label in `line`'s kernel.
  size_t label(size_t line, const std::string &name) const;

private:
  std::vector<std::string> text;
  std::vector<std::string> kernels;
  std::map<size_t, PtxInstruction> found;
  std::map<std::string, std::vector<size_t>> written; // by kernel and register
  std::map<std::string, size_t> labels;
};

struct Mutation {
  std::string kind; // "wait weakened"
  size_t line;
  std::string text; // in place of the line
};

/// Waits, commits, barriers, branches and guards, bounds, copy sizes, stage arithmetic, swizzles,
/// operands of products: every site of `ptx`, in the order of lines.
std::vector<Mutation> mutationsOf(const PtxText &ptx);
/// A module of one kernel, as it is or mutated.
std::string moduleOf(const PtxText &ptx, const std::string &kernel,
                     const Mutation *mutation = nullptr);

} // namespace nysjit::conformance

// The rules, and the little that they know of a kernel's data flow and text.
#include "tests/conformance/ptx_equivalences.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <tuple>

namespace nysjit::conformance {

namespace {

bool isExact(const PtxText &ptx, size_t line) {
  return ptx.kernel(line).starts_with("exact_causal");
}

bool isNumber(const std::string &operand) {
  return operand.find_first_not_of("-0123456789") == std::string::npos;
}

enum class Bit { Zero, One, Unknown, Open }; // Open: what this is asked for decides

/// Where control comes from.
class ControlFlow {
public:
  ControlFlow(const PtxText &ptx, size_t line) : ptx(ptx) {
    for (const auto &[at, i] : ptx.instructions())
      if (i.is("bra") && ptx.kernel(at) == ptx.kernel(line))
        branches.emplace(ptx.label(at, i.operands[0]), at);
  }
  /// The instructions that may have written `name` last before `line`.
  const std::set<size_t> &writersBefore(size_t line, const std::string &name) {
    const auto [known, isNew] = found.try_emplace({line, name});
    std::set<size_t> &writers = known->second;
    if (!isNew)
      return writers;
    std::set<size_t> seen;
    std::deque<size_t> places = {line};
    for (; !places.empty(); places.pop_front()) {
      auto visit = [&](size_t at) {
        const PtxInstruction *i = ptx.instruction(at);
        const bool isWriter = i && !i->operands.empty() && i->operands[0] == name && !i->is("st.");
        if (isWriter)
          writers.insert(at);
        if ((!isWriter || !i->guard.empty()) && ptx.kernel(at) == ptx.kernel(line) &&
            seen.insert(at).second)
          places.push_back(at);
      };
      const size_t at = places.front();
      const PtxInstruction *above = ptx.instruction(at - 1);
      if (!above || !above->guard.empty() || !(above->is("bra") || above->is("ret")))
        visit(at - 1);
      for (auto [branch, end] = branches.equal_range(at); branch != end; ++branch)
        visit(branch->second);
    }
    return writers;
  }

private:
  const PtxText &ptx;
  std::multimap<size_t, size_t> branches; // by the line of their label
  std::map<std::pair<size_t, std::string>, std::set<size_t>> found;
};

/// Low bits of registers, as far as all writers say the same.
class BitAnalysis {
public:
  BitAnalysis(const PtxText &ptx, size_t line) : ptx(ptx), flow(ptx, line) {}

  /// Of `operand` where `line` reads it. A loop's register is what it starts from, if the loop
  /// keeps that.
  Bit bit(size_t line, const std::string &operand, int number) {
    if (isNumber(operand))
      return std::stoll(operand) >> number & 1 ? Bit::One : Bit::Zero;
    const Key key(line, operand, number);
    if (const auto known = assumed.find(key); known != assumed.end()) {
      known->second.isUsed = true;
      return known->second.bit;
    }
    const std::set<size_t> &writers = flow.writersBefore(line, operand);
    assumed[key] = {Bit::Open, false};
    Bit found = ofWriters(writers, number);
    if (assumed[key].isUsed && found != Bit::Open) { // is it so if it is so?
      assumed[key].bit = found;
      const Bit again = ofWriters(writers, number);
      found = again == found || again == Bit::Open ? found : Bit::Unknown;
    }
    assumed.erase(key);
    return found;
  }

private:
  using Key = std::tuple<size_t, std::string, int>;
  struct Assumption {
    Bit bit;
    bool isUsed;
  };

  Bit ofWriters(const std::set<size_t> &writers, int number) {
    Bit all = writers.empty() ? Bit::Unknown : Bit::Open;
    for (size_t writer : writers)
      if (const Bit written = ofInstruction(writer, number); written != Bit::Open)
        all = all == Bit::Open || all == written ? written : Bit::Unknown;
    return all;
  }
  Bit ofInstruction(size_t line, int number) {
    const PtxInstruction &i = *ptx.instruction(line);
    const bool hasConstant = i.operands.size() > 2 && isNumber(i.operands.back());
    const int constant = hasConstant ? std::stoi(i.operands.back()) : 0;
    if (i.is("mov.b32"))
      return bit(line, i.operands[1], number);
    if (i.is("shl.b32") && hasConstant)
      return number < constant ? Bit::Zero : bit(line, i.operands[1], number - constant);
    if (i.is("bfe.u32") && hasConstant && isNumber(i.operands[2]))
      return number >= constant ? Bit::Zero
                                : bit(line, i.operands[1], number + std::stoi(i.operands[2]));
    if (i.is("selp.b32")) {
      const Bit a = bit(line, i.operands[1], number);
      const Bit b = bit(line, i.operands[2], number);
      return a == b || b == Bit::Open ? a : a == Bit::Open ? b : Bit::Unknown;
    }
    if (i.is("and.b32") || i.is("or.b32")) {
      const Bit decides = i.is("or.b32") ? Bit::One : Bit::Zero;
      const Bit a = bit(line, i.operands[1], number);
      const Bit b = bit(line, i.operands[2], number);
      return a == decides || b == decides       ? decides
             : a == b                           ? a
             : a == Bit::Open || b == Bit::Open ? Bit::Open
                                                : Bit::Unknown;
    }
    if (i.is("add.s32")) { // while at most one of the two has a bit, nothing is carried
      for (int below = 0; below <= number; ++below) {
        const Bit a = bit(line, i.operands[1], below);
        const Bit b = bit(line, i.operands[2], below);
        if (a != Bit::Zero && b != Bit::Zero)
          return a == Bit::Open || b == Bit::Open ? Bit::Open : Bit::Unknown;
        if (below == number)
          return a == Bit::Zero ? b : a;
      }
    }
    return Bit::Unknown;
  }

  const PtxText &ptx;
  ControlFlow flow;
  std::map<Key, Assumption> assumed; // of what is being found out
};

/// Row and column of a mask, or a turn and a constant, that differ in a bit whatever they are: <
/// and <= are the same.
bool neverEqual(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &) {
  if (mutation.kind != "bound off by one")
    return false;
  const PtxInstruction *compare = ptx.instruction(mutation.line);
  BitAnalysis bits(ptx, mutation.line);
  for (int number = 0; number < 8; ++number) {
    const Bit a = bits.bit(mutation.line, compare->operands[1], number);
    const Bit b = bits.bit(mutation.line, compare->operands[2], number);
    if ((a == Bit::Zero && b == Bit::One) || (a == Bit::One && b == Bit::Zero))
      return true;
  }
  return false;
}

/// What the plan gives for a register that holds an integer parameter of the kernel, null for
/// others.
const Expression *parameterOf(const PtxText &ptx, size_t line, const std::string &name,
                              const ProgramFacts &facts) {
  const std::vector<size_t> &loads = ptx.writers(line, name);
  if (loads.size() != 1 || !ptx.instruction(loads[0])->is("ld.param.b32"))
    return nullptr;
  const std::string &from = ptx.instruction(loads[0])->operands[1]; // "[KERNEL_param_3]"
  const size_t number = std::stoul(from.substr(from.rfind('_') + 1));
  for (const PlanKernel &kernel : facts.plan.kernels)
    if (kernel.name == ptx.kernel(line) && kernel.parameters[number].type == ParameterType::I32)
      return &kernel.parameters[number].value;
  return nullptr;
}

/// A kernel parameter compared with a constant.
struct ParameterTest {
  const Expression *parameter = nullptr; // null: not one
  std::string opcode;
  int64_t constant = 0;

  bool holds(int64_t value, const std::string &operation) const {
    return operation == "lt"   ? value < constant
           : operation == "le" ? value <= constant
           : operation == "gt" ? value > constant
                               : value >= constant;
  }
};

ParameterTest parameterTest(const PtxText &ptx, size_t line, const ProgramFacts &facts) {
  const PtxInstruction &compare = *ptx.instruction(line);
  if (!compare.is("setp.l") && !compare.is("setp.g"))
    return {};
  if (!isNumber(compare.operands[2]))
    return {};
  return {parameterOf(ptx, line, compare.operands[1], facts), compare.opcode.substr(5, 2),
          std::stoll(compare.operands[2])};
}

/// A test of a parameter, or a branch on one, that goes another way only at lengths that were
/// tried, if at any.
bool differsOnlyWhereTried(const PtxText &ptx, const Mutation &mutation,
                           const ProgramFacts &facts) {
  const PtxInstruction &i = *ptx.instruction(mutation.line);
  const bool isBound = mutation.kind == "bound off by one";
  const bool isBranch = i.is("bra") && (mutation.kind == "predicate dropped" ||
                                        mutation.kind == "guarded code always runs");
  if (!isBound && !isBranch)
    return false;
  const std::string predicate = isBranch ? i.guard.substr(i.guard.find('%')) : "";
  if (isBranch && ptx.writers(mutation.line, predicate).size() != 1)
    return false;
  const ParameterTest test =
      parameterTest(ptx, isBound ? mutation.line : ptx.writers(mutation.line, predicate)[0], facts);
  if (!test.parameter)
    return false;
  Result<CompiledExpression> value = CompiledExpression::compile(*test.parameter, {"n"});
  for (int64_t n = 1; value.ok() && n <= 10000; ++n) {
    const Result<int64_t> number = value->evaluate(&n);
    if (!number)
      return false;
    const bool was = test.holds(*number, test.opcode) != (isBranch && i.guard[1] == '!');
    const std::string other = test.opcode.substr(0, 1) + (test.opcode[1] == 't' ? "e" : "t");
    const bool is = isBound ? test.holds(*number, other) : mutation.kind == "predicate dropped";
    if (was != is &&
        std::find(facts.lengths.begin(), facts.lengths.end(), n) == facts.lengths.end())
      return false;
  }
  return value.ok();
}

bool hasProductsBefore(const PtxText &ptx, size_t line, const std::string &kernel) {
  return std::any_of(ptx.instructions().begin(), ptx.instructions().lower_bound(line),
                     [&](const auto &other) {
                       return other.second.is("mma") && ptx.kernel(other.first) == kernel;
                     });
}

/// Far tiles begin at a landmark that some query sees, and the window's landmarks come after it: a
/// tile's first columns, up to the window's number, are landmarks.
bool isWithinWindow(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts) {
  size_t line = mutation.line;
  const PtxInstruction *test = ptx.instruction(line);
  if (mutation.kind == "guarded code always runs" &&
      ptx.writers(line, test->guard.substr(1)).size() == 1)
    test = ptx.instruction(line = ptx.writers(line, test->guard.substr(1))[0]);
  else if (mutation.kind != "bound off by one")
    return false;
  if (!ptx.kernel(line).starts_with("causal_output") || facts.window < 8 ||
      !test->is("setp.ge.u32"))
    return false;
  // landmarks: n / segment_len
  const std::vector<size_t> &bounds = ptx.writers(line, test->operands[2]);
  return bounds.size() == 1 && ptx.instruction(bounds[0])->is("div.u32") &&
         BitAnalysis(ptx, line).bit(line, test->operands[1], 3) == Bit::Zero;
}

/// Whether control comes back to `line`.
bool isInLoop(const PtxText &ptx, size_t line) {
  std::deque<size_t> places = {line};
  std::set<size_t> seen;
  for (; !places.empty(); places.pop_front()) {
    const PtxInstruction *i = ptx.instruction(places.front());
    std::vector<size_t> next;
    if (i && i->is("bra"))
      next.push_back(ptx.label(places.front(), i->operands[0]));
    if (!i || !(i->is("ret") || (i->is("bra") && i->guard.empty())))
      next.push_back(places.front() + 1);
    for (size_t at : next) {
      if (at == line)
        return true;
      if (at < ptx.lines().size() && seen.insert(at).second)
        places.push_back(at);
    }
  }
  return false;
}

/// exact_causal here has tiles of four blocks of keys.
bool isNeverTwoTurns(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &) {
  const PtxInstruction *i = ptx.instruction(mutation.line);
  return isExact(ptx, mutation.line) && mutation.kind == "bound off by one" &&
         i->is("setp.lt.u32") && i->operands[2] == "2";
}

/// The barrier between the two loops, with two stages.
bool isBetweenEvenTurns(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &) {
  const std::string &kernel = ptx.kernel(mutation.line);
  const bool hasTwoStages =
      std::any_of(ptx.instructions().begin(), ptx.instructions().lower_bound(mutation.line),
                  [&](const auto &other) {
                    return ptx.kernel(other.first) == kernel && other.second.is("setp.eq.b32") &&
                           other.second.operands[2] == "2";
                  });
  return isExact(ptx, mutation.line) && mutation.kind == "barrier deleted" && hasTwoStages &&
         hasProductsBefore(ptx, mutation.line, kernel) && !isInLoop(ptx, mutation.line);
}

/// The exponent of a number and the step that carries what is not finite into the sign (WordBits of
/// skip_zeros.cpp), or such sums with each other's bits; 0 before the first.
bool isSumOfMarks(const PtxText &ptx, size_t line, const std::string &name, int deepest = 8) {
  const std::vector<size_t> &writers = ptx.writers(line, name);
  return deepest > 0 && !writers.empty() && std::ranges::all_of(writers, [&](size_t at) {
           const PtxInstruction &i = *ptx.instruction(at);
           if (i.is("mov.b32"))
             return i.operands[1] == "0";
           if (i.is("add.s32") && i.operands[2] == "8388608") {
             const std::vector<size_t> &from = ptx.writers(at, i.operands[1]);
             const PtxInstruction *bits = from.size() == 1 ? ptx.instruction(from[0]) : nullptr;
             return bits && bits->is("and.b32") &&
                    (bits->operands[2] == "2147483647" || bits->operands[2] == "2139095040");
           }
           return i.is("or.b32") && (isSumOfMarks(ptx, at, i.operands[1], deepest - 1) ||
                                     isSumOfMarks(ptx, at, i.operands[2], deepest - 1));
         });
}

/// Such a sum is never 0, so < 0 is <= 0.
bool isOfMarks(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &) {
  const PtxInstruction *i = ptx.instruction(mutation.line);
  return mutation.kind == "bound off by one" && i->is("setp.lt.s32") && i->operands[2] == "0" &&
         isSumOfMarks(ptx, mutation.line, i->operands[1]);
}

struct Rule {
  Equivalence equivalence;
  bool (*holds)(const PtxText &, const Mutation &, const ProgramFacts &);
};
constexpr Rule rules[] = {
    {{"the two numbers are never equal, so < is <="}, neverEqual},
    {{"the parameter is on the other side of the constant, or was tried where it is not",
      /*isAnywhere=*/false},
     differsOnlyWhereTried},
    {{"a number's exponent and the step are never 0 together, and each thread has a number",
      /*isAnywhere=*/false},
     isOfMarks},
    {{"the window's landmarks come after the first of a tile"}, isWithinWindow},
    {{"the unmasked loop of these blocks turns a multiple of 4 times, not 2"}, isNeverTwoTurns},
    {{"after an even number of turns, stage 0 of two was read a turn and a barrier ago"},
     isBetweenEvenTurns},
};

} // namespace

std::optional<Equivalence> equivalenceOf(const PtxText &ptx, const Mutation &mutation,
                                         const ProgramFacts &facts) {
  for (const Rule &rule : rules)
    if (rule.holds(ptx, mutation, facts))
      return rule.equivalence;
  return std::nullopt;
}

} // namespace nysjit::conformance

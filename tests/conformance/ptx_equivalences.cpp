// The rules, of what is known of a kernel's values and of its text.
#include "tests/conformance/ptx_equivalences.h"
#include "tests/conformance/ptx_blocks.h"
#include "tests/conformance/ptx_columns.h"
#include "tests/conformance/ptx_rows.h"
#include "tests/conformance/ptx_turns.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace nysjit::conformance {

namespace {

bool isExact(const PtxText &ptx, size_t line) {
  return ptx.kernel(line).starts_with("exact_causal");
}

/// Whether `holds` in each of some alternatives where the mutated line is reached.
template <typename Holds>
bool inAlternatives(const ProgramFacts &facts, size_t line, const Holds &holds) {
  return std::ranges::any_of(facts.values, [&](const Alternatives &each) {
    return std::ranges::all_of(
        each, [&](const KnownValues &values) { return !values.isReached(line) || holds(values); });
  });
}

/// Row and column of a mask, or a turn and a constant, that differ in a bit whatever they are: <
/// and <= are the same.
bool neverEqual(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts) {
  if (mutation.kind != "bound off by one")
    return false;
  const PtxInstruction &compare = *ptx.instruction(mutation.line);
  return inAlternatives(facts, mutation.line, [&](const KnownValues &values) {
    return values.before(mutation.line, compare.operands[1])
        .differsFrom(values.before(mutation.line, compare.operands[2]));
  });
}

/// A bound of a copy that never fails, a branch that is always or never taken.
bool isDecided(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts) {
  const PtxInstruction &i = *ptx.instruction(mutation.line);
  const bool isBound = mutation.kind == "copy without a bound";
  const bool isNeverTaken = mutation.kind == "guarded code always runs";
  if (!isBound && !isNeverTaken && mutation.kind != "predicate dropped")
    return false;
  const std::string predicate = isBound ? i.operands[3] : i.guard.substr(i.guard.find('%'));
  const bool isNegated = !isBound && i.guard[1] == '!';
  return inAlternatives(facts, mutation.line, [&](const KnownValues &values) {
    return values.predicate(mutation.line, predicate) == (isNeverTaken == isNegated);
  });
}

/// What no way leads to, in a loop that never turns.
bool isNeverReached(const PtxText &, const Mutation &mutation, const ProgramFacts &facts) {
  return inAlternatives(facts, mutation.line, [](const KnownValues &) { return false; });
}

/// Where a way has come to: how many groups were committed on it, and whether a wait has covered
/// what was copied before it.
struct Arrival {
  size_t line;
  int committed;
  bool hasArrived;
  auto operator<=>(const Arrival &) const = default;
};

/// Whether, on all ways from `line` on, what was copied before has arrived for all threads before
/// anything reads or overwrites: after a wait that leaves at most as many groups as are committed
/// from there on, and a barrier. `committed`: what to begin with.
bool arrivesLater(const PtxText &ptx, size_t line, int committed, const KnownValues &values) {
  constexpr int many = 8;
  std::map<Arrival, KnownValues::State> states;
  std::set<Arrival> open;
  auto visit = [&](const Arrival &place, const KnownValues::State &state) {
    const auto [known, isNew] = states.try_emplace(place, state);
    if (isNew || KnownValues::meet(known->second, state))
      open.insert(place);
  };
  visit({line + 1, committed, false}, values.stateBefore(line));
  while (!open.empty()) {
    Arrival at = *open.begin();
    open.erase(open.begin());
    KnownValues::State state = states.at(at);
    const std::vector<size_t> ways = values.next(at.line, state);
    values.execute(state, at.line);
    if (const PtxInstruction *i = ptx.instruction(at.line)) {
      if (i->is("ld.shared") || i->is("ldmatrix") || i->is("st.") || i->is("red.") ||
          i->is("atom."))
        return false;
      if (i->is("cp.async.commit_group"))
        at.committed = std::min(at.committed + 1, many);
      if (i->is("cp.async.wait_group"))
        at.hasArrived |= std::stoi(i->operands[0]) <= at.committed;
      if (at.hasArrived && (i->is("bar.") || i->is("barrier.")))
        continue;
    }
    for (size_t way : ways)
      visit({way, at.committed, at.hasArrived}, state);
  }
  return true;
}

/// A wait, or the end of a group, without which everything arrives in time.
bool isWaitedForAgain(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts) {
  const bool isCommit = mutation.kind == "commit deleted";
  if (!isCommit && mutation.kind != "wait deleted" && mutation.kind != "wait weakened")
    return false;
  return inAlternatives(facts, mutation.line, [&](const KnownValues &values) {
    return arrivesLater(ptx, mutation.line, isCommit ? -1 : 0, values);
  });
}

/// A parameter compared with the same number less a constant.
bool areDifferentParameters(const PtxText &ptx, const Mutation &mutation,
                            const ProgramFacts &facts) {
  if (mutation.kind != "bound off by one")
    return false;
  const PtxInstruction &compare = *ptx.instruction(mutation.line);
  auto parameter = [&](size_t operand) {
    return parameterOf(ptx, mutation.line, compare.operands[operand], facts);
  };
  auto isLess = [](const Expression *a, const Expression *b) {
    return a && b && a->op() == Operator::Sub && a->operands()[0] == *b &&
           a->operands()[1].isConstant() && a->operands()[1].constant() != 0;
  };
  return isLess(parameter(1), parameter(2)) || isLess(parameter(2), parameter(1));
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

void addSymbols(const Expression &expression, std::set<std::string> &symbols) {
  if (expression.op() == Operator::Symbol)
    symbols.insert(expression.symbolName());
  for (const Expression &operand : expression.operands())
    addSymbols(operand, symbols);
}

/// Whether a kernel is never launched where a tensor is not passed, whatever else holds: what is
/// not passed counts as aligned.
bool isNeverLaunchedWithout(const std::string &tensor, const PlanLaunch &launch) {
  std::set<std::string> symbols;
  addSymbols(launch.when, symbols);
  const bool dependsOnIt = symbols.erase(tensor + "_alignment") > 0;
  std::vector<std::string> all(symbols.begin(), symbols.end()); // here one of two numbers each
  all.push_back(tensor + "_alignment");
  Result<CompiledExpression> when = CompiledExpression::compile(launch.when, all);
  if (!dependsOnIt || !when || symbols.size() > 8)
    return false;
  for (unsigned bits = 0; bits < 1u << symbols.size(); ++bits) {
    std::vector<int64_t> values;
    for (size_t i = 0; i < symbols.size(); ++i)
      values.push_back(!(bits >> i & 1)                 ? 0
                       : all[i].ends_with("_alignment") ? maxTensorAlignment
                                                        : 1);
    values.push_back(maxTensorAlignment);
    const Result<int64_t> isLaunched = when->evaluate(values.data());
    if (!isLaunched || *isLaunched)
      return false;
  }
  return true;
}

/// A branch around what is not asked for, in a kernel that runs only where it is.
bool isAlwaysGiven(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts) {
  const PtxInstruction &i = *ptx.instruction(mutation.line);
  if (mutation.kind != "guarded code always runs" || i.guard[1] == '!' ||
      ptx.writers(mutation.line, i.guard.substr(1)).size() != 1)
    return false;
  const size_t line = ptx.writers(mutation.line, i.guard.substr(1))[0];
  const PtxInstruction &test = *ptx.instruction(line);
  if (!test.is("setp.ne.b32") || test.operands[2] != "1")
    return false;
  const Expression *parameter = parameterOf(ptx, line, test.operands[1], facts);
  const std::string asked = "_is_given";
  if (!parameter || parameter->op() != Operator::Symbol ||
      !parameter->symbolName().ends_with(asked))
    return false;
  const std::string &symbol = parameter->symbolName();
  return std::ranges::all_of(facts.plan.launches, [&](const PlanLaunch &launch) {
    return launch.kernel != ptx.kernel(line) ||
           isNeverLaunchedWithout(symbol.substr(0, symbol.size() - asked.size()), launch);
  });
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
         inAlternatives(facts, line, [&](const KnownValues &values) {
           return (values.before(line, test->operands[1]).zeros & 8) != 0;
         });
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

/// Only rows that there are are chosen: a row is below their number, or below 0.
bool isNeverTheFirstBeyond(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &) {
  const PtxInstruction *i = ptx.instruction(mutation.line);
  return mutation.kind == "bound off by one" &&
         ptx.kernel(mutation.line).starts_with("causal_output") &&
         (i->is("setp.lt.u32") || i->is("setp.ge.u32")) &&
         isGatheredRow(ptx, mutation.line, i->operands[1]);
}

/// The row of a probe but the first, of a block that there is or of one beyond, is not the end of
/// all blocks: both are multiples of the number of probes, but for the probe.
bool isAnotherProbes(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts) {
  const PtxInstruction *i = ptx.instruction(mutation.line);
  if (mutation.kind != "bound off by one" || !(i->is("setp.lt.u32") || i->is("setp.ge.u32")))
    return false;
  const std::vector<size_t> &writers = ptx.writers(mutation.line, i->operands[1]);
  const PtxInstruction *row = writers.size() == 1 ? ptx.instruction(writers[0]) : nullptr;
  if (!row || !row->is("add.s32") || !isNumber(row->operands[2]))
    return false;
  const int64_t common = std::gcd(factorOf(ptx, mutation.line, row->operands[1], facts),
                                  factorOf(ptx, mutation.line, i->operands[2], facts));
  return common != 0 && std::stoll(row->operands[2]) % common != 0;
}

struct Rule {
  Equivalence equivalence;
  bool (*holds)(const PtxText &, const Mutation &, const ProgramFacts &);
};
constexpr Rule rules[] = {
    {{"no way leads to the instruction"}, isNeverReached},
    {{"the two numbers are never equal, so < is <="}, neverEqual},
    {{"one of the two parameters is the other less a constant"}, areDifferentParameters},
    {{"the condition is the same whenever it is asked for"}, isDecided},
    {{"the copies are waited for again before anything reads"}, isWaitedForAgain},
    {{"the parameter is on the other side of the constant, or was tried where it is not",
      /*isAnywhere=*/false},
     differsOnlyWhereTried},
    {{"a number's exponent and the step are never 0 together, and each thread has a number",
      /*isAnywhere=*/false},
     isOfMarks},
    {{"a row of a complete block is one that there is, of none it is below 0"},
     isRowOfCompleteBlock},
    {{"a row that is gathered is one that there is, or below 0"}, isNeverTheFirstBeyond},
    {{"a row of one of several probes is no multiple of their number, as the end is"},
     isAnotherProbes},
    {{"the level begins at another column, or has none"}, isNeverTheFirstOfALevel},
    {{"without the tensor the kernel is not launched"}, isAlwaysGiven},
    {{"the window's landmarks come after the first of a tile"}, isWithinWindow},
    {{"the unmasked loop of these blocks turns a multiple of 4 times, not 2"}, isNeverTwoTurns},
    {{"after an even number of turns, stage 0 of two was read a turn and a barrier ago"},
     isBetweenEvenTurns},
    {{"the loop turns once or twice, and each turn does the same"}, isOfNoTurn},
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

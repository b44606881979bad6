// Which conditions hold all through a run.
#include "tests/conformance/ptx_values.h"

#include <deque>

namespace nysjit::conformance {

static bool isNumber(const std::string &operand) {
  return !operand.empty() && operand.find_first_not_of("-0123456789") == std::string::npos;
}

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

std::vector<Alternatives> alternativesOf(const PtxText &ptx, const std::string &kernel) {
  std::vector<Alternatives> all;
  all.push_back({KnownValues(ptx, kernel)});
  std::set<std::string> known;
  auto isFixed = [&](size_t line, const std::string &operand) {
    const std::vector<size_t> &writers = ptx.writers(line, operand);
    return isNumber(operand) || (writers.size() == 1 && !isInLoop(ptx, writers[0]));
  };
  // Between two numbers, or a number before any loop and none: not how much a copy takes.
  auto chooses = [&](size_t line, const PtxInstruction &select) {
    const std::string &first = select.operands[1];
    const std::string &second = select.operands[2];
    return first != "16" && isNumber(second) &&
           (isNumber(first) || (second == "0" && !isInLoop(ptx, line)));
  };
  for (const auto &[line, select] : ptx.instructions()) {
    if (ptx.kernel(line) != kernel || !select.is("selp.b32") || !chooses(line, select))
      continue;
    const std::vector<size_t> &tests = ptx.writers(line, select.operands[3]);
    const PtxInstruction *test = tests.size() == 1 ? ptx.instruction(tests[0]) : nullptr;
    if (!test || !(test->is("setp.lt.") || test->is("setp.ge.")) ||
        !isFixed(line, test->operands[1]) || !isFixed(line, test->operands[2]))
      continue;
    Assumption less = {test->opcode.substr(8), test->operands[1], test->operands[2], true};
    if (!known.insert(less.type + less.a + "<" + less.b).second)
      continue;
    Assumption notLess = less;
    notLess.isLess = false;
    all.push_back({KnownValues(ptx, kernel, less), KnownValues(ptx, kernel, notLess)});
  }
  return all;
}

} // namespace nysjit::conformance

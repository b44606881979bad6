// Walks from a register to what writes it, where only one instruction does.
#include "tests/conformance/ptx_rows.h"

#include <numeric>

namespace nysjit::conformance {

bool isNumber(const std::string &operand) {
  return operand.find_first_not_of("-0123456789") == std::string::npos;
}

const PtxInstruction *writerOf(const PtxText &ptx, size_t line, const std::string &name) {
  const std::vector<size_t> &writers = ptx.writers(line, name);
  const PtxInstruction *i = writers.size() == 1 ? ptx.instruction(writers[0]) : nullptr;
  return i && i->guard.empty() ? i : nullptr;
}

std::optional<uint32_t> FollowingNumbers::value(const std::string &name) {
  if (isNumber(name))
    return uint32_t(std::stoll(name));
  const auto [place, isNew] = known.try_emplace(name, std::nullopt);
  if (isNew)
    if (const PtxInstruction *i = writerOf(ptx, line, name))
      place->second = result(*i);
  return place->second;
}

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

static int64_t factorOf(const Expression &expression) {
  if (expression.isConstant())
    return std::abs(expression.constant());
  int64_t factor = 1;
  if (expression.op() == Operator::Mul)
    for (const Expression &operand : expression.operands())
      factor *= factorOf(operand);
  return factor;
}

int64_t factorOf(const PtxText &ptx, size_t line, const std::string &name,
                 const ProgramFacts &facts) {
  if (isNumber(name))
    return std::abs(std::stoll(name));
  const std::vector<size_t> &writers = ptx.writers(line, name);
  if (writers.size() != 1)
    return 1;
  const PtxInstruction &i = *ptx.instruction(writers[0]);
  auto of = [&](size_t operand) { return factorOf(ptx, line, i.operands[operand], facts); };
  if (!i.guard.empty())
    return 1;
  if (i.is("ld.param.b32")) {
    const Expression *parameter = parameterOf(ptx, line, name, facts);
    return parameter ? factorOf(*parameter) : 1;
  }
  if (i.is("mul.lo.s32"))
    return of(1) * of(2);
  if (i.is("mad.lo.s32"))
    return std::gcd(of(1) * of(2), of(3));
  return i.is("add.s32") ? std::gcd(of(1), of(2)) : 1;
}

bool isGatheredRow(const PtxText &ptx, size_t line, const std::string &name) {
  const std::vector<size_t> &writers = ptx.writers(line, name);
  const PtxInstruction *i = writers.size() == 1 ? ptx.instruction(writers[0]) : nullptr;
  if (i && i->is("add.s32") && isNumber(i->operands[2]))
    return isGatheredRow(ptx, writers[0], i->operands[1]);
  if (!i || !i->is("mad.lo.s32"))
    return false;
  const std::vector<size_t> &rows = ptx.writers(line, i->operands[1]);
  const PtxInstruction *chosen = rows.size() == 1 ? ptx.instruction(rows[0]) : nullptr;
  return chosen && chosen->is("selp.b32") && chosen->operands[2] == "-1";
}

} // namespace nysjit::conformance

// What a plan says of itself.
#include "runtime/plan/plan.h"

#include <algorithm>

namespace nysjit {

bool isGpuPlan(const Plan &plan) { return plan.target.starts_with("cuda:"); }

std::vector<std::string> planSymbols(const Plan &plan) {
  std::vector<std::string> symbols;
  const auto add = [&](const std::string &name) {
    if (std::find(symbols.begin(), symbols.end(), name) == symbols.end())
      symbols.push_back(name);
  };
  for (const PlanArgument &argument : plan.arguments)
    for (const std::vector<Expression> *list : {&argument.shape, &argument.strides})
      for (const Expression &e : *list)
        if (e.op() == Operator::Symbol)
          add(e.symbolName());
  for (const PlanArgument &argument : plan.arguments)
    if (!argument.dtypeSymbol.empty())
      add(argument.dtypeSymbol);
  for (const PlanArgument &argument : plan.arguments)
    if (!argument.alignmentSymbol.empty())
      add(argument.alignmentSymbol);
  for (const PlanArgument &argument : plan.arguments)
    if (!argument.presenceSymbol.empty())
      add(argument.presenceSymbol);
  for (const PlanArgument &argument : plan.arguments)
    if (!argument.packedSymbol.empty())
      add(argument.packedSymbol);
  if (!plan.sequences.maxLength.empty())
    add(plan.sequences.maxLength);
  if (!plan.saved.symbol.empty())
    add(plan.saved.symbol);
  return symbols;
}

} // namespace nysjit

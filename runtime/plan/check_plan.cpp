// What a plan's names refer to: each is unique where it is declared, and declared where it is used.
#include "runtime/plan/plan_fields.h"

#include <algorithm>
#include <set>

namespace nysjit {

namespace {

/// The symbols that are known where only sizes are: a tensor's alignment is its address's.
std::vector<std::string> sizeSymbolsOf(const Plan &plan) {
  Plan withoutAddresses;
  withoutAddresses.arguments = plan.arguments;
  withoutAddresses.sequences = plan.sequences;
  withoutAddresses.saved = plan.saved;
  for (PlanArgument &argument : withoutAddresses.arguments)
    argument.alignmentSymbol.clear();
  return planSymbols(withoutAddresses);
}

/// Every symbol of the expression is among these.
Status resolves(const std::vector<std::string> &among, const Expression &e,
                const std::string &where) {
  Result<CompiledExpression> compiled = CompiledExpression::compile(e, among);
  if (!compiled)
    return planError(where, compiled.error().expected, compiled.error().found);
  return {};
}

class PlanCheck {
public:
  explicit PlanCheck(const Plan &plan) : plan(plan), symbols(planSymbols(plan)) {}

  Status run() {
    if (symbols.size() > maxPlanSymbols)
      return planError("arguments", "at most " + std::to_string(maxPlanSymbols) + " symbols",
                       std::to_string(symbols.size()));
    NYSJIT_RETURN_IF_ERROR(checkArguments());
    NYSJIT_RETURN_IF_ERROR(checkSequences());
    NYSJIT_RETURN_IF_ERROR(checkSaved());
    NYSJIT_RETURN_IF_ERROR(checkSizes());
    for (const PlanKernel &kernel : plan.kernels)
      NYSJIT_RETURN_IF_ERROR(checkKernel(kernel));
    return checkLaunches();
  }

private:
  Status checkArguments();
  Status checkSequences() const;
  Status checkSaved() const;
  Status checkSizes();
  Status checkKernel(const PlanKernel &kernel);
  Status checkLaunches() const;

  const Plan &plan;
  std::vector<std::string> symbols;
  std::set<std::string> dimensions; // symbols of shapes and strides
  std::set<std::string> others;     // symbols that an argument binds beside them
  std::set<std::string> memory;     // names of arguments and buffers
  std::set<std::string> kernels;    // names
};

Status PlanCheck::checkArguments() {
  for (const PlanArgument &argument : plan.arguments) {
    if (!memory.insert(argument.name).second)
      return planError("arguments", "one argument a name", "'" + argument.name + "' twice");
    for (const std::vector<Expression> *list : {&argument.shape, &argument.strides})
      for (const Expression &e : *list)
        if (e.op() == Operator::Symbol)
          dimensions.insert(e.symbolName());
  }
  for (const PlanArgument &argument : plan.arguments)
    for (const auto &[symbol, what] : {std::pair(&argument.dtypeSymbol, "a dtype"),
                                       std::pair(&argument.alignmentSymbol, "an alignment"),
                                       std::pair(&argument.presenceSymbol, "a presence")})
      if (!symbol->empty() && (dimensions.count(*symbol) || !others.insert(*symbol).second))
        return planError("arguments", std::string(what) + " symbol of its own for each argument",
                         "'" + *symbol + "' again");
  for (const PlanArgument &argument : plan.arguments)
    if (!argument.packedSymbol.empty() &&
        (dimensions.count(argument.packedSymbol) || others.count(argument.packedSymbol)))
      return planError("arguments", "a packed symbol that nothing else binds",
                       "'" + argument.packedSymbol + "' again");
  for (const PlanArgument &argument : plan.arguments)
    others.insert(argument.packedSymbol);
  return {};
}

/// The arguments it names are dense vectors of int32, its symbols bound and new.
Status PlanCheck::checkSequences() const {
  const PlanSequences &s = plan.sequences;
  if (s.rows.empty())
    return {};
  for (const auto &[key, name] : {std::pair("offsets", &s.offsets),
                                  {"lengths", &s.lengths},
                                  {"starts", &s.starts},
                                  {"parts", &s.sourceLengths}}) {
    const auto isNamed = [name = name](const PlanArgument &argument) {
      return argument.name == *name && argument.dtypes == std::vector<std::string>{"int32"} &&
             argument.shape.size() == 1 && argument.strides[0] == Expression(1);
    };
    if (!name->empty() && std::none_of(plan.arguments.begin(), plan.arguments.end(), isNamed))
      return planError(std::string("sequences.") + key,
                       "an argument that is a dense vector of int32", "'" + *name + "'");
  }
  if (!dimensions.count(s.rows))
    return planError("sequences.rows", "a symbol of an argument's shape", "'" + s.rows + "'");
  if (dimensions.count(s.maxLength) || others.count(s.maxLength))
    return planError("sequences.max_length", "a symbol of its own", "'" + s.maxLength + "'");
  return {};
}

/// Its symbol is new, and there is one if some buffer is saved.
Status PlanCheck::checkSaved() const {
  const std::string &symbol = plan.saved.symbol;
  if (symbol.empty())
    return std::ranges::none_of(plan.buffers, &PlanBuffer::isSaved)
               ? Status()
               : planError("saved", "a symbol, as there are saved buffers", "nothing");
  if (dimensions.count(symbol) || others.count(symbol) || symbol == plan.sequences.maxLength)
    return planError("saved.symbol", "a symbol of its own", "'" + symbol + "'");
  return {};
}

/// Buffers and preconditions, which are asked for without the tensors' addresses.
Status PlanCheck::checkSizes() {
  const std::vector<std::string> sizeSymbols = sizeSymbolsOf(plan);
  for (const PlanBuffer &buffer : plan.buffers) {
    if (!memory.insert(buffer.name).second)
      return planError("buffers", "one argument or buffer a name", "'" + buffer.name + "' twice");
    NYSJIT_RETURN_IF_ERROR(
        resolves(sizeSymbols, buffer.bytes, "buffers." + buffer.name + ".bytes"));
  }
  for (const PlanPrecondition &condition : plan.preconditions)
    NYSJIT_RETURN_IF_ERROR(
        resolves(sizeSymbols, condition.holds, "preconditions." + condition.where));
  return {};
}

Status PlanCheck::checkKernel(const PlanKernel &kernel) {
  if (!kernels.insert(kernel.name).second)
    return planError("kernels", "one kernel a name", "'" + kernel.name + "' twice");
  if (isGpuPlan(plan) != (kernel.blockThreads > 0))
    return planError("kernels." + kernel.name + ".block",
                     isGpuPlan(plan) ? "the threads of a block" : "none for " + plan.target,
                     isGpuPlan(plan) ? "nothing" : std::to_string(kernel.blockThreads));
  if (!isGpuPlan(plan) && (kernel.sharedBytes != 0 || kernel.mayOverlap))
    return planError("kernels." + kernel.name,
                     "neither shared_bytes nor may_overlap for " + plan.target, "one of them");
  std::set<std::string> parameters;
  for (const PlanParameter &parameter : kernel.parameters) {
    const std::string where = "kernels." + kernel.name + "." + parameter.name;
    if (!parameters.insert(parameter.name).second)
      return planError(where, "one parameter a name", "'" + parameter.name + "' twice");
    if (parameter.type == ParameterType::Pointer && !memory.count(parameter.memory))
      return planError(where, "the name of an argument or buffer", "'" + parameter.memory + "'");
    NYSJIT_RETURN_IF_ERROR(resolves(symbols, parameter.value, where));
  }
  return {};
}

Status PlanCheck::checkLaunches() const {
  for (const PlanLaunch &launch : plan.launches) {
    if (!kernels.count(launch.kernel))
      return planError("launches", "the name of a kernel", "'" + launch.kernel + "'");
    NYSJIT_RETURN_IF_ERROR(resolves(symbols, launch.grid, "launches." + launch.kernel + ".grid"));
    NYSJIT_RETURN_IF_ERROR(resolves(symbols, launch.when, "launches." + launch.kernel + ".when"));
  }
  return {};
}

} // namespace

Status checkPlanReferences(const Plan &plan) { return PlanCheck(plan).run(); }

} // namespace nysjit

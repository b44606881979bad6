// A plan's JSON text, and behind a NUL byte the numbers with which it is bound: shapes, strides and
// addresses of its tensors, and values of its symbols for its expressions.
#include "runtime/device/prepared_plan.h"
#include "runtime/plan/arithmetic.h"
#include "tests/fuzz/property.h"

#include <algorithm>
#include <optional>

using namespace nysjit;
using namespace nysjit::fuzz;

namespace {

/// The value by the definition: nothing on overflow and on division by zero or of negatives.
std::optional<int64_t> valueOf(const Expression &e, const std::vector<std::string> &symbols,
                               const std::vector<int64_t> &values) {
  if (e.isConstant())
    return e.constant();
  if (e.op() == Operator::Symbol)
    return values[size_t(std::ranges::find(symbols, e.symbolName()) - symbols.begin())];
  std::vector<std::optional<int64_t>> operands;
  for (const Expression &operand : e.operands())
    operands.push_back(valueOf(operand, symbols, values));
  if (e.op() == Operator::Select)
    return operands[0] ? operands[*operands[0] ? 1 : 2] : std::nullopt;
  for (const std::optional<int64_t> &operand : operands)
    if (!operand)
      return std::nullopt;
  int64_t result = 0;
  const int64_t right = operands.size() > 1 ? *operands[1] : 0;
  return applyOperator(e.op(), *operands[0], right, result) ? std::optional(result) : std::nullopt;
}

void evaluate(const Expression &e, const std::vector<std::string> &symbols,
              const std::vector<int64_t> &values) {
  Result<CompiledExpression> compiled = CompiledExpression::compile(e, symbols);
  require(compiled.ok(), "an expression of a plan compiles");
  int64_t result = 0;
  const std::optional<int64_t> found =
      compiled->tryEvaluate(values.data(), result) ? std::optional(result) : std::nullopt;
  require(found == valueOf(e, symbols, values), "an expression's value is that of its tree");
}

void evaluateAll(const Plan &plan, Bytes &bytes) {
  const std::vector<std::string> symbols = planSymbols(plan);
  std::vector<int64_t> values;
  for (size_t i = 0; i < symbols.size(); ++i)
    values.push_back(bytes.number());
  for (const PlanPrecondition &condition : plan.preconditions)
    evaluate(condition.holds, symbols, values);
  for (const PlanBuffer &buffer : plan.buffers)
    evaluate(buffer.bytes, symbols, values);
  for (const PlanLaunch &launch : plan.launches) {
    evaluate(launch.grid, symbols, values);
    evaluate(launch.when, symbols, values);
  }
  for (const PlanKernel &kernel : plan.kernels)
    for (const PlanParameter &parameter : kernel.parameters)
      evaluate(parameter.value, symbols, values);
}

/// Tensors for a plan's arguments: mostly what it asks for, with something wrong here and there.
/// Vectors of integers have memory, since their values are looked at.
class Tensors {
public:
  Tensors(const Plan &plan, Bytes &bytes) : symbols(planSymbols(plan)), bytes(bytes) {
    for (size_t i = 0; i < symbols.size(); ++i)
      values.push_back(bytes.number());
    all.reserve(plan.arguments.size());
    for (const PlanArgument &argument : plan.arguments)
      add(argument);
    for (One &one : all)
      pointers.push_back(one.isNull ? nullptr : &one.tensor);
  }
  const DLTensor *const *data() const { return pointers.data(); }

private:
  struct One {
    DLTensor tensor = {};
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;
    std::vector<int32_t> integers;
    bool isNull = false;
  };

  int64_t extent(const Expression &e) {
    if (bytes.byte() > 240)
      return bytes.number();
    if (e.isConstant())
      return e.constant();
    return values[size_t(std::ranges::find(symbols, e.symbolName()) - symbols.begin())];
  }

  void add(const PlanArgument &argument) {
    One &one = all.emplace_back();
    one.isNull = bytes.byte() > (argument.isOptional ? 128 : 250);
    for (const Expression &e : argument.shape)
      one.shape.push_back(extent(e));
    for (const Expression &e : argument.strides)
      one.strides.push_back(extent(e));
    if (one.shape.size() == 4 && bytes.byte() > 128) { // packed
      one.shape = {one.shape[2], one.shape[1], one.shape[3]};
      one.strides = {one.strides[2], one.strides[1], one.strides[3]};
    }
    one.tensor.device = {kDLCPU, 0};
    (void)dtypeFromName(argument.dtypes[bytes.byte() % argument.dtypes.size()], one.tensor.dtype);
    one.tensor.data = reinterpret_cast<void *>(uintptr_t(bytes.number()) & ~uintptr_t(3));
    if (argument.shape.size() == 1)
      giveMemory(one);
    one.tensor.ndim = int32_t(one.shape.size());
    one.tensor.shape = one.shape.data();
    one.tensor.strides = bytes.byte() > 128 ? nullptr : one.strides.data();
  }

  void giveMemory(One &one) {
    one.shape[0] &= 15;
    one.strides[0] = one.strides[0] % 3;
    for (int i = 0; i < 64; ++i)
      one.integers.push_back(int32_t(bytes.number()));
    one.tensor.data = one.integers.data() + 32; // steps of -2 to 2
  }

  std::vector<std::string> symbols;
  Bytes &bytes;
  std::vector<int64_t> values;
  std::vector<One> all;
  std::vector<const DLTensor *> pointers;
};

void bind(const PreparedPlan &prepared, Bytes &bytes) {
  const Tensors tensors(prepared.plan(), bytes);
  const int64_t maxLength = bytes.number();
  if (auto size = prepared.sizes(tensors.data(), {}, maxLength, maxLength % 2 != 0); !size)
    requireNamed(size.error());
  RunNumbers numbers;
  ProgramRun run;
  run.tensors = tensors.data();
  run.maxLength = maxLength;
  if (maxLength % 2 != 0) {
    run.saved = reinterpret_cast<void *>(uintptr_t(3) << 32);
    run.savedBytes = size_t(bytes.number());
  }
  run.scale = 0.5f;
  if (Status bound = prepared.bind(run, {}, numbers); !bound) {
    requireNamed(bound.error());
    return;
  }
  if (Status filled = prepared.fill(reinterpret_cast<void *>(uintptr_t(1) << 32), run, numbers);
      !filled)
    requireNamed(filled.error());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count) {
  const std::string_view input = textOf(data, count);
  const size_t end = std::min(input.find('\0'), input.size());
  Result<Plan> plan = planFromJson(std::string(input.substr(0, end)));
  if (!plan) {
    requireNamed(plan.error());
    return 0;
  }
  const std::string text = planToJson(*plan);
  Result<Plan> again = planFromJson(text);
  require(again.ok(),
          "a plan that is written can be read: " + (again ? "" : again.error().message));
  require(planToJson(*again) == text, "a plan is written as it was read");
  Bytes bytes(input.substr(std::min(end + 1, input.size())));
  evaluateAll(*plan, bytes);
  Result<PreparedPlan> prepared = PreparedPlan::create(std::move(*plan));
  if (!prepared) {
    requireNamed(prepared.error());
    return 0;
  }
  for (int round = 0; round < 4; ++round)
    bind(*prepared, bytes);
  return 0;
}

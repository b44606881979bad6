// The numbers of one run, in the order in which they depend on each other.
#include "runtime/device/prepared_plan.h"

#include <algorithm>
#include <bit>

namespace nysjit {

namespace {

Error arithmeticError(const std::string &where) {
  return Error::mismatch(ErrorKind::InvalidShape, where,
                         "shapes and strides whose sizes fit 64 bits",
                         "an overflow or a division by zero");
}

constexpr size_t cpuAlignment = 64;
constexpr size_t gpuAlignment = 256;

} // namespace

PreparedPlan::PreparedPlan(Plan plan)
    : own(std::move(plan)), binder(own), symbols(planSymbols(own)),
      savedSymbol(own.saved.symbol.empty()
                      ? SIZE_MAX
                      : size_t(std::ranges::find(symbols, own.saved.symbol) - symbols.begin())),
      alignment(isGpuPlan(own) ? gpuAlignment : cpuAlignment) {}

Result<PreparedPlan> PreparedPlan::create(Plan plan) {
  PreparedPlan prepared(std::move(plan));
  NYSJIT_RETURN_IF_ERROR(prepared.compileExpressions());
  return prepared;
}

Status PreparedPlan::compileExpressions() {
  const auto compile = [&](const Expression &e, CompiledExpression &out) -> Status {
    Result<CompiledExpression> compiled = CompiledExpression::compile(e, symbols);
    if (!compiled)
      return compiled.takeError();
    out = std::move(*compiled);
    return {};
  };
  for (const PlanPrecondition &condition : own.preconditions)
    NYSJIT_RETURN_IF_ERROR(compile(condition.holds, preconditions.emplace_back()));
  for (const PlanBuffer &buffer : own.buffers)
    NYSJIT_RETURN_IF_ERROR(compile(buffer.bytes, buffers.emplace_back()));
  std::vector<std::string> memory; // in the order of RunNumbers::memory
  for (const PlanArgument &argument : own.arguments)
    memory.push_back(argument.name);
  for (const PlanBuffer &buffer : own.buffers)
    memory.push_back(buffer.name);
  size_t parameterCount = 0;
  for (const PlanLaunch &from : own.launches) {
    const auto kernel =
        std::find_if(own.kernels.begin(), own.kernels.end(),
                     [&](const PlanKernel &candidate) { return candidate.name == from.kernel; });
    if (kernel == own.kernels.end())
      return Error::mismatch(ErrorKind::InvalidJson, "plan.launches", "the name of a kernel",
                             "'" + from.kernel + "'");
    Launch launch{static_cast<size_t>(kernel - own.kernels.begin()), {}, {}, {}};
    NYSJIT_RETURN_IF_ERROR(compile(from.grid, launch.grid));
    NYSJIT_RETURN_IF_ERROR(compile(from.when, launch.when));
    for (const PlanParameter &parameter : kernel->parameters) {
      const auto named = std::find(memory.begin(), memory.end(), parameter.memory);
      launch.parameters.push_back(
          {parameter.type, static_cast<size_t>(named - memory.begin()), {}});
      NYSJIT_RETURN_IF_ERROR(compile(parameter.value, launch.parameters.back().value));
    }
    parameterCount += launch.parameters.size();
    launches.push_back(std::move(launch));
  }
  if (parameterCount > maxRunParameters)
    return Error::mismatch(ErrorKind::InvalidJson, "plan.launches",
                           "at most " + std::to_string(maxRunParameters) + " parameters in all",
                           std::to_string(parameterCount));
  return {};
}

std::string PreparedPlan::substitute(const std::string &sentence, const int64_t *values) const {
  std::string text;
  for (size_t i = 0; i < sentence.size();) {
    const size_t close = sentence[i] == '{' ? sentence.find('}', i) : std::string::npos;
    const auto symbol =
        close == std::string::npos
            ? symbols.end()
            : std::find(symbols.begin(), symbols.end(), sentence.substr(i + 1, close - i - 1));
    if (symbol == symbols.end()) {
      text += sentence[i++];
      continue;
    }
    text += std::to_string(values[symbol - symbols.begin()]);
    i = close + 1;
  }
  return text;
}

Status PreparedPlan::checkPreconditions(const int64_t *values) const {
  for (size_t i = 0; i < preconditions.size(); ++i) {
    const PlanPrecondition &text = own.preconditions[i];
    int64_t holds = 0;
    if (!preconditions[i].tryEvaluate(values, holds))
      return arithmeticError(text.where);
    if (!holds)
      return Error::mismatch(ErrorKind::InvalidShape, text.where, substitute(text.expected, values),
                             substitute(text.found, values));
  }
  return {};
}

void PreparedPlan::bindSaved(bool isGiven, int64_t *values) const {
  if (savedSymbol != SIZE_MAX)
    values[savedSymbol] = isGiven;
}

Status PreparedPlan::layOutBuffers(bool isSavedGiven, RunNumbers &numbers) const {
  const int64_t step = static_cast<int64_t>(alignment);
  int64_t ofWorkspace = 0;
  int64_t ofSaved = 0;
  for (size_t i = 0; i < buffers.size(); ++i) {
    int64_t bytes = 0;
    int64_t padded = 0;
    int64_t &end = own.buffers[i].isSaved && isSavedGiven ? ofSaved : ofWorkspace;
    const bool fits = buffers[i].tryEvaluate(numbers.values, bytes) && bytes >= 0 &&
                      !__builtin_add_overflow(bytes, step - 1, &padded);
    numbers.offsets[i] = static_cast<size_t>(end);
    if (!fits || __builtin_add_overflow(end, padded / step * step, &end))
      return arithmeticError("workspace." + own.buffers[i].name);
  }
  numbers.workspaceBytes = static_cast<size_t>(ofWorkspace);
  numbers.savedBytes = static_cast<size_t>(ofSaved);
  return {};
}

Status PreparedPlan::computeGrids(RunNumbers &numbers) const {
  for (size_t i = 0; i < launches.size(); ++i) {
    int64_t when = 0;
    int64_t &grid = numbers.grids[i];
    grid = 0;
    if (!launches[i].when.tryEvaluate(numbers.values, when) ||
        (when && !launches[i].grid.tryEvaluate(numbers.values, grid)) || grid < 0)
      return arithmeticError(kernel(i).name + ".grid");
    if (isGpuPlan(own) && grid > maxGpuGrid)
      return Error::mismatch(ErrorKind::InvalidShape, kernel(i).name + ".grid",
                             "at most " + std::to_string(maxGpuGrid) +
                                 " blocks (fewer sequences, heads or positions)",
                             std::to_string(grid));
    if (grid > 0)
      numbers.last = i;
  }
  return {};
}

Status PreparedPlan::fillParameters(const Launch &launch, float scale, const RunNumbers &numbers,
                                    uint64_t *values) const {
  const PlanKernel &kernel = own.kernels[launch.kernel];
  for (size_t i = 0; i < launch.parameters.size(); ++i) {
    const Parameter &parameter = launch.parameters[i];
    if (parameter.type == ParameterType::Pointer) {
      values[i] = reinterpret_cast<uintptr_t>(numbers.memory[parameter.memory]);
      continue;
    }
    if (parameter.type == ParameterType::F32) {
      values[i] = std::bit_cast<uint32_t>(scale);
      continue;
    }
    int64_t value = 0;
    if (!parameter.value.tryEvaluate(numbers.values, value))
      return arithmeticError(kernel.name + "." + kernel.parameters[i].name);
    if (parameter.type == ParameterType::I32 && value != static_cast<int32_t>(value))
      return Error::mismatch(ErrorKind::InvalidShape, kernel.name + "." + kernel.parameters[i].name,
                             "a number that fits 32 bits", std::to_string(value));
    values[i] = static_cast<uint64_t>(value);
  }
  return {};
}

Result<MemorySizes> PreparedPlan::sizes(const DLTensor *const *tensors, TensorDevice device,
                                        int64_t maxLength, bool isSavedGiven) const {
  RunNumbers numbers;
  NYSJIT_RETURN_IF_ERROR(
      binder.bind(tensors, device, maxLength, numbers.values, nullptr, /*sizesOnly=*/true));
  const auto layOut = [&](bool isGiven) -> Status {
    bindSaved(isGiven, numbers.values);
    NYSJIT_RETURN_IF_ERROR(checkPreconditions(numbers.values));
    return layOutBuffers(isGiven, numbers);
  };
  NYSJIT_RETURN_IF_ERROR(layOut(isSavedGiven || own.saved.isNeeded));
  MemorySizes sizes{numbers.workspaceBytes, 0};
  NYSJIT_RETURN_IF_ERROR(layOut(true));
  sizes.saved = numbers.savedBytes;
  return sizes;
}

Status PreparedPlan::bind(const ProgramRun &run, TensorDevice device, RunNumbers &numbers) const {
  NYSJIT_RETURN_IF_ERROR(binder.bind(run.tensors, device, run.maxLength, numbers.values,
                                     numbers.memory, /*sizesOnly=*/false));
  bindSaved(run.saved != nullptr, numbers.values);
  NYSJIT_RETURN_IF_ERROR(checkPreconditions(numbers.values));
  NYSJIT_RETURN_IF_ERROR(layOutBuffers(run.saved || own.saved.isNeeded, numbers));
  NYSJIT_RETURN_IF_ERROR(checkSaved(run, numbers));
  return computeGrids(numbers);
}

static AddressRange rangeOf(const void *memory, size_t bytes) {
  const uint64_t begin = reinterpret_cast<uintptr_t>(memory);
  return {begin, begin + bytes};
}

Status PreparedPlan::checkMemory(const ProgramRun &run, const char *name, const void *memory,
                                 size_t bytes, size_t needed) const {
  if (reinterpret_cast<uintptr_t>(memory) % alignment != 0)
    return Error::mismatch(ErrorKind::InvalidArgument, name,
                           "memory at a " + std::to_string(alignment) + "-byte boundary",
                           "memory that is not");
  if (bytes < needed)
    return Error::mismatch(ErrorKind::InvalidArgument, std::string(name) + "_size",
                           "at least " + std::to_string(needed) + " bytes", std::to_string(bytes));
  return binder.checkApart(run.tensors, name, rangeOf(memory, needed));
}

Status PreparedPlan::checkSaved(const ProgramRun &run, const RunNumbers &numbers) const {
  if (!run.saved && own.saved.isNeeded && numbers.savedBytes > 0)
    return Error::mismatch(ErrorKind::InvalidArgument, "saved",
                           std::to_string(numbers.savedBytes) +
                               " bytes of memory for what a backward run reads",
                           "NULL");
  if (run.saved && savedSymbol == SIZE_MAX)
    return Error::mismatch(ErrorKind::InvalidArgument, "saved",
                           "NULL (a program with pass forward keeps nothing)", "memory");
  return run.saved ? checkMemory(run, "saved", run.saved, run.savedBytes, numbers.savedBytes)
                   : Status();
}

Status PreparedPlan::checkWorkspace(const ProgramRun &run, const RunNumbers &numbers) const {
  NYSJIT_RETURN_IF_ERROR(
      checkMemory(run, "workspace", run.workspace, run.workspaceBytes, numbers.workspaceBytes));
  if (run.saved &&
      rangeOf(run.workspace, numbers.workspaceBytes).meets(rangeOf(run.saved, numbers.savedBytes)))
    return Error::mismatch(ErrorKind::InvalidArgument, "workspace",
                           "memory that does not overlap saved", "memory that does");
  return {};
}

Status PreparedPlan::fill(void *workspace, const ProgramRun &run, RunNumbers &numbers) const {
  for (size_t i = 0; i < buffers.size(); ++i) {
    const void *base = own.buffers[i].isSaved && run.saved ? run.saved : workspace;
    numbers.memory[own.arguments.size() + i] =
        reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(base) + numbers.offsets[i]);
  }
  uint64_t *values = numbers.parameters;
  for (size_t i = 0; i < launches.size(); ++i) {
    if (numbers.grids[i] == 0)
      continue;
    NYSJIT_RETURN_IF_ERROR(fillParameters(launches[i], run.scale, numbers, values));
    values += launches[i].parameters.size();
  }
  return {};
}

} // namespace nysjit

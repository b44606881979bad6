// Running a plan: bind the symbols, check the preconditions, lay out the workspace, fill the parameters of every
// launch, then launch one after the other. Each thread of a launch takes the next program from a shared counter, so
// programs that a template gives first start first and uneven ones balance.
#include "runtime/device/cpu_program.h"
#include "runtime/device/memory.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>

namespace nysjit {

namespace {

/// Parameter slots of all launches of a run; they lie on the stack.
constexpr size_t maxRunSlots = 2048;

struct Job {
  void (*function)(const uint64_t *parameters, int64_t program, void *scratch);
  const uint64_t *parameters;
  int64_t grid;
  size_t scratchBytes;
  std::atomic<int64_t> next{0};
};

/// One thread's share. Without memory for its scratch it leaves its programs to the others.
void runShare(void *context, size_t) {
  Job &job = *static_cast<Job *>(context);
  void *scratch = threadScratch(job.scratchBytes);
  if (!scratch)
    return;
  for (int64_t program; (program = job.next.fetch_add(1, std::memory_order_relaxed)) < job.grid;)
    job.function(job.parameters, program, scratch);
}

Error arithmeticError(const std::string &where) {
  return Error::mismatch(ErrorKind::InvalidShape, where, "shapes and strides whose sizes fit 64 bits",
                         "an overflow or a division by zero");
}

} // namespace

CpuProgram::CpuProgram(Plan plan, SharedObject object)
    : launchPlan(std::move(plan)), binary(std::move(object)), binder(launchPlan), symbols(planSymbols(launchPlan)) {}

Result<std::unique_ptr<CpuProgram>> CpuProgram::load(Plan plan, std::string_view object,
                                                     const std::string &privateFolder) {
  Result<SharedObject> binary = SharedObject::load(object, privateFolder);
  if (!binary)
    return binary.takeError();
  std::unique_ptr<CpuProgram> program(new CpuProgram(std::move(plan), std::move(*binary)));
  NYSJIT_RETURN_IF_ERROR(program->compileExpressions());
  return program;
}

Status CpuProgram::compileExpressions() {
  const auto compile = [&](const Expression &e, CompiledExpression &out) -> Status {
    Result<CompiledExpression> compiled = CompiledExpression::compile(e, symbols);
    if (!compiled)
      return compiled.takeError();
    out = std::move(*compiled);
    return {};
  };
  for (const PlanPrecondition &text : launchPlan.preconditions) {
    preconditions.push_back({{}, &text});
    NYSJIT_RETURN_IF_ERROR(compile(text.holds, preconditions.back().holds));
  }
  for (const PlanBuffer &buffer : launchPlan.buffers) {
    buffers.emplace_back();
    NYSJIT_RETURN_IF_ERROR(compile(buffer.bytes, buffers.back()));
  }
  const auto memoryNumber = [&](const std::string &name) {
    size_t number = 0;
    for (const PlanArgument &argument : launchPlan.arguments) {
      if (argument.name == name)
        return number;
      ++number;
    }
    for (const PlanBuffer &buffer : launchPlan.buffers) {
      if (buffer.name == name)
        return number;
      ++number;
    }
    return number;
  };
  size_t slots = 0;
  for (const PlanLaunch &from : launchPlan.launches) {
    const auto kernel = std::find_if(launchPlan.kernels.begin(), launchPlan.kernels.end(),
                                     [&](const PlanKernel &candidate) { return candidate.name == from.kernel; });
    if (kernel == launchPlan.kernels.end())
      return Error::mismatch(ErrorKind::InvalidJson, "plan.launches", "the name of a kernel", "'" + from.kernel + "'");
    void *function = binary.symbol(kernel->name);
    if (!function)
      return Error::mismatch(ErrorKind::CompileFailed, "program", "a binary that holds kernel '" + kernel->name + "'",
                             "none of that name");
    Launch launch{reinterpret_cast<KernelFunction>(function), &*kernel, {}, {}, {}};
    NYSJIT_RETURN_IF_ERROR(compile(from.grid, launch.grid));
    NYSJIT_RETURN_IF_ERROR(compile(from.when, launch.when));
    for (const PlanParameter &parameter : kernel->parameters) {
      launch.parameters.push_back(
          {parameter.type, parameter.type == ParameterType::Pointer ? memoryNumber(parameter.memory) : 0, {}});
      NYSJIT_RETURN_IF_ERROR(compile(parameter.value, launch.parameters.back().value));
    }
    slots += launch.parameters.size();
    scratch = std::max(scratch, static_cast<size_t>(kernel->scratchBytes));
    launches.push_back(std::move(launch));
  }
  if (slots > maxRunSlots)
    return Error::mismatch(ErrorKind::InvalidJson, "plan.launches",
                           "at most " + std::to_string(maxRunSlots) + " parameters in all", std::to_string(slots));
  return {};
}

std::string CpuProgram::substitute(const std::string &sentence, const int64_t *values) const {
  std::string text;
  for (size_t i = 0; i < sentence.size();) {
    const size_t close = sentence[i] == '{' ? sentence.find('}', i) : std::string::npos;
    const auto symbol = close == std::string::npos
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

Status CpuProgram::checkPreconditions(const int64_t *values) const {
  for (const Precondition &condition : preconditions) {
    int64_t holds = 0;
    if (!condition.holds.tryEvaluate(values, holds))
      return arithmeticError(condition.text->where);
    if (!holds)
      return Error::mismatch(ErrorKind::InvalidShape, condition.text->where,
                             substitute(condition.text->expected, values), substitute(condition.text->found, values));
  }
  return {};
}

Status CpuProgram::layOutBuffers(const int64_t *values, size_t *offsets, size_t &total) const {
  int64_t end = 0;
  for (size_t i = 0; i < buffers.size(); ++i) {
    int64_t bytes = 0, padded = 0;
    const bool fits = buffers[i].tryEvaluate(values, bytes) && bytes >= 0 &&
                      !__builtin_add_overflow(bytes, static_cast<int64_t>(memoryAlignment - 1), &padded);
    offsets[i] = static_cast<size_t>(end);
    if (!fits || __builtin_add_overflow(end, padded / 64 * 64, &end))
      return arithmeticError("workspace." + launchPlan.buffers[i].name);
  }
  total = static_cast<size_t>(end);
  return {};
}

Status CpuProgram::fillParameters(const Launch &launch, const int64_t *values, void *const *memory, float scale,
                                  uint64_t *slots) const {
  for (size_t i = 0; i < launch.parameters.size(); ++i) {
    const Parameter &parameter = launch.parameters[i];
    if (parameter.type == ParameterType::Pointer) {
      slots[i] = reinterpret_cast<uintptr_t>(memory[parameter.memory]);
      continue;
    }
    if (parameter.type == ParameterType::F32) {
      slots[i] = std::bit_cast<uint32_t>(scale);
      continue;
    }
    int64_t value = 0;
    if (!parameter.value.tryEvaluate(values, value))
      return arithmeticError(launch.kernel->name + "." + launch.kernel->parameters[i].name);
    if (parameter.type == ParameterType::I32 && value != static_cast<int32_t>(value))
      return Error::mismatch(ErrorKind::InvalidShape, launch.kernel->name + "." + launch.kernel->parameters[i].name,
                             "a number that fits 32 bits", std::to_string(value));
    slots[i] = static_cast<uint64_t>(value);
  }
  return {};
}

Result<size_t> CpuProgram::workspaceBytes(const DLTensor *const *tensors) const {
  int64_t values[maxPlanSymbols];
  size_t offsets[maxPlanEntries], total = 0;
  NYSJIT_RETURN_IF_ERROR(binder.bind(tensors, values, nullptr, /*sizesOnly=*/true));
  NYSJIT_RETURN_IF_ERROR(checkPreconditions(values));
  NYSJIT_RETURN_IF_ERROR(layOutBuffers(values, offsets, total));
  return total;
}

Status CpuProgram::run(const CpuRun &run, Threads &threads) const {
  // The numbers of this run: symbols from the tensors, then what must hold of them.
  int64_t values[maxPlanSymbols];
  void *memory[maxPlanArguments + maxPlanEntries];
  NYSJIT_RETURN_IF_ERROR(binder.bind(run.tensors, values, memory, /*sizesOnly=*/false));
  NYSJIT_RETURN_IF_ERROR(checkPreconditions(values));

  // Grids and parameters of every launch, before any of them runs. Buffers have their addresses added below.
  size_t offsets[maxPlanEntries], workspaceBytes = 0;
  NYSJIT_RETURN_IF_ERROR(layOutBuffers(values, offsets, workspaceBytes));
  int64_t grids[maxPlanEntries];
  size_t last = SIZE_MAX;
  for (size_t i = 0; i < launches.size(); ++i) {
    int64_t when = 0;
    grids[i] = 0;
    if (!launches[i].when.tryEvaluate(values, when) || (when && !launches[i].grid.tryEvaluate(values, grids[i])) ||
        grids[i] < 0)
      return arithmeticError(launches[i].kernel->name + ".grid");
    if (grids[i] > 0)
      last = i;
  }
  if (last == SIZE_MAX)
    return {};

  if (run.workspace && reinterpret_cast<uintptr_t>(run.workspace) % memoryAlignment != 0)
    return Error::mismatch(ErrorKind::InvalidArgument, "workspace", "memory at a 64-byte boundary",
                           "memory that is not");
  if (run.workspace && run.workspaceBytes < workspaceBytes)
    return Error::mismatch(ErrorKind::InvalidArgument, "workspace_size",
                           "at least " + std::to_string(workspaceBytes) + " bytes", std::to_string(run.workspaceBytes));
  const WorkspaceLease lease(run.workspace ? 0 : workspaceBytes);
  char *workspace = static_cast<char *>(run.workspace ? run.workspace : lease.memory());
  if (!workspace)
    return Error::mismatch(ErrorKind::Io, "workspace", std::to_string(workspaceBytes) + " bytes of memory",
                           "not enough");
  for (size_t i = 0; i < buffers.size(); ++i)
    memory[launchPlan.arguments.size() + i] = workspace + offsets[i];

  uint64_t slots[maxRunSlots];
  size_t used = 0;
  for (size_t i = 0; i < launches.size(); ++i) {
    if (grids[i] == 0)
      continue;
    NYSJIT_RETURN_IF_ERROR(fillParameters(launches[i], values, memory, run.scale, slots + used));
    used += launches[i].parameters.size();
  }

  // Nothing but a lack of scratch memory can go wrong from here on.
  used = 0;
  for (size_t i = 0; i < launches.size(); ++i) {
    if (grids[i] == 0)
      continue;
    const Launch &launch = launches[i];
    Job job{launch.function, slots + used, grids[i], static_cast<size_t>(launch.kernel->scratchBytes)};
    used += launch.parameters.size();
    const auto start =
        run.observer.observe ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
    threads.run(&runShare, &job,
                static_cast<size_t>(std::min<int64_t>(grids[i], static_cast<int64_t>(threads.count()))), i == last);
    if (job.next.load(std::memory_order_relaxed) < job.grid)
      return Error::mismatch(ErrorKind::Io, launch.kernel->name,
                             std::to_string(job.scratchBytes) +
                                 " bytes of scratch memory and a parallel_for that runs its tasks",
                             "no thread with both");
    if (run.observer.observe) {
      const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
      run.observer.observe(run.observer.context, launch.kernel->name.c_str(), grids[i], passed.count());
    }
  }
  return {};
}

} // namespace nysjit

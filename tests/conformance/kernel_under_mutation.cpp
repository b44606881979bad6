// Runs kernels alone, between the workspaces that a right run of the whole program gives.
#include "tests/conformance/kernel_under_mutation.h"

#include "tests/conformance/gradient_run.h"

#include <algorithm>
#include <cstdlib>
#include <regex>

namespace nysjit::conformance {

KernelUnderMutation::KernelUnderMutation(const KernelCase &theCase, bool thorough)
    : one(theCase), isThorough(thorough) {}

/// Between buffers there is memory that nobody writes: the emulator reports a read of it.
static Plan withGuards(Plan plan) {
  std::vector<PlanBuffer> buffers;
  for (const PlanBuffer &buffer : plan.buffers) {
    buffers.push_back(buffer);
    buffers.push_back({buffer.name + "_guard", Expression(1 << 14)});
  }
  plan.buffers = buffers;
  return plan;
}

void KernelUnderMutation::compile() {
  setenv("NYSJIT_PTX_EMULATOR", gpu.driver->library().c_str(), 1);
  auto opened = CudaDevice::open(DeviceKind::PtxEmulator);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  auto parsed = parseKernelSpec(one.spec);
  auto config = parseKernelConfig(one.config);
  ASSERT_TRUE(parsed.ok()) << one.spec;
  ASSERT_TRUE(config.ok()) << one.config;
  device = *opened;
  spec = *parsed;
  ContextOptions options;
  options.cacheFolder = NYSJIT_BINARY_DIR "/test-cache";
  options.compiler = NYSJIT_BINARY_DIR "/bin/nysjit-compiler";
  options.device = DeviceKind::PtxEmulator;
  auto prepared = RuntimeContext(options).prepare(spec, *config, *parseTarget("cuda:sm_80"));
  ASSERT_TRUE(prepared.ok()) << prepared.error().message;
  plan = withGuards(prepared->program->plan());
  ptx = prepared->program->ptx();
  text = std::make_unique<PtxText>(ptx);
}

/// An error if the text does not even load.
KernelUnderMutation::LoadResult KernelUnderMutation::load(const Plan &itsPlan,
                                                          const std::string &itsText) const {
  CacheEntry entry;
  entry.planJson = planToJson(itsPlan);
  entry.infoJson = "{}";
  entry.ptx = itsText;
  auto program = LoadedProgram::load("mutant", std::move(entry), {nullptr, device, ""});
  NYSJIT_RETURN_IF_ERROR(program);
  const Status status = (*program)->loadIntoCurrent();
  gpu.function<void()>("nysjit_emulator_reset")();
  return status.ok() ? std::move(program) : LoadResult(status.error());
}

/// The plan with the launch of one kernel only.
Plan KernelUnderMutation::planOf(const std::string &kernel) const {
  Plan alone = plan;
  std::erase_if(alone.kernels, [&](const PlanKernel &other) { return other.name != kernel; });
  std::erase_if(alone.launches, [&](const PlanLaunch &other) { return other.kernel != kernel; });
  return alone;
}

/// Looks at the emulator after each launch.
struct Watch {
  const Gpu &gpu;
  const DeviceBytes &workspace;
  Observation &observed;

  static void enqueued(void *context) {
    const Watch &self = *static_cast<Watch *>(context);
    const nysjit_emulator_counts counts = self.gpu.counts();
    self.observed.work.insert(self.observed.work.end(),
                              {counts.bank_conflicts, counts.global_read_bytes,
                               counts.global_write_bytes, counts.mma_flops});
    self.observed.instructions = std::max(self.observed.instructions, counts.instructions);
    self.observed.workspaces.push_back(self.observed.workspace);
    if (self.gpu.driver->emulatorReport().empty())
      self.workspace.copyTo(self.observed.workspaces.back());
  }
  static void observe(void *context, const char *kernel, int64_t, int64_t, double) {
    static_cast<Watch *>(context)->observed.kernels.push_back(kernel);
  }
};

/// From new memory: what a run does not write is not there. Without slack behind the tensors: a
/// read of one row too many must be seen.
Observation KernelUnderMutation::run(const LoadedProgram &program, const Trial &trial,
                                     const Inputs &in, const Workspace &start,
                                     uint64_t limit) const {
  Arguments arguments(&gpu, in, dtypeName(spec.dtype), trial.outputDtype, /*slack=*/0);
  if (spec.pass == Pass::Backward)
    arguments.passGradients(in, spec, trial.outputDtype, trial.leftOut);
  nysjit_run_args &args = arguments.args;
  args.workspace_size = program.sizes(args)->workspace;
  Observation observed;
  observed.workspace = start.bytes;
  observed.workspace.resize(args.workspace_size);
  const DeviceBytes buffers(gpu, args.workspace_size);
  for (const auto &[begin, end] : start.written)
    buffers.copyFrom(start.bytes, begin, end);
  args.workspace = args.workspace_size ? buffers.pointer() : nullptr;

  gpu.configure(trial.isLazy, trial.seed, 80, limit);
  Watch watch{gpu, buffers, observed};
  const LaunchObserver launches{&Watch::observe, &Watch::enqueued, &watch};
  const Status status = program.run(args, nullptr, &launches);
  const bool isFine = status.ok() && gpu.api().cuCtxSynchronize() == CUDA_SUCCESS;
  observed.finding = gpu.driver->emulatorReport();
  if (!isFine && observed.finding.empty())
    observed.finding = status.ok() ? "a fault without a report" : status.error().message;
  gpu.function<void()>("nysjit_emulator_reset")();
  if (!observed.finding.empty())
    return observed;
  buffers.copyTo(observed.workspace);
  for (const auto &[name, tensor] : arguments.fetchAll()) {
    observed.output.insert(observed.output.end(), tensor->bytes.begin(), tensor->bytes.end());
    observed.numbers[name] = numbersOf(*tensor);
  }
  return observed;
}

/// Until each launch and after the last: what is the same whatever was there before.
std::vector<Ranges> KernelUnderMutation::writtenBy(const LoadedProgram &loaded, const Trial &trial,
                                                   const Inputs &in, size_t size) const {
  auto runFrom = [&](char fill) {
    return run(loaded, trial, in, {std::vector<char>(size, fill), {{0, size}}}, 0);
  };
  const Observation zeros = runFrom(0);
  const Observation ones = runFrom(char(-1));
  std::vector<Ranges> all = {{}};
  for (size_t launch = 0; launch < zeros.kernels.size(); ++launch) {
    const std::vector<char> &bytes = zeros.workspaces[launch];
    const std::vector<char> &others = ones.workspaces[launch];
    Ranges &ranges = all.emplace_back();
    for (size_t i = 0; i < bytes.size(); ++i)
      if (bytes[i] == others[i]) {
        if (ranges.empty() || ranges.back().second != i)
          ranges.push_back({i, i});
        ++ranges.back().second;
      }
  }
  return all;
}

/// Before each launch and after the last of a run. Trials that differ in numbers only write the
/// same bytes.
std::vector<Workspace> KernelUnderMutation::rightWorkspaces(const LoadedProgram &loaded,
                                                            const Trial &trial, const Inputs &in,
                                                            const Observation &whole) {
  const int64_t start = trial.form == Trial::Padded ? trial.start() : 0;
  const auto [known, isNew] = written.try_emplace(
      {int(trial.form), trial.length, trial.queryHeads, trial.outputDtype, start});
  if (isNew || !trial.leftOut.empty())
    known->second = writtenBy(loaded, trial, in, whole.workspace.size());
  std::vector<Workspace> all = {{std::vector<char>(whole.workspace.size()), {}}};
  for (size_t launch = 0; launch < whole.kernels.size(); ++launch)
    all.push_back({whole.workspaces[launch], known->second[launch + 1]});
  return all;
}

/// Rows of gradients that see a NaN are NaN where the reference is; the others are numbers.
/// Gradients of probes' blocks are sums over whole tiles of rows: a NaN of one that does not see a
/// block reaches it, times 0; of these only dq keeps to it.
static void expectNaNsWhereSeen(const std::string &spec, const Inputs &in, const Written &written,
                                bool isOfBlocks) {
  const Result<reference::Gradients> right = reference::gradients(referenceInput(spec, in));
  ASSERT_TRUE(right.ok()) << right.error().message;
  auto isNan = [](double number) { return std::isnan(number); };
  for (const auto &[name, numbers] : written)
    if (const auto member = reference::gradientTensor(name);
        member && (!isOfBlocks || name == "dq"))
      for (auto row = (*right.*member).begin(); row != (*right.*member).end(); row += in.headDim) {
        const auto own = numbers.begin() + (row - (*right.*member).begin());
        const bool isSeen = std::any_of(row, row + in.headDim, isNan);
        for (int64_t i = 0; i < in.headDim; ++i)
          ASSERT_TRUE(isSeen ? isNan(own[i]) || !isNan(row[i]) : std::isfinite(own[i]))
              << name << " row " << (own - numbers.begin()) / in.headDim;
      }
}

/// The program as it is against the reference.
void KernelUnderMutation::expectRight(const Observation &whole, const Trial &trial,
                                      const Inputs &in) const {
  const std::vector<double> &o = whole.numbers.at("o");
  if (trial.nanPosition >= 0 && spec.pass == Pass::Backward) {
    expectNaNsWhereSeen(one.spec, in, whole.numbers,
                        spec.landmarkSource == LandmarkSource::Learned);
  } else if (trial.nanPosition >= 0) {
    ASSERT_TRUE(std::isnan(o[size_t(trial.nanPosition * spec.headDim + trial.nanElement)]));
  } else if (spec.pass == Pass::Backward) {
    expectGradients(one.spec, in, whole.numbers, /*isGpu=*/true);
  } else {
    ASSERT_LE(relativeError(o, expected(one.spec, in)),
              bound(trial.outputDtype == "float32" ? dtypeName(spec.dtype) : trial.outputDtype));
  }
}

/// The case's kernel by itself, of a program that is right.
void KernelUnderMutation::addRightSteps(const LoadedProgram &program, const Trial &trial) {
  Trial before = trial;
  if (trial.isNanLate)
    before.nanPosition = -1;
  const Inputs in = inputs(before);
  const Observation whole = run(program, before, in, {}, 0);
  ASSERT_EQ(whole.finding, "");
  ASSERT_NO_FATAL_FAILURE(expectRight(whole, before, in));
  const std::vector<Workspace> starts = rightWorkspaces(program, before, in, whole);
  for (size_t i = 0; i < whole.kernels.size(); ++i) {
    if (whole.kernels[i] != one.kernel)
      continue;
    Step step{trial, in, starts[i], {}};
    if (trial.isNanLate)
      putNaN(step.inputs, trial);
    LoadResult alone = load(planOf(one.kernel), moduleOf(*text, one.kernel));
    ASSERT_TRUE(alone.ok()) << one.kernel;
    step.right = run(**alone, trial, step.inputs, step.start, 0);
    ASSERT_EQ(step.right.finding, "");
    for (const auto &[begin, end] : starts[i + 1].written)
      ASSERT_TRUE(trial.isNanLate || std::equal(step.right.workspace.begin() + begin,
                                                step.right.workspace.begin() + end,
                                                whole.workspaces[i].begin() + begin))
          << one.kernel;
    steps.push_back(std::move(step));
  }
}

void KernelUnderMutation::prepare() {
  ASSERT_NO_FATAL_FAILURE(compile());
  LoadResult loaded = load(plan, ptx);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  for (const Trial &trial : trials())
    ASSERT_NO_FATAL_FAILURE(addRightSteps(**loaded, trial));
  ASSERT_EQ(steps.size(), trials().size()) << one.kernel << " did not always run";
  values = alternativesOf(*text, one.kernel);
}

std::vector<std::string> KernelUnderMutation::programsKernels() const {
  std::vector<std::string> names;
  for (const PlanKernel &kernel : plan.kernels)
    names.push_back(kernel.name);
  return names;
}

std::string KernelUnderMutation::textOf(const std::string &kernel) const {
  std::string all;
  for (size_t i = 0; i < text->lines().size(); ++i)
    if (text->kernel(i) == kernel)
      all += text->lines()[i] + "\n";
  return std::regex_replace(all, std::regex("\\$L__BB[0-9]+"), "$$L__BB");
}

std::vector<Mutation> KernelUnderMutation::mutations() const {
  std::vector<Mutation> own = mutationsOf(*text);
  std::erase_if(own, [&](const Mutation &m) { return text->kernel(m.line) != one.kernel; });
  return own;
}

std::string KernelUnderMutation::describe(const Mutation &mutation) const {
  return mutation.kind + " in " + one.name + " line " + std::to_string(mutation.line + 1) + ":" +
         text->lines()[mutation.line] + "  ->" + mutation.text;
}

bool KernelUnderMutation::isReached(const Mutation &mutation) const {
  const Mutation trap{"", mutation.line, "\ttrap;"};
  LoadResult mutant = load(planOf(one.kernel), moduleOf(*text, one.kernel, &trap));
  EXPECT_TRUE(mutant.ok());
  return std::any_of(steps.begin(), steps.end(), [&](const Step &step) {
    return !run(**mutant, step.trial, step.inputs, step.start, 0).finding.empty();
  });
}

Verdict KernelUnderMutation::tryOne(const Mutation &mutation) const {
  LoadResult mutant = load(planOf(one.kernel), moduleOf(*text, one.kernel, &mutation));
  if (!mutant)
    return {Catch::Loading, ""};
  const std::optional<Equivalence> same =
      equivalenceOf(*text, mutation, {plan, spec.window, one.lengths, values});
  for (const Step &step : steps) {
    const Observation observed = run(**mutant, step.trial, step.inputs, step.start,
                                     4 * uint64_t(step.right.instructions) + 10000);
    const bool isSame =
        observed.output == step.right.output && observed.workspace == step.right.workspace;
    const Catch by = !observed.finding.empty()              ? Catch::Emulator
                     : !isSame                              ? Catch::Result
                     : !observed.isAsMuchWorkAs(step.right) ? Catch::Work
                                                            : Catch::Nothing;
    if (by == Catch::Nothing)
      continue;
    EXPECT_FALSE(same && same->isAnywhere)
        << "the rule is wrong, " << same->reason << ": " << describe(mutation)
        << " was caught at length " << step.trial.length;
    return {by, ""};
  }
  if (same)
    return {Catch::Equivalence, same->reason};
  return {Catch::Nothing, isReached(mutation) ? "" : " (no trial runs it)"};
}

} // namespace nysjit::conformance

// Mutation test of the GPU's kernels: every small slip in their PTX (ptx_mutations.h) is caught, by the emulator or by a
// result that is not the same to the last bit. What survives is either an instruction that the lowering need not emit, a hole in
// the emulator, or the same program; for the last there are rules with reasons (ptx_equivalences.h).
#include "runtime/api/context.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/ptx_equivalences.h"

#include <algorithm>
#include <cstdlib>
#include <map>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// Small blocks, so that every loop turns several times at lengths that the emulator takes milliseconds for.
struct ProgramCase {
  const char *name, *spec, *config;
  int64_t wholeTiles; // positions in tiles of block_m before the last
};
void PrintTo(const ProgramCase &program, std::ostream *out) { *out << program.name; }

/// One way to run a program. Rows of `padding` 1 are not aligned: other kernels run.
struct Trial {
  int64_t padding, length;
  std::string outputDtype;
  bool isLazy;
  uint64_t seed;
};

/// What a run gave. Work is what each launch did for its result: bank conflicts, bytes read and products.
struct Observation {
  std::string finding; // "" if nothing was wrong
  std::vector<char> output, workspace;
  std::vector<double> numbers;                      // of the output
  std::vector<std::string> kernels;                 // launched
  std::vector<std::vector<char>> workspaces;        // after each launch
  std::vector<int64_t> work;
  int64_t instructions = 0;
};

/// One kernel of the program by itself, in one trial: what it starts from and what is right.
struct Step {
  Trial trial;
  std::vector<char> workspace;
  Observation right;
};

struct Tally {
  int tried = 0, byLoading = 0, byEmulator = 0, byResult = 0, byWork = 0;
  std::map<std::string, int> equivalent; // by reason
  std::vector<std::string> survivors;
};

using LoadResult = Result<std::shared_ptr<const LoadedProgram>>;

class Mutations : public testing::TestWithParam<ProgramCase> {
protected:
  void SetUp() override {
    setenv("NYSJIT_PTX_EMULATOR", gpu.driver->library().c_str(), 1);
    auto opened = CudaDevice::open(DeviceKind::PtxEmulator);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    device = *opened;
    ContextOptions options;
    options.cacheFolder = NYSJIT_BINARY_DIR "/test-cache";
    options.compiler = NYSJIT_BINARY_DIR "/bin/nysjit-compiler";
    options.device = DeviceKind::PtxEmulator;
    auto parsed = parseKernelSpec(GetParam().spec);
    auto config = parseKernelConfig(GetParam().config);
    ASSERT_TRUE(parsed.ok() && config.ok());
    spec = *parsed;
    auto prepared = RuntimeContext(options).prepare(spec, *config, *parseTarget("cuda:sm_80"));
    ASSERT_TRUE(prepared.ok()) << prepared.error().message;
    plan = prepared->program->plan();
    ptx = prepared->program->ptx();
  }

  /// An error if the text does not even load.
  LoadResult load(const Plan &itsPlan, const std::string &text) const {
    CacheEntry entry;
    entry.planJson = planToJson(itsPlan);
    entry.infoJson = "{}";
    entry.ptx = text;
    auto program = LoadedProgram::load("mutant", std::move(entry), {nullptr, device, ""});
    NYSJIT_RETURN_IF_ERROR(program);
    const Status status = (*program)->loadIntoCurrent();
    gpu.function<void()>("nysjit_emulator_reset")();
    return status.ok() ? std::move(program) : LoadResult(status.error());
  }
  /// The plan with the launch of one kernel only.
  Plan planOf(const std::string &kernel) const {
    Plan one = plan;
    std::erase_if(one.kernels, [&](const PlanKernel &other) { return other.name != kernel; });
    std::erase_if(one.launches, [&](const PlanLaunch &other) { return other.kernel != kernel; });
    return one;
  }

  Inputs inputs(const Trial &trial) const {
    std::mt19937 generator(7);
    Inputs in = randomInputs(generator, 1, 2, 1, trial.length, spec.headDim, dtypeName(spec.dtype));
    in.padding = trial.padding;
    return in;
  }
  Observation run(const LoadedProgram &program, const Trial &trial, const std::vector<char> *workspace, uint64_t limit) const;
  std::vector<Trial> trials() const;
  std::map<std::string, std::vector<Step>> rightSteps(const PtxText &text) const;
  void tryOne(const PtxText &text, const Mutation &mutation, const std::vector<Step> &steps, Tally &tally) const;

  const Gpu gpu{true};
  std::shared_ptr<CudaDevice> device;
  KernelSpec spec;
  Plan plan;
  std::string ptx;
};

/// makeTensor's without its slack: a read of one row too many must be seen.
Tensor tightTensor(const Inputs &in, const std::vector<double> &values, const std::vector<int64_t> &shape, const std::string &dtype) {
  Tensor made = makeTensor(values, shape, dtype, in.swapHeads, in.padding);
  made.bytes.resize(made.bytes.size() - 64);
  return made;
}

/// Looks at the emulator after each launch.
struct Watch {
  const Gpu &gpu;
  const std::unique_ptr<DeviceBytes> &workspace;
  Observation &observed;

  static void enqueued(void *context) {
    const Watch &self = *static_cast<Watch *>(context);
    const nysjit_emulator_counts counts = self.gpu.counts();
    self.observed.work.insert(self.observed.work.end(), {counts.bank_conflicts, counts.global_read_bytes, counts.mma_flops});
    self.observed.instructions = std::max(self.observed.instructions, counts.instructions);
    self.observed.workspaces.push_back(self.observed.workspace);
    if (self.gpu.driver->emulatorReport().empty())
      self.workspace->copyTo(self.observed.workspaces.back());
  }
  static void observe(void *context, const char *kernel, int64_t, int64_t, double) { static_cast<Watch *>(context)->observed.kernels.push_back(kernel); }
};

/// From new memory: what a run does not write is not there. The workspace is NaNs if none is given.
Observation Mutations::run(const LoadedProgram &program, const Trial &trial, const std::vector<char> *workspace, uint64_t limit) const {
  const Inputs in = inputs(trial);
  Tensor tensors[] = {tightTensor(in, in.q, in.queryShape(), dtypeName(spec.dtype)), tightTensor(in, in.k, in.keyShape(), dtypeName(spec.dtype)),
                      tightTensor(in, in.v, in.keyShape(), dtypeName(spec.dtype)),
                      tightTensor(in, std::vector<double>(in.q.size(), NAN), in.queryShape(), trial.outputDtype)};
  DLTensor views[4];
  std::vector<std::unique_ptr<DeviceBytes>> memory;
  for (size_t i = 0; i < 4; ++i) {
    views[i] = tensors[i].view();
    memory.push_back(std::make_unique<DeviceBytes>(gpu, tensors[i].bytes));
    views[i].data = memory.back()->pointer();
    views[i].device = {kDLCUDA, 0};
  }
  nysjit_run_args args = {};
  args.size = sizeof args;
  args.q = &views[0], args.k = &views[1], args.v = &views[2], args.o = &views[3];
  const float scale = static_cast<float>(in.scale);
  args.scale = &scale;
  args.workspace_size = *program.workspaceBytes(args);
  Observation observed;
  observed.workspace = workspace ? *workspace : std::vector<char>(args.workspace_size, char(-1));
  const auto buffers = std::make_unique<DeviceBytes>(gpu, observed.workspace);
  args.workspace = args.workspace_size ? buffers->pointer() : nullptr;

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
  buffers->copyTo(observed.workspace);
  memory[3]->copyTo(tensors[3].bytes);
  observed.output = tensors[3].bytes;
  observed.numbers = numbersOf(tensors[3]);
  return observed;
}

/// The last rows end in every quarter of a tile, as copies see it, and in either half of a warp's 16 for both types of output.
std::vector<Trial> Mutations::trials() const {
  const int64_t whole = GetParam().wholeTiles;
  const std::string own = dtypeName(spec.dtype);
  std::vector<Trial> all;
  for (int64_t padding : {0, 1}) {
    all.push_back({padding, whole + 5, "float32", /*isLazy=*/true, 11});
    all.push_back({padding, whole + 45, own, false, 12});
    all.push_back({padding, whole + 62, "float32", true, 13});
    all.push_back({padding, whole + 22, own, false, 14});
  }
  return all;
}

/// The program as it is against the reference, and its kernels one by one.
std::map<std::string, std::vector<Step>> Mutations::rightSteps(const PtxText &text) const {
  std::map<std::string, std::vector<Step>> steps;
  LoadResult program = load(plan, ptx);
  EXPECT_TRUE(program.ok()) << (program.ok() ? "" : program.error().message);
  for (const Trial &trial : program.ok() ? trials() : std::vector<Trial>()) {
    Observation whole = run(**program, trial, nullptr, 0);
    EXPECT_EQ(whole.finding, "");
    EXPECT_LE(relativeError(whole.numbers, expected(GetParam().spec, inputs(trial))), bound(trial.outputDtype == "float32" ? dtypeName(spec.dtype) : trial.outputDtype));
    for (size_t i = 0; i < whole.kernels.size(); ++i) {
      const std::string &kernel = whole.kernels[i];
      Step step{trial, i ? whole.workspaces[i - 1] : std::vector<char>(whole.workspace.size(), char(-1)), {}};
      LoadResult alone = load(planOf(kernel), moduleOf(text, kernel));
      EXPECT_TRUE(alone.ok()) << kernel;
      step.right = run(**alone, trial, &step.workspace, 0);
      EXPECT_EQ(step.right.finding, "");
      EXPECT_TRUE(step.right.workspace == whole.workspaces[i]) << kernel;
      steps[kernel].push_back(std::move(step));
    }
  }
  return steps;
}

void Mutations::tryOne(const PtxText &text, const Mutation &mutation, const std::vector<Step> &steps, Tally &tally) const {
  ++tally.tried;
  const std::string &kernel = text.kernel(mutation.line);
  LoadResult program = load(planOf(kernel), moduleOf(text, kernel, &mutation));
  if (!program) {
    ++tally.byLoading;
    return;
  }
  for (const Step &step : steps) {
    const Observation observed = run(**program, step.trial, &step.workspace, 20 * uint64_t(step.right.instructions) + 10000);
    if (!observed.finding.empty())
      ++tally.byEmulator;
    else if (observed.output != step.right.output || observed.workspace != step.right.workspace)
      ++tally.byResult;
    else if (observed.work != step.right.work)
      ++tally.byWork;
    else
      continue;
    return;
  }
  if (const char *reason = equivalenceOf(text, mutation)) {
    ++tally.equivalent[reason];
    return;
  }
  tally.survivors.push_back(mutation.kind + " in " + kernel + " line " + std::to_string(mutation.line + 1) + ":" + text.lines()[mutation.line] + "  ->" +
                            mutation.text);
}

TEST_P(Mutations, AreAllCaught) {
  const PtxText text(ptx);
  const std::map<std::string, std::vector<Step>> steps = rightSteps(text);
  for (const PlanKernel &kernel : plan.kernels) // all sequences of the trials have one length
    EXPECT_TRUE(steps.contains(kernel.name) || kernel.name == "clear_padding") << kernel.name << " never ran";
  ASSERT_FALSE(HasFailure());
  Tally tally;
  for (const Mutation &mutation : mutationsOf(text))
    if (steps.contains(text.kernel(mutation.line)))
      tryOne(text, mutation, steps.at(text.kernel(mutation.line)), tally);
  printf("%d mutations; caught by loading %d, by the emulator %d, by the result %d, by the work done %d; %zu survived\n", tally.tried, tally.byLoading,
         tally.byEmulator, tally.byResult, tally.byWork, tally.survivors.size());
  for (const auto &[reason, count] : tally.equivalent)
    printf("%5d are the same program: %s\n", count, reason.c_str());
  for (const std::string &survivor : tally.survivors)
    printf("survived: %s\n", survivor.c_str());
  EXPECT_GT(tally.tried, 100);
  EXPECT_TRUE(tally.survivors.empty());
}

constexpr ProgramCase exactPrograms[] = {
    {"exact_bfloat16_2_stages", R"({"layout": "exact_causal", "head_dim": 32, "dtype": "bfloat16"})",
     R"({"exact_causal": {"block_m": 64, "block_n": 16, "num_stages": 2, "num_warps": 4}})", 64},
    {"exact_bfloat16_3_stages", R"({"layout": "exact_causal", "head_dim": 64, "dtype": "bfloat16"})",
     R"({"exact_causal": {"block_m": 64, "block_n": 16, "num_stages": 3, "num_warps": 4}})", 64},
    {"exact_float32_2_stages", R"({"layout": "exact_causal", "head_dim": 32})",
     R"({"exact_causal": {"block_m": 64, "block_n": 16, "num_stages": 2, "num_warps": 4}})", 64},
    {"exact_float32_3_stages", R"({"layout": "exact_causal", "head_dim": 32})",
     R"({"exact_causal": {"block_m": 64, "block_n": 16, "num_stages": 3, "num_warps": 4}})", 64},
};
// Not yet part of a test run: --gtest_also_run_disabled_tests takes minutes and lists some 140 survivors. In landmark_solve
// they are barriers and a wait that the lowering need not emit; elsewhere mutations that segments of 2 positions cannot show
// (bounds of loops over a segment, masks at even columns, an even number of turns), and writers of equal values in segment_summary.
constexpr ProgramCase causalPrograms[] = {
    {"causal_bfloat16_2_stages", R"({"layout": "causal", "head_dim": 32, "landmarks": 160, "window": 56, "dtype": "bfloat16"})",
     R"({"landmark_target": {"block_m": 64, "block_n": 16, "num_stages": 2, "num_warps": 4}, "landmark_solve": {"block_m": 32, "num_stages": 2, "num_warps": 2},
         "causal_output": {"block_m": 64, "block_n": 16, "num_stages": 2, "num_warps": 4}})", 256},
    {"causal_float32_3_stages", R"({"layout": "causal", "head_dim": 32, "landmarks": 160, "window": 56})",
     R"({"landmark_target": {"block_m": 64, "block_n": 16, "num_stages": 3, "num_warps": 4}, "landmark_solve": {"block_m": 32, "num_stages": 3, "num_warps": 2},
         "causal_output": {"block_m": 64, "block_n": 16, "num_stages": 3, "num_warps": 4}})", 256},
};
INSTANTIATE_TEST_SUITE_P(Exact, Mutations, testing::ValuesIn(exactPrograms), [](const auto &info) { return std::string(info.param.name); });
INSTANTIATE_TEST_SUITE_P(DISABLED_Causal, Mutations, testing::ValuesIn(causalPrograms), [](const auto &info) { return std::string(info.param.name); });

} // namespace

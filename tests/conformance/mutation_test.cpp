// Mutation test of the GPU's kernels: every small slip in their PTX (ptx_mutations.h) is caught, by
// the emulator or by a result that is not the same to the last bit. What survives is either an
// instruction that the lowering need not emit, a hole in the emulator, or the same program; for the
// last there are rules with reasons (ptx_equivalences.h).
#include "runtime/api/context.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/ptx_equivalences.h"

#include <algorithm>
#include <cstdlib>
#include <map>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// Mutations of one of a program's kernels. Blocks are small, so that every loop turns several
/// times at lengths that the emulator takes milliseconds for.
struct KernelCase {
  std::string name;
  std::string kernel;
  std::string spec;
  std::string config;
  std::vector<int64_t> lengths; // of the sequences it runs on

  /// 1 where the kernel is for rows that are not aligned.
  int64_t padding() const { return kernel.ends_with("_unaligned"); }
};
void PrintTo(const KernelCase &one, std::ostream *out) { *out << one.name; }

/// One way to run a program: on one sequence, on some of different lengths in rows of their own, or
/// on some one after the other. Rows of `padding` 1 are not aligned: other kernels run.
struct Trial {
  enum Form { Single, Padded, Packed };
  int64_t padding;
  int64_t length;
  std::string outputDtype;
  bool isLazy;
  uint64_t seed;
  Form form = Single;
};

/// The workspace between two kernels, and what of it was written, from and to.
struct Workspace {
  std::vector<char> bytes;
  std::vector<std::pair<size_t, size_t>> written;
};

/// What a run gave. Work is what each launch did for its result: bank conflicts, bytes read and
/// written, and products.
struct Observation {
  std::string finding; // "" if nothing was wrong
  std::vector<char> output;
  std::vector<char> workspace;
  std::vector<double> numbers;               // of the output
  std::vector<std::string> kernels;          // launched
  std::vector<std::vector<char>> workspaces; // after each launch
  std::vector<int64_t> work;
  int64_t instructions = 0; // of the longest launch

  /// The same work, by no more instructions: a copy or a turn of a loop that nothing needs is more.
  bool isAsMuchWorkAs(const Observation &right) const {
    return work == right.work && instructions <= right.instructions;
  }
};

/// One kernel of the program by itself, in one trial: what it starts from and what is right.
struct Step {
  Trial trial;
  Workspace start;
  Observation right;
};

struct Tally {
  int tried = 0;
  int byLoading = 0;
  int byEmulator = 0;
  int byResult = 0;
  int byWork = 0;
  std::map<std::string, int> equivalent; // by reason
  std::vector<std::string> survivors;
};

using LoadResult = Result<std::shared_ptr<const LoadedProgram>>;

class Mutations : public testing::TestWithParam<KernelCase> {
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
    plan = withGuards(prepared->program->plan());
    ptx = prepared->program->ptx();
  }

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
    const int64_t batch = trial.form == Trial::Padded ? 3 : 1;
    const int64_t length = trial.length;
    Inputs in = randomInputs(generator, batch, 1, 1, length, spec.headDim, dtypeName(spec.dtype));
    in.padding = trial.padding;
    if (trial.form == Trial::Padded) {
      // the last ends with a block
      in.seqlens = {length / 3, length, std::min<int64_t>(64, length)};
      in.starts = {length / 2, 0, 0};
    }
    if (trial.form == Trial::Packed)
      in.cuSeqlens = {1, length / 3, length / 3, length - 2}; // the second is empty
    // What lies outside the sequences is not a number.
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t t = 0; t < length; ++t)
        if (trial.form == Trial::Padded ? t < in.starts[b] || t >= in.starts[b] + in.seqlens[b]
                                        : trial.form == Trial::Packed && (t < 1 || t >= length - 2))
          for (std::vector<double> *x : {&in.q, &in.k, &in.v})
            std::fill_n(x->begin() + (b * length + t) * in.headDim, in.headDim, NAN);
    return in;
  }
  Observation run(const LoadedProgram &program, const Trial &trial, const Workspace &start,
                  uint64_t limit) const;
  std::vector<Workspace> rightWorkspaces(const LoadedProgram &program, const Trial &trial) const;
  std::vector<Trial> trials() const;
  std::vector<Step> rightSteps(const PtxText &text) const;
  void tryOne(const PtxText &text, const Mutation &mutation, const std::vector<Step> &steps,
              Tally &tally) const;

  const Gpu gpu{true};
  std::shared_ptr<CudaDevice> device;
  KernelSpec spec;
  Plan plan;
  std::string ptx;
};

/// makeTensor's without its slack: a read of one row too many must be seen.
Tensor tightTensor(const Inputs &in, const std::vector<double> &values,
                   const std::vector<int64_t> &shape, const std::string &dtype) {
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
    self.observed.work.insert(self.observed.work.end(),
                              {counts.bank_conflicts, counts.global_read_bytes,
                               counts.global_write_bytes, counts.mma_flops});
    self.observed.instructions = std::max(self.observed.instructions, counts.instructions);
    self.observed.workspaces.push_back(self.observed.workspace);
    if (self.gpu.driver->emulatorReport().empty())
      self.workspace->copyTo(self.observed.workspaces.back());
  }
  static void observe(void *context, const char *kernel, int64_t, int64_t, double) {
    static_cast<Watch *>(context)->observed.kernels.push_back(kernel);
  }
};

/// From new memory: what a run does not write is not there.
Observation Mutations::run(const LoadedProgram &program, const Trial &trial, const Workspace &start,
                           uint64_t limit) const {
  const Inputs in = inputs(trial);
  Tensor tensors[] = {
      tightTensor(in, in.q, in.queryShape(), dtypeName(spec.dtype)),
      tightTensor(in, in.k, in.keyShape(), dtypeName(spec.dtype)),
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
  DLTensor numbers[3];
  std::list<Tensor> integers;
  for (const auto &[field, values] : {std::pair(&nysjit_run_args::cu_seqlens, &in.cuSeqlens),
                                      {&nysjit_run_args::seqlens, &in.seqlens},
                                      {&nysjit_run_args::seq_starts, &in.starts}}) {
    if (values->empty())
      continue;
    Tensor &tensor = integers.emplace_back(makeIntegers(*values));
    tensor.bytes.resize(values->size() * 4);
    memory.push_back(std::make_unique<DeviceBytes>(gpu, tensor.bytes));
    DLTensor &view = numbers[integers.size() - 1];
    view = tensor.view();
    view.data = memory.back()->pointer();
    view.device = {kDLCUDA, 0};
    args.*field = &view;
  }
  const float scale = static_cast<float>(in.scale);
  args.scale = &scale;
  args.workspace_size = *program.workspaceBytes(args);
  Observation observed;
  observed.workspace = start.bytes;
  observed.workspace.resize(args.workspace_size);
  const auto buffers = std::make_unique<DeviceBytes>(gpu, args.workspace_size);
  for (const auto &[begin, end] : start.written)
    buffers->copyFrom(start.bytes, begin, end);
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

/// Either type of output and either timing of copies.
std::vector<Trial> Mutations::trials() const {
  std::vector<Trial> all;
  for (size_t i = 0; i < GetParam().lengths.size(); ++i)
    all.push_back({GetParam().padding(), GetParam().lengths[i],
                   i % 2 ? dtypeName(spec.dtype) : "float32", /*isLazy=*/i % 2 == 0, 11 + i});
  const int64_t longest = *std::max_element(GetParam().lengths.begin(), GetParam().lengths.end());
  for (Trial::Form form : {Trial::Padded, Trial::Packed})
    all.push_back({GetParam().padding(), longest, "float32", form == Trial::Padded, 31, form});
  return all;
}

/// Before each launch and after the last. What is written is the same whatever was there before.
std::vector<Workspace> Mutations::rightWorkspaces(const LoadedProgram &loaded,
                                                  const Trial &trial) const {
  const size_t size = run(loaded, trial, {}, 0).workspace.size();
  auto runFrom = [&](char fill) {
    return run(loaded, trial, {std::vector<char>(size, fill), {{0, size}}}, 0);
  };
  const Observation zeros = runFrom(0);
  const Observation ones = runFrom(char(-1));
  std::vector<Workspace> all = {{std::vector<char>(zeros.workspace.size()), {}}};
  for (size_t launch = 0; launch < zeros.kernels.size(); ++launch) {
    const std::vector<char> &bytes = zeros.workspaces[launch];
    const std::vector<char> &others = ones.workspaces[launch];
    Workspace &workspace = all.emplace_back(Workspace{bytes, {}});
    for (size_t i = 0; i < bytes.size(); ++i)
      if (bytes[i] == others[i]) {
        if (workspace.written.empty() || workspace.written.back().second != i)
          workspace.written.push_back({i, i});
        ++workspace.written.back().second;
      }
  }
  return all;
}

/// The program as it is against the reference, and the case's kernel by itself.
std::vector<Step> Mutations::rightSteps(const PtxText &text) const {
  std::vector<Step> steps;
  LoadResult loaded = load(plan, ptx);
  EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
  for (const Trial &trial : loaded.ok() ? trials() : std::vector<Trial>()) {
    Observation whole = run(**loaded, trial, {}, 0);
    EXPECT_EQ(whole.finding, "");
    EXPECT_LE(relativeError(whole.numbers, expected(GetParam().spec, inputs(trial))),
              bound(trial.outputDtype == "float32" ? dtypeName(spec.dtype) : trial.outputDtype));
    const std::vector<Workspace> starts = rightWorkspaces(**loaded, trial);
    for (size_t i = 0; i < whole.kernels.size(); ++i) {
      const std::string &kernel = whole.kernels[i];
      if (kernel != GetParam().kernel)
        continue;
      Step step{trial, starts[i], {}};
      LoadResult alone = load(planOf(kernel), moduleOf(text, kernel));
      EXPECT_TRUE(alone.ok()) << kernel;
      step.right = run(**alone, trial, step.start, 0);
      EXPECT_EQ(step.right.finding, "");
      for (const auto &[begin, end] : starts[i + 1].written)
        EXPECT_TRUE(std::equal(step.right.workspace.begin() + begin,
                               step.right.workspace.begin() + end,
                               whole.workspaces[i].begin() + begin))
            << kernel;
      steps.push_back(std::move(step));
    }
  }
  return steps;
}

void Mutations::tryOne(const PtxText &text, const Mutation &mutation,
                       const std::vector<Step> &steps, Tally &tally) const {
  ++tally.tried;
  const std::string &kernel = text.kernel(mutation.line);
  LoadResult mutant = load(planOf(kernel), moduleOf(text, kernel, &mutation));
  if (!mutant) {
    ++tally.byLoading;
    return;
  }
  const std::optional<Equivalence> same =
      equivalenceOf(text, mutation, {plan, spec.window, GetParam().lengths});
  const std::string place = mutation.kind + " in " + kernel + " line " +
                            std::to_string(mutation.line + 1) + ":" + text.lines()[mutation.line] +
                            "  ->" + mutation.text;
  for (const Step &step : steps) {
    const Observation observed =
        run(**mutant, step.trial, step.start, 4 * uint64_t(step.right.instructions) + 10000);
    if (!observed.finding.empty())
      ++tally.byEmulator;
    else if (observed.output != step.right.output || observed.workspace != step.right.workspace)
      ++tally.byResult;
    else if (!observed.isAsMuchWorkAs(step.right))
      ++tally.byWork;
    else
      continue;
    EXPECT_FALSE(same && same->isAnywhere) << "the rule is wrong, " << same->reason << ": " << place
                                           << " was caught at length " << step.trial.length;
    return;
  }
  if (same)
    ++tally.equivalent[same->reason];
  else
    tally.survivors.push_back(place);
}

TEST_P(Mutations, AreAllCaught) {
  const PtxText text(ptx);
  const std::vector<Step> steps = rightSteps(text);
  EXPECT_EQ(steps.size(), GetParam().lengths.size() + 2) << "it did not always run";
  ASSERT_FALSE(HasFailure());
  Tally tally;
  for (const Mutation &mutation : mutationsOf(text))
    if (text.kernel(mutation.line) == GetParam().kernel)
      tryOne(text, mutation, steps, tally);
  printf("%d mutations; caught by loading %d, by the emulator %d, by the result %d, by the work "
         "done %d; %zu survived\n",
         tally.tried, tally.byLoading, tally.byEmulator, tally.byResult, tally.byWork,
         tally.survivors.size());
  for (const auto &[reason, count] : tally.equivalent)
    printf("%5d are the same program: %s\n", count, reason.c_str());
  for (const std::string &survivor : tally.survivors)
    printf("survived: %s\n", survivor.c_str());
  EXPECT_GT(tally.tried, 50);
  EXPECT_TRUE(tally.survivors.empty());
}

struct Variant {
  std::string dtype;
  int stages;
};
std::string replaced(std::string text, const Variant &variant) {
  for (const auto &[word, value] : {std::pair<std::string, std::string>("DTYPE", variant.dtype),
                                    {"STAGES", std::to_string(variant.stages)}})
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word))
      text.replace(at, word.size(), value);
  return text;
}
/// A case for each of the kernels.
void add(std::vector<KernelCase> &cases, const Variant &variant, const std::string &spec,
         const std::string &config, const std::vector<const char *> &kernels,
         const std::vector<int64_t> &lengths) {
  for (const char *kernel : kernels)
    cases.push_back({kernel + replaced("_DTYPE_STAGES_stages", variant), kernel,
                     replaced(spec, variant), replaced(config, variant), lengths});
}

/// Lengths end in every quarter of a tile, as copies see it, and in either half of a warp's 16 rows
/// for both types of output.
std::vector<KernelCase> exactCases() {
  std::vector<KernelCase> cases;
  for (const Variant &variant :
       {Variant{"bfloat16", 2}, {"bfloat16", 3}, {"float32", 2}, {"float32", 3}})
    add(cases, variant,
        variant.dtype == "float32" || variant.stages == 2
            ? R"({"layout": "exact_causal", "head_dim": 32, )"
              R"("dtype": "DTYPE"})"
            : R"({"layout": "exact_causal", "head_dim": 64, "dtype": "DTYPE"})",
        R"({"exact_causal": {"block_m": 64, "block_n": 16, "num_stages": STAGES, )"
        R"("num_warps": 4}})",
        {"exact_causal", "exact_causal_unaligned"}, {69, 109, 126, 86});
  return cases;
}

std::vector<KernelCase> causalCases() {
  std::vector<KernelCase> cases;
  for (const Variant &variant : {Variant{"bfloat16", 2}, {"float32", 3}}) {
    add(cases, variant,
        R"({"layout": "causal", "head_dim": 32, "landmarks": 3, )"
        R"("dtype": "DTYPE"})",
        R"({"segment_summary": {"num_stages": STAGES, "num_warps": 4}})",
        {"segment_summary", "segment_summary_unaligned"}, {411, 327, 384, 135, 2});
    add(cases, variant,
        R"({"layout": "causal", "head_dim": 32, "landmarks": 34, )"
        R"("dtype": "DTYPE"})",
        R"({"landmark_past": {"block_m": 32, "block_n": 16, "num_stages": STAGES, )"
        R"("num_warps": 2}, "landmark_target": {"split": 256}})",
        {"landmark_past", "landmark_past_unaligned"}, {85, 646, 78, 513, 27, 10, 20, 5, 640});
    add(cases, variant,
        R"({"layout": "causal", "head_dim": 32, "landmarks": 100, )"
        R"("dtype": "DTYPE"})",
        R"({"landmark_target": {"block_m": 32, "block_n": 16, "num_stages": STAGES, )"
        R"("num_warps": 2, "split": 256}})",
        {"landmark_target"}, {98, 285, 270, 262, 1, 221, 10, 20, 27});
    add(cases, variant,
        R"({"layout": "causal", "head_dim": 32, "landmarks": 140, )"
        R"("dtype": "DTYPE"})",
        R"({"landmark_solve": {"block_m": 32, "num_stages": STAGES, "num_warps": 2}})",
        {"landmark_solve"}, {95, 274, 1, 128, 72, 80, 87, 88, 97, 98});
    add(cases, variant,
        R"({"layout": "causal", "head_dim": 32, "landmarks": 84, )"
        R"("window": 12, "dtype": "DTYPE"})",
        R"({"causal_output": {"block_m": 64, "block_n": 16, "num_stages": STAGES, )"
        R"("num_warps": 4}})",
        {"causal_output", "causal_output_unaligned"}, {82, 91, 66, 385, 62, 386, 104, 129, 1});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Exact, Mutations, testing::ValuesIn(exactCases()),
                         [](const auto &info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Causal, Mutations, testing::ValuesIn(causalCases()),
                         [](const auto &info) { return info.param.name; });

} // namespace

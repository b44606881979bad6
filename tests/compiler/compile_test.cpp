// The compiler as a whole: the same bytes for the same request, stages that can be started from,
// objects that stand alone.
#include "tests/compiler/requests.h"

#include "llvm/Object/ELFObjectFile.h"

#include <algorithm>

using namespace nysjit;

namespace {

const char *const smallCausal = R"({"layout": "causal", "head_dim": 16, "landmarks": 8, )"
                                R"("segment_len": 16})";

TEST(Compile, SameRequestSameBytes) {
  const CompileOutput first = compiled(requestFor(smallCausal));
  const CompileOutput second = compiled(requestFor(smallCausal));
  EXPECT_TRUE(first.binary == second.binary);
  EXPECT_EQ(planToJson(first.plan), planToJson(second.plan));
}

TEST(Compile, EachStageCanBeStartedFrom) {
  const CompileRequest request = requestFor(smallCausal);
  const CompileOutput whole = compiled(request);
  for (Stage stage : {Stage::Tile, Stage::Lowered, Stage::Llvm, Stage::Asm, Stage::Object}) {
    CompileRequest continuing = request;
    continuing.from = stage;
    continuing.fromText = emitted(request, stage);
    EXPECT_FALSE(continuing.fromText.empty()) << stageName(stage);
    const CompileOutput rest = compiled(continuing);
    EXPECT_EQ(rest.kernels, whole.kernels) << stageName(stage);
    EXPECT_TRUE(rest.binary == whole.binary) << stageName(stage);
    continuing.emit = stage; // and the stage itself comes back
    EXPECT_EQ(compiled(continuing).emitted, continuing.fromText) << stageName(stage);
  }
}

/// Functions are generated apart, but not where they share what only their module sees.
TEST(Compile, FunctionsOfAModuleShareItsGlobals) {
  CompileRequest request = requestFor(smallCausal);
  request.from = Stage::Llvm;
  request.fromText = "@shared = internal global i32 0\n"
                     "define void @causal_output(ptr %0, i64 %1, ptr %2) {\n  store volatile i32 "
                     "1, ptr @shared\n  ret void\n}\n"
                     "define void @clear_padding(ptr %0, i64 %1, ptr %2) {\n  store volatile i32 "
                     "2, ptr @shared\n  ret void\n}\n";
  const std::string object = emitted(request, Stage::Object);
  auto file =
      llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(object, "object"));
  ASSERT_TRUE(bool(file));
  int count = 0;
  for (const llvm::object::ELFSymbolRef symbol : (*file)->symbols())
    count += llvm::cantFail(symbol.getName()) == "shared";
  EXPECT_EQ(count, 1);
}

TEST(Compile, BrokenStagesAreErrorsThatNameThem) {
  for (Stage stage :
       {Stage::Tile, Stage::Lowered, Stage::Llvm, Stage::Asm, Stage::Object, Stage::Plan}) {
    CompileRequest request = requestFor(smallCausal);
    request.from = stage;
    request.fromText = "this is no such thing (";
    if (stage == Stage::Plan)
      request.emit = Stage::Plan;
    auto output = compile(request);
    ASSERT_FALSE(output.ok()) << stageName(stage);
    EXPECT_TRUE(isRequestError(output.error().kind))
        << stageName(stage) << ": " << output.error().message;
  }
}

/// Every option, dtype and level: no call into libm or compiler-rt is left.
TEST(Compile, ObjectsCallNothingOutside) {
  for (CpuLevel level : {CpuLevel::V3, CpuLevel::V4, CpuLevel::Native})
    for (const char *dtype : {"float32", "float16", "bfloat16"})
      for (const std::string options :
           {R"("layout": "exact_causal", "head_dim": 72)",
            R"("layout": "causal", )"
            R"("head_dim": 48, "landmarks": 7)",
            R"("layout": "causal", "head_dim": 128, "landmarks": 9, "segment_len": 5, )"
            R"("window": 2, "landmark_weight": "count", "landmark_value": "streaming")"}) {
        CompileRequest request = requestFor("{" + options +
                                                R"(, )"
                                                R"("dtype": ")" +
                                                dtype + "\"}",
                                            Target{level});
        request.emit = Stage::Object;
        const CompileOutput output = compiled(request);
        auto file = llvm::object::ObjectFile::createELFObjectFile(
            llvm::MemoryBufferRef(output.emitted, "object"));
        ASSERT_TRUE(bool(file));
        for (const llvm::object::ELFSymbolRef symbol : (*file)->symbols()) {
          const uint32_t flags = llvm::cantFail(symbol.getFlags());
          const std::string name = llvm::cantFail(symbol.getName()).str();
          EXPECT_FALSE((flags & llvm::object::SymbolRef::SF_Undefined) && !name.empty())
              << name << " in " << options << " " << dtype;
        }
      }
}

TEST(Compile, ConfigChangesBlocksAndIsReported) {
  CompileRequest request = requestFor(R"({"layout": "exact_causal", "head_dim": 32})");
  request.config.kernels["exact_causal"].blockM = 16;
  const Plan plan = compiled(request).plan;
  ASSERT_EQ(plan.kernels.back().name, "exact_causal");
  EXPECT_EQ(canonicalJson(plan.kernels.back().config), R"({"block_m":16,"block_n":32})");
  request.config.kernels["causal_output"].blockM = 32;
  auto output = compile(request);
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().kind, ErrorKind::InvalidKey);
  EXPECT_EQ(output.error().where, "causal_output");
}

/// The default blocks of a kernel; {} if there is none.
BlockConfig blocksOf(const std::string &spec, const char *target, const char *kernel) {
  CompileRequest request = requestFor(spec, *parseTarget(target));
  request.emit = Stage::Plan;
  const Plan plan = compiled(request).plan;
  const auto found = std::ranges::find(plan.kernels, kernel, &PlanKernel::name);
  return found == plan.kernels.end() ? BlockConfig() : found->config;
}

// A tile's rows are computed whether they are there or not. How many landmarks there are hangs on
// the length where segments have one of their own; a GPU has its own rules.
TEST(Compile, KernelsOfFewLandmarksTakeFewRowsOnTheCpu) {
  const auto rowsOf = [](const char *segmentLen, const char *target, const char *kernel) {
    return blocksOf(std::string(R"({"layout": "prefix_lm", "head_dim": 64, "landmarks": 256)") +
                        segmentLen + "}",
                    target, kernel)
        .blockM.value_or(0);
  };
  for (const char *kernel : {"source_past", "source_inverse", "landmark_target"}) {
    EXPECT_EQ(rowsOf(R"(, "segment_len": 64)", "cpu:x86-64-v3", kernel), 16) << kernel;
    EXPECT_EQ(rowsOf("", "cpu:x86-64-v3", kernel),
              kernel == std::string("source_inverse") ? 64 : 32)
        << kernel;
    EXPECT_EQ(rowsOf(R"(, "segment_len": 64)", "cuda:sm_80", kernel), 32) << kernel;
  }
  EXPECT_EQ(rowsOf("", "cpu:x86-64-v3", "landmark_solve"), 16);
  EXPECT_EQ(rowsOf("", "cuda:sm_80", "landmark_solve"), 64);
}

// What is masked on the diagonal grows with the blocks; columns of landmarks that are not there are
// computed, too.
TEST(Compile, KernelsOverADiagonalOrFewLandmarksTakeFewColumnsOnTheCpu) {
  const auto sizes = [](const char *layout, const std::string &more, const char *target,
                        const char *kernel) {
    const BlockConfig blocks =
        blocksOf(std::string(R"({"layout": ")") + layout + R"(", "head_dim": 64)" + more + "}",
                 target, kernel);
    return std::pair(blocks.blockM.value_or(0), blocks.blockN.value_or(0));
  };
  const char *few = R"(, "landmarks": 256, "segment_len": 64)";
  const char *many = R"(, "landmarks": 64)";
  const std::string learned = R"(, "landmark_source": "learned", "probes": 4)";
  const struct {
    const char *layout;
    const char *kernel;
    bool isFew;
    std::pair<int, int> narrow; // on x86-64-v3
    std::pair<int, int> wide;   // on x86-64-v4
    std::string more;
  } all[] = {{"exact_causal", "exact_causal", false, {32, 32}, {64, 64}},
             {"causal", "causal_output", true, {32, 32}, {64, 32}},
             {"causal", "causal_output", true, {32, 32}, {64, 32}, learned},
             {"segment_causal", "segment_output", true, {64, 32}, {64, 32}},
             {"prefix_lm", "target_output", true, {32, 32}, {64, 32}},
             {"prefix_lm", "source_output", true, {64, 32}, {64, 32}},
             {"bidirectional", "source_output", false, {64, 64}, {64, 64}}};
  for (const auto &one : all) {
    const std::string more = (one.isFew                                   ? few
                              : one.layout == std::string("exact_causal") ? ""
                                                                          : many) +
                             one.more;
    EXPECT_EQ(sizes(one.layout, more, "cpu:x86-64-v3", one.kernel), one.narrow) << one.kernel;
    EXPECT_EQ(sizes(one.layout, more, "cpu:x86-64-v4", one.kernel), one.wide) << one.kernel;
    EXPECT_EQ(sizes(one.layout, more, "cuda:sm_80", one.kernel), std::pair(64, 32)) << one.kernel;
  }
}

// Two sums of a head's width leave a warp that copies all of its tiles few registers on a GPU, and
// wide ones of float32 none at all.
TEST(Compile, KernelsThatKeepTwoSumsTakeFewColumnsOnAGpuOrOneSum) {
  const auto blocks = [](const char *dtype, int headDim, const char *target) {
    return blocksOf(
        std::string(R"({"layout": "causal", "landmark_source": "learned", "probes": 4, )") +
            R"("landmarks": 64, "dtype": ")" + dtype + R"(", "head_dim": )" +
            std::to_string(headDim) + "}",
        target, "probe_summary");
  };
  for (const char *target : {"cuda:sm_80", "cuda:sm_120"}) {
    EXPECT_EQ(blocks("float32", 64, target).blockN, 16);
    EXPECT_EQ(blocks("bfloat16", 64, target).blockN, 32);
    EXPECT_EQ(blocks("bfloat16", 128, target).blockN, 16);
    EXPECT_EQ(blocks("float32", 56, target).fused, 1);
    EXPECT_EQ(blocks("float32", 64, target).fused, 0);
    EXPECT_EQ(blocks("bfloat16", 128, target).fused, 1);
  }
  EXPECT_EQ(blocks("float32", 64, "cpu:x86-64-v3").blockN, 64);
  EXPECT_EQ(blocks("float32", 128, "cpu:x86-64-v3").fused, 1);
}

TEST(Compile, EveryKernelsSpaceHoldsWhatIsInUse) {
  CompileRequest request = requestFor(smallCausal);
  request.config.kernels["landmark_target"].split = 256;
  for (const char *target : {"cpu:x86-64-v3", "cuda:sm_80"}) {
    request.target = *parseTarget(target);
    request.emit = Stage::Plan;
    const CompileOutput output = compiled(request);
    for (const BlockSpace &space : output.spaces) {
      const auto kernel = std::ranges::find(output.plan.kernels, space.kernel, &PlanKernel::name);
      ASSERT_NE(kernel, output.plan.kernels.end()) << space.kernel;
      EXPECT_TRUE(space.contains(kernel->config)) << target << ' ' << space.kernel;
      for (const BlockKey &key : space.keys)
        EXPECT_TRUE((kernel->config.*key.member).has_value()) << space.kernel << ' ' << key.name;
    }
    EXPECT_EQ(output.spaces.size(), 6u);
  }
}

TEST(Compile, ABlockSizeThatAKernelHasNotIsAnError) {
  CompileRequest request = requestFor(smallCausal);
  request.config.kernels["landmark_solve"].blockN = 32;
  auto output = compile(request);
  ASSERT_FALSE(output.ok());
  EXPECT_EQ(output.error().kind, ErrorKind::InvalidKey);
  EXPECT_EQ(output.error().where, "landmark_solve.block_n");
}

TEST(Compile, WorkspaceStaysWithinThreeRowsAndThreeNumbersALandmark) {
  const CompileOutput output = compiled(requestFor(smallCausal));
  int64_t floats = 0; // a landmark: B = Hq = 1 and n = 16 gives one
  std::vector<std::string> symbols = planSymbols(output.plan);
  std::vector<int64_t> values;
  for (const std::string &symbol : symbols)
    values.push_back(symbol == "n" || symbol == "max_length"               ? 16
                     : symbol == "is_packed" || symbol.ends_with("_count") ? 0
                                                                           : 1);
  for (const PlanBuffer &buffer : output.plan.buffers) {
    auto bytes = CompiledExpression::compile(buffer.bytes, symbols);
    ASSERT_TRUE(bytes.ok());
    floats += *bytes->evaluate(values.data()) / 4;
  }
  EXPECT_EQ(floats, 3 * 16 + 3); // q~, k^, U; e^c, maximum and mass of A's row
}

TEST(Compile, AThreadsScratchStaysWithinTwoMegabytes) {
  for (CpuLevel level : {CpuLevel::V3, CpuLevel::V4})
    for (const char *spec :
         {R"({"layout": "exact_causal", "head_dim": 256})",
          R"({"layout": "causal", "head_dim": 256, "landmarks": 256, "segment_len": 64})",
          R"({"layout": "prefix_lm", "head_dim": 256, )"
          R"("landmarks": 256})",
          R"({"layout": "bidirectional", )"
          R"("head_dim": 256, "landmarks": 512})",
          R"({"layout": "scan", "head_dim": 256, "landmarks": 256, )"
          R"("landmark_source": "first_k", "first_k": 256})",
          R"({"layout": "scan", "head_dim": 256, "landmarks": 512, )"
          R"("landmark_source": "learned"})"}) {
      CompileRequest request = requestFor(spec, Target{level});
      request.emit = Stage::Plan;
      for (const PlanKernel &kernel : compiled(request).plan.kernels)
        EXPECT_LE(kernel.scratchBytes, 2 << 20) << spec << ' ' << kernel.name;
    }
}

TEST(Compile, StreamingHasNeitherTargetNorSolve) {
  const CompileOutput output =
      compiled(requestFor(R"({"layout": "causal", "head_dim": 16, )"
                          R"("landmarks": 8, "landmark_value": "streaming"})"));
  ASSERT_EQ(output.plan.kernels.size(), 3u);
  EXPECT_EQ(output.plan.kernels[0].name, "clear_padding");
  EXPECT_EQ(output.plan.kernels[1].name, "segment_summary");
  EXPECT_EQ(output.plan.kernels[2].name, "causal_output");
}

} // namespace

// Compiling for GPUs: stages that can be started from, the same bytes for the same request, configs
// that do not fit, and what ptxas makes of the PTX where there is one.
#include "compiler/worker/target_info.h"
#include "tests/compiler/gpu_requests.h"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

using namespace nysjit;

namespace {

const char *const smallExact = R"({"layout": "exact_causal", "head_dim": 16, "dtype": "bfloat16"})";
const char *const smallCausal = R"({"layout": "causal", "head_dim": 16, "landmarks": 8, )"
                                R"("segment_len": 16})";

Target cuda(int sm) { return *parseTarget("cuda:sm_" + std::to_string(sm)); }

Error failureOf(const CompileRequest &request) {
  auto output = compile(request);
  EXPECT_FALSE(output.ok());
  return output.ok() ? Error() : output.error();
}

TEST(GpuCompile, SameRequestSameBytes) {
  for (const char *spec : {smallExact, smallCausal}) {
    const CompileOutput first = compiled(requestFor(spec, cuda(80)));
    const CompileOutput second = compiled(requestFor(spec, cuda(80)));
    EXPECT_NE(first.ptx, "");
    EXPECT_TRUE(first.ptx == second.ptx);
    EXPECT_EQ(planToJson(first.plan), planToJson(second.plan));
  }
}

/// Each stage of `request` comes back as it was given, and the rest is as if it had not been
/// stopped.
void checkStages(const CompileRequest &request, std::initializer_list<Stage> stages) {
  const CompileOutput whole = compiled(request);
  for (Stage stage : stages) {
    SCOPED_TRACE(stageName(stage));
    CompileRequest continuing = request;
    continuing.from = stage;
    continuing.fromText = emitted(request, stage);
    EXPECT_FALSE(continuing.fromText.empty());
    EXPECT_TRUE(emitted(continuing, stage) == continuing.fromText);
    const CompileOutput rest = compiled(continuing);
    EXPECT_TRUE(rest.ptx == whole.ptx);
    EXPECT_TRUE(rest.binary == whole.binary);
    EXPECT_EQ(planToJson(rest.plan), planToJson(whole.plan));
    EXPECT_EQ(rest.kernels, whole.kernels);
  }
}

TEST(GpuCompile, EachStageCanBeStartedFrom) {
  for (const char *spec : {smallExact, smallCausal})
    checkStages(requestFor(spec, cuda(90)),
                {Stage::Tile, Stage::Lowered, Stage::Llvm, Stage::Ptx, Stage::Plan});
  // Its threads are asked for in more than one place of each kernel.
  const char *wide = R"({"layout": "causal", "head_dim": 64, "landmarks": 64, )"
                     R"("segment_len": 64, "dtype": "bfloat16"})";
  checkStages(requestFor(wide, cuda(80)), {Stage::Llvm});
}

/// Kernels are generated apart: the numbers of their lines' files are those of the one list at the
/// end.
TEST(GpuCompile, EveryLineOfThePtxIsInAFileItLists) {
  const std::string ptx =
      emitted(requestFor(R"({"layout": "prefix_lm", "head_dim": 16, "landmarks": 8, )"
                         R"("segment_len": 16})",
                         cuda(80)),
              Stage::Ptx);
  std::map<std::string, std::string> files;
  const std::regex file("\t\\.file\t([0-9]+) \"([^\"]+)\"");
  for (std::sregex_iterator found(ptx.begin(), ptx.end(), file), end; found != end; ++found)
    EXPECT_TRUE(files.emplace((*found)[1], (*found)[2]).second) << (*found)[0];
  std::string kernel;
  std::map<std::string, std::set<std::string>> filesOf;
  std::istringstream lines(ptx);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_search(line, match, std::regex("\\.entry ([a-z_]+)\\(")))
      kernel = match[1];
    else if (std::regex_search(line, match, std::regex("^\t\\.loc\t([0-9]+) ")))
      filesOf[kernel].insert(files[match[1]]);
  }
  // One kernel inverts a matrix, and one does nothing that all do not.
  EXPECT_EQ(filesOf["clear_padding"], (std::set<std::string>{"templates/attention.cpp"}));
  for (const auto &[name, used] : filesOf) {
    EXPECT_FALSE(used.contains("")) << name;
    EXPECT_EQ(used.contains("templates/inverse.cpp"), name == "source_inverse") << name;
  }
}

/// Texts that no template becomes are generated as they are, in one module.
TEST(GpuCompile, OtherKindsOfKernelsAreOneModule) {
  CompileRequest request = requestFor(smallExact, cuda(80));
  request.from = Stage::Llvm;
  request.fromText = std::regex_replace(emitted(requestFor(smallExact, cuda(80)), Stage::Llvm),
                                        std::regex("define ptx_kernel"), "define weak ptx_kernel");
  const std::string ptx = emitted(request, Stage::Ptx);
  EXPECT_NE(ptx.find(".weak .entry exact_causal("), std::string::npos);
  EXPECT_NE(ptx.find(".weak .entry clear_padding("), std::string::npos);
  request.fromText = "declare void @exact_causal()";
  EXPECT_TRUE(isRequestError(failureOf(request).kind));
}

TEST(GpuCompile, EachStageCanBeStartedFromWithAnAssembler) {
  NYSJIT_NEEDS_PTXAS(ptxas);
  CompileRequest request = requestFor(smallExact, cuda(80));
  request.assemblers.paths = {*ptxas};
  EXPECT_EQ(compiled(request).binary.substr(1, 3), "ELF");
  checkStages(request, {Stage::Tile, Stage::Llvm, Stage::Ptx});
  EXPECT_TRUE(emitted(request, Stage::Cubin) == compiled(request).binary);
}

TEST(GpuCompile, WithoutAnAssemblerACubinIsUnavailable) {
  CompileRequest request = requestFor(smallExact, cuda(80));
  request.emit = Stage::Cubin;
  const Error error = failureOf(request);
  EXPECT_EQ(error.kind, ErrorKind::Unavailable);
  EXPECT_NE(error.expected.find("ptxas"), std::string::npos) << error.message;
}

TEST(GpuCompile, BrokenStagesAreErrorsThatNameThem) {
  for (Stage stage : {Stage::Tile, Stage::Lowered, Stage::Llvm, Stage::Ptx, Stage::Plan}) {
    CompileRequest request = requestFor(smallExact, cuda(80));
    request.from = stage;
    request.fromText = "this is no such thing (";
    if (stage == Stage::Plan)
      request.emit = Stage::Plan;
    const Error error = failureOf(request);
    EXPECT_TRUE(isRequestError(error.kind)) << stageName(stage) << ": " << error.message;
    EXPECT_NE(error.message.find(stageName(stage)), std::string::npos) << error.message;
  }
}

TEST(GpuCompile, EachKindOfTargetHasItsStages) {
  for (Stage stage : {Stage::Tile, Stage::Lowered, Stage::Llvm, Stage::Plan})
    EXPECT_TRUE(hasStage(cuda(80), stage) && hasStage(Target{}, stage)) << stageName(stage);
  for (Stage stage : {Stage::Ptx, Stage::Cubin})
    EXPECT_TRUE(hasStage(cuda(80), stage) && !hasStage(Target{}, stage)) << stageName(stage);
  for (Stage stage : {Stage::Asm, Stage::Object})
    EXPECT_TRUE(!hasStage(cuda(80), stage) && hasStage(Target{}, stage)) << stageName(stage);
}

TEST(GpuCompile, StagesThatTheTargetHasNotAreRefused) {
  for (const auto &[target, stage] : {std::pair(cuda(80), Stage::Asm),
                                      {cuda(80), Stage::Object},
                                      {Target{}, Stage::Ptx},
                                      {Target{}, Stage::Cubin}})
    for (auto key : {&CompileRequest::emit, &CompileRequest::from}) {
      CompileRequest request = requestFor(R"({"layout": "exact_causal", "head_dim": 32})", target);
      request.*key = stage;
      const Error error = failureOf(request);
      EXPECT_EQ(error.kind, ErrorKind::InvalidArgument);
      EXPECT_NE(error.message.find(stageName(stage)), std::string::npos) << error.message;
    }
  CompileRequest request = requestFor(R"({"layout": "exact_causal", "head_dim": 32})", cuda(80));
  request.from = Stage::Ptx;
  request.emit = Stage::Llvm;
  EXPECT_EQ(failureOf(request).kind, ErrorKind::InvalidArgument);
}

TEST(GpuCompile, AConfigThatDoesNotFitSaysWhatExceedsWhat) {
  CompileRequest request = requestFor(R"({"layout": "exact_causal", "head_dim": 256})", cuda(86));
  request.config.kernels["exact_causal"] = {
      .blockM = 128, .blockN = 64, .numWarps = {}, .numStages = 2};
  const Error error = failureOf(request);
  EXPECT_EQ(error.kind, ErrorKind::InvalidKey);
  EXPECT_EQ(error.where, "exact_causal");
  EXPECT_EQ(error.expected, "at most 101376 bytes of shared memory a block on sm_86");
  // q, two stages of k and v, and a flag for each row of v.
  EXPECT_EQ(error.found, std::to_string((128 + 2 * 2 * 64) * 256 * 4 + 64 * 4) +
                             " bytes with block_m 128, block_n 64, num_stages 2");
  // Half the columns are left to choose: then it fits where a block has more.
  request.config.kernels["exact_causal"].blockN = std::nullopt;
  request.target = cuda(90);
  EXPECT_LE(compiled(request).plan.kernels[0].sharedBytes, gpuInfo(cuda(90))->sharedBytes);
}

TEST(GpuCompile, DefaultsFitEveryTarget) {
  for (const Target &target : gpuTargets()) {
    CompileRequest request = requestFor(R"({"layout": "causal", "head_dim": 256, )"
                                        R"("landmarks": 64})",
                                        target);
    request.emit = Stage::Plan;
    const Plan plan = compiled(request).plan;
    // six, four of them with a variant for rows that are not aligned
    EXPECT_EQ(plan.kernels.size(), 10u);
    for (const PlanKernel &kernel : plan.kernels)
      EXPECT_LE(kernel.sharedBytes, gpuInfo(target)->sharedBytes)
          << kernel.name << " for " << targetName(target);
  }
}

/// What is no longer read leaves its memory, to loops after it, too.
TEST(GpuCompile, GradientsOfTheWidestHeadsFit) {
  for (const char *rest :
       {R"("layout": "causal", "landmarks": 256, "segment_len": 64, "dtype": "float16")",
        R"("layout": "prefix_lm", "landmarks": 64, "segment_len": 64, "dtype": "float16")",
        R"("layout": "causal", "landmarks": 256, "segment_len": 64, "landmark_source": "learned",
           "probes": 4, "landmark_spacing": "dyadic", "dtype": "bfloat16")",
        R"("layout": "scan", "landmarks": 64, "landmark_source": "learned")"}) {
    CompileRequest request = requestFor(
        R"({"head_dim": 256, "pass": "backward", )" + std::string(rest) + "}", cuda(120));
    request.emit = Stage::Plan;
    for (const PlanKernel &kernel : compiled(request).plan.kernels)
      EXPECT_LE(kernel.sharedBytes, gpuInfo(cuda(120))->sharedBytes) << rest << kernel.name;
  }
}

/// Flags of what is not finite, 4 bytes a row of a dot's operand, are memory too: 128 bytes more
/// than there are, with the sizes that would fit without them.
TEST(GpuCompile, SizesAreChosenWithFlagsInMind) {
  CompileRequest request = requestFor(R"({"layout": "causal", "head_dim": 176, "landmarks": 33, )"
                                      R"("dtype": "float16"})",
                                      cuda(89));
  request.emit = Stage::Plan;
  for (const PlanKernel &kernel : compiled(request).plan.kernels)
    EXPECT_LE(kernel.sharedBytes, gpuInfo(cuda(89))->sharedBytes) << kernel.name;
}

TEST(GpuCompile, AllTargetsHaveBothLayouts) {
  const std::map<int, std::string> versions = {{80, "7.0"}, {86, "7.1"},  {89, "7.8"},
                                               {90, "7.8"}, {100, "8.6"}, {120, "8.7"}};
  EXPECT_EQ(gpuTargets().size(), versions.size());
  for (const Target &target : gpuTargets())
    for (const char *spec : {smallExact, smallCausal}) {
      const CompileOutput output = compiled(requestFor(spec, target));
      EXPECT_NE(output.ptx.find("\n.version " + versions.at(target.sm) + "\n.target sm_" +
                                std::to_string(target.sm)),
                std::string::npos)
          << targetName(target) << ": " << output.ptx.substr(0, 200);
      EXPECT_EQ(output.plan.target, targetName(target));
    }
}

TEST(GpuCompile, ThePlanSaysHowToLaunch) {
  CompileRequest request = requestFor(smallExact, cuda(80));
  request.config.kernels["exact_causal"] = {
      .blockM = 32, .blockN = 16, .numWarps = 2, .numStages = 3};
  const Plan plan = compiled(request).plan;
  ASSERT_EQ(plan.kernels.size(), 4u); // clear_padding and its variant are the first two
  EXPECT_EQ(plan.kernels[2].name, "exact_causal");
  EXPECT_EQ(plan.kernels[3].name, "exact_causal_unaligned");
  for (const PlanKernel &kernel : {plan.kernels[2], plan.kernels[3]}) {
    EXPECT_EQ(kernel.blockThreads, 64);
    // three stages of k and v; q's memory is used again; a flag for each row of v
    EXPECT_EQ(kernel.sharedBytes, 3 * 2 * 16 * 16 * 2 + 128);
    EXPECT_EQ(canonicalJson(kernel.config),
              R"({"block_m":32,"block_n":16,"num_stages":3,"num_warps":2})");
  }
}

/// Exactly one of the two variants runs, whatever the alignments of q, k, v and o.
TEST(GpuCompile, OneVariantRunsForEachAlignment) {
  const Plan plan = compiled(requestFor(smallExact, cuda(80))).plan;
  ASSERT_EQ(plan.launches.size(), 4u);
  std::vector<std::string> symbols;
  for (const PlanArgument &argument : plan.arguments)
    if (!argument.alignmentSymbol.empty())
      symbols.push_back(argument.alignmentSymbol);
  ASSERT_GE(symbols.size(), 3u);
  auto aligned = CompiledExpression::compile(plan.launches[2].when, symbols);
  auto unaligned = CompiledExpression::compile(plan.launches[3].when, symbols);
  ASSERT_TRUE(aligned.ok() && unaligned.ok());
  for (size_t odd = 0; odd <= symbols.size(); ++odd) {
    std::vector<int64_t> values(symbols.size(), 16);
    if (odd < symbols.size())
      values[odd] = 8;
    EXPECT_EQ(*aligned->evaluate(values.data()), odd == symbols.size()) << odd;
    EXPECT_EQ(*unaligned->evaluate(values.data()), odd != symbols.size()) << odd;
  }
}

TEST(GpuCompile, LinesOfThePtxAreTheTemplates) {
  const std::string &ptx = compiled(requestFor(smallCausal, cuda(80))).ptx;
  std::set<std::string> files;
  static const std::regex file(R"re(\.file\s+\d+ "([^"]*)"( "([^"]*)")?)re");
  for (std::sregex_iterator found(ptx.begin(), ptx.end(), file), end; found != end; ++found)
    files.insert((*found)[3].matched ? (*found)[1].str() + "|" + (*found)[3].str()
                                     : (*found)[1].str());
  for (const std::string &name : files)
    EXPECT_EQ(name.find("templates/"), 0u) << name;
  for (const char *name : {"query_sums", "softmax", "landmark_solve"})
    EXPECT_TRUE(files.contains(std::string("templates/") + name + ".cpp")) << name;
  EXPECT_NE(ptx.find("\t.loc\t"), std::string::npos);
  EXPECT_EQ(ptx.find(NYSJIT_SOURCE_DIR), std::string::npos);
  EXPECT_EQ(ptx.find("\"/"), std::string::npos); // no other absolute path either
}

/// A kernel that waits for the launch before it does so once, before any branch and anything in
/// global memory.
TEST(GpuCompile, KernelsWaitForTheLaunchBefore) {
  for (const int sm : {89, 90, 120}) {
    const CompileOutput output = compiled(requestFor(smallCausal, cuda(sm)));
    std::istringstream lines(output.ptx);
    std::string kernel;
    std::map<std::string, int> waits;
    for (std::string line; std::getline(lines, line);) {
      if (const size_t entry = line.find(".entry "); entry != std::string::npos)
        kernel = line.substr(entry + 7, line.find('(') - entry - 7);
      waits[kernel] += line.find("griddepcontrol.wait") != std::string::npos;
      for (const char *late : {"ld.global", "st.global", "cp.async", "\tbra", "\tret"}) {
        EXPECT_TRUE(sm < 90 || line.find(late) == std::string::npos || waits[kernel] == 1)
            << kernel << line;
      }
    }
    for (const PlanKernel &planned : output.plan.kernels) {
      EXPECT_EQ(waits[planned.name], sm >= 90) << planned.name;
      EXPECT_EQ(planned.mayOverlap, sm >= 90) << planned.name;
    }
  }
}

} // namespace

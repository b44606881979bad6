// What is tried of a GPU's kernels.
#include "runtime/spec/spec.h"
#include "runtime/tune/space.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

/// A plan of these kernels on sm_90 with heads of this width.
Result<Space> spaceOfGpu(const KernelBlocks &kernels, int headDim,
                         const ParameterLists &parameters = {}) {
  Plan plan;
  plan.target = "cuda:sm_90";
  plan.specJson = R"({"layout": "exact_causal", "head_dim": )" + std::to_string(headDim) + "}";
  for (const auto &[name, block] : kernels) {
    plan.kernels.emplace_back().name = name;
    plan.kernels.back().config = block;
  }
  Result<Kernels> found =
      kernelsOf(parameters, [&](const KernelConfig &) { return Result<Plan>(plan); });
  NYSJIT_RETURN_IF_ERROR(found);
  return spaceOf(parameters, *found);
}

const BlockConfig square = {.blockM = 64, .blockN = 64, .numWarps = 4, .numStages = 2};

TEST(GpuSpace, AWarpHasOneOrTwoSlabsOfSixteenRows) {
  for (const int headDim : {64, 128}) {
    Result<Space> space = spaceOfGpu({{"exact_causal", square}}, headDim);
    ASSERT_TRUE(space.ok()) << space.error().message;
    // Slabs and warps: 1 and 1; 2 and 1, 2; 4 and 2, 4; 8 and 4, 8; wide heads only as many as
    // slabs. Times 4 values of block_n and 3 of num_stages, without the default.
    EXPECT_EQ(space->candidates.size(), size_t((headDim == 64 ? 7 : 4) * 4 * 3 - 1));
    for (const Candidate &candidate : space->candidates) {
      const BlockConfig &block = candidate.blocks.at("exact_causal");
      const int slabs = *block.blockM / 16;
      EXPECT_LE(*block.numWarps, slabs);
      EXPECT_GE(*block.numWarps * (headDim == 64 ? 2 : 1), slabs);
    }
  }
}

TEST(GpuSpace, WhatIsListedIsTriedHoweverItIs) {
  Result<Space> space =
      spaceOfGpu({{"exact_causal", square}}, 64, {{"exact_causal", {{"num_warps", {1, 4, 8}}}}});
  EXPECT_EQ(space->candidates.size(), 2u);
}

TEST(GpuSpace, KernelsWithoutRowsOfTheirOwnStayAsTheyAre) {
  Result<Space> space = spaceOfGpu({{"clear_padding", {.numWarps = 1, .numStages = 2}}}, 64);
  EXPECT_TRUE(space->candidates.empty());
}

TEST(GpuSpace, OfAGroupOfManyOneKernelAtATimeIsChanged) {
  const KernelBlocks kernels = {{"landmark_past", square}, {"landmark_target", square}};
  Result<Space> space = spaceOfGpu(kernels, 64);
  ASSERT_TRUE(space.ok()) << space.error().message;
  ASSERT_EQ(space->groups.size(), 1u);
  EXPECT_EQ(space->candidates.size(), 2u * (7 * 4 * 3 - 1));
  for (const Candidate &candidate : space->candidates)
    EXPECT_EQ(std::ranges::count_if(candidate.blocks,
                                    [](const auto &kernel) { return kernel.second != square; }),
              1);
  // Lists of so many are the user's mistake.
  ParameterLists lists;
  for (const char *kernel : {"landmark_past", "landmark_target"})
    lists[kernel] = {{"block_m", {16, 32, 64, 128}},
                     {"block_n", {16, 32, 64, 128}},
                     {"num_warps", {1, 2, 4, 8}},
                     {"num_stages", {2, 3}}};
  space = spaceOfGpu(kernels, 64, lists);
  ASSERT_FALSE(space.ok());
  EXPECT_EQ(space.error().where, "parameters.landmark_past");
}

TEST(GpuSpace, ProgramsThatAreThereAreTakenForTheCandidatesTheyHave) {
  Result<Space> space = spaceOfGpu({{"exact_causal", square}, {"scan_output", square}}, 64);
  std::vector<size_t> ofFirst;
  std::vector<size_t> ofSecond;
  for (size_t i = 0; i < space->candidates.size(); ++i)
    (space->candidates[i].group == 0 ? ofFirst : ofSecond).push_back(i);
  const auto config = [&](size_t first, size_t second) {
    return configWith(*space,
                      {&space->candidates[ofFirst[first]], &space->candidates[ofSecond[second]]});
  };
  std::vector<size_t> all = ofFirst;
  all.insert(all.end(), ofSecond.begin(), ofSecond.end());
  const std::vector<Packed> programs =
      pick(*space, all, {config(3, 5), space->defaults, config(3, 6), config(3, 5)});
  ASSERT_EQ(programs.size(), 2u); // the default has none, the last nothing new
  EXPECT_EQ(programs[0].candidates, (std::vector<size_t>{ofFirst[3], ofSecond[5]}));
  EXPECT_EQ(programs[0].config, config(3, 5));
  EXPECT_EQ(programs[1].candidates, (std::vector<size_t>{ofSecond[6]}));
}

} // namespace

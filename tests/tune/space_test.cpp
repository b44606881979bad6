// Groups, candidates and their programs, over a causal program of the fake lab.
#include "tests/tune/fake_lab.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

Result<Space> spaceOfFake(const ParameterLists &parameters) {
  FakeWorld world;
  FakeLab lab(world);
  Result<Kernels> kernels =
      kernelsOf(parameters, [&](const KernelConfig &config) { return lab.plan(config); });
  NYSJIT_RETURN_IF_ERROR(kernels);
  NYSJIT_RETURN_IF_ERROR(checkParameters(parameters, {*kernels}));
  return spaceOf(parameters, *kernels);
}

std::vector<std::string> textsOf(const Space &space, const std::string &group) {
  std::vector<std::string> texts;
  for (const Candidate &candidate : space.candidates)
    if (space.groups[candidate.group].name == group)
      texts.push_back(blocksText(candidate.blocks));
  return texts;
}

TEST(Space, WithoutListsBlocksUpTo64AreTried) {
  Result<Space> space = spaceOfFake({});
  ASSERT_TRUE(space.ok()) << space.error().message;
  ASSERT_EQ(space->groups.size(), 3u);
  EXPECT_EQ(textsOf(*space, "causal_output").size(), 8u); // of 9 one is the default
  EXPECT_EQ(textsOf(*space, "landmark_target").size(), 8u);
  EXPECT_EQ(textsOf(*space, "landmark_solve"), (std::vector<std::string>{"32", "16"}));
  for (const Candidate &candidate : space->candidates)
    EXPECT_NE(candidate.blocks, space->groups[candidate.group].defaults);
}

TEST(Space, TheSummaryIsTimedWithTheKernelThatDecidesWhatItDoes) {
  Result<Space> space = spaceOfFake({});
  const auto group = std::ranges::find(space->groups, "landmark_target", &Group::name);
  EXPECT_EQ(std::ranges::count(group->kernels, "segment_summary"), 1);
  EXPECT_EQ(std::ranges::count(group->kernels, "causal_output"), 0);
}

TEST(Space, WhatIsNearTheDefaultComesFirst) {
  Result<Space> space = spaceOfFake({{"causal_output", {{"block_m", {16, 32, 64, 128, 256}}}}});
  EXPECT_EQ(textsOf(*space, "causal_output"),
            (std::vector<std::string>{"128x64", "32x64", "16x64", "256x64"}));
}

TEST(Space, ListsAreTakenAndTheRestOfTheirKernelStays) {
  Result<Space> space = spaceOfFake({{"causal_output", {{"block_n", {32, 128}}}},
                                     {"landmark_target", {}},
                                     {"landmark_solve", {{"block_m", {64}}}}});
  EXPECT_EQ(textsOf(*space, "causal_output"), (std::vector<std::string>{"64x128", "64x32"}));
  EXPECT_TRUE(textsOf(*space, "landmark_target").empty());
  EXPECT_TRUE(textsOf(*space, "landmark_solve").empty());
}

TEST(Space, ASplitBringsItsKernelWhichFollows) {
  Result<Space> space = spaceOfFake(
      {{"landmark_target", {{"split", {0, 256}}, {"block_m", {32, 64}}, {"block_n", {64}}}}});
  ASSERT_TRUE(space.ok()) << space.error().message;
  std::vector<std::string> texts = textsOf(*space, "landmark_target");
  std::ranges::sort(texts); // landmark_past + landmark_target
  EXPECT_EQ(texts, (std::vector<std::string>{
                       "32x64", "landmark_past 32x64 + landmark_target 32x64 split 256",
                       "landmark_past 64x64 + landmark_target 64x64 split 256"}));
  for (const Candidate &candidate : space->candidates) {
    const KernelConfig config = configWith(*space, {&candidate});
    const auto target = config.kernels.find("landmark_target");
    EXPECT_EQ(config.kernels.contains("landmark_past"), target->second.split != 0);
  }
}

TEST(Space, AListedKernelOfASplitDoesNotFollow) {
  Result<Space> space =
      spaceOfFake({{"landmark_target", {{"split", {256}}}},
                   {"landmark_past", {{"block_m", {16, 32}}, {"block_n", {64}}}}});
  ASSERT_TRUE(space.ok()) << space.error().message;
  EXPECT_EQ(textsOf(*space, "landmark_target").size(), 2u);
}

TEST(Space, UnknownKernelsAndKeysAreNamed) {
  struct {
    ParameterLists parameters;
    const char *where;
  } const all[] = {
      {{{"segment_output", {}}}, "parameters.segment_output"},
      {{{"landmark_past", {{"block_m", {16}}}}}, "parameters.landmark_past"}, // without a split
      {{{"landmark_solve", {{"block_n", {16}}}}}, "parameters.landmark_solve.block_n"},
      {{{"causal_output", {{"num_warps", {4}}}}}, "parameters.causal_output.num_warps"},
  };
  for (const auto &[parameters, where] : all) {
    Result<Space> space = spaceOfFake(parameters);
    ASSERT_FALSE(space.ok()) << where;
    EXPECT_EQ(space.error().kind, ErrorKind::InvalidKey);
    EXPECT_EQ(space.error().where, where);
    EXPECT_NE(space.error().expected.find("landmark_solve") != std::string::npos ||
                  space.error().expected.find("block_m") != std::string::npos,
              false)
        << space.error().message;
  }
}

TEST(Space, ProgramsAreAsManyAsTheLargestGroupHasCandidates) {
  Result<Space> space = spaceOfFake({});
  std::vector<size_t> all;
  for (size_t i = 0; i < space->candidates.size(); ++i)
    all.push_back(i);
  const std::vector<Packed> programs = pack(*space, all);
  EXPECT_EQ(programs.size(), 8u);
  std::vector<size_t> packed;
  for (const Packed &program : programs) {
    std::vector<size_t> groups;
    for (const size_t index : program.candidates) {
      packed.push_back(index);
      groups.push_back(space->candidates[index].group);
      for (const auto &[kernel, block] : space->candidates[index].blocks)
        EXPECT_EQ(program.config.kernels.at(kernel), block);
    }
    std::ranges::sort(groups);
    EXPECT_EQ(std::ranges::adjacent_find(groups), groups.end()); // one of a group
    EXPECT_EQ(program.config.kernels.size(), 3u);                // complete
  }
  std::ranges::sort(packed);
  EXPECT_EQ(packed, all);
}

} // namespace

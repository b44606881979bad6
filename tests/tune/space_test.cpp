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

/// A backward program: not `fused` it has a kernel more, and no `split`. Its forward's kernel is
/// not launched where what it saves is there.
Result<Plan> planOfFused(const KernelConfig &config) {
  const auto asked = [&](const char *kernel) {
    const auto given = config.kernels.find(kernel);
    return given == config.kernels.end() ? BlockConfig() : given->second;
  };
  Plan plan;
  plan.target = "cpu:x86-64-v3";
  plan.saved = {"is_saved", false};
  const auto add = [&](const char *kernel, const BlockConfig &block, const Expression &when) {
    plan.kernels.push_back({.name = kernel, .config = block});
    plan.launches.push_back({.kernel = kernel, .grid = 1, .when = when});
  };
  const Expression isPadded = Expression::symbol("length_count");
  const Expression isFirst =
      Expression::make(Operator::Eq, {Expression::symbol("is_saved"), Expression(0)});
  add("causal_output", {.blockM = 32}, Expression::make(Operator::Min, {isFirst, isPadded}));
  add("far_gradient", {.blockM = 16, .split = asked("far_gradient").split.value_or(0)}, isPadded);
  BlockConfig position{.blockM = 32, .fused = asked("position_gradient").fused.value_or(1)};
  if (position.fused == 1)
    position.split = asked("position_gradient").split.value_or(4096);
  else if (asked("position_gradient").split)
    return Error::plain(ErrorKind::InvalidKey, "split", "it has none");
  add("position_gradient", position, 1);
  if (position.fused == 0)
    add("past_gradient", {.blockM = 16, .split = 0}, 1);
  return plan;
}

std::vector<std::string> fusedTexts(const ParameterLists &parameters, const std::string &group) {
  const Result<Kernels> kernels = kernelsOf(parameters, &planOfFused);
  EXPECT_TRUE(kernels.ok()) << kernels.error().message;
  EXPECT_TRUE(checkParameters(parameters, {*kernels}));
  const Result<Space> space = spaceOf(parameters, *kernels);
  EXPECT_TRUE(space.ok());
  return textsOf(*space, group);
}

TEST(Space, WhatDecidesWhichKernelsThereAreStaysUnlessListed) {
  EXPECT_EQ(fusedTexts({}, "position_gradient"),
            (std::vector<std::string>{"16 split 4096", "64 split 4096"}));
  EXPECT_EQ(fusedTexts({}, "far_gradient"), (std::vector<std::string>{"32", "64"}));
}

TEST(Space, AForwardOfWhichAllIsSavedIsNotTuned) {
  EXPECT_TRUE(fusedTexts({}, "causal_output").empty());
  const Result<Kernels> kernels = kernelsOf({}, &planOfFused);
  const Result<Space> space = spaceOf({}, *kernels);
  ASSERT_TRUE(space.ok());
  EXPECT_EQ(space->groups.size(), 2u);
  EXPECT_TRUE(space->defaults.kernels.contains("causal_output")) << "configs are whole";
  const Status status = checkParameters({{"causal_output", {}}}, {*kernels});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().where, "parameters.causal_output");
}

TEST(Space, EachFusedHasItsOwnKernelsAndSplits) {
  const ParameterLists lists = {{"position_gradient", {{"fused", {0, 1}}, {"split", {256, 4096}}}},
                                {"far_gradient", {}}};
  // All that is timed together: the sums over far landmarks are the other kernel's, too.
  EXPECT_EQ(
      fusedTexts(lists, "far_gradient"),
      (std::vector<std::string>{"far_gradient 16 + past_gradient 32 + position_gradient 32 fused 0",
                                "far_gradient 16 + position_gradient 32 split 256"}));
}

TEST(Space, ASplitOfOneKernelIsNoOthers) {
  const ParameterLists lists = {{"far_gradient", {{"split", {0, 1024}}}}};
  EXPECT_EQ(fusedTexts(lists, "far_gradient"), (std::vector<std::string>{"16 split 1024"}));
  EXPECT_EQ(fusedTexts(lists, "position_gradient"),
            (std::vector<std::string>{"16 split 4096", "64 split 4096"}));
}

} // namespace

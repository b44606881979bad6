// Stages: their names, their order and which targets pass them.
#include "runtime/spec/stage.h"

#include <gtest/gtest.h>
#include <vector>

using namespace nysjit;

namespace {

std::vector<std::string> namesOf(TargetKind kind) {
  std::vector<std::string> names;
  for (const Stage stage : stagesOf(kind))
    names.emplace_back(stageName(stage));
  return names;
}

TEST(Stage, EachKindOfTargetHasItsWay) {
  EXPECT_EQ(namesOf(TargetKind::Cpu),
            (std::vector<std::string>{"tile", "lowered", "llvm", "asm", "object"}));
  EXPECT_EQ(namesOf(TargetKind::Cuda),
            (std::vector<std::string>{"tile", "lowered", "llvm", "ptx", "cubin"}));
}

TEST(Stage, NamesGoBothWays) {
  for (const char *name : {"tile", "lowered", "llvm", "asm", "object", "ptx", "cubin", "plan"})
    EXPECT_STREQ(stageName(*stageFromName(name)), name);
  for (const char *name : {"", "sass", "Tile", "plan "})
    EXPECT_EQ(stageFromName(name), std::nullopt) << name;
}

TEST(Stage, ATargetHasItsWayAndThePlan) {
  const Target cpu;
  const Target cuda = *parseTarget("cuda:sm_80");
  for (const Stage stage : {Stage::Tile, Stage::Lowered, Stage::Llvm, Stage::Plan})
    EXPECT_TRUE(hasStage(cpu, stage) && hasStage(cuda, stage)) << stageName(stage);
  for (const Stage stage : {Stage::Asm, Stage::Object})
    EXPECT_TRUE(hasStage(cpu, stage) && !hasStage(cuda, stage)) << stageName(stage);
  for (const Stage stage : {Stage::Ptx, Stage::Cubin})
    EXPECT_TRUE(!hasStage(cpu, stage) && hasStage(cuda, stage)) << stageName(stage);
}

} // namespace

// Names and orders of stages.
#include "runtime/spec/stage.h"

#include <algorithm>
#include <array>

namespace nysjit {

namespace {

// by Stage
constexpr std::array names = {"tile", "lowered", "llvm", "asm", "object", "ptx", "cubin", "plan"};
constexpr std::array cpuStages = {Stage::Tile, Stage::Lowered, Stage::Llvm, Stage::Asm,
                                  Stage::Object};
constexpr std::array cudaStages = {Stage::Tile, Stage::Lowered, Stage::Llvm, Stage::Ptx,
                                   Stage::Cubin};
static_assert(names.size() == size_t(Stage::Plan) + 1);

} // namespace

const char *stageName(Stage stage) { return names[size_t(stage)]; }

std::optional<Stage> stageFromName(const std::string &name) {
  for (size_t i = 0; i < names.size(); ++i)
    if (name == names[i])
      return Stage(i);
  return std::nullopt;
}

std::span<const Stage> stagesOf(TargetKind kind) {
  if (kind == TargetKind::Cuda)
    return cudaStages;
  return cpuStages;
}

bool hasStage(const Target &target, Stage stage) {
  const std::span<const Stage> passed = stagesOf(target.kind);
  return stage == Stage::Plan || std::ranges::find(passed, stage) != passed.end();
}

} // namespace nysjit

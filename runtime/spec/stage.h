// The stages that a compilation passes, as data: their names and their order for each kind of
// target.
//
//   cpu    tile -> lowered -> llvm -> asm -> object     plan beside them
//   cuda   tile -> lowered -> llvm -> ptx -> cubin      plan beside them
#pragma once
#include "runtime/spec/target.h"

#include <optional>
#include <span>
#include <string>

namespace nysjit {

enum class Stage { Tile, Lowered, Llvm, Asm, Object, Ptx, Cubin, Plan };

/// "tile" and so on.
const char *stageName(Stage stage);
/// Nothing if there is no such stage.
std::optional<Stage> stageFromName(const std::string &name);

/// In the order in which a target of this kind passes them; the plan, which leaves the way behind
/// `tile` and can be shown or read as a stage can, is not among them.
std::span<const Stage> stagesOf(TargetKind kind);
/// Whether a target's compilation has this stage, the plan included.
bool hasStage(const Target &target, Stage stage);

} // namespace nysjit

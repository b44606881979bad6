// The compiler: KernelSpec to plan and binary, through stages that can each be printed and started from.
//
//   spec, config -> tile -> lowered -> llvm -> asm | object -> shared object
//                    \-> plan
#pragma once
#include "compiler/driver/target_info.h"
#include "runtime/base/result.h"
#include "runtime/plan/plan.h"
#include "runtime/spec/spec.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nysjit {

enum class Stage { Tile, Lowered, Llvm, Asm, Object, Plan };
/// "tile" and so on; nothing if there is no such stage.
std::optional<Stage> stageFromName(const std::string &name);
const char *stageName(Stage stage);

struct CompileRequest {
  KernelSpec spec;
  KernelConfig config;
  Target target;
  std::optional<Stage> emit; // stop there and return it
  std::optional<Stage> from; // replace what that stage would be by `fromText`
  std::string fromText;
};

struct CompileOutput {
  Plan plan;
  std::string binary;  // the shared object; empty with `emit`
  std::string emitted; // with `emit`
  std::vector<std::pair<std::string, double>> stageMs;
  std::vector<std::pair<std::string, int64_t>> kernelBytes; // object bytes of each kernel's code
};

/// Thread-safe but for the link, which is serialised. The same request gives the same bytes.
Result<CompileOutput> compile(const CompileRequest &request);

} // namespace nysjit

// The compiler: KernelSpec to plan and binary, through stages that can each be printed and started
// from.
//
//   spec, config -> tile -> lowered -> llvm -> asm | object -> shared object     on the CPU
//                    \-> plan             \-> ptx -> cubin                        on a GPU
#pragma once
#include "compiler/worker/assemblers.h"
#include "compiler/worker/target_info.h"
#include "runtime/base/result.h"
#include "runtime/plan/plan.h"
#include "runtime/spec/block_space.h"
#include "runtime/spec/spec.h"
#include "runtime/spec/stage.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nysjit {

struct CompileRequest {
  KernelSpec spec;
  KernelConfig config;
  Target target;
  std::optional<Stage> emit; // stop there and return it
  std::optional<Stage> from; // replace what that stage would be by `fromText`
  std::string fromText;
  Assemblers assemblers; // for a GPU target
};

struct CompileOutput {
  Plan plan;
  // the shared object, or the cubin; empty with `emit`, or without an assembler
  std::string binary;
  std::string ptx;     // of a GPU target
  std::string emitted; // with `emit`
  // a line for the caller, "" for none: what could not be done that was not necessary
  std::string note;
  bool isNoteLasting = true; // the same request would say it again
  std::vector<std::pair<std::string, double>> stageMs;
  // what each kernel's block sizes may be, as the template wrote them
  std::vector<BlockSpace> spaces;
  // what --json says of each: name and object bytes, or registers and counts
  Json kernels = Json::array();
};

/// Thread-safe but for the link, which is serialised. The same request gives the same bytes.
/// InvalidArgument for a stage that the target has not, or an `emit` before `from`.
Result<CompileOutput> compile(const CompileRequest &request);

} // namespace nysjit

// Plan: what a program needs to be launched, written by the compiler beside the binary and read by
// the runtime, which knows no layout by name. It is JSON ("--emit plan") and enough to run the
// kernels by other means.
//
// Kernel ABI on the CPU: void KERNEL(const uint64_t *parameters, int64_t cell, void *scratch)
//   parameters  8 bytes each, in the order of `parameters`: a pointer, an i64, an i32
//               (sign-extended to 8
//               bytes), or an f32 in the low four bytes
//   cell        0 <= cell < grid
//   scratch     64-byte aligned, the kernel's scratch_bytes, private to the calling thread while
//               the call lasts
//
// Kernel ABI on a GPU: .entry KERNEL with the parameters in the same order, a pointer as .u64, i64
// as .u64, i32 as .u32, f32 as .f32. One launch is cuLaunchKernel(KERNEL, grid, 1, 1, block, 1, 1,
// shared_bytes, ...); the cell is %ctaid.x. A kernel that may overlap executes
// griddepcontrol.wait before it touches global memory: behind another launch of the plan it may be
// launched with CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, so that its blocks are in
// place when that one ends.
#pragma once
#include "runtime/base/result.h"
#include "runtime/plan/expression.h"
#include "runtime/spec/block_config.h"

#include <string>
#include <vector>

namespace nysjit {

/// A tensor the caller passes. `shape` and `strides` (in elements) have one expression a dimension,
/// each a constant (must be equal at run time) or a symbol: the first occurrence in argument order
/// binds it, later ones must agree.
struct PlanArgument {
  std::string name; // "q", "k", "v", "o", ...
  bool isOutput = false;
  std::vector<std::string> dtypes; // accepted: "float32", "float16", "bfloat16", "int32"
  // "" or a symbol bound to the index of the tensor's dtype in `dtypes`
  std::string dtypeSymbol;
  std::vector<Expression> shape;
  std::vector<Expression> strides;
  // "" or a symbol bound to the tensor's alignment: the largest power of two up to 16 that divides
  // its address and, in bytes, the strides of its dimensions but the last, where they have more
  // than one element (its rows' stride always). For `when` and parameters; not for buffers and
  // preconditions, which do not look at addresses.
  std::string alignmentSymbol;
  // The caller may pass NULL: what the argument's shape and strides bind first is 0 then, and its
  // address null.
  bool isOptional = false;
  // "" or a symbol bound to 1 if the caller passes the tensor, else to 0.
  std::string presenceSymbol;
  // "" or a symbol, the same for all arguments that have one: 1 if the caller passes the rows of
  // all sequences one after the other, [n, H, d], which then stands for [1, H, n, d] with a first
  // stride of 0; else 0.
  std::string packedSymbol;
};

/// How sequences of their own lengths lie in the rows of the tensors: names of int32 arguments of
/// one extent, "" where there is none. Sequence b has rows [start, start + length). A number in
/// host memory is checked before anything is launched; a kernel must bear others.
struct PlanSequences {
  std::string offsets;       // B + 1, ascending: start and end of each, of packed rows
  std::string lengths;       // B: length of each in rows of its own
  std::string starts;        // B: where it starts there, else 0
  std::string sourceLengths; // B: positions of its source, at most the sequence's length
  std::string rows;          // symbol: the rows of the tensors, n
  // symbol: no sequence is longer. The caller's max_length, else what host memory says, else n
  std::string maxLength;
};

/// Checked before anything is launched. `expected` and `found` are sentences in which {n} is
/// replaced by the value of symbol n.
struct PlanPrecondition {
  Expression holds;
  std::string where;
  std::string expected;
  std::string found;
};

/// Memory between kernels, from the caller's or the runtime's workspace; each starts at a 64-byte
/// boundary on the CPU and a 256-byte boundary on a GPU.
struct PlanBuffer {
  std::string name;
  Expression bytes;
  bool isSaved = false; // in the caller's `saved` memory, where there is one
};

/// Memory of the caller's that a saving run writes and backward runs read: the buffers that are
/// saved, in their order. Where it is left out they lie in the workspace.
struct PlanSaved {
  std::string symbol; // bound to 1 if the caller passes it, else to 0; "": nothing may be passed
  bool isNeeded = false;
};

enum class ParameterType { Pointer, I32, I64, F32 };

/// A kernel parameter: a tensor or buffer by name (Pointer), an expression (I32: checked to fit;
/// I64), or the scale (F32).
struct PlanParameter {
  std::string name;
  ParameterType type = ParameterType::Pointer;
  std::string memory; // Pointer: the argument's or buffer's name
  Expression value;   // I32, I64
};

struct PlanKernel {
  std::string name; // also its symbol in the binary
  int64_t scratchBytes = 0;
  std::vector<PlanParameter> parameters;
  BlockConfig config;       // the block sizes in use
  int64_t blockThreads = 0; // threads of a block on a GPU, where it is at least 1; 0 on the CPU
  int64_t sharedBytes = 0;  // dynamic shared memory of a block
  bool mayOverlap = false;  // with the launch before it on a GPU: it waits for that by itself
};

/// One launch, in order. A grid of 0, or `when` 0, is skipped.
struct PlanLaunch {
  std::string kernel;
  Expression grid;
  Expression when = Expression(1);
};

struct Plan {
  std::string layout;   // the layout's name, for messages
  std::string target;   // "cpu:x86-64-v4"
  std::string specJson; // canonical
  std::vector<PlanArgument> arguments;
  PlanSequences sequences; // rows "": there are none
  std::vector<PlanPrecondition> preconditions;
  std::vector<PlanBuffer> buffers;
  PlanSaved saved;
  std::vector<PlanKernel> kernels;
  std::vector<PlanLaunch> launches;
};

/// Limits that planFromJson checks, so that a launch can keep its numbers on the stack.
constexpr size_t maxPlanArguments = 32;
constexpr size_t maxPlanRank = 8;
constexpr size_t maxPlanSymbols = 256;
constexpr size_t maxPlanParameters = 256;
constexpr size_t maxPlanEntries = 256;
constexpr int64_t maxScratchBytes = int64_t(1) << 30;
constexpr int64_t maxBlockThreads = 1024;
constexpr int64_t maxSharedBytes = int64_t(1) << 20;
constexpr int64_t maxGpuGrid = INT32_MAX;
constexpr int64_t maxTensorAlignment = 16;

/// Whether the plan is a GPU's: its target is one.
bool isGpuPlan(const Plan &plan);
/// The symbols of a plan in binding order: shapes and strides of the arguments, then dtype symbols,
/// then alignment symbols, then the packed symbol, the sequences' maximum length and whether there
/// is saved memory.
std::vector<std::string> planSymbols(const Plan &plan);
/// Pretty JSON with a trailing newline; the same plan gives the same bytes.
std::string planToJson(const Plan &plan);
/// Checks everything: a damaged or foreign plan is an error, never undefined behaviour.
Result<Plan> planFromJson(const std::string &text);

} // namespace nysjit

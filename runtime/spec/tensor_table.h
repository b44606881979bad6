// The table of tensors as data: one row for each tensor that a caller may pass to a run. Everything
// that knows tensors by name reads it: the C API's binding, the command's flags and checks,
// docs/spec.md, tests. A new tensor is a row here and its field in nysjit.h.
//
// A template declares what the row says, and adds nothing to it:
//   tensorRow("landmark_q")   finds the row; what it gives the builder:
//   role, isOptional          input or output, and whether the caller may pass NULL
//   element                   the dtypes that are accepted
//   shape                     one name a dimension: "B", "Hq", "Hkv" and "n" are symbols of the
//                             plan, "d", "m" and "c" constants (specDimension); a vector's extent
//                             is bound to extentSymbol where it has one
//   isPackable                rows of packed sequences, [total, H, d], may stand for [B, H, n, d]
//                             (PlanArgument::packedSymbol)
#pragma once
#include "runtime/include/nysjit.h"
#include "runtime/spec/key_table.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit {

enum class TensorRole {
  Input,          // needed where the spec has it
  OptionalInput,  // may be left out
  Output,         // needed where the spec has it, all of it written
  OptionalOutput, // written if it is given
  InPlace,        // read, then written
  Result          // written by a forward run, read by the backward run
};

enum class TensorElement {
  SpecDtype, // the spec's dtype
  Output,    // float32 or the spec's dtype, as the caller likes
  Float32,
  Int32
};

/// A set of passes: bit i for Pass i.
using PassSet = unsigned;
constexpr PassSet passBit(Pass pass) { return 1u << unsigned(pass); }
inline constexpr PassSet allPasses =
    passBit(Pass::Forward) | passBit(Pass::Saving) | passBit(Pass::Backward);

/// What beside the layout decides that a program has a tensor.
enum class TensorCondition { None, LearnedLandmarks, Convolution };

struct TensorRow {
  const char *name; // in plans and messages, and of the field of nysjit_run_args
  TensorRole role;
  TensorElement element;
  // Names of dimensions; "B + 1" is one more than B. Empty where no program has the tensor yet.
  std::span<const char *const> shape;
  bool isPackable = false; // with packed sequences it is [total, H, d]
  LayoutSet layouts = allLayouts;
  PassSet passes = allPasses;
  TensorCondition condition = TensorCondition::None;
  const char *notWith = nullptr; // a tensor that may not be passed beside this one
  // An int32 vector's extent in a plan: a symbol of its own, which preconditions compare with B, as
  // it is 0 where the vector is left out.
  const char *extentSymbol = nullptr;
  const DLTensor *nysjit_run_args::*field = nullptr;
  // Of `nysjit run`: null where it has none.
  const char *flag = nullptr;
  const char *flagHelp = nullptr;
  const char *meaning = ""; // a sentence, for docs/spec.md
};

/// At most this many rows: readers keep a bit for each.
inline constexpr size_t maxTensors = 32;

/// In the order of plans' arguments, flags and messages: what every program has stands first.
std::span<const TensorRow> tensorTable();
/// The row of that name; null if there is none.
const TensorRow *findTensor(std::string_view name);
/// The same where the name is the code's own: std::out_of_range, a bug, if there is none.
const TensorRow &tensorRow(std::string_view name);

/// Does a program of this spec have the tensor?
bool usesTensor(const TensorRow &row, const KernelSpec &spec);
/// The key that decides usesTensor, and its value: "layout scan", "conv_kernel 0".
std::string tensorReason(const TensorRow &row, const KernelSpec &spec);

/// Some pass writes it.
bool isOutput(const TensorRow &row);
/// A program of this pass writes it.
bool isWrittenBy(const TensorRow &row, Pass pass);
/// The caller may pass NULL to a program that has it.
bool isOptional(const TensorRow &row);
/// Every run of every program has it: q, k, v, o.
bool isAlwaysNeeded(const TensorRow &row);

/// The arguments with those tensors alone that a program of the spec has.
nysjit_run_args argsOf(nysjit_run_args args, const KernelSpec &spec);

/// A dimension's name where sequences are packed: {"total", "Hq", "d"} instead of
/// {"B", "Hq", "n", "d"}. The same names otherwise.
std::vector<std::string_view> dimensionNames(const TensorRow &row, bool isPacked);
/// What the spec says of a dimension: "d", "m" (landmarks; in `causal` probes), "c" (taps); nothing
/// of the others, which a run's tensors bind.
std::optional<int64_t> specDimension(std::string_view name, const KernelSpec &spec);

} // namespace nysjit

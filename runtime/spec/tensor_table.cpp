// The table itself and what is read off a row.
#include "runtime/spec/tensor_table.h"
#include "runtime/spec/lengths.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace nysjit {

namespace {

constexpr std::array queryRows = {"B", "Hq", "n", "d"};
constexpr std::array keyRows = {"B", "Hkv", "n", "d"};
constexpr std::array queryLandmarks = {"Hq", "m", "d"};
constexpr std::array keyLandmarks = {"Hkv", "m", "d"};
constexpr std::array taps = {"Hq", "c"};
constexpr std::array sequenceEnds = {"B + 1"};
constexpr std::array sequences = {"B"};

constexpr LayoutSet scan = layoutBit(Layout::Scan);
constexpr LayoutSet causal = layoutBit(Layout::Causal);
constexpr LayoutSet prefixLm = layoutBit(Layout::PrefixLm);
constexpr LayoutSet withLandmarks = layoutsWithLandmarks;
constexpr PassSet backward = passBit(Pass::Backward);

using Role = TensorRole;
using Element = TensorElement;
using Args = nysjit_run_args;

constexpr TensorRow rows[] = {
    {.name = "q",
     .role = Role::Input,
     .element = Element::SpecDtype,
     .shape = queryRows,
     .isPackable = true,
     .field = &Args::q,
     .flag = "--q",
     .flagHelp =
         "queries [B, Hq, n, d], with --cu-seqlens [total, Hq, d]; .npy, as all tensors, or - for "
         "standard input; needed",
     .meaning = "The queries."},
    {.name = "k",
     .role = Role::Input,
     .element = Element::SpecDtype,
     .shape = keyRows,
     .isPackable = true,
     .field = &Args::k,
     .flag = "--k",
     .flagHelp = "keys [B, Hkv, n, d] or [total, Hkv, d]; needed",
     .meaning = "The keys; Hkv divides Hq, and a key/value head serves Hq / Hkv query heads."},
    {.name = "v",
     .role = Role::Input,
     .element = Element::SpecDtype,
     .shape = keyRows,
     .isPackable = true,
     .field = &Args::v,
     .flag = "--v",
     .flagHelp = "values in the shape of the keys; needed",
     .meaning = "The values."},
    {.name = "o",
     .role = Role::Result,
     .element = Element::Output,
     .shape = queryRows,
     .isPackable = true,
     .field = &Args::o,
     .flag = "-o",
     .flagHelp = "output in the shape of the queries, float32 unless --o-dtype says else, or - for "
                 "standard "
                 "output; needed",
     .meaning = "The output; 0 at positions outside all sequences; a backward program reads it."},
    {.name = "landmark_q",
     .role = Role::Input,
     .element = Element::SpecDtype,
     .shape = queryLandmarks,
     .layouts = scan | causal,
     .condition = TensorCondition::LearnedLandmarks,
     .field = &Args::landmark_q,
     .flag = "--landmark-q",
     .flagHelp = "landmarks' queries [Hq, m, d], in causal the probes [Hq, r, d]; needed with "
                 "landmark_source learned",
     .meaning = "The landmarks' queries; in `causal` the probes, m then being `probes`."},
    {.name = "landmark_k",
     .role = Role::Input,
     .element = Element::SpecDtype,
     .shape = keyLandmarks,
     .layouts = scan,
     .condition = TensorCondition::LearnedLandmarks,
     .field = &Args::landmark_k,
     .flag = "--landmark-k",
     .flagHelp = "landmarks' keys [Hkv, m, d]; needed with landmark_source learned",
     .meaning = "The landmarks' keys."},
    {.name = "conv",
     .role = Role::Input,
     .element = Element::SpecDtype,
     .shape = taps,
     .layouts = withLandmarks,
     .condition = TensorCondition::Convolution,
     .field = &Args::conv,
     .flag = "--conv",
     .flagHelp = "taps of the convolution [Hq, c]; needed with conv_kernel c",
     .meaning = "The taps of the convolution of the values."},
    {.name = "cu_seqlens",
     .role = Role::OptionalInput,
     .element = Element::Int32,
     .shape = sequenceEnds,
     .extentSymbol = "offset_count",
     .field = &Args::cu_seqlens,
     .flag = "--cu-seqlens",
     .flagHelp = "packed sequences: where each starts and ends in the rows [B + 1], int32 or int64",
     .meaning = "Packed sequences, ascending: sequence b has the rows `cu_seqlens[b]` to "
                "`cu_seqlens[b + 1]`."},
    {.name = "seqlens",
     .role = Role::OptionalInput,
     .element = Element::Int32,
     .shape = sequences,
     .notWith = "cu_seqlens",
     .extentSymbol = "length_count",
     .field = &Args::seqlens,
     .flag = "--seqlens",
     .flagHelp = "padded sequences: the length of each [B], int32 or int64",
     .meaning = "Padded sequences: the length of each."},
    {.name = "seq_starts",
     .role = Role::OptionalInput,
     .element = Element::Int32,
     .shape = sequences,
     .notWith = "cu_seqlens",
     .extentSymbol = "start_count",
     .field = &Args::seq_starts,
     .flag = "--seq-starts",
     .flagHelp = "padded sequences: the row where each starts [B], int32 or int64, with --seqlens",
     .meaning = "Padded sequences, with `seqlens`: the row where each starts, else 0."},
    {.name = "source_len",
     .role = Role::Input,
     .element = Element::Int32,
     .shape = sequences,
     .layouts = prefixLm,
     .extentSymbol = "part_count",
     .field = &Args::source_len,
     .flag = "--source-len",
     .flagHelp = "the source's positions of each sequence [B], int32 or int64; needed with layout "
                 "prefix_lm",
     .meaning = "The source's positions of each sequence."},
    {.name = "dout",
     .role = Role::Input,
     .element = Element::SpecDtype,
     .shape = queryRows,
     .isPackable = true,
     .passes = backward,
     .field = &Args::dout,
     .flag = "--dout",
     .flagHelp =
         "the loss's gradient by the output, in its shape: the run then computes gradients, "
         "too",
     .meaning = "The gradient of a loss by the output."},
    {.name = "dq",
     .role = Role::OptionalOutput,
     .element = Element::Output,
     .shape = queryRows,
     .isPackable = true,
     .passes = backward,
     .field = &Args::dq,
     .flag = "--dq",
     .flagHelp = "the loss's gradient by the queries, with --dout; float32 unless --o-dtype says "
                 "else",
     .meaning = "The loss's gradient by `q`."},
    {.name = "dk",
     .role = Role::OptionalOutput,
     .element = Element::Output,
     .shape = keyRows,
     .isPackable = true,
     .passes = backward,
     .field = &Args::dk,
     .flag = "--dk",
     .flagHelp = "the loss's gradient by the keys, with --dout; float32 unless --o-dtype says "
                 "else",
     .meaning = "The loss's gradient by `k`."},
    {.name = "dv",
     .role = Role::OptionalOutput,
     .element = Element::Output,
     .shape = keyRows,
     .isPackable = true,
     .passes = backward,
     .field = &Args::dv,
     .flag = "--dv",
     .flagHelp = "the loss's gradient by the values, with --dout; float32 unless --o-dtype says "
                 "else",
     .meaning = "The loss's gradient by `v`."},
    {.name = "dlandmark_q",
     .role = Role::OptionalOutput,
     .element = Element::Output,
     .shape = queryLandmarks,
     .layouts = scan | causal,
     .passes = backward,
     .condition = TensorCondition::LearnedLandmarks,
     .field = &Args::dlandmark_q,
     .flag = "--dlandmark-q",
     .flagHelp = "the loss's gradient by the landmarks' queries, with --dout; float32 unless "
                 "--o-dtype says "
                 "else",
     .meaning = "The loss's gradient by `landmark_q`."},
    {.name = "dlandmark_k",
     .role = Role::OptionalOutput,
     .element = Element::Output,
     .shape = keyLandmarks,
     .layouts = scan,
     .passes = backward,
     .condition = TensorCondition::LearnedLandmarks,
     .field = &Args::dlandmark_k,
     .flag = "--dlandmark-k",
     .flagHelp =
         "the loss's gradient by the landmarks' keys, with --dout; float32 unless --o-dtype says "
         "else",
     .meaning = "The loss's gradient by `landmark_k`."},
    {.name = "dconv",
     .role = Role::OptionalOutput,
     .element = Element::Output,
     .shape = taps,
     .layouts = withLandmarks,
     .passes = backward,
     .condition = TensorCondition::Convolution,
     .field = &Args::dconv,
     .flag = "--dconv",
     .flagHelp = "the loss's gradient by the taps, with --dout; float32 unless --o-dtype says "
                 "else",
     .meaning = "The loss's gradient by `conv`."},
};
static_assert(std::size(rows) <= maxTensors);

bool holds(TensorCondition condition, const KernelSpec &spec) {
  switch (condition) {
  case TensorCondition::None: return true;
  case TensorCondition::LearnedLandmarks: return spec.landmarkSource == LandmarkSource::Learned;
  case TensorCondition::Convolution: return spec.convKernel > 0;
  }
  return false;
}

} // namespace

std::span<const TensorRow> tensorTable() { return rows; }

const TensorRow *findTensor(std::string_view name) {
  const auto *found =
      std::ranges::find_if(rows, [&](const TensorRow &row) { return name == row.name; });
  return found == std::end(rows) ? nullptr : found;
}

const TensorRow &tensorRow(std::string_view name) {
  if (const TensorRow *row = findTensor(name))
    return *row;
  throw std::out_of_range("the table of tensors has no row " + std::string(name));
}

bool usesTensor(const TensorRow &row, const KernelSpec &spec) {
  return (row.layouts & layoutBit(spec.layout)) != 0 && holds(row.condition, spec) &&
         (row.passes & passBit(spec.pass)) != 0;
}

std::string tensorReason(const TensorRow &row, const KernelSpec &spec) {
  const bool isLayouts = (row.layouts & layoutBit(spec.layout)) != 0;
  if (isLayouts && (row.passes & passBit(spec.pass)) == 0)
    return std::string("pass ") + passName(spec.pass);
  if (isLayouts && row.condition == TensorCondition::LearnedLandmarks)
    return std::string("landmark_source ") + landmarkSourceName(spec.landmarkSource);
  if (isLayouts && row.condition == TensorCondition::Convolution)
    return "conv_kernel " + std::to_string(spec.convKernel);
  return std::string("layout ") + layoutName(spec.layout);
}

bool isOutput(const TensorRow &row) {
  return row.role == Role::Output || row.role == Role::OptionalOutput ||
         row.role == Role::InPlace || row.role == Role::Result;
}

bool isWrittenBy(const TensorRow &row, Pass pass) {
  return row.role == Role::Result ? pass != Pass::Backward : isOutput(row);
}

bool isOptional(const TensorRow &row) {
  return row.role == Role::OptionalInput || row.role == Role::OptionalOutput;
}

bool isAlwaysNeeded(const TensorRow &row) {
  return row.layouts == allLayouts && row.passes == allPasses &&
         row.condition == TensorCondition::None && !isOptional(row);
}

nysjit_run_args argsOf(nysjit_run_args args, const KernelSpec &spec) {
  for (const TensorRow &row : rows)
    if (!usesTensor(row, spec))
      args.*row.field = nullptr;
  return args;
}

std::vector<std::string_view> dimensionNames(const TensorRow &row, bool isPacked) {
  std::vector<std::string_view> names(row.shape.begin(), row.shape.end());
  if (!isPacked || !row.isPackable)
    return names;
  // [B, H, n, d]: the sequences' rows one after the other, each with all its heads.
  return {"total", names[1], names[3]};
}

std::optional<int64_t> specDimension(std::string_view name, const KernelSpec &spec) {
  if (name == "d")
    return spec.headDim;
  if (name == "m")
    return learnedQueries(spec);
  if (name == "c")
    return spec.convKernel;
  return std::nullopt;
}

} // namespace nysjit

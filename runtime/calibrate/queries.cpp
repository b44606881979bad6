// A run's queries are checked by a plan that has these tensors alone.
#include "runtime/calibrate/queries.h"
#include "runtime/npy/half.h"
#include "runtime/spec/lengths.h"

#include <cmath>
#include <cstring>
#include <string_view>

namespace nysjit {

namespace {

enum Argument { Probes, Q, CuSeqlens, Seqlens, SeqStarts, argumentCount };
/// The first symbols of the plan, those of probes and q.
enum Symbol { Heads, ProbesHeadStride, ProbeStride, Batch, Rows, BatchStride };

/// The tensors that are looked at, in the order of Argument, as a program's plan would have them.
/// $DTYPE, $SIZE and $PROBES are the spec's.
constexpr std::string_view planText = R"({
  "schema": 1, "program": "calibrate", "target": "cpu:native", "spec": {},
  "arguments": [
    {"name": "probes", "output": true, "dtypes": ["float32", "$DTYPE"],
     "shape": ["Hq", $PROBES, $SIZE], "strides": ["probes_head_stride", "probe_stride", 1]},
    {"name": "q", "output": false, "dtypes": ["$DTYPE"], "packed_symbol": "is_packed",
     "shape": ["B", "Hq", "n", $SIZE], "strides": ["batch_stride", "head_stride", "row_stride", 1]},
    {"name": "cu_seqlens", "output": false, "dtypes": ["int32"], "optional": true,
     "shape": ["offset_count"], "strides": [1]},
    {"name": "seqlens", "output": false, "dtypes": ["int32"], "optional": true,
     "shape": ["length_count"], "strides": [1]},
    {"name": "seq_starts", "output": false, "dtypes": ["int32"], "optional": true,
     "shape": ["start_count"], "strides": [1]}],
  "sequences": {"offsets": "cu_seqlens", "lengths": "seqlens", "starts": "seq_starts",
                "rows": "n", "max_length": "max_length"},
  "preconditions": [
    {"holds": ["==", "is_packed", ["min", "offset_count", 1]], "where": "cu_seqlens",
     "expected": "B + 1 numbers with packed tensors [total, H, d], none with others",
     "found": "{offset_count}"},
    {"holds": ["not", ["and", ["min", "length_count", 1], "is_packed"]], "where": "seqlens",
     "expected": "none with cu_seqlens", "found": "{length_count}"},
    {"holds": ["or", ["==", "length_count", 0], ["==", "length_count", "B"]], "where": "seqlens",
     "expected": "{B} numbers, one a sequence, or none", "found": "{length_count}"},
    {"holds": ["or", ["==", "start_count", 0], ["==", "start_count", "length_count"]],
     "where": "seq_starts", "expected": "as many numbers as seqlens ({length_count}), or none",
     "found": "{start_count}"}],
  "buffers": [], "kernels": [], "launches": []})";

Result<PreparedPlan> planOf(const KernelSpec &spec) {
  std::string text(planText);
  const auto put = [&](std::string_view word, const std::string &value) {
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at))
      text.replace(at, word.size(), value);
  };
  if (spec.dtype == DType::Float32)
    put(R"("float32", "$DTYPE")", R"("float32")");
  put("$DTYPE", dtypeName(spec.dtype));
  put("$SIZE", std::to_string(spec.headDim));
  put("$PROBES", std::to_string(learnedQueries(spec)));
  Result<Plan> plan = planFromJson(text);
  NYSJIT_RETURN_IF_ERROR(plan);
  return PreparedPlan::create(std::move(*plan));
}

/// An element of the dtype, as a float, which no dtype here rounds.
float element(const char *address, DType dtype) {
  if (dtype == DType::Float32) {
    float value = 0;
    std::memcpy(&value, address, sizeof value);
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, address, sizeof bits);
  return dtype == DType::Float16 ? float16ToFloat(bits) : bfloat16ToFloat(bits);
}

int64_t elementBytes(DType dtype) { return dtype == DType::Float32 ? 4 : 2; }

std::string runName(size_t run) { return "runs[" + std::to_string(run) + "]"; }

/// An error of one run's tensor; `probes` is all runs'.
Error inRun(size_t run, Error error) {
  if (error.where.starts_with("probes"))
    return error;
  return Error::mismatch(error.kind, runName(run) + "." + error.where, error.expected, error.found);
}

int64_t at(const DLTensor *integers, int64_t i) {
  int32_t value = 0;
  std::memcpy(&value, reinterpret_cast<const char *>(addressOf(*integers)) + 4 * i, sizeof value);
  return value;
}

bool hasNumbers(const DLTensor *integers) { return integers && integers->shape[0] > 0; }

Error notFinite(const QueryRows &rows, int64_t head, int64_t position, float found) {
  return Error::mismatch(ErrorKind::InvalidArgument, runName(rows.run) + ".q", "finite queries",
                         std::string(std::isnan(found) ? "nan"
                                     : found < 0       ? "-inf"
                                                       : "inf") +
                             " in sequence " + std::to_string(rows.sequence) + ", head " +
                             std::to_string(head) + ", position " + std::to_string(position));
}

} // namespace

Status Queries::read(std::span<const nysjit_run_args> runs, const DLTensor *probes) {
  Result<PreparedPlan> plan = planOf(spec);
  NYSJIT_RETURN_IF_ERROR(plan);
  for (size_t run = 0; run < runs.size(); ++run)
    if (Status added = add(*plan, runs[run], run, probes); !added)
      return inRun(run, added.takeError());
  return {};
}

Status Queries::add(const PreparedPlan &plan, const nysjit_run_args &args, size_t run,
                    const DLTensor *probes) {
  const DLTensor *tensors[argumentCount] = {};
  tensors[Q] = args.q;
  tensors[CuSeqlens] = args.cu_seqlens;
  tensors[Seqlens] = args.seqlens;
  tensors[SeqStarts] = args.seq_starts;
  tensors[Probes] = probes;
  const ProgramRun asRun{.tensors = tensors, .maxLength = args.max_length};
  RunNumbers numbers;
  NYSJIT_RETURN_IF_ERROR(plan.bind(asRun, {}, numbers));

  headCount = numbers.values[Heads];
  const int64_t *strides = numbers.values + BatchStride;
  const int64_t bytes = elementBytes(spec.dtype);
  const auto *first = static_cast<const char *>(numbers.memory[Q]);
  const bool isPacked = hasNumbers(args.cu_seqlens);
  // Sequences of tensors that have no rows may be without number.
  const int64_t batch = isPacked                    ? args.cu_seqlens->shape[0] - 1
                        : numbers.values[Rows] == 0 ? 0
                                                    : numbers.values[Batch];
  for (int64_t b = 0; b < batch; ++b) {
    int64_t start = 0;
    int64_t length = numbers.values[Rows];
    if (isPacked) {
      start = at(args.cu_seqlens, b);
      length = at(args.cu_seqlens, b + 1) - start;
    }
    if (hasNumbers(args.seqlens))
      length = at(args.seqlens, b);
    if (hasNumbers(args.seq_starts))
      start = at(args.seq_starts, b);
    queryCount += length;
    const int64_t row = b * strides[0] + start * strides[2]; // the first stride is 0 where packed
    if (length > 0)
      sequences.push_back(
          {first + row * bytes, strides[1] * bytes, strides[2] * bytes, length, run, b});
  }
  return {};
}

Status Queries::readHead(int64_t head, std::vector<float> &values) const {
  const int64_t bytes = elementBytes(spec.dtype);
  values.resize(size_t(queryCount * spec.headDim));
  float *next = values.data();
  for (const QueryRows &rows : sequences)
    for (int64_t i = 0; i < rows.length; ++i) {
      const char *row = rows.first + head * rows.headStride + i * rows.rowStride;
      for (int64_t e = 0; e < spec.headDim; ++e) {
        *next = element(row + e * bytes, spec.dtype);
        if (!std::isfinite(*next++))
          return notFinite(rows, head, i, next[-1]);
      }
    }
  return {};
}

} // namespace nysjit

// The queries of runs: checked as a run checks its tensors, then taken head by head.
#pragma once
#include "runtime/device/prepared_plan.h"
#include "runtime/include/nysjit_calibrate.h"
#include "runtime/spec/spec.h"

#include <cstdint>
#include <span>
#include <vector>

namespace nysjit {

/// The queries of one sequence, of all heads. Strides in bytes.
struct QueryRows {
  const char *first; // of head 0
  int64_t headStride;
  int64_t rowStride;
  int64_t length;
  size_t run;
  int64_t sequence;
};

/// The queries of all runs, which stay the caller's.
class Queries {
public:
  explicit Queries(const KernelSpec &spec) : spec(spec) {}
  /// Looks at q, cu_seqlens, seqlens, seq_starts and max_length of each run, and at `probes`, [Hq,
  /// probes of the spec, d], which no q may overlap. Errors name "runs[1].q.shape[3]",
  /// "probes.dtype".
  Status read(std::span<const nysjit_run_args> runs, const DLTensor *probes);

  int64_t heads() const { return headCount; }
  /// Queries of a head.
  int64_t count() const { return queryCount; }
  /// count() rows of d numbers, in the order of runs, sequences and positions. An error names the
  /// first that is not finite.
  Status readHead(int64_t head, std::vector<float> &values) const;

private:
  Status add(const PreparedPlan &plan, const nysjit_run_args &args, size_t run,
             const DLTensor *probes);

  KernelSpec spec;
  int64_t headCount = 0;
  int64_t queryCount = 0;
  std::vector<QueryRows> sequences;
};

} // namespace nysjit

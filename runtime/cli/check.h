// --check: how far an output is from the float64 reference, and how far it may be.
#pragma once
#include "runtime/spec/spec.h"

#include <cstdint>
#include <span>

namespace nysjit::cli {

/// The extents of a run: q is [batch, queryHeads, length, headDim], k and v have keyHeads.
struct Extents {
  int64_t batch = 0, queryHeads = 0, keyHeads = 0, length = 0, headDim = 0;
};

/// ||o - reference|| / ||reference||, the Frobenius norm over all elements; ||o|| where the reference is 0; not finite
/// if anything in it is not.
double relativeError(std::span<const float> o, std::span<const double> reference);

/// Is some |scale q_i . k_t|, t <= i, over 500? There float32 rounding of the scores themselves is what shows.
bool hasLargeScores(std::span<const double> q, std::span<const double> k, const Extents &extents, double scale);

/// The largest relative error allowed: float32 1e-5 (1e-4 with large scores), float16 2e-3, bfloat16 1e-2.
double errorBound(DType dtype, bool hasLargeScores);

} // namespace nysjit::cli

// --check: how far an output is from the float64 reference, and how far it may be.
#pragma once
#include "runtime/reference/reference.h"
#include "runtime/spec/spec.h"

#include <span>

namespace nysjit::cli {

/// ||o - reference|| / ||reference||, the Frobenius norm over all elements; ||o|| where the
/// reference is 0; not finite if anything in it is not.
double relativeError(std::span<const float> o, std::span<const double> reference);

/// Is some |scale q_i . k_t| that the layout has a use for over 500? There float32 rounding of the
/// scores themselves is what shows. Every sequence has its start and length in `input`; what lies
/// outside of them is not looked at.
bool hasLargeScores(const reference::ReferenceInput &input);

/// The largest relative error allowed: float32 1e-5 (1e-4 with large scores; 2e-3 with float32_math
/// tf32 on a GPU), float16 2e-3, bfloat16 1e-2.
double errorBound(const KernelSpec &spec, bool isGpu, bool hasLargeScores);

} // namespace nysjit::cli

// --check: how far an output is from the float64 reference.
#pragma once
#include <span>

namespace nysjit::cli {

/// ||o - reference|| / ||reference||, the Frobenius norm over all elements; ||o|| where the
/// reference is 0; not finite if anything in it is not.
double relativeError(std::span<const float> o, std::span<const double> reference);

} // namespace nysjit::cli

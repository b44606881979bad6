// A kernel that does nothing but tensor core products: the most that mma.sync gives.
#pragma once
#include <string>

namespace nysjit {

/// PTX for sm_80 and later of mma_loop(u64 out, u32 turns): each warp multiplies 8 pairs of 16 x 16
/// and 16 x 8 tiles of bfloat16 a turn, with float32 sums, in registers alone. `out` may be null.
std::string mmaLoopPtx();
constexpr double mmaLoopFlops = 8 * 2.0 * 16 * 8 * 16; // of a warp and turn

} // namespace nysjit

// Shared memory has 32 banks of 4 bytes. A pass serves one word of each bank to any number of
// lanes; 32-bit accesses take one pass at least, 64-bit ones one for each half of the warp, 128-bit
// ones one for each quarter.
#pragma once
#include <cstdint>

namespace nysjit::emulator {

/// Passes beyond the fewest that the lanes of `mask` need, each for `bytes` (1 to 16) at its
/// offset.
uint32_t bankConflicts(const uint32_t *offsets, uint32_t mask, uint32_t bytes);

} // namespace nysjit::emulator

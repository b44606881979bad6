// Where a tile's elements live on the GPU. There are two places and no layout inference:
//
// Registers. Every 2-D tile is spread as an mma.sync accumulator is: a warp owns bands of 16 rows,
// lane l = 4 g + t holds of each 16x8 piece the rows g and g + 8 and the columns 2t and 2t + 1:
//
//        columns 8j + 2t, 2t + 1
//   row g      e = 0, 1        registers of a tile, in order: band b, piece j, element e
//   row g + 8  e = 2, 3
//
// so that a product's result is the next product's operand without a shuffle, and a row lies in one
// quad of lanes. A 1-D tile is spread over rows as they are (register b, h: row g + 8h) or over
// columns (register j, e: column 8j + 2t + e), or both.
//
// Shared memory. Rows of 16-byte chunks, packed, with the chunk number XORed by some bits of the
// row (see SharedTile): 8 rows of one chunk (ldmatrix) and 8 chunks in a row (cp.async) both lie in
// different banks, for any row length.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>

namespace nysjit::gpu {

/// How a kernel's warps share the rows of a tile: warp w holds rows [16 bands (w % warps), ...).
/// Warps from `warps` on hold copies, which are computed like the rest but never stored.
struct WarpRows {
  int64_t warps = 1;  // that hold different rows
  int64_t bands = 1;  // of 16 rows, a warp
  int64_t halves = 2; // 8-row halves in use of each band: 1 for a tile of 8 rows

  /// For 8 rows or a multiple of 16 (isRowCount).
  static WarpRows of(int64_t rows, int64_t numWarps) {
    if (rows == 8)
      return {1, 1, 1};
    const int64_t warps =
        std::min(numWarps, int64_t(std::bit_floor(uint64_t(rows / 16 & -(rows / 16)))));
    return {warps, rows / 16 / warps, 2};
  }
  static bool isRowCount(int64_t rows) { return rows == 8 || (rows > 0 && rows % 16 == 0); }
  int64_t rowRegisters() const { return bands * halves; }
};

/// A tile in shared memory. Element (row, byte b of the row) lies at
///   offset + row * 16 chunks + 16 ((b / 16) ^ swizzle(row)) + b % 16
/// With chunks = 2^a times an odd number (a at most 3), 8 / 2^a rows start in different banks and
/// swizzle(row), a bits of the row above those, tells the others apart. It only permutes within
/// aligned groups of 2^a chunks, so it stays in the row.
struct SharedTile {
  int64_t offset = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t elementBytes = 4;

  int64_t chunks() const { return columns * elementBytes / 16; }
  int64_t rowBytes() const { return columns * elementBytes; }
  int64_t bytes() const { return rows * rowBytes(); }
  int swizzleBits() const { return std::min(3, std::countr_zero(uint64_t(chunks()))); }
  int64_t swizzleShift() const { return 3 - swizzleBits(); }
  int64_t swizzleMask() const { return (int64_t(1) << swizzleBits()) - 1; }
};

} // namespace nysjit::gpu

// ldmatrix, stmatrix, movmatrix and mma. ldmatrix: `list` the registers, op[1] the address (+
// immediate); count matrices of 8 rows of 16 bytes, row r of matrix m at the address of lane 8 m +
// r. Lane l gets elements 2 (l % 4) and the next of row l / 4; transposed, row and column change
// places.
#include "runtime/emulator/access.h"
#include "runtime/emulator/bank_conflicts.h"
#include "runtime/emulator/handlers.h"

#include <cstring>

namespace nysjit::emulator {

namespace {
/// Rows' offsets in shared memory, and their conflicts: a matrix is one pass.
bool rows(Warp &warp, const Instruction &i, uint32_t operand, uint32_t *offsets) {
  uint32_t count = 8u * i.count;
  for (uint32_t l = 0; l < count; ++l) {
    uint64_t address = warp.value(i, operand, l) + uint64_t(i.immediate);
    if (i.wide >> operand & 1 && address >> 32) {
      Resolved r = resolve(address);
      if (r.space != Space::Shared) {
        warp.execution->fault(Fault::IllegalAddress, warp,
                              "expected a row in shared memory, found one in " +
                                  std::string(spaceName(r.space)) + " memory");
        return false;
      }
      address = r.address;
    }
    offsets[l] = uint32_t(address);
  }
  return true;
}

uint32_t conflictsOf(const uint32_t *offsets, uint32_t matrices) {
  return bankConflicts(offsets, matrices == 4 ? ~0u : (1u << 8 * matrices) - 1, 16);
}

void transpose(uint16_t *matrix) {
  for (int r = 0; r < 8; ++r)
    for (int c = 0; c < r; ++c)
      std::swap(matrix[8 * r + c], matrix[8 * c + r]);
}
} // namespace

void executeLoadMatrix(Warp &warp, const Instruction &i, uint32_t) {
  uint32_t offsets[32];
  if (!rows(warp, i, 1, offsets))
    return;
  uint32_t conflicts = conflictsOf(offsets, i.count);
  warp.execution->counts.bankConflicts += conflicts;
  warp.execution->counts.ldmatrixConflicts += conflicts;
  const uint32_t *registers = warp.execution->code.lists.data() + i.list;
  // A register's 32 lanes of two elements are the matrix, row by row.
  uint16_t matrices[4][64];
  for (uint32_t m = 0; m < i.count; ++m) {
    for (uint32_t r = 0; r < 8; ++r) {
      const uint8_t *at = accessShared(warp, 8 * m + r, offsets[8 * m + r], 16, 16, Touch::Read);
      if (!at)
        return;
      std::memcpy(&matrices[m][8 * r], at, 16);
    }
    if (i.transposed)
      transpose(matrices[m]);
  }
  for (uint32_t m = 0; m < i.count; ++m)
    if (registers[m] != noOperand)
      std::memcpy(warp.lanes<uint32_t>(registers[m]), matrices[m], 128);
}

void executeStoreMatrix(Warp &warp, const Instruction &i, uint32_t) {
  uint32_t offsets[32];
  if (!rows(warp, i, 1, offsets))
    return;
  uint32_t conflicts = conflictsOf(offsets, i.count);
  warp.execution->counts.bankConflicts += conflicts;
  warp.execution->counts.sharedStoreConflicts += conflicts;
  const uint32_t *registers = warp.execution->code.lists.data() + i.list;
  for (uint32_t m = 0; m < i.count; ++m) {
    uint16_t matrix[64];
    std::memcpy(matrix, warp.lanes<uint32_t>(registers[m]), 128);
    if (i.transposed)
      transpose(matrix);
    for (uint32_t r = 0; r < 8; ++r) {
      uint8_t *at = accessShared(warp, 8 * m + r, offsets[8 * m + r], 16, 16, Touch::Write);
      if (!at)
        return;
      std::memcpy(at, &matrix[8 * r], 16);
    }
  }
}

void executeMoveMatrix(Warp &warp, const Instruction &i, uint32_t) {
  uint16_t matrix[64];
  std::memcpy(matrix, warp.lanes<uint32_t>(i.op[1]), 128);
  transpose(matrix);
  std::memcpy(warp.lanes<uint32_t>(i.op[0]), matrix, 128);
}

void executeMma(Warp &warp, const Instruction &i, uint32_t mask) {
  warp.execution->counts.mmaFlops += i.immediate;
  // The operands' places stand in the code's lists, which lane handlers do not see.
  const uint32_t *list = warp.execution->code.lists.data() + i.list;
  uint8_t *registers[24];
  for (uint32_t r = 0; r < i.count; ++r)
    registers[r] = warp.registers + list[r];
  i.mma(registers, i.flag);
  (void)mask;
}

} // namespace nysjit::emulator

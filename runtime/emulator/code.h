// Decoded PTX. A function's instructions, and those of the functions it calls behind them, stand in
// one array; a place in it is a pc. Registers, constants and special registers are byte offsets in
// a warp's register file, in which each has 32 lanes: 4 bytes a lane for registers of up to 32 bits
// (16-bit ones zero-extended), 8 for 64-bit ones; a predicate is one 32-bit mask. So every operand
// of an arithmetic instruction is an array, and immediates are arrays filled beforehand.
#pragma once
#include "runtime/emulator/syntax.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace nysjit::emulator {

class Warp;
struct Instruction;

/// Runs `i` for the lanes of `mask` (never 0). LaneHandlers touch registers alone.
using Handler = void (*)(Warp &warp, const Instruction &i, uint32_t mask);
using LaneHandler = void (*)(uint8_t *registers, const Instruction &i, uint32_t mask);
using MmaHandler = void (*)(uint8_t *const *registers, bool saturate);

enum class Rounding : uint8_t {
  None,
  Nearest,
  Zero,
  Down,
  Up,
  NearestAway,
  NearestInteger,
  ZeroInteger,
  DownInteger,
  UpInteger
};
/// Which lanes must have arrived before an instruction may run.
enum class Converge : uint8_t { No, Aligned, Members };

constexpr uint32_t noOperand = ~0u;

struct Instruction {
  LaneHandler lanes = nullptr; // one of the two; a handler may call `lanes`
  Handler handler = nullptr;
  MmaHandler mma = nullptr;
  uint32_t op[5] = {noOperand, noOperand, noOperand, noOperand, noOperand}; // destination first
  // in Code::lists: the operands of vectors
  uint32_t list = 0;
  uint32_t guard = noOperand;
  bool guardNegated = false;
  Converge converge = Converge::No;
  bool strong = false; // memory: atomic, volatile, relaxed, acquire or release
  bool acquire = false;
  bool release = false;
  bool ftz = false;
  bool saturate = false;
  bool relu = false;
  bool transposed = false;
  bool flag = false;
  bool addressWide = false;
  Rounding rounding = Rounding::None;
  Type type = Type::None;
  Type sourceType = Type::None;
  Space space = Space::Generic;
  uint8_t count = 1;           // of a vector's elements, of ldmatrix's matrices
  uint8_t bytes = 0;           // of an element in memory
  uint8_t variant = 0;         // an enumerator of the family
  uint8_t wide = 0;            // bit n: operand n is a 64-bit register
  uint32_t member = noOperand; // Converge::Members: the membermask
  int64_t immediate = 0;       // an address's offset, a branch's target, what the family says
};

/// Where an instruction stands.
struct Place {
  uint32_t line = 0;
  uint32_t file = 0;
  uint32_t fileLine = 0;
  std::string text; // "ld.global.u32"
};

enum class Special : uint8_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NwarpId,
  SmId,
  NsmId,
  GridId,
  LaneMaskEq,
  LaneMaskLt,
  LaneMaskLe,
  LaneMaskGt,
  LaneMaskGe,
  DynamicSharedSize,
  TotalSharedSize,
  Zero,
  One,
};

struct Code {
  struct Constant {
    uint32_t offset;
    bool wide;
    bool predicate;
    uint64_t bits;
  };
  struct SpecialRegister {
    uint32_t offset;
    bool wide;
    Special special;
  };
  std::string name;
  std::vector<Instruction> instructions;
  std::vector<Place> places; // of each instruction
  std::vector<std::string> files;
  std::vector<uint32_t> lists;
  std::vector<Constant> constants;
  std::vector<SpecialRegister> specials;
  uint32_t registerBytes = 0;
  uint32_t frameBytes = 0;    // of each thread: .local variables and the parameters of calls
  uint32_t sharedBytes = 0;   // static, from sharedBase
  uint32_t dynamicShared = 0; // address of .extern .shared variables
  uint32_t parameterBytes = 0;

  /// "kernel.ptx:120 (templates/causal.cpp:63)"
  std::string where(uint32_t pc) const;
};

/// Shared memory begins here, as on sm_90, where the first kilobyte is the system's; so address 0
/// hits nothing.
constexpr uint32_t sharedBase = 1024;
/// Generic addresses of the windows. Global memory lies below.
constexpr uint64_t sharedWindow = uint64_t(0x7fff) << 32;
constexpr uint64_t localWindow = uint64_t(0x7ffe) << 32;
constexpr uint64_t paramWindow = uint64_t(0x7ffd) << 32;
constexpr uint64_t windowBytes = uint64_t(1) << 32;

} // namespace nysjit::emulator

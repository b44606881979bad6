// The emulator's inside: device memory, modules of decoded PTX, and the machine that runs one
// launch. Nothing here knows the driver's API, which driver.cpp puts on top. Not thread-safe;
// driver.cpp serialises.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit::emulator {

struct Options {
  bool lazy = false;
  uint64_t seed = 0;
  uint64_t maxInstructions = uint64_t(1) << 40;
};

/// As nysjit_emulator_counts.
struct Counts {
  int64_t instructions = 0;
  int64_t mmaFlops = 0;
  int64_t globalReadBytes = 0;
  int64_t globalWriteBytes = 0;
  int64_t globalSectors = 0;
  int64_t bankConflicts = 0;
  int64_t ldmatrixConflicts = 0;
  int64_t sharedStoreConflicts = 0;
  int64_t barriers = 0;
  int64_t races = 0;
};

/// Device memory: allocations of host memory with, for each byte, whether it was ever written
/// (reads of others are reported) and, during a launch, who touched it. Addresses are 256-byte
/// aligned and never reused next to each other: an access past an allocation's end hits none.
class Memory {
public:
  Memory();
  ~Memory();
  /// 0 if there is no room.
  uint64_t allocate(size_t bytes);
  bool free(uint64_t address);
  /// Whether [address, address + bytes) lies in one allocation.
  bool contains(uint64_t address, size_t bytes) const;
  /// The host's side; false, with nothing done, outside allocations. What is copied in or filled
  /// counts as written.
  bool copyIn(uint64_t address, const void *from, size_t bytes);
  bool copyOut(void *to, uint64_t address, size_t bytes) const;
  bool fill(uint64_t address, unsigned char value, size_t bytes);
  /// Copies written-ness along.
  bool copyWithin(uint64_t to, uint64_t from, size_t bytes);

  struct State;
  State &state() { return *own; }

private:
  std::unique_ptr<State> own;
};

/// A kernel's parameter: its place in the parameter block.
struct Parameter {
  uint32_t offset = 0;
  uint32_t bytes = 0;
};

struct Code; // decoded instructions

/// A kernel.
struct Function {
  std::string name;
  std::vector<Parameter> parameters;
  uint32_t parameterBytes = 0;
  uint32_t staticSharedBytes = 0;
  uint32_t localBytes = 0;
  uint32_t maxThreads = 1024;              // .reqntid, .maxntid
  uint32_t requiredThreads[3] = {0, 0, 0}; // .reqntid; 0: none
  std::shared_ptr<const Code> code;
};

class Module {
public:
  /// Parses and decodes PTX. On failure: null and "line 12: ..." in `error`. Its .global and .const
  /// variables are allocated in `memory`, and freed by the destructor.
  static std::unique_ptr<Module> load(std::string_view ptx, Memory &memory, std::string &error);
  ~Module();
  const Function *function(std::string_view name) const;
  std::vector<std::string> functionNames() const;
  /// False if there is no such variable.
  bool variable(std::string_view name, uint64_t &address, uint64_t &bytes) const;
  int ptxVersion() const; // 70 for ".version 7.0"
  int target() const;     // 80 for ".target sm_80"

  struct State;

private:
  Module();
  std::unique_ptr<State> own;
};

enum class Fault { None, IllegalAddress, Misaligned, IllegalInstruction, Failed };

struct Launch {
  const Function *function = nullptr;
  uint32_t grid[3] = {1, 1, 1};
  uint32_t block[3] = {1, 1, 1};
  uint32_t dynamicSharedBytes = 0;
  // with the launch before it: nothing of global memory may be touched before griddepcontrol.wait
  bool mayOverlap = false;
  std::vector<uint8_t> parameters; // function->parameterBytes
};

struct Outcome {
  Fault fault = Fault::None;
  // a sentence each; races do not end a launch (the first 20 are listed), faults do
  std::vector<std::string> report;
  Counts counts;
};

Outcome run(const Launch &launch, Memory &memory, const Options &options);

} // namespace nysjit::emulator

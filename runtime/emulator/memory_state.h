// Allocations and their shadows. Each byte has a bit: was it ever written. During a launch, pages
// of shadow cells (race.h) and of 32-byte sectors come into being where the kernel goes.
#pragma once
#include "runtime/emulator/machine.h"

#include <map>
#include <memory>

namespace nysjit::emulator {

/// Who touched 4 bytes (or one, in a page that saw narrower accesses) of global memory in this
/// launch. Blocks count from 1.
struct GlobalCell {
  uint32_t writerBlock = 0;
  uint32_t writer = 0;
  uint32_t writerPc = 0; // writer: as in race.h
  uint32_t readerBlock = 0;
  uint32_t readTime = 0;
  uint32_t readWarps = 0;
  uint32_t readPc = 0;
};
constexpr uint32_t manyBlocks = ~0u;

constexpr uint32_t shadowPageBytes = 4096;
struct ShadowPage {
  uint64_t launch = 0;
  uint32_t shift = 2; // log2 of the bytes a cell stands for: 2 or 0
  std::vector<GlobalCell> cells;
  uint64_t readSectors[2] = {};
  uint64_t writtenSectors[2] = {};
};

struct Allocation {
  uint64_t address = 0;
  size_t bytes = 0;
  uint8_t *data = nullptr;    // zero-filled by the system, so that untouched memory costs nothing
  uint8_t *written = nullptr; // a bit a byte
  std::vector<std::unique_ptr<ShadowPage>> pages;

  Allocation() = default;
  Allocation(const Allocation &) = delete;
  Allocation &operator=(const Allocation &) = delete;
  ~Allocation();
  void markWritten(size_t from, size_t count);
  bool wasWritten(size_t offset, uint32_t count) const {
    for (; count > 0;) { // at most two rounds for an aligned access of up to 32 bytes
      uint32_t bit = offset & 7;
      uint32_t here = count < 8 - bit ? count : 8 - bit;
      uint32_t want = ((1u << here) - 1) << bit;
      if ((written[offset >> 3] & want) != want)
        return false;
      offset += here, count -= here;
    }
    return true;
  }
};

struct Memory::State {
  std::map<uint64_t, std::unique_ptr<Allocation>> allocations; // by address
  uint64_t nextAddress = uint64_t(1) << 36;
  uint64_t launch = 0;               // counts launches: a shadow page of another one is stale
  std::vector<ShadowPage *> touched; // in this launch

  /// The allocation in which [address, address + bytes) lies, or null.
  Allocation *find(uint64_t address, uint64_t bytes);
};

} // namespace nysjit::emulator

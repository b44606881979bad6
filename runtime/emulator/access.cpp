// Bounds, alignment, written-ness and races of each access, in this order. Data races of global
// memory: between warps of a block as in shared memory, with one set of reading warps and the time
// of the last read; between blocks, any two accesses that overlap are a race unless both read, both
// are atomic, or the earlier block released through an atomic that the later one acquired.
#include "runtime/emulator/access.h"

namespace nysjit::emulator {

namespace {
std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

const char *verb(Touch touch) {
  switch (touch) {
  case Touch::Read:
  case Touch::StrongRead: return "reads";
  case Touch::Write:
  case Touch::StrongWrite: return "writes";
  case Touch::Copy: return "copies to";
  }
  return "";
}

bool writes(Touch touch) { return touch != Touch::Read && touch != Touch::StrongRead; }

[[gnu::noinline, gnu::cold]] uint8_t *misaligned(Warp &warp, uint32_t lane, const char *space,
                                                 uint64_t address, uint32_t align) {
  warp.execution->fault(Fault::Misaligned, warp,
                        "misaligned: " + warp.execution->threadName(warp, lane) + " accesses " +
                            space + " memory at " + hex(address) + ", which is not a multiple of " +
                            std::to_string(align));
  return nullptr;
}

[[gnu::noinline, gnu::cold]] uint8_t *outOfBounds(Warp &warp, uint32_t lane, const char *space,
                                                  uint64_t address, uint32_t count,
                                                  const std::string &have) {
  warp.execution->fault(Fault::IllegalAddress, warp,
                        "out of bounds: " + warp.execution->threadName(warp, lane) + " accesses " +
                            std::to_string(count) + " bytes of " + space + " memory at " +
                            hex(address) + "; " + have);
  return nullptr;
}

[[gnu::noinline, gnu::cold]] void sharedRace(Warp &warp, uint64_t offset, uint32_t count,
                                             Touch touch, const Collision &collision) {
  warp.execution->race(warp,
                       std::string(verb(touch)) + " " + std::to_string(count) +
                           " bytes of shared memory at " + hex(offset),
                       collision, 0);
}
[[gnu::noinline, gnu::cold]] void globalRace(Warp &warp, uint64_t address, uint32_t count,
                                             Touch touch, const Collision &collision,
                                             uint32_t block) {
  warp.execution->race(warp,
                       std::string(verb(touch)) + " " + std::to_string(count) +
                           " bytes of global memory at " + hex(address),
                       collision, block);
}

ShadowPage &page(Execution &x, Allocation &a, uint64_t offset) {
  std::unique_ptr<ShadowPage> &slot = a.pages[offset / shadowPageBytes];
  if (slot && slot->launch == x.memory.launch) [[likely]]
    return *slot;
  if (!slot)
    slot = std::make_unique<ShadowPage>();
  *slot = ShadowPage();
  slot->launch = x.memory.launch;
  slot->cells.resize(shadowPageBytes / 4);
  x.memory.touched.push_back(slot.get());
  return *slot;
}

void splitPage(ShadowPage &p) {
  std::vector<GlobalCell> single(shadowPageBytes);
  for (uint32_t b = 0; b < shadowPageBytes; ++b)
    single[b] = p.cells[b / 4];
  p.cells = std::move(single);
  p.shift = 0;
}

/// Whether what `warp` of `block` did at `time` happened before what `actor` does now.
bool ordered(Warp &actor, uint32_t block, uint32_t warp, uint32_t time) {
  if (block == actor.block->number)
    return time <= actor.clock.known[warp];
  auto found = actor.block->acquired.find(block);
  return found != actor.block->acquired.end() && time <= found->second.known[warp];
}

void touchCell(Warp &warp, GlobalCell &cell, Touch touch, Collision &collision,
               uint32_t &otherBlock) {
  uint32_t block = warp.block->number;
  bool strong = touch == Touch::StrongRead || touch == Touch::StrongWrite;
  if (cell.writerBlock && !(strong && writerAtomic(cell.writer)) &&
      !ordered(warp, cell.writerBlock, writerWarp(cell.writer), writerTime(cell.writer)) &&
      !collision.found) {
    collision = {true, true, false, writerWarp(cell.writer), cell.writerPc};
    otherBlock = cell.writerBlock;
  }
  if (!writes(touch)) {
    if (strong)
      return;
    if (cell.readerBlock != block) {
      cell.readerBlock = cell.readerBlock == 0 ? block : manyBlocks;
      cell.readWarps = 0;
    }
    cell.readWarps |= 1u << warp.index;
    cell.readTime = warp.now;
    cell.readPc = warp.pc;
    return;
  }
  if (cell.readerBlock && !collision.found) {
    if (cell.readerBlock == manyBlocks) {
      collision = {true, false, false, 0, cell.readPc};
      otherBlock = manyBlocks;
    } else {
      for (uint32_t rest = cell.readWarps; rest; rest &= rest - 1)
        if (uint32_t v = uint32_t(__builtin_ctz(rest));
            (v != warp.index || cell.readerBlock != block) &&
            !ordered(warp, cell.readerBlock, v, cell.readTime)) {
          collision = {true, false, false, v, cell.readPc};
          otherBlock = cell.readerBlock;
          break;
        }
    }
  }
  cell.writerBlock = block;
  cell.writer = packWriter(warp.now, warp.index, strong);
  cell.writerPc = warp.pc;
  if (!strong)
    cell.readerBlock = 0;
}
} // namespace

Resolved resolve(uint64_t generic) {
  switch (generic >> 32) {
  case sharedWindow >> 32: return {Space::Shared, generic - sharedWindow};
  case localWindow >> 32: return {Space::Local, generic - localWindow};
  case paramWindow >> 32: return {Space::Param, generic - paramWindow};
  }
  return {Space::Global, generic};
}

void reportEarly(Warp &warp, uint32_t mask) {
  Execution &x = *warp.execution;
  warp.early &= ~mask; // once is enough
  x.report(warp,
           "early: " + x.threadName(warp, uint32_t(__builtin_ctz(mask))) +
               " accesses global memory before griddepcontrol.wait, in a launch that may begin "
               "before the one before it ends",
           /*fails=*/true);
}

uint8_t *boundsShared(Warp &warp, uint32_t lane, uint64_t offset, uint32_t count, uint32_t align) {
  Block &block = *warp.block;
  if (offset < sharedBase || offset + count > block.shared.size() || offset + count < offset)
      [[unlikely]]
    return outOfBounds(warp, lane, "shared", offset, count,
                       "the block has " + hex(sharedBase) + " to " + hex(block.shared.size()) +
                           " (" + std::to_string(block.shared.size() - sharedBase) + " bytes)");
  if (offset & (align - 1)) [[unlikely]]
    return misaligned(warp, lane, "shared", offset, align);
  return block.shared.data() + offset;
}

uint8_t *accessShared(Warp &warp, uint32_t lane, uint64_t offset, uint32_t count, uint32_t align,
                      Touch touch) {
  uint8_t *at = boundsShared(warp, lane, offset, count, align);
  if (!at) [[unlikely]]
    return nullptr;
  Block &block = *warp.block;
  uint8_t *written = block.sharedWritten.data() + offset;
  if (writes(touch)) {
    __builtin_memset(written, 1, count);
  } else {
    bool all = true;
    for (uint32_t b = 0; b < count; ++b)
      all &= written[b];
    if (!all) [[unlikely]] {
      warp.execution->uninitialised(warp, lane, "shared", offset, count);
      __builtin_memset(written, 1, count); // once is enough
    }
  }
  Collision collision = block.shadow->touch(uint32_t(offset), count, touch, warp.actor());
  if (collision.found) [[unlikely]]
    sharedRace(warp, offset, count, touch, collision);
  return at;
}

uint8_t *accessGlobal(Warp &warp, uint32_t lane, uint64_t address, uint32_t count, uint32_t align,
                      Touch touch) {
  Execution &x = *warp.execution;
  Allocation *a = x.find(address, count);
  if (!a) [[unlikely]] {
    std::string have = "no allocation is near";
    auto above = x.memory.allocations.upper_bound(address);
    if (above != x.memory.allocations.begin()) {
      const Allocation &below = *std::prev(above)->second;
      have = "the allocation below has " + std::to_string(below.bytes) + " bytes from " +
             hex(below.address) + " and this is " + std::to_string(address - below.address) +
             " bytes behind its start";
    }
    return outOfBounds(warp, lane, "global", address, count, have);
  }
  if (address & (align - 1)) [[unlikely]]
    return misaligned(warp, lane, "global", address, align);
  checkWaited(warp, 1u << lane);
  uint64_t offset = address - a->address;
  bool write = writes(touch);
  if (write) {
    a->markWritten(offset, count);
  } else if (!a->wasWritten(offset, count)) [[unlikely]] {
    x.uninitialised(warp, lane, "global", address, count);
  }
  // An access of up to 32 bytes, aligned to its size, lies in one page and one sector.
  ShadowPage &p = page(x, *a, offset);
  if (count < 4 && p.shift)
    splitPage(p);
  uint32_t inPage = uint32_t(offset % shadowPageBytes);
  uint32_t sector = inPage / 32;
  uint64_t *sectors = write ? p.writtenSectors : p.readSectors;
  sectors[sector / 64] |= uint64_t(1) << (sector % 64);
  Collision collision;
  uint32_t otherBlock = 0;
  uint32_t first = inPage >> p.shift;
  uint32_t end = (inPage + count + (1u << p.shift) - 1) >> p.shift;
  for (uint32_t c = first; c < end; ++c)
    touchCell(warp, p.cells[c], touch, collision, otherBlock);
  if (collision.found) [[unlikely]]
    globalRace(warp, address, count, touch, collision, otherBlock);
  return a->data + offset;
}

uint8_t *accessLocal(Warp &warp, uint32_t lane, uint64_t offset, uint32_t count, uint32_t align,
                     bool write) {
  uint32_t size = warp.execution->code.frameBytes;
  if (offset + count > size || offset + count < offset) [[unlikely]]
    return outOfBounds(warp, lane, "local", offset, count,
                       "the thread has " + std::to_string(size) + " bytes");
  if (offset & (align - 1)) [[unlikely]]
    return misaligned(warp, lane, "local", offset, align);
  size_t at = size_t(lane) * size + offset;
  for (uint32_t b = 0; b < count; ++b) {
    if (write)
      warp.frameWritten[at + b] = 1;
    else if (!warp.frameWritten[at + b]) [[unlikely]] {
      warp.execution->uninitialised(warp, lane, "local", offset, count);
      break;
    }
  }
  return warp.frame.data() + at;
}

} // namespace nysjit::emulator

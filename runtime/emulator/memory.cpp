// Device memory. Addresses are made up and never reused, with 64 KiB between allocations.
#include "runtime/emulator/memory_state.h"

#include <cstring>
#include <sys/mman.h>

namespace nysjit::emulator {

namespace {
constexpr uint64_t gap = 65536;
constexpr uint64_t highest = uint64_t(1) << 46;

uint8_t *reserve(size_t bytes) {
  void *at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<uint8_t *>(at);
}
} // namespace

Allocation::~Allocation() {
  if (data)
    munmap(data, bytes);
  if (written)
    munmap(written, bytes / 8 + 8);
}

void Allocation::markWritten(size_t from, size_t count) {
  for (; count > 0 && (from & 7); ++from, --count)
    written[from >> 3] |= uint8_t(1u << (from & 7));
  if (count >= 8)
    std::memset(written + (from >> 3), 0xff, count >> 3);
  from += count & ~size_t(7);
  for (count &= 7; count > 0; ++from, --count)
    written[from >> 3] |= uint8_t(1u << (from & 7));
}

Allocation *Memory::State::find(uint64_t address, uint64_t bytes) {
  auto above = allocations.upper_bound(address);
  if (above == allocations.begin())
    return nullptr;
  Allocation &a = *std::prev(above)->second;
  uint64_t offset = address - a.address;
  return offset <= a.bytes && bytes <= a.bytes - offset ? &a : nullptr;
}

Memory::Memory() : own(std::make_unique<State>()) {}
Memory::~Memory() = default;

uint64_t Memory::allocate(size_t bytes) {
  if (bytes == 0 || bytes > highest - own->nextAddress)
    return 0;
  auto a = std::make_unique<Allocation>();
  a->bytes = bytes;
  a->data = reserve(bytes);
  a->written = a->data ? reserve(bytes / 8 + 8) : nullptr;
  if (!a->written)
    return 0;
  a->address = own->nextAddress;
  a->pages.resize((bytes + shadowPageBytes - 1) / shadowPageBytes);
  uint64_t address = a->address;
  own->nextAddress += (bytes + gap + 255) / 256 * 256;
  own->allocations.emplace(address, std::move(a));
  return address;
}

bool Memory::free(uint64_t address) { return own->allocations.erase(address) == 1; }

bool Memory::contains(uint64_t address, size_t bytes) const {
  return own->find(address, bytes) != nullptr;
}

bool Memory::copyIn(uint64_t address, const void *from, size_t bytes) {
  Allocation *a = own->find(address, bytes);
  if (!a)
    return bytes == 0;
  std::memcpy(a->data + (address - a->address), from, bytes);
  a->markWritten(address - a->address, bytes);
  return true;
}

bool Memory::copyOut(void *to, uint64_t address, size_t bytes) const {
  const Allocation *a = own->find(address, bytes);
  if (!a)
    return bytes == 0;
  std::memcpy(to, a->data + (address - a->address), bytes);
  return true;
}

bool Memory::fill(uint64_t address, unsigned char value, size_t bytes) {
  Allocation *a = own->find(address, bytes);
  if (!a)
    return bytes == 0;
  std::memset(a->data + (address - a->address), value, bytes);
  a->markWritten(address - a->address, bytes);
  return true;
}

bool Memory::copyWithin(uint64_t to, uint64_t from, size_t bytes) {
  Allocation *target = own->find(to, bytes);
  Allocation *source = own->find(from, bytes);
  if (!target || !source)
    return bytes == 0;
  size_t t = to - target->address;
  size_t s = from - source->address;
  std::memmove(target->data + t, source->data + s, bytes);
  // Written-ness by whole bytes of bits where both lie alike, else bit by bit.
  size_t whole = ((t | s) & 7) == 0 ? bytes / 8 : 0;
  std::memmove(target->written + t / 8, source->written + s / 8, whole);
  std::vector<bool> were(bytes - 8 * whole);
  for (size_t b = 0; b < were.size(); ++b)
    were[b] = source->wasWritten(s + 8 * whole + b, 1);
  for (size_t b = 0; b < were.size(); ++b) {
    size_t at = t + 8 * whole + b;
    uint8_t bit = uint8_t(1u << (at & 7));
    uint8_t &bits = target->written[at >> 3];
    bits = were[b] ? bits | bit : bits & ~bit;
  }
  return true;
}

} // namespace nysjit::emulator

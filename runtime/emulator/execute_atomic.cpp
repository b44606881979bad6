// atom and red, and the order that atomics give (ordering.h). op: d, address, b, c (cas); `list`: a
// vector red's elements. The lanes of a warp act in lane order.
#include "runtime/emulator/access.h"
#include "runtime/emulator/bank_conflicts.h"
#include "runtime/emulator/decoder.h"
#include "runtime/emulator/half.h"
#include "runtime/emulator/handlers.h"
#include "runtime/emulator/ordering.h"

#include <cmath>
#include <cstring>

namespace nysjit::emulator {

void publish(Warp &warp, Space space, uint64_t address, bool release) {
  if (!release && !warp.hasFenced)
    return;
  Block &block = *warp.block;
  SyncAddress &sync = space == Space::Shared ? block.sharedSync[uint32_t(address)]
                                             : warp.execution->globalSync[address];
  Clock clock = release ? warp.release() : warp.fenced;
  sync.blocks[block.number].join(clock);
  // What was heard from other blocks is passed on.
  if (space != Space::Shared)
    for (const auto &[other, known] : block.acquired)
      sync.blocks[other].join(known);
}

void hear(Warp &warp, Space space, uint64_t address, bool acquire) {
  Block &block = *warp.block;
  std::unordered_map<uint64_t, SyncAddress>::iterator global;
  const SyncAddress *sync = nullptr;
  if (space == Space::Shared) {
    if (auto found = block.sharedSync.find(uint32_t(address)); found != block.sharedSync.end())
      sync = &found->second;
  } else if (global = warp.execution->globalSync.find(address);
             global != warp.execution->globalSync.end()) {
    sync = &global->second;
  }
  if (!sync)
    return;
  for (const auto &[from, clock] : sync->blocks) {
    if (from != block.number) {
      // for the whole block, and before its fence: no race is invented
      block.acquired[from].join(clock);
    } else if (acquire) {
      warp.acquire(clock);
    } else {
      warp.heard.join(clock);
      warp.hasHeard = true;
    }
  }
}

namespace {
template <typename T> T as(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <typename T> uint64_t bitsOf(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <typename T> T smaller(T a, T b) { return a < b ? a : b; }
template <typename T> T larger(T a, T b) { return a > b ? a : b; }

template <typename T> uint64_t integer(AtomicOp op, uint64_t was, uint64_t by) {
  T a = as<T>(was);
  T b = as<T>(by);
  switch (op) {
  case AtomicOp::Add: return bitsOf(T(was + by));
  case AtomicOp::Min: return bitsOf(smaller(a, b));
  case AtomicOp::Max: return bitsOf(larger(a, b));
  case AtomicOp::Inc: return bitsOf(T(a >= b ? 0 : a + 1));
  case AtomicOp::Dec: return bitsOf(T(a == 0 || a > b ? by : was - 1));
  case AtomicOp::And: return was & by;
  case AtomicOp::Or: return was | by;
  case AtomicOp::Xor: return was ^ by;
  default: return by; // Exchange
  }
}

/// One half of a packed type, or a 16-bit one: add, min or max.
uint16_t half(AtomicOp op, bool brain, uint16_t was, uint16_t by) {
  float a = brain ? bfloatToFloat(was) : halfToFloat(was);
  float b = brain ? bfloatToFloat(by) : halfToFloat(by);
  float r = op == AtomicOp::Add ? a + b : op == AtomicOp::Min ? std::fmin(a, b) : std::fmax(a, b);
  return brain ? floatToBfloat(r) : floatToHalf(r);
}

uint64_t combine(const Instruction &i, uint64_t was, uint64_t by) {
  AtomicOp op = AtomicOp(i.variant);
  switch (i.type) {
  case Type::F16:
  case Type::BF16: return half(op, i.type == Type::BF16, uint16_t(was), uint16_t(by));
  case Type::F16x2:
  case Type::BF16x2: {
    bool brain = i.type == Type::BF16x2;
    return half(op, brain, uint16_t(was), uint16_t(by)) |
           uint32_t(half(op, brain, uint16_t(was >> 16), uint16_t(by >> 16))) << 16;
  }
  case Type::F32: return bitsOf(as<float>(was) + as<float>(by));
  case Type::F64: return bitsOf(as<double>(was) + as<double>(by));
  case Type::S32: return integer<int32_t>(op, was, by);
  case Type::S64: return integer<int64_t>(op, was, by);
  default:
    return i.bytes == 8   ? integer<uint64_t>(op, was, by)
           : i.bytes == 4 ? integer<uint32_t>(op, was, by)
                          : integer<uint16_t>(op, was, by);
  }
}
} // namespace

void executeAtomic(Warp &warp, const Instruction &i, uint32_t mask) {
  Execution &x = *warp.execution;
  const uint32_t *elements = i.count == 1 ? &i.op[2] : x.code.lists.data() + i.list;
  uint32_t bytes = uint32_t(i.count) * i.bytes;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint64_t address = (i.op[1] == noOperand ? 0 : warp.value(i, 1, lane)) + uint64_t(i.immediate);
    Space space = i.space;
    if (space == Space::Generic) {
      Resolved r = resolve(address);
      space = r.space, address = r.address;
    } else if (space == Space::Shared) {
      address = uint32_t(address);
    }
    if (space == Space::Global) {
      // It reads and writes: the sectors and the written-ness of both.
      if (!accessGlobal(warp, lane, address, bytes, bytes, Touch::StrongRead))
        return;
      x.counts.globalReadBytes += bytes;
      x.counts.globalWriteBytes += bytes;
    } else if (space == Space::Shared) {
      if (!accessShared(warp, lane, address, bytes, bytes, Touch::StrongRead))
        return;
    }
    uint8_t *at = space == Space::Shared
                      ? accessShared(warp, lane, address, bytes, bytes, Touch::StrongWrite)
                  : space == Space::Local
                      ? accessLocal(warp, lane, address, bytes, bytes, true)
                      : accessGlobal(warp, lane, address, bytes, bytes, Touch::StrongWrite);
    if (!at)
      return;
    hear(warp, space, address, i.acquire);
    for (uint32_t e = 0; e < i.count; ++e) {
      uint64_t was = 0;
      uint64_t by = i.wide >> 2 & 1 ? warp.lanes<uint64_t>(elements[e])[lane]
                                    : warp.lanes<uint32_t>(elements[e])[lane];
      uint64_t now;
      std::memcpy(&was, at + e * i.bytes, i.bytes);
      if (AtomicOp(i.variant) == AtomicOp::CompareAndSwap) {
        uint64_t low = i.bytes == 8 ? ~uint64_t(0) : (uint64_t(1) << 8 * i.bytes) - 1;
        now = was == (by & low) ? warp.value(i, 3, lane) : was;
      } else {
        now = combine(i, was, by);
      }
      std::memcpy(at + e * i.bytes, &now, i.bytes);
      if (i.count == 1)
        warp.setValue(i, 0, lane, was);
    }
    publish(warp, space, address, i.release);
  }
}

} // namespace nysjit::emulator

// ld and st. op[0]: the register, or `list` those of a vector; op[1]: the address (absent:
// `immediate` alone). variant: bytes of the register.
#include "runtime/emulator/access.h"
#include "runtime/emulator/bank_conflicts.h"
#include "runtime/emulator/handlers.h"
#include "runtime/emulator/ordering.h"

#include <cstring>

namespace nysjit::emulator {

namespace {

void addresses(Warp &warp, const Instruction &i, uint64_t *into) {
  if (i.op[1] == noOperand) {
    for (uint32_t l = 0; l < 32; ++l)
      into[l] = uint64_t(i.immediate);
  } else if (i.wide & 2) {
    const uint64_t *from = warp.lanes<uint64_t>(i.op[1]);
    for (uint32_t l = 0; l < 32; ++l)
      into[l] = from[l] + uint64_t(i.immediate);
  } else {
    const uint32_t *from = warp.lanes<uint32_t>(i.op[1]);
    for (uint32_t l = 0; l < 32; ++l)
      into[l] = from[l] + uint32_t(i.immediate);
  }
}

uint64_t extend(uint64_t raw, const Instruction &i) {
  if (isSigned(i.type)) {
    uint32_t shift = 64 - 8 * i.bytes;
    raw = uint64_t(int64_t(raw << shift) >> shift);
  }
  return i.variant == 8   ? raw
         : i.variant == 4 ? uint32_t(raw)
         : i.variant == 2 ? uint16_t(raw)
                          : uint8_t(raw);
}

/// Into the register of element `e`.
void put(Warp &warp, const Instruction &i, const uint32_t *registers, uint32_t lane,
         const uint8_t *at) {
  for (uint32_t e = 0; e < i.count; ++e) {
    if (registers[e] == noOperand)
      continue;
    if (i.bytes == 4 && i.variant == 4) {
      std::memcpy(warp.lanes<uint32_t>(registers[e]) + lane, at + 4 * e, 4);
      continue;
    }
    uint64_t raw = 0;
    std::memcpy(&raw, at + e * i.bytes, i.bytes);
    raw = extend(raw, i);
    if (i.wide & 1)
      warp.lanes<uint64_t>(registers[e])[lane] = raw;
    else
      warp.lanes<uint32_t>(registers[e])[lane] = uint32_t(raw);
  }
}

void take(Warp &warp, const Instruction &i, const uint32_t *registers, uint32_t lane, uint8_t *at) {
  for (uint32_t e = 0; e < i.count; ++e) {
    if (i.wide & 1)
      std::memcpy(at + e * i.bytes, warp.lanes<uint64_t>(registers[e]) + lane, i.bytes);
    else
      std::memcpy(at + e * i.bytes, warp.lanes<uint32_t>(registers[e]) + lane, i.bytes);
  }
}

/// One space's lanes. `address` is the space's own.
template <bool store>
void transfer(Warp &warp, const Instruction &i, Space space, uint32_t mask, const uint64_t *address,
              const uint32_t *registers) {
  Execution &x = *warp.execution;
  uint32_t count = uint32_t(i.count) * i.bytes;
  Touch touch = store ? (i.strong ? Touch::StrongWrite : Touch::Write)
                      : (i.strong ? Touch::StrongRead : Touch::Read);
  if (space == Space::Shared) {
    uint32_t offsets[32];
    for (uint32_t l = 0; l < 32; ++l)
      offsets[l] = uint32_t(address[l]);
    uint32_t conflicts = bankConflicts(offsets, mask, count);
    x.counts.bankConflicts += conflicts;
    if (store)
      x.counts.sharedStoreConflicts += conflicts;
  } else if (space == Space::Global || space == Space::Const) {
    (store ? x.counts.globalWriteBytes : x.counts.globalReadBytes) +=
        int64_t(count) * __builtin_popcount(mask);
  }
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint8_t *at = nullptr;
    switch (space) {
    case Space::Shared: at = accessShared(warp, lane, address[lane], count, count, touch); break;
    case Space::Local: at = accessLocal(warp, lane, address[lane], count, count, store); break;
    case Space::Param:
      if (store || address[lane] + count > x.launch.parameters.size() ||
          address[lane] + count < address[lane])
        return x.fault(Fault::IllegalAddress, warp,
                       "out of bounds: " + x.threadName(warp, lane) + " accesses " +
                           std::to_string(count) + " bytes of the parameters at " +
                           std::to_string(address[lane]) + "; they have " +
                           std::to_string(x.launch.parameters.size()) + " and are constant");
      at = const_cast<uint8_t *>(x.launch.parameters.data()) + address[lane];
      break;
    default: at = accessGlobal(warp, lane, address[lane], count, count, touch); break;
    }
    if (!at) [[unlikely]]
      return;
    if (store && i.strong)
      publish(warp, space, address[lane], i.release);
    if (store)
      take(warp, i, registers, lane, at);
    else
      put(warp, i, registers, lane, at);
    if (!store && i.strong)
      hear(warp, space, address[lane], i.acquire);
  }
}

template <bool store> void execute(Warp &warp, const Instruction &i, uint32_t mask) {
  alignas(64) uint64_t address[32];
  addresses(warp, i, address);
  const uint32_t *registers = i.count == 1 ? &i.op[0] : warp.execution->code.lists.data() + i.list;
  if (i.space != Space::Generic)
    return transfer<store>(warp, i, i.space, mask, address, registers);
  // Lanes by the window that their address lies in.
  uint32_t masks[6] = {};
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    Resolved r = resolve(address[lane]);
    address[lane] = r.address;
    masks[size_t(r.space)] |= 1u << lane;
  }
  for (Space space : {Space::Global, Space::Shared, Space::Local, Space::Param})
    if (masks[size_t(space)] && !warp.execution->stop)
      transfer<store>(warp, i, space, masks[size_t(space)], address, registers);
}

} // namespace

void executeLoad(Warp &warp, const Instruction &i, uint32_t mask) { execute<false>(warp, i, mask); }
void executeStore(Warp &warp, const Instruction &i, uint32_t mask) { execute<true>(warp, i, mask); }

/// ld.param of a kernel at a constant place, checked when decoded.
void executeLoadParameter(Warp &warp, const Instruction &i, uint32_t mask) {
  const uint32_t *registers = i.count == 1 ? &i.op[0] : warp.execution->code.lists.data() + i.list;
  const uint8_t *at = warp.execution->launch.parameters.data() + i.immediate;
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    put(warp, i, registers, uint32_t(__builtin_ctz(rest)), at);
}

} // namespace nysjit::emulator

// What the text says of one instruction: its modifiers, and its operands as places in the register
// file.
#include "runtime/emulator/decoder.h"

#include <algorithm>
#include <cstring>

namespace nysjit::emulator {

using syntax::Operand;
using Kind = Operand::Kind;

bool Decoder::take(std::string_view modifier) {
  auto found = std::find(left.begin(), left.end(), modifier);
  if (found == left.end())
    return false;
  left.erase(found);
  return true;
}

bool Decoder::takePrefixed(std::string_view prefix) {
  for (auto m = left.begin(); m != left.end(); ++m)
    if (m->compare(0, prefix.size(), prefix) == 0) {
      left.erase(m);
      return true;
    }
  return false;
}

Type Decoder::takeType() {
  for (auto m = left.begin(); m != left.end(); ++m)
    if (Type type = typeNamed(*m); type != Type::None) {
      left.erase(m);
      return type;
    }
  fail("expected a type");
  return Type::None;
}

Rounding Decoder::takeRounding() {
  constexpr std::pair<const char *, Rounding> names[] = {
      {"rn", Rounding::Nearest},      {"rz", Rounding::Zero},
      {"rm", Rounding::Down},         {"rp", Rounding::Up},
      {"rna", Rounding::NearestAway}, {"rni", Rounding::NearestInteger},
      {"rzi", Rounding::ZeroInteger}, {"rmi", Rounding::DownInteger},
      {"rpi", Rounding::UpInteger}};
  for (const auto &[name, rounding] : names)
    if (take(name))
      return rounding;
  return Rounding::None;
}

void Decoder::takeCacheHints() {
  for (const char *name : {"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "unified"})
    take(name);
  while (takePrefixed("L1::") || takePrefixed("L2::") || takePrefixed("level::")) {
  }
}

bool Decoder::takeSpace() {
  constexpr std::pair<const char *, Space> names[] = {
      {"global", Space::Global},      {"shared", Space::Shared},
      {"shared::cta", Space::Shared}, {"shared::cluster", Space::Shared},
      {"local", Space::Local},        {"param", Space::Param},
      {"param::entry", Space::Param}, {"param::func", Space::Param},
      {"const", Space::Const}};
  for (const auto &[name, space] : names)
    if (take(name)) {
      out.space = space;
      return true;
    }
  out.space = Space::Generic;
  return false;
}

void Decoder::takeOrder() {
  for (const char *scope : {"cta", "cluster", "gpu", "sys"})
    take(scope);
  bool acquireRelease = take("acq_rel");
  bool both = take("sc") || acquireRelease;
  bool acquire = take("acquire");
  bool release = take("release");
  out.acquire = both || acquire;
  out.release = both || release;
  bool relaxed = take("relaxed");
  bool isVolatile = take("volatile");
  bool mmio = take("mmio");
  out.strong = out.acquire || out.release || relaxed || isVolatile || mmio;
  take("weak");
}

bool Decoder::expectOperands(size_t least, size_t most) {
  if (operandCount() >= least && operandCount() <= most)
    return true;
  fail("expected " + std::to_string(least) + (most > least ? " to " + std::to_string(most) : "") +
       " operands, found " + std::to_string(operandCount()));
  return false;
}

const Operand &Decoder::operand(size_t index) {
  static const Operand none;
  return index < text->operands.size() ? text->operands[index] : none;
}

uint32_t Decoder::allocate(uint32_t bytes) {
  uint32_t at = code.registerBytes;
  code.registerBytes += bytes;
  return at;
}

uint32_t Decoder::allocatePredicate() {
  if (predicatesLeft == 0) {
    nextPredicate = allocate(64);
    predicatesLeft = 16;
  }
  --predicatesLeft;
  uint32_t at = nextPredicate;
  nextPredicate += 4;
  return at;
}

uint32_t Decoder::constant(uint64_t bits, bool wide) {
  if (!wide)
    bits = uint32_t(bits);
  auto [at, isNew] = constants.try_emplace({wide, bits}, 0);
  if (isNew) {
    at->second = allocate(wide ? 256 : 128);
    code.constants.push_back({at->second, wide, false, bits});
  }
  return at->second;
}

uint32_t Decoder::predicateConstant(bool value) {
  uint32_t at = allocatePredicate();
  code.constants.push_back({at, false, true, value});
  return at;
}

uint32_t Decoder::discarded() {
  if (discardPlace == noOperand)
    discardPlace = allocate(256);
  return discardPlace;
}

uint32_t Decoder::special(const std::string &name, bool wide) {
  static const std::unordered_map<std::string, Special> names = {
      {"%tid.x", Special::TidX},
      {"%tid.y", Special::TidY},
      {"%tid.z", Special::TidZ},
      {"%ntid.x", Special::NtidX},
      {"%ntid.y", Special::NtidY},
      {"%ntid.z", Special::NtidZ},
      {"%ctaid.x", Special::CtaidX},
      {"%ctaid.y", Special::CtaidY},
      {"%ctaid.z", Special::CtaidZ},
      {"%nctaid.x", Special::NctaidX},
      {"%nctaid.y", Special::NctaidY},
      {"%nctaid.z", Special::NctaidZ},
      {"%laneid", Special::LaneId},
      {"%warpid", Special::WarpId},
      {"%nwarpid", Special::NwarpId},
      {"%smid", Special::SmId},
      {"%nsmid", Special::NsmId},
      {"%gridid", Special::GridId},
      {"%lanemask_eq", Special::LaneMaskEq},
      {"%lanemask_lt", Special::LaneMaskLt},
      {"%lanemask_le", Special::LaneMaskLe},
      {"%lanemask_gt", Special::LaneMaskGt},
      {"%lanemask_ge", Special::LaneMaskGe},
      {"%dynamic_smem_size", Special::DynamicSharedSize},
      {"%total_smem_size", Special::TotalSharedSize},
      {"%aggr_smem_size", Special::TotalSharedSize},
      // Clusters of one block.
      {"%clusterid.x", Special::CtaidX},
      {"%clusterid.y", Special::CtaidY},
      {"%clusterid.z", Special::CtaidZ},
      {"%nclusterid.x", Special::NctaidX},
      {"%nclusterid.y", Special::NctaidY},
      {"%nclusterid.z", Special::NctaidZ},
      {"%cluster_ctaid.x", Special::Zero},
      {"%cluster_ctaid.y", Special::Zero},
      {"%cluster_ctaid.z", Special::Zero},
      {"%cluster_nctaid.x", Special::One},
      {"%cluster_nctaid.y", Special::One},
      {"%cluster_nctaid.z", Special::One},
      {"%cluster_ctarank", Special::Zero},
      {"%cluster_nctarank", Special::One}};
  auto found = names.find(name);
  if (found == names.end()) {
    fail("expected an operand, found \"" + name + "\"");
    return 0;
  }
  auto [at, isNew] = specials.try_emplace({wide, uint32_t(found->second)}, 0);
  if (isNew) {
    at->second = allocate(wide ? 256 : 128);
    code.specials.push_back({at->second, wide, found->second});
  }
  return at->second;
}

uint64_t Decoder::immediateBits(const Operand &o, Type type) {
  uint32_t bytes = typeBytes(type);
  uint64_t bits = o.bits;
  if (o.kind == Kind::Float && o.floatBits != 32 &&
      (type == Type::F32 || (bytes == 4 && o.floatBits == 0))) {
    double wide;
    std::memcpy(&wide, &bits, 8);
    float narrow = float(wide);
    bits = 0;
    std::memcpy(&bits, &narrow, 4);
  } else if (o.kind == Kind::Float && o.floatBits == 32 && type == Type::F64) {
    float narrow;
    std::memcpy(&narrow, &bits, 4);
    double wide = narrow;
    std::memcpy(&bits, &wide, 8);
  }
  return bytes >= 8 || bytes == 0 ? bits : bits & ((uint64_t(1) << 8 * bytes) - 1);
}

Type Decoder::registerType(const Operand &o) const {
  return o.kind == Kind::Register ? function->registers[o.index].type : Type::None;
}

uint64_t Decoder::variableAddress(const Operand &o) {
  if (!o.moduleVariable) {
    uint32_t at = framePlaces[functionIndex][o.index];
    bool kernelParameter =
        functionIndex == entry && o.index < function->resultCount + function->parameterCount;
    return (kernelParameter ? paramWindow : 0) + at + uint64_t(o.offset);
  }
  const syntax::Variable &v = module.variables[o.index];
  if (v.space == Space::Shared)
    return sharedAddresses[o.index] + uint64_t(o.offset);
  if (addresses[o.index] == 0)
    fail("expected a definition of " + v.name + ", found an external declaration");
  return addresses[o.index] + uint64_t(o.offset);
}

uint32_t Decoder::place(const Operand &o, Type type, bool &wide, bool any) {
  wide = typeBytes(type) == 8;
  switch (o.kind) {
  case Kind::Register: {
    Type have = registerType(o);
    uint32_t haveBytes = typeBytes(have);
    uint32_t wantBytes = typeBytes(type);
    if (o.negated || o.second >= 0 || have == Type::Pred ||
        (any ? haveBytes < wantBytes : haveBytes != wantBytes))
      fail("expected a register of " + std::to_string(8 * wantBytes) + " bits, found " +
           function->registers[o.index].name + " of type ." + typeName(have));
    wide = haveBytes == 8;
    return registerPlaces[functionIndex][o.index];
  }
  case Kind::Integer:
  case Kind::Float: return constant(immediateBits(o, type), wide);
  case Kind::Variable: return constant(variableAddress(o), wide);
  case Kind::Name: return special(o.text, wide);
  default: fail("expected a register or an immediate"); return 0;
  }
}

void Decoder::bind(uint32_t slot, size_t index, Type type, bool any) {
  bool wide = false;
  out.op[slot] = place(operand(index), type, wide, any);
  out.wide = uint8_t((out.wide & ~(1u << slot)) | uint32_t(wide) << slot);
}

void Decoder::bindDestination(uint32_t slot, size_t index, Type type, bool any) {
  const Operand &o = operand(index);
  if (o.kind == Kind::Discard) {
    out.op[slot] = discarded();
    out.wide = uint8_t((out.wide & ~(1u << slot)) | uint32_t(typeBytes(type) == 8) << slot);
    return;
  }
  if (o.kind != Kind::Register)
    return fail("expected a destination register");
  bind(slot, index, type, any);
}

uint32_t Decoder::predicate(const Operand &o, bool *negated) {
  if (o.kind == Kind::Integer)
    return predicateConstant(o.bits != 0);
  if (o.kind != Kind::Register || registerType(o) != Type::Pred || (o.negated && !negated)) {
    fail("expected a predicate register");
    return 0;
  }
  if (negated)
    *negated = o.negated;
  return registerPlaces[functionIndex][o.index];
}

void Decoder::bindPredicate(uint32_t slot, size_t index, bool *negated) {
  out.op[slot] = predicate(operand(index), negated);
}

void Decoder::bindPredicateDestination(uint32_t slot, size_t index) {
  const Operand &o = operand(index);
  if (o.kind == Kind::Discard)
    out.op[slot] = discarded();
  else if (o.kind == Kind::Register)
    bindPredicate(slot, index);
  else
    fail("expected a predicate register");
}

void Decoder::bindAddress(uint32_t slot, size_t index, int64_t *offset) {
  const Operand &o = operand(index);
  if (o.kind != Kind::Address || o.elements.size() != 1)
    return fail("expected an address in brackets");
  int64_t &into = offset ? *offset : out.immediate;
  const Operand &base = o.elements[0];
  into += o.offset;
  if (base.kind == Kind::Register) {
    bool wide = false;
    Type have = registerType(base);
    out.op[slot] = place(base, typeBytes(have) == 8 ? Type::U64 : Type::U32, wide);
    out.wide = uint8_t((out.wide & ~(1u << slot)) | uint32_t(wide) << slot);
  } else if (offset) { // always a register, so that there can be two addresses
    uint64_t at = base.kind == Kind::Variable ? variableAddress(base) : base.bits;
    out.op[slot] = constant(at, true);
    out.wide |= uint8_t(1u << slot);
  } else if (base.kind == Kind::Variable) {
    into += int64_t(variableAddress(base));
  } else if (base.kind == Kind::Integer) {
    into += int64_t(base.bits);
  } else {
    fail("expected a register or a variable as an address, found \"" + base.text + "\"");
  }
}

uint32_t Decoder::registerList(const Operand &o, Type type, bool &wide, bool any,
                               bool destination) {
  uint32_t start = uint32_t(code.lists.size());
  const std::vector<Operand> single = {o};
  const std::vector<Operand> &elements = o.kind == Kind::Vector ? o.elements : single;
  wide = typeBytes(type) == 8;
  bool first = true;
  for (const Operand &e : elements) {
    if (e.kind == Kind::Discard && destination) {
      code.lists.push_back(noOperand);
      continue;
    }
    if (destination && e.kind != Kind::Register)
      fail("expected destination registers");
    bool here = false;
    uint32_t at = place(e, type, here, any);
    if (!first && here != wide)
      fail("expected registers of one size");
    wide = here;
    first = false;
    code.lists.push_back(at);
  }
  return start;
}

void Decoder::useLanes(LaneHandler handler) {
  out.lanes = handler;
  if (!handler)
    fail("this instruction is not supported");
}

} // namespace nysjit::emulator

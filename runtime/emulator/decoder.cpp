// The frame of decoding: which functions and variables a kernel reaches, where registers and
// operands lie, and the table of opcodes.
#include "runtime/emulator/decoder.h"

#include <algorithm>

namespace nysjit::emulator {

using syntax::Operand;
using Kind = Operand::Kind;

namespace {
constexpr size_t deepestCalls = 256;
} // namespace

const Lanes &chooseLanes() {
#ifdef NYSJIT_LANES_V3
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi2"))
    return v3::lanes;
#endif
  return baseline::lanes;
}

const std::unordered_map<std::string, Decoder::Step> &Decoder::steps() {
  using D = Decoder;
  static const std::unordered_map<std::string, Step> all = {
      {"add", &D::arithmetic},
      {"sub", &D::arithmetic},
      {"div", &D::arithmetic},
      {"rem", &D::arithmetic},
      {"min", &D::arithmetic},
      {"max", &D::arithmetic},
      {"sad", &D::arithmetic},
      {"fma", &D::arithmetic},
      {"copysign", &D::arithmetic},
      {"mul", &D::multiply},
      {"mad", &D::multiply},
      {"mul24", &D::multiply},
      {"mad24", &D::multiply},
      {"addc", &D::carry},
      {"subc", &D::carry},
      {"madc", &D::multiply},
      {"abs", &D::unary},
      {"neg", &D::unary},
      {"rcp", &D::unary},
      {"sqrt", &D::unary},
      {"rsqrt", &D::unary},
      {"ex2", &D::unary},
      {"lg2", &D::unary},
      {"sin", &D::unary},
      {"cos", &D::unary},
      {"tanh", &D::unary},
      {"testp", &D::testFloat},
      {"and", &D::bitwise},
      {"or", &D::bitwise},
      {"xor", &D::bitwise},
      {"not", &D::bitwise},
      {"cnot", &D::bitwise},
      {"shl", &D::shift},
      {"shr", &D::shift},
      {"shf", &D::funnelShift},
      {"bfe", &D::bits},
      {"bfi", &D::bits},
      {"bfind", &D::bits},
      {"brev", &D::bits},
      {"clz", &D::bits},
      {"popc", &D::bits},
      {"fns", &D::bits},
      {"bmsk", &D::bits},
      {"prmt", &D::permute},
      {"lop3", &D::lop3},
      {"dp4a", &D::dot},
      {"setp", &D::setPredicate},
      {"set", &D::set},
      {"selp", &D::selectLane},
      {"slct", &D::selectLane},
      {"mov", &D::move},
      {"cvt", &D::convert},
      {"ld", &D::loadStore},
      {"ldu", &D::loadStore},
      {"st", &D::loadStore},
      {"atom", &D::atomic},
      {"red", &D::atomic},
      {"cvta", &D::convertAddress},
      {"isspacep", &D::isSpace},
      {"prefetch", &D::nothing},
      {"prefetchu", &D::nothing},
      {"discard", &D::nothing},
      {"applypriority", &D::nothing},
      {"createpolicy", &D::nothing},
      {"griddepcontrol", &D::gridDependency},
      {"setmaxnreg", &D::nothing},
      {"pmevent", &D::nothing},
      {"mapa", &D::mapRank},
      {"getctarank", &D::mapRank},
      {"cp", &D::copyAsync},
      {"mbarrier", &D::mbarrier},
      {"ldmatrix", &D::loadStoreMatrix},
      {"stmatrix", &D::loadStoreMatrix},
      {"movmatrix", &D::moveMatrix},
      {"mma", &D::mma},
      {"bar", &D::barrier},
      {"barrier", &D::barrier},
      {"membar", &D::fence},
      {"fence", &D::fence},
      {"shfl", &D::shuffle},
      {"vote", &D::vote},
      {"match", &D::match},
      {"redux", &D::reduceLanes},
      {"activemask", &D::activeMask},
      {"elect", &D::elect},
      {"bra", &D::branch},
      {"brx", &D::indexedBranch},
      {"call", &D::call},
      {"ret", &D::ret},
      {"exit", &D::exit},
      {"trap", &D::trap},
      {"brkpt", &D::trap},
      {"nanosleep", &D::sleep},
  };
  return all;
}

void Decoder::fail(const std::string &message) {
  if (failure.empty())
    failure = "line " +
              std::to_string(text       ? text->line
                             : function ? function->line
                                        : 0) +
              ": " + (text ? text->text() + ": " : std::string()) + message;
}

void Decoder::collectOperand(uint32_t f, const Operand &o) {
  if (o.kind == Kind::Variable && o.moduleVariable &&
      module.variables[o.index].space == Space::Shared && !sharedAddresses.count(o.index)) {
    sharedAddresses[o.index] = 0;
    sharedUsed.push_back(o.index);
  }
  for (const Operand &e : o.elements)
    collectOperand(f, e);
}

bool Decoder::collect(uint32_t index) {
  const syntax::Function &f = module.functions[index];
  function = &f;
  text = nullptr;
  if (std::find(calling.begin(), calling.end(), index) != calling.end()) {
    fail(f.name + ": recursive calls are not supported");
    return false;
  }
  if (calling.size() == deepestCalls) {
    fail(f.name + ": calls of more than " + std::to_string(deepestCalls) +
         " functions by each other are not supported");
    return false;
  }
  if (std::find(reachable.begin(), reachable.end(), index) != reachable.end())
    return true; // been here
  reachable.push_back(index);
  calling.push_back(index);
  for (uint32_t v : f.sharedVariables)
    if (sharedAddresses.try_emplace(v, 0).second)
      sharedUsed.push_back(v);
  for (const syntax::Instruction &i : f.instructions) {
    for (const Operand &o : i.operands)
      collectOperand(index, o);
    if (i.opcode != "call")
      continue;
    for (const Operand &o : i.operands)
      if (o.kind == Kind::Name)
        for (uint32_t g = 0; g < module.functions.size(); ++g)
          if (module.functions[g].name == o.text && module.functions[g].defined && !collect(g))
            return false;
  }
  calling.pop_back();
  return true;
}

void Decoder::layOutShared() {
  std::sort(sharedUsed.begin(), sharedUsed.end());
  uint64_t end = sharedBase;
  uint64_t dynamicAlign = 16;
  for (uint32_t v : sharedUsed) {
    const syntax::Variable &variable = module.variables[v];
    if (variable.external) {
      dynamicAlign = std::max<uint64_t>(dynamicAlign, variable.align);
      continue;
    }
    end = (end + variable.align - 1) / variable.align * variable.align;
    sharedAddresses[v] = end;
    end += variable.bytes;
    if (end > 1 << 20)
      return fail("expected at most 1 MiB of shared variables");
  }
  code.sharedBytes = uint32_t(end - sharedBase);
  code.dynamicShared = uint32_t((end + dynamicAlign - 1) / dynamicAlign * dynamicAlign);
  for (uint32_t v : sharedUsed)
    if (module.variables[v].external)
      sharedAddresses[v] = code.dynamicShared;
}

void Decoder::layOutParameters(const syntax::Function &f, std::vector<Parameter> &parameters) {
  uint64_t end = 0;
  for (uint32_t p = 0; p < f.resultCount + f.parameterCount; ++p) {
    const syntax::Variable &v = f.variables[p];
    end = (end + v.align - 1) / v.align * v.align;
    framePlaces[functionIndex].push_back(uint32_t(end));
    parameters.push_back({uint32_t(end), uint32_t(v.bytes)});
    end += v.bytes;
    if (end > 32768)
      return fail("expected at most 32 KiB of parameters");
  }
  code.parameterBytes = uint32_t(end);
}

void Decoder::decodeFunction(uint32_t index) {
  functionIndex = index;
  function = &module.functions[index];
  bases[index] = uint32_t(code.instructions.size());
  for (const syntax::Instruction &line : function->instructions) {
    text = &line;
    out = Instruction();
    left = line.modifiers;
    if (line.guard >= 0) {
      out.guard = registerPlaces[index][uint32_t(line.guard)];
      out.guardNegated = line.guardNegated;
    }
    auto step = steps().find(line.opcode);
    if (step == steps().end())
      fail("this instruction is not supported");
    else
      (this->*step->second)();
    if (failure.empty() && !left.empty())
      fail("the modifier ." + left[0] + " is not supported here");
    if (!failure.empty())
      return;
    code.instructions.push_back(out);
    code.places.push_back({line.line, line.file, line.fileLine, line.text()});
  }
  // A body may end without ret.
  out = Instruction();
  out.handler = executeReturn;
  code.instructions.push_back(out);
  code.places.push_back(
      {function->instructions.empty() ? function->line : function->instructions.back().line, 0, 0,
       "ret"});
}

bool Decoder::run(uint32_t entryIndex, std::vector<Parameter> &parameters, std::string &error) {
  entry = entryIndex;
  code.name = module.functions[entry].name;
  code.files = module.files;
  collect(entry);
  if (failure.empty())
    layOutShared();
  uint64_t frame = 0;
  for (uint32_t f : reachable) {
    functionIndex = f;
    function = &module.functions[f];
    if (f == entry)
      layOutParameters(*function, parameters);
    for (uint32_t v = uint32_t(framePlaces[f].size()); v < function->variables.size(); ++v) {
      const syntax::Variable &variable = function->variables[v];
      frame = (frame + variable.align - 1) / variable.align * variable.align;
      framePlaces[f].push_back(uint32_t(frame));
      frame += variable.bytes;
      if (frame > 1 << 20)
        fail(function->name + ": expected at most 1 MiB of local memory a thread");
    }
    for (const syntax::Register &r : function->registers)
      registerPlaces[f].push_back(r.type == Type::Pred
                                      ? allocatePredicate()
                                      : allocate(typeBytes(r.type) == 8 ? 256 : 128));
  }
  code.frameBytes = uint32_t((frame + 15) / 16 * 16);
  carryPlace = allocate(128);
  for (uint32_t f : reachable)
    if (failure.empty())
      decodeFunction(f);
  for (const auto &[pc, target] : calls)
    code.instructions[pc].immediate = bases[target];
  error = failure;
  return failure.empty();
}

} // namespace nysjit::emulator

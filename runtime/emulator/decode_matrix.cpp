// ldmatrix, stmatrix, movmatrix, mma.
#include "runtime/emulator/decoder.h"

namespace nysjit::emulator {

using syntax::Operand;
using Kind = Operand::Kind;

void Decoder::loadStoreMatrix() {
  bool store = text->opcode[0] == 's';
  take("sync");
  take("aligned");
  if (!take("m8n8"))
    return fail("expected .m8n8");
  out.count = take("x4") ? 4 : take("x2") ? 2 : take("x1") ? 1 : 0;
  if (out.count == 0)
    return fail("expected .x1, .x2 or .x4");
  out.transposed = take("trans");
  takeSpace();
  if (!take("b16"))
    return fail("expected .b16");
  if (!expectOperands(2, 2))
    return;
  bool wide = false;
  out.list = registerList(operand(store ? 1 : 0), Type::B32, wide, false, !store);
  if (code.lists.size() - out.list != out.count)
    return fail("expected " + std::to_string(out.count) + " registers, found " +
                std::to_string(code.lists.size() - out.list));
  bindAddress(1, store ? 0 : 1);
  if (out.op[1] == noOperand) {
    out.op[1] = constant(uint64_t(out.immediate), false);
    out.immediate = 0;
  }
  out.converge = Converge::Aligned;
  out.handler = store ? executeStoreMatrix : executeLoadMatrix;
}

void Decoder::moveMatrix() {
  for (const char *m : {"sync", "aligned", "m8n8", "trans", "b16"})
    if (!take(m))
      return fail("expected movmatrix.sync.aligned.m8n8.trans.b16");
  if (!expectOperands(2, 2))
    return;
  bindDestination(0, 0, Type::B32);
  bind(1, 1, Type::B32);
  out.converge = Converge::Aligned;
  out.handler = executeMoveMatrix;
}

void Decoder::mma() {
  take("sync");
  take("aligned");
  uint32_t k = take("m16n8k4")    ? 4
               : take("m16n8k8")  ? 8
               : take("m16n8k16") ? 16
               : take("m16n8k32") ? 32
                                  : 0;
  if (k == 0)
    return fail("expected .m16n8k4, .m16n8k8, .m16n8k16 or .m16n8k32");
  if (!take("row") || !take("col"))
    return fail("expected .row.col");
  out.flag = take("satfinite");
  Type d = takeType();
  Type a = takeType();
  Type b = takeType();
  Type c = takeType();
  if (d != c)
    return fail("expected accumulators of one type");
  out.mma = table.mma(d, a, b, k);
  if (!out.mma)
    return fail("these types are not supported");
  if (!expectOperands(4, 4))
    return;
  bool bytes = a == Type::S8 || a == Type::U8;
  uint32_t blocks = bytes ? k / 16 : a == Type::TF32 ? k / 4 : k / 8;
  uint32_t accumulators = d == Type::F16 ? 2 : 4;
  uint32_t counts[4] = {accumulators, 2 * blocks, blocks, accumulators};
  out.list = uint32_t(code.lists.size());
  for (uint32_t o = 0; o < 4; ++o) {
    size_t before = code.lists.size();
    bool wide = false;
    registerList(operand(o), Type::B32, wide, false, o == 0);
    if (code.lists.size() - before != counts[o])
      return fail("expected " + std::to_string(counts[o]) + " registers as operand " +
                  std::to_string(o + 1) + ", found " + std::to_string(code.lists.size() - before));
    for (size_t r = before; r < code.lists.size(); ++r)
      if (code.lists[r] == noOperand)
        return fail("expected destination registers");
  }
  out.count = uint8_t(code.lists.size() - out.list);
  out.immediate = 2 * 16 * 8 * int64_t(k);
  out.converge = Converge::Aligned;
  out.handler = executeMma;
}

} // namespace nysjit::emulator

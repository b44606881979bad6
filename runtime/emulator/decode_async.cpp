// cp.async, cp.async.bulk and mbarriers.
#include "runtime/emulator/decoder.h"

namespace nysjit::emulator {

using syntax::Operand;
using Kind = Operand::Kind;

/// Everything that begins with cp.
void Decoder::copyAsync() {
  if (!take("async"))
    return fail("this instruction is not supported");
  if (take("commit_group")) {
    out.handler = executeCopyCommit;
    return;
  }
  bool all = take("wait_all");
  if (all || take("wait_group")) {
    if (!all && (!expectOperands(1, 1) || operand(0).kind != Kind::Integer))
      return fail("expected a number of groups");
    out.immediate = all ? -1 : int64_t(operand(0).bits);
    out.handler = executeCopyWait;
    return;
  }
  if (take("bulk"))
    return copyAsyncBulk();
  if (take("mbarrier"))
    return copyArrive();
  copyElements();
}

/// cp.async.bulk and its groups.
void Decoder::copyAsyncBulk() {
  if (take("commit_group")) {
    out.handler = executeBulkCommit;
    return;
  }
  if (take("wait_group")) {
    take("read");
    if (!expectOperands(1, 1))
      return;
    out.immediate = int64_t(operand(0).bits);
    out.handler = executeBulkWait;
    return;
  }
  if (text->modifiers.size() > 2 && text->modifiers[2] == "tensor")
    return fail("tensor copies are not supported");
  return copyBulk(text->modifiers.size() > 2 && text->modifiers[2] == "global");
}

/// cp.async.mbarrier.arrive
void Decoder::copyArrive() {
  take("arrive");
  out.flag = take("noinc");
  takeSpace();
  take("b64");
  if (!expectOperands(1, 1))
    return;
  bindAddress(1, 0);
  if (out.op[1] == noOperand) {
    out.op[1] = constant(uint64_t(out.immediate), false);
    out.immediate = 0;
  }
  out.handler = executeCopyArrive;
}

/// cp.async.ca and .cg: 4, 8 or 16 bytes a thread.
void Decoder::copyElements() {
  bool cg = take("cg");
  if (!cg && !take("ca"))
    return fail("expected .ca or .cg");
  take("shared") || take("shared::cta");
  take("global");
  takeCacheHints();
  if (!expectOperands(3, 5))
    return;
  const Operand &size = operand(2);
  if (size.kind != Kind::Integer ||
      !(size.bits == 16 || (!cg && (size.bits == 4 || size.bits == 8))))
    return fail(cg ? "expected a size of 16" : "expected a size of 4, 8 or 16");
  out.bytes = uint8_t(size.bits);
  int64_t to = 0;
  int64_t from = 0;
  bindAddress(0, 0, &to);
  bindAddress(1, 1, &from);
  if (to != int32_t(to) || from != int32_t(from))
    return fail("expected offsets of 32 bits");
  out.immediate = int64_t(uint64_t(to) << 32 | uint32_t(from));
  if (operandCount() > 3) {
    const Operand &last = operand(3);
    if (last.kind == Kind::Register && registerType(last) == Type::Pred)
      bindPredicate(3, 3, &out.flag);
    // a 64-bit one is a cache policy
    else if (!(last.kind == Kind::Register && typeBytes(registerType(last)) == 8))
      bind(2, 3, Type::U32);
  }
  out.handler = executeCopy;
}

void Decoder::copyBulk(bool store) {
  // .shared::cluster.global.mbarrier::complete_tx::bytes, .global.shared::cta.bulk_group
  for (const char *m : {"global", "shared::cluster", "shared::cta", "bulk_group"})
    take(m);
  takePrefixed("mbarrier::complete_tx");
  takeCacheHints();
  if (!expectOperands(store ? 3 : 4, store ? 4 : 5))
    return;
  int64_t to = 0;
  int64_t from = 0;
  int64_t barrier = 0;
  bindAddress(0, 0, &to);
  bindAddress(1, 1, &from);
  bind(2, 2, Type::U32);
  if (!store)
    bindAddress(3, 3, &barrier);
  if (to || from || barrier)
    return fail("expected addresses without offsets");
  out.handler = store ? executeBulkStore : executeBulkLoad;
}

void Decoder::mbarrier() {
  bool init = take("init");
  bool inval = take("inval");
  bool arriveDrop = take("arrive_drop");
  bool arrive = take("arrive");
  bool expect = take("expect_tx");
  bool complete = take("complete_tx");
  bool test = take("test_wait");
  bool tries = take("try_wait");
  bool pending = take("pending_count");
  bool parity = take("parity");
  takeOrder();
  takeSpace();
  bool noComplete = take("noComplete");
  take("b64");
  take("b32");
  MbarrierOp op = init         ? MbarrierOp::Init
                  : inval      ? MbarrierOp::Inval
                  : arrive     ? (expect ? MbarrierOp::ArriveExpectTx : MbarrierOp::Arrive)
                  : arriveDrop ? MbarrierOp::ArriveDrop
                  : expect     ? MbarrierOp::ExpectTx
                  : complete   ? MbarrierOp::CompleteTx
                  : pending    ? MbarrierOp::PendingCount
                  : test       ? (parity ? MbarrierOp::TestWaitParity : MbarrierOp::TestWait)
                               : (parity ? MbarrierOp::TryWaitParity : MbarrierOp::TryWait);
  (void)noComplete;
  if (op == MbarrierOp::TryWait && !tries)
    return fail("this instruction is not supported");
  out.variant = uint8_t(op);
  out.handler = executeMbarrier;
  bindMbarrier(op, parity);
}

/// The operands of `op`.
void Decoder::bindMbarrier(MbarrierOp op, bool parity) {
  auto bindBarrier = [&](size_t index) {
    bindAddress(1, index);
    if (out.op[1] == noOperand) {
      out.op[1] = constant(uint64_t(out.immediate), false);
      out.immediate = 0;
    }
  };
  switch (op) {
  case MbarrierOp::Init:
    if (!expectOperands(2, 2))
      return;
    bindBarrier(0);
    return bind(2, 1, Type::U32);
  case MbarrierOp::Inval:
    if (!expectOperands(1, 1))
      return;
    return bindBarrier(0);
  case MbarrierOp::ExpectTx:
  case MbarrierOp::CompleteTx:
    if (!expectOperands(2, 2))
      return;
    bindBarrier(0);
    return bind(2, 1, Type::U32);
  case MbarrierOp::PendingCount:
    if (!expectOperands(2, 2))
      return;
    bindDestination(0, 0, Type::U32);
    return bind(1, 1, Type::B64);
  case MbarrierOp::Arrive:
  case MbarrierOp::ArriveDrop:
  case MbarrierOp::ArriveExpectTx: {
    // The state may be left out for a cluster's barrier.
    size_t at = operand(0).kind == Kind::Address ? 0 : 1;
    if (!expectOperands(at + 1, at + 2))
      return;
    if (at)
      bindDestination(0, 0, Type::B64);
    bindBarrier(at);
    if (operandCount() > at + 1)
      bind(2, at + 1, Type::U32);
    return;
  }
  default:
    if (!expectOperands(3, 4)) // a time to wait
      return;
    bindPredicateDestination(0, 0);
    bindBarrier(1);
    return bind(2, 2, parity ? Type::U32 : Type::B64);
  }
}

} // namespace nysjit::emulator

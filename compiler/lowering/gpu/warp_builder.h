// The instructions a GPU kernel is made of, one call each: integer and address arithmetic, global
// and shared memory, and the nvvm intrinsics for what a warp or a block does together.
#pragma once
#include "compiler/lowering/gpu/tile_layout.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"

namespace nysjit::gpu {

using Registers = llvm::SmallVector<mlir::Value, 8>;

struct WarpBuilder {
  mlir::OpBuilder builder;
  mlir::Location loc;
  /// What has been rounded: both halves, their element and the register that holds them.
  using Halves =
      llvm::DenseMap<std::pair<mlir::Value, mlir::Value>, std::pair<mlir::Type, mlir::Value>>;
  Halves halves = Halves();

  mlir::Type i32Type() { return builder.getI32Type(); }
  mlir::Type f32Type() { return builder.getF32Type(); }
  mlir::Value i32(int64_t value) {
    return mlir::arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(value));
  }
  mlir::Value i64(int64_t value) {
    return mlir::arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(value));
  }
  mlir::Value f32(double value) {
    return mlir::arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(value));
  }
  mlir::Value add(mlir::Value a, mlir::Value b) {
    return builder.createOrFold<mlir::arith::AddIOp>(loc, a, b);
  }
  mlir::Value add(mlir::Value a, int64_t b) { return b ? add(a, b, a.getType()) : a; }
  mlir::Value mul(mlir::Value a, mlir::Value b) {
    return builder.createOrFold<mlir::arith::MulIOp>(loc, a, b);
  }
  mlir::Value mul(mlir::Value a, int64_t b) { return mul(a, integer(b, a.getType())); }
  mlir::Value divide(mlir::Value a, int64_t b) {
    return builder.createOrFold<mlir::arith::DivUIOp>(loc, a, integer(b, a.getType()));
  }
  mlir::Value remainder(mlir::Value a, int64_t b) {
    return builder.createOrFold<mlir::arith::RemUIOp>(loc, a, integer(b, a.getType()));
  }
  mlir::Value bitAnd(mlir::Value a, int64_t b) {
    return builder.createOrFold<mlir::arith::AndIOp>(loc, a, integer(b, a.getType()));
  }
  mlir::Value bitXor(mlir::Value a, mlir::Value b) {
    return builder.createOrFold<mlir::arith::XOrIOp>(loc, a, b);
  }
  mlir::Value widen(mlir::Value a) {
    return mlir::arith::ExtSIOp::create(builder, loc, builder.getI64Type(), a);
  }
  mlir::Value less(mlir::Value a, mlir::Value b) {
    return compare(mlir::arith::CmpIPredicate::slt, a, b);
  }
  /// a < b as unsigned: a row below 0 is as far outside as one past the end.
  mlir::Value below(mlir::Value a, mlir::Value b) {
    return compare(mlir::arith::CmpIPredicate::ult, a, b);
  }
  mlir::Value equal(mlir::Value a, int64_t b) {
    return compare(mlir::arith::CmpIPredicate::eq, a, integer(b, a.getType()));
  }
  mlir::Value both(mlir::Value a, mlir::Value b) {
    return mlir::arith::AndIOp::create(builder, loc, a, b);
  }
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b) {
    return mlir::arith::SelectOp::create(builder, loc, condition, a, b);
  }
  mlir::Value minimum(mlir::Value a, mlir::Value b) {
    return mlir::arith::MinSIOp::create(builder, loc, a, b);
  }
  mlir::Value addFloat(mlir::Value a, mlir::Value b) {
    return mlir::arith::AddFOp::create(builder, loc, a, b);
  }
  mlir::Value subtract(mlir::Value a, mlir::Value b) {
    return mlir::arith::SubFOp::create(builder, loc, a, b);
  }
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  mlir::Value negate(mlir::Value a) { return mlir::arith::NegFOp::create(builder, loc, a); }

  /// The address `bytes` (i32 or i64) after `base`.
  mlir::Value offset(mlir::Value base, mlir::Value bytes);
  mlir::Value offset(mlir::Value base, int64_t bytes);
  mlir::Value load(mlir::Type type, mlir::Value address, int64_t alignment);
  void store(mlir::Value value, mlir::Value address, int64_t alignment);
  mlir::Value bitcast(mlir::Type type, mlir::Value value) {
    return value.getType() == type
               ? value
               : mlir::Value(mlir::LLVM::BitcastOp::create(builder, loc, type, value));
  }
  mlir::Value element(mlir::Value vectorOrStruct, int64_t index);
  mlir::Value vectorOf(mlir::ValueRange elements);

  /// `body` where the condition holds.
  void when(mlir::Value condition, llvm::function_ref<void()> body);
  /// `body`'s values where the condition holds, else `otherwise`.
  Registers valuesWhen(mlir::Value condition, llvm::function_ref<Registers()> body,
                       const Registers &otherwise);

  /// A call of an nvvm intrinsic by its LLVM name; the result type null for none.
  mlir::Value intrinsic(llvm::StringRef name, mlir::Type result, mlir::ValueRange arguments = {});
  mlir::Value threadId() { return intrinsic("llvm.nvvm.read.ptx.sreg.tid.x", i32Type()); }
  /// Read where it stands: LLVM moves nothing that is computed from it out of a loop.
  mlir::Value threadIdHere();
  mlir::Value blockId() { return intrinsic("llvm.nvvm.read.ptx.sreg.ctaid.x", i32Type()); }
  /// All threads of the block arrive; what they wrote before is seen by all after.
  void barrier() { intrinsic(barrierName, {}, {i32(0)}); }
  static constexpr llvm::StringLiteral barrierName = "llvm.nvvm.barrier.cta.sync.aligned.all";
  void warpBarrier() { intrinsic("llvm.nvvm.bar.warp.sync", {}, {i32(-1)}); }
  /// 16 bytes from global to shared memory, zeros instead where `bytes` (0 or 16) is 0. Null:
  /// always the 16.
  void copyAsync(mlir::Value shared, mlir::Value global, mlir::Value bytes);
  void commitCopies() { intrinsic("llvm.nvvm.cp.async.commit.group", {}); }
  /// Until at most `pending` of this thread's committed groups are under way.
  void waitForCopies(int64_t pending) { intrinsic(waitForCopiesName, {}, {i32(pending)}); }
  static constexpr llvm::StringLiteral waitForCopiesName = "llvm.nvvm.cp.async.wait.group";
  /// The value of the lane whose number differs in the bits of `mask`.
  mlir::Value exchange(mlir::Value value, int64_t mask);
  /// a / b to 2 ulp: without a subroutine for quotients near the ends of the range.
  mlir::Value divideFloats(mlir::Value a, mlir::Value b) {
    return intrinsic("llvm.nvvm.div.full", f32Type(), {a, b});
  }
  /// 2^x to 2 ulp, 0 for what would be subnormal.
  mlir::Value exp2(mlir::Value x) {
    return intrinsic("llvm.nvvm.ex2.approx.ftz.f", f32Type(), {x});
  }
  mlir::Value log2(mlir::Value x) {
    return intrinsic("llvm.nvvm.lg2.approx.ftz.f", f32Type(), {x});
  }
  /// Two float32 rounded to a 16-bit type, `low` in the low half of an i32.
  mlir::Value pack(mlir::Type element, mlir::Value low, mlir::Value high);
  /// Two float32 rounded to a 16-bit type: pack finds them again.
  std::pair<mlir::Value, mlir::Value> rounded(mlir::Type element, mlir::Value low,
                                              mlir::Value high);
  /// The halves of an i32 as float32.
  std::pair<mlir::Value, mlir::Value> unpack(mlir::Type element, mlir::Value packed);
  /// Rounded to tf32 (nearest, ties away): an i32 with 13 low zeros.
  mlir::Value roundToTf32(mlir::Value x) {
    return intrinsic("llvm.nvvm.f2tf32.rna", i32Type(), {x});
  }
  /// `count` (1, 2, 4) 8x8 matrices of 16-bit elements, or 8x4 of 32-bit ones; one i32 each.
  Registers loadMatrices(mlir::Value address, int count, bool transposed);
  /// d = a b + c on a 16x8 piece: `element` f16 or bf16 (k 16 with four registers of a, else 8) or
  /// f32 for tf32 (k 8).
  void multiply(mlir::Type element, mlir::ValueRange a, mlir::ValueRange b, mlir::Value *c);

private:
  mlir::Value integer(int64_t value, mlir::Type type) {
    return mlir::arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(type, value));
  }
  mlir::Value add(mlir::Value a, int64_t b, mlir::Type type) { return add(a, integer(b, type)); }
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value a, mlir::Value b) {
    return mlir::arith::CmpIOp::create(builder, loc, predicate, a, b);
  }
};

} // namespace nysjit::gpu

// The instructions behind WarpBuilder's calls.
#include "compiler/lowering/gpu/warp_builder.h"

using namespace mlir;
namespace nysjit::gpu {

Value WarpBuilder::fma(Value a, Value b, Value c) {
  return LLVM::FMAOp::create(builder, loc, f32Type(), a, b, c);
}

Value WarpBuilder::offset(Value base, Value bytes) {
  return LLVM::GEPOp::create(builder, loc, base.getType(), builder.getI8Type(), base,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

Value WarpBuilder::offset(Value base, int64_t bytes) {
  if (!bytes)
    return base;
  return LLVM::GEPOp::create(builder, loc, base.getType(), builder.getI8Type(), base,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

Value WarpBuilder::load(Type type, Value address, int64_t alignment) {
  return LLVM::LoadOp::create(builder, loc, type, address, alignment);
}

void WarpBuilder::store(Value value, Value address, int64_t alignment) {
  LLVM::StoreOp::create(builder, loc, value, address, alignment);
}

Value WarpBuilder::element(Value from, int64_t index) {
  if (isa<VectorType>(from.getType()))
    return LLVM::ExtractElementOp::create(builder, loc, from, i32(index));
  return LLVM::ExtractValueOp::create(builder, loc, from, ArrayRef<int64_t>{index});
}

Value WarpBuilder::vectorOf(ValueRange elements) {
  Value vector = LLVM::UndefOp::create(
      builder, loc,
      VectorType::get({static_cast<int64_t>(elements.size())}, elements[0].getType()));
  for (size_t i = 0; i < elements.size(); ++i)
    vector = LLVM::InsertElementOp::create(builder, loc, vector, elements[i], i32(i));
  return vector;
}

void WarpBuilder::when(Value condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(branch.thenBlock()->getTerminator());
  body();
}

Registers WarpBuilder::valuesWhen(Value condition, llvm::function_ref<Registers()> body,
                                  const Registers &otherwise) {
  auto branch = scf::IfOp::create(builder, loc, ValueRange(otherwise).getTypes(), condition,
                                  /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(builder, loc, body());
    builder.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(builder, loc, otherwise);
  }
  return Registers(branch.getResults().begin(), branch.getResults().end());
}

Value WarpBuilder::intrinsic(StringRef name, Type result, ValueRange arguments) {
  const StringAttr attribute = builder.getStringAttr(name);
  if (!result) {
    LLVM::CallIntrinsicOp::create(builder, loc, attribute, arguments);
    return {};
  }
  return LLVM::CallIntrinsicOp::create(builder, loc, result, attribute, arguments).getResult(0);
}

Value WarpBuilder::threadIdHere() {
  return LLVM::InlineAsmOp::create(builder, loc, i32Type(), ValueRange(), "mov.u32 $0, %tid.x;",
                                   "=r", /*has_side_effects=*/true,
                                   /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
                                   LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

void WarpBuilder::copyAsync(Value shared, Value global, Value bytes) {
  if (bytes)
    intrinsic("llvm.nvvm.cp.async.cg.shared.global.16.s", {}, {shared, global, bytes});
  else
    intrinsic("llvm.nvvm.cp.async.cg.shared.global.16", {}, {shared, global});
}

Value WarpBuilder::exchange(Value value, int64_t mask) {
  return intrinsic("llvm.nvvm.shfl.sync.bfly.f32", f32Type(), {i32(-1), value, i32(mask), i32(31)});
}

Value WarpBuilder::pack(Type element, Value low, Value high) {
  const auto found = halves.find({low, high});
  if (found != halves.end() && found->second.first == element)
    return found->second.second;
  const char *name = element.isBF16() ? "llvm.nvvm.ff2bf16x2.rn" : "llvm.nvvm.ff2f16x2.rn";
  return bitcast(i32Type(), intrinsic(name, VectorType::get({2}, element), {high, low}));
}

std::pair<Value, Value> WarpBuilder::rounded(Type element, Value low, Value high) {
  Value packed = pack(element, low, high);
  const std::pair<Value, Value> both = unpack(element, packed);
  halves[both] = {element, packed};
  return both;
}

std::pair<Value, Value> WarpBuilder::unpack(Type element, Value packed) {
  if (element.isBF16()) { // a bfloat16 is the high half of a float32
    Value low = arith::ShLIOp::create(builder, loc, packed, i32(16));
    Value high = bitAnd(packed, static_cast<int32_t>(0xffff0000u));
    return {bitcast(f32Type(), low), bitcast(f32Type(), high)};
  }
  Value vector = bitcast(VectorType::get({2}, element), packed);
  auto half = [&](int64_t i) -> Value {
    return arith::ExtFOp::create(builder, loc, f32Type(), this->element(vector, i));
  };
  return {half(0), half(1)};
}

Registers WarpBuilder::loadMatrices(Value address, int count, bool transposed) {
  const std::string name = "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x" + std::to_string(count) +
                           (transposed ? ".trans" : "") + ".b16.p3";
  if (count == 1)
    return {intrinsic(name, i32Type(), {address})};
  Value all = intrinsic(
      name,
      LLVM::LLVMStructType::getLiteral(builder.getContext(), SmallVector<Type>(count, i32Type())),
      {address});
  Registers registers;
  for (int i = 0; i < count; ++i)
    registers.push_back(element(all, i));
  return registers;
}

void WarpBuilder::multiply(Type type, ValueRange a, ValueRange b, Value *c) {
  const bool isHalf = type.isF16();
  std::string name = type.isF32() || a.size() == 2 ? "llvm.nvvm.mma.m16n8k8.row.col."
                                                   : "llvm.nvvm.mma.m16n8k16.row.col.";
  name += type.isF32() ? "tf32" : isHalf ? "f32.f32" : "bf16";
  SmallVector<Value> arguments;
  for (ValueRange operand : {a, b})
    for (Value value : operand)
      arguments.push_back(isHalf ? bitcast(VectorType::get({2}, type), value) : value);
  arguments.append(c, c + 4);
  Value all = intrinsic(
      name, LLVM::LLVMStructType::getLiteral(builder.getContext(), SmallVector<Type>(4, f32Type())),
      arguments);
  for (int i = 0; i < 4; ++i)
    c[i] = element(all, i);
}

} // namespace nysjit::gpu

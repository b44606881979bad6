// What a product takes is rounded once, two numbers at a time: the product finds them packed. For
// float16 to tf32, which has its mantissa and no end of its range. Not on the CPU.
// RUN: nysjit-opt --tile-to-gpu=dtype=bf16 %s | FileCheck %s
// RUN: nysjit-opt --tile-to-gpu=dtype=f16 %s | FileCheck %s --check-prefix=F16
// RUN: nysjit-opt --tile-to-cpu %s | FileCheck %s --check-prefix=CPU

// 64 x 64 scores of four warps: 32 numbers a lane.
// CHECK-LABEL: func.func @weigh(
// CHECK-COUNT-16: llvm.nvvm.ff2bf16x2.rn
// CHECK-NOT: llvm.nvvm.ff2bf16x2.rn
// CHECK: return
// F16-LABEL: func.func @weigh(
// F16-COUNT-32: llvm.nvvm.f2tf32.rna
// F16-NOT: llvm.nvvm.f2tf32.rna
// F16: return
// CPU-LABEL: func.func @weigh(
// CPU-NOT: tile.
func.func @weigh(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %q = tile.load %in[%first] : <64 x bf16> -> tensor<64x64xbf16>
  %k = tile.load %in[%first] : <64 x bf16> -> tensor<64x64xbf16>
  %s = tile.dot %q, %k {transpose_b} : (tensor<64x64xbf16>, tensor<64x64xbf16>) -> tensor<64x64xf32>
  %w = tile.round_operand %s : tensor<64x64xf32>
  %mass = tile.reduce sum %w axis 1 : tensor<64x64xf32> -> tensor<64xf32>
  %masses = tile.broadcast %mass axis 0 : tensor<64xf32> -> tensor<64x64xf32>
  %sum = tile.dot %w, %k : (tensor<64x64xf32>, tensor<64x64xbf16>) -> tensor<64x64xf32>
  %y = arith.divf %sum, %masses : tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// And so is each number of what lies in shared memory as float32, by the thread that copied it: 32
// of 64 x 64, beside the 32 of the other operand.
// F16-LABEL: func.func @in_shared(
// F16-COUNT-64: llvm.nvvm.f2tf32.rna
// F16-NOT: llvm.nvvm.f2tf32.rna
// F16: llvm.nvvm.mma.m16n8k8.row.col.tf32
// F16-NOT: llvm.nvvm.f2tf32.rna
// F16: return
// CHECK-LABEL: func.func @in_shared(
// CPU-LABEL: func.func @in_shared(
func.func @in_shared(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %u = tile.load %in[%n] : <64 x f32> -> tensor<64x64xf32>
  %w = tile.round_operand %x : tensor<64x64xf32>
  %y = tile.dot %w, %u : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

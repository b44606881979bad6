// A computed row operand that a loop only multiplies is packed before it.
// RUN: nysjit-opt --tile-to-gpu %s | FileCheck %s

// Of the inner loop, too, what is from before the outer one.
// CHECK-LABEL: func.func @packed(
// CHECK: llvm.nvvm.ff2bf16x2.rn
// CHECK: scf.for
// CHECK-NOT: llvm.nvvm.ff2bf16x2.rn
// CHECK: llvm.nvvm.mma.m16n8k16.row.col.bf16
// CHECK-NOT: llvm.nvvm.ff2bf16x2.rn
// CHECK: return
func.func @packed(%p: !tile.ptr<bf16>, %f: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %none = arith.constant dense<0.0> : tensor<16x16xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %wide = tile.view %f[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %read = tile.load %wide[%first] : <16 x f32> -> tensor<16x16xf32>
  %a = arith.addf %read, %read : tensor<16x16xf32>
  %sum = scf.for %i = %first to %n step %step iter_args(%s = %none) -> (tensor<16x16xf32>) : i32 {
    %both = scf.for %j = %first to %n step %step iter_args(%t = %s) -> (tensor<16x16xf32>) : i32 {
      %v = tile.load %in[%j] : <16 x bf16> -> tensor<16x16xbf16>
      %next = tile.dot %a, %v, %t : (tensor<16x16xf32>, tensor<16x16xbf16>, tensor<16x16xf32>) -> tensor<16x16xf32>
      scf.yield %next : tensor<16x16xf32>
    }
    scf.yield %both : tensor<16x16xf32>
  }
  tile.store %sum, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// What the loop reads as float32, too, would take more registers as both.
// CHECK-LABEL: func.func @read(
// CHECK-NOT: llvm.nvvm.ff2bf16x2.rn
// CHECK: scf.for
// CHECK: llvm.nvvm.ff2bf16x2.rn
// CHECK: llvm.nvvm.mma.m16n8k16.row.col.bf16
func.func @read(%p: !tile.ptr<bf16>, %f: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %none = arith.constant dense<0.0> : tensor<16x16xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %wide = tile.view %f[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %read = tile.load %wide[%first] : <16 x f32> -> tensor<16x16xf32>
  %a = arith.addf %read, %read : tensor<16x16xf32>
  %sum = scf.for %i = %first to %n step %step iter_args(%s = %none) -> (tensor<16x16xf32>) : i32 {
    %v = tile.load %in[%i] : <16 x bf16> -> tensor<16x16xbf16>
    %next = tile.dot %a, %v, %s : (tensor<16x16xf32>, tensor<16x16xbf16>, tensor<16x16xf32>) -> tensor<16x16xf32>
    %more = arith.addf %next, %a : tensor<16x16xf32>
    scf.yield %more : tensor<16x16xf32>
  }
  tile.store %sum, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// A loop that goes on while a number says so carries tiles in registers, in the spreads that its
// uses need.
// RUN: nysjit-opt --tile-to-gpu %s | FileCheck %s

// The 1-D tile is needed along rows and along columns: 2 + 4 registers beside the 16x16 tile's 8.
// CHECK-LABEL: func.func @tiles(
// CHECK: scf.while ({{.*}}) : (f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32)
// CHECK: arith.cmpf olt
// CHECK: scf.condition
// CHECK: } do {
// CHECK: scf.yield
func.func @tiles(%p: !tile.ptr<f32>, %n: i32, %stride: i64, %end: f32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %start = arith.constant 0.0 : f32
  %one = arith.constant dense<1.0> : tensor<16xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  %r:3 = scf.while (%a = %x, %v = %one, %f = %start) : (tensor<16x16xf32>, tensor<16xf32>, f32) -> (tensor<16x16xf32>, tensor<16xf32>, f32) {
    %more = arith.cmpf olt, %f, %end : f32
    scf.condition(%more) %a, %v, %f : tensor<16x16xf32>, tensor<16xf32>, f32
  } do {
  ^bb0(%a: tensor<16x16xf32>, %v: tensor<16xf32>, %f: f32):
    %rows = tile.broadcast %v axis 0 : tensor<16xf32> -> tensor<16x16xf32>
    %columns = tile.broadcast %v axis 1 : tensor<16xf32> -> tensor<16x16xf32>
    %b = arith.addf %a, %rows : tensor<16x16xf32>
    %c = arith.mulf %b, %columns : tensor<16x16xf32>
    %w = tile.reduce min %c axis 1 : tensor<16x16xf32> -> tensor<16xf32>
    %s = tile.reduce sum %w axis 0 : tensor<16xf32> -> f32
    %g = arith.addf %f, %s : f32
    scf.yield %c, %w, %g : tensor<16x16xf32>, tensor<16xf32>, f32
  }
  tile.store %r#0, %in[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// What one iteration reads of shared memory the next writes: a barrier before that.
// CHECK-LABEL: func.func @exchanges(
// CHECK: } do {
// CHECK: llvm.nvvm.barrier
// CHECK: llvm.store {{.*}} !llvm.ptr<3>
// CHECK: llvm.nvvm.barrier
// CHECK: llvm.load {{.*}} !llvm.ptr<3>
// CHECK: scf.yield
func.func @exchanges(%p: !tile.ptr<f32>, %n: i32, %stride: i64, %end: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %r:2 = scf.while (%a = %x, %i = %first) : (tensor<64x64xf32>, i32) -> (tensor<64x64xf32>, i32) {
    %more = arith.cmpi slt, %i, %end : i32
    scf.condition(%more) %a, %i : tensor<64x64xf32>, i32
  } do {
  ^bb0(%a: tensor<64x64xf32>, %i: i32):
    %b = tile.transpose %a : tensor<64x64xf32> -> tensor<64x64xf32>
    %j = arith.addi %i, %one : i32
    scf.yield %b, %j : tensor<64x64xf32>, i32
  }
  tile.store %r#0, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// A loop with loops inside asks, while its dots multiply, for what its next iteration loads; one of
// those inside may be a while. Without any it asks for nothing: the one prefetch is of the kernel's
// first rows.
// RUN: nysjit-opt --tile-to-cpu %s | FileCheck %s

// CHECK-LABEL: func.func @holds_a_while
// CHECK-COUNT-2: llvm.intr.prefetch
// CHECK: vector.fma
// CHECK: scf.while
// CHECK: return
func.func @holds_a_while(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 16 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %w = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  scf.for %i = %first to %n step %step : i32 {
    %x = tile.load %in[%i] : <16 x f32> -> tensor<16x16xf32>
    %y = tile.dot %x, %w : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    %r:2 = scf.while (%a = %y, %j = %first) : (tensor<16x16xf32>, i32) -> (tensor<16x16xf32>, i32) {
      %c = arith.cmpi slt, %j, %n : i32
      scf.condition(%c) %a, %j : tensor<16x16xf32>, i32
    } do {
    ^bb0(%a: tensor<16x16xf32>, %j: i32):
      %b = arith.addf %a, %a : tensor<16x16xf32>
      %k = arith.addi %j, %one : i32
      scf.yield %b, %k : tensor<16x16xf32>, i32
    }
    tile.store %r#0, %out[%i] : tensor<16x16xf32>, <16 x f32>
  }
  return
}

// CHECK-LABEL: func.func @holds_none
// CHECK: llvm.intr.prefetch
// CHECK-NOT: llvm.intr.prefetch
// CHECK: vector.fma
// CHECK: return
func.func @holds_none(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %step = arith.constant 16 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %w = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  scf.for %i = %first to %n step %step : i32 {
    %x = tile.load %in[%i] : <16 x f32> -> tensor<16x16xf32>
    %y = tile.dot %x, %w : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    tile.store %y, %out[%i] : tensor<16x16xf32>, <16 x f32>
  }
  return
}

// Dots under a mask in a loop inside ask for what the loop around it loads next: 16 rows of it.
// CHECK-LABEL: func.func @masked_inside
// CHECK: scf.for
// CHECK: scf.for
// CHECK-COUNT-16: llvm.intr.prefetch
// CHECK-NOT: llvm.intr.prefetch
// CHECK: return
func.func @masked_inside(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %none = arith.constant dense<0.0> : tensor<16x16xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  scf.for %i = %first to %n step %step : i32 {
    %x = tile.load %in[%i] : <16 x f32> -> tensor<16x16xf32>
    scf.for %j = %first to %n step %step : i32 {
      %y = tile.load %out[%j] : <16 x f32> -> tensor<16x16xf32>
      %mask = tile.mask %j below %n axis 1 : (i32, i32) -> tensor<16x16xi1>
      %z = tile.dot %x, %y nonzero_where %mask : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xi1>) -> tensor<16x16xf32>
      tile.store %z, %out[%j] : tensor<16x16xf32>, <16 x f32>
    }
  }
  return
}

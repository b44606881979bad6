// What a loop's dots take transposed, and no iteration changes, is transposed once, before the loop.
// RUN: nysjit-opt --cpu-hoist-transposes %s | FileCheck %s

// Two dots with one tile: one transpose, where the tile is made.
// CHECK-LABEL: func.func @outside
// CHECK: %[[K:.*]] = tile.load
// CHECK-NEXT: %[[T:.*]] = tile.transpose %[[K]] : tensor<16x64xf32> -> tensor<64x16xf32>
// CHECK-NOT: tile.transpose
// CHECK: scf.for
// CHECK: %[[X:.*]] = tile.load
// CHECK: tile.dot %[[X]], %[[T]] : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
// CHECK: tile.dot %[[X]], %[[T]] : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
// CHECK: return
func.func @outside(%in: !tile.view<64 x f32>, %out: !tile.view<16 x f32>, %n: i32, %step: i32) {
  %k = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %x = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %s = tile.dot %x, %k {transpose_b} : (tensor<32x64xf32>, tensor<16x64xf32>) -> tensor<32x16xf32>
    %t = tile.dot %x, %k {transpose_b} : (tensor<32x64xf32>, tensor<16x64xf32>) -> tensor<32x16xf32>
    tile.store %s, %out[%i] : tensor<32x16xf32>, <16 x f32>
    tile.store %t, %out[%i] : tensor<32x16xf32>, <16 x f32>
  }
  return
}

// A tile of the outer loop's turn is transposed in the outer loop.
// CHECK-LABEL: func.func @nested
// CHECK: scf.for
// CHECK: tile.transpose
// CHECK: scf.for
// CHECK-NOT: transpose
// CHECK: return
func.func @nested(%in: !tile.view<64 x f32>, %out: !tile.view<16 x f32>, %n: i32, %step: i32) {
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<16x64xf32>
    scf.for %j = %n to %n step %step : i32 {
      %x = tile.load %in[%j] : <64 x f32> -> tensor<32x64xf32>
      %s = tile.dot %x, %k {transpose_b} : (tensor<32x64xf32>, tensor<16x64xf32>) -> tensor<32x16xf32>
      tile.store %s, %out[%j] : tensor<32x16xf32>, <16 x f32>
    }
  }
  return
}

// Made in the loop, carried by it, or in no loop: each is transposed where it is read.
// CHECK-LABEL: func.func @inside
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}} {transpose_b}
// CHECK: tile.dot {{.*}} {transpose_b}
// CHECK: tile.dot {{.*}} {transpose_b}
// CHECK: return
func.func @inside(%in: !tile.view<64 x f32>, %out: !tile.view<16 x f32>, %n: i32, %step: i32) {
  %x = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  %r = scf.for %i = %n to %n step %step iter_args(%c = %x) -> tensor<16x64xf32> : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<16x64xf32>
    %s = tile.dot %x, %k {transpose_b} : (tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x16xf32>
    %t = tile.dot %x, %c {transpose_b} : (tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x16xf32>
    tile.store %s, %out[%i] : tensor<16x16xf32>, <16 x f32>
    tile.store %t, %out[%i] : tensor<16x16xf32>, <16 x f32>
    scf.yield %k : tensor<16x64xf32>
  }
  %u = tile.dot %r, %x {transpose_b} : (tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x16xf32>
  tile.store %u, %out[%n] : tensor<16x16xf32>, <16 x f32>
  return
}

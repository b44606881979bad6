// A dot keeps a register tile over the whole of k: 16 registers of AVX-512, 8 of AVX2.
// RUN: nysjit-opt --tile-to-cpu %s | FileCheck %s --check-prefixes=CHECK,WIDE
// RUN: nysjit-opt --tile-to-cpu=lanes=8 %s | FileCheck %s --check-prefixes=CHECK,NARROW

// CHECK-LABEL: func.func @dot
// WIDE: scf.for {{.*}} -> (vector<64xf32>, vector<64xf32>, vector<64xf32>, vector<64xf32>)
// WIDE: vector.fma {{.*}} : vector<64xf32>
// NARROW: scf.for {{.*}} -> (vector<32xf32>, vector<32xf32>)
// NARROW: vector.fma {{.*}} : vector<32xf32>
func.func @dot(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %y = tile.dot %x, %x : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// Columns that are not a power of two: 64 and then 16, never a vector that LLVM would scalarise.
// CHECK-LABEL: func.func @uneven
// CHECK-NOT: vector<80xf32>
// CHECK: return
func.func @uneven(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <80 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <80 x f32>
  %x = tile.load %in[%first] : <80 x f32> -> tensor<16x80xf32>
  %s = tile.dot %x, %x {transpose_b} : (tensor<16x80xf32>, tensor<16x80xf32>) -> tensor<16x16xf32>
  %y = tile.dot %s, %x : (tensor<16x16xf32>, tensor<16x80xf32>) -> tensor<16x80xf32>
  tile.store %y, %out[%first] : tensor<16x80xf32>, <80 x f32>
  return
}

// What zeros of a hide of b counts for nothing, NaNs and infinities too: the block looks whether b
// is finite, and has nothing more to do where it is.
// RUN: nysjit-opt --tile-to-gpu %s | FileCheck %s

// The look at 16-bit numbers, two a word; then zeros in place of what is not finite, and NaNs in a.
// CHECK-LABEL: func.func @masked(
// CHECK: scf.for
// CHECK: arith.constant 2147450879 : i32
// CHECK: arith.constant 8388736 : i32
// CHECK: %[[IS_HIDDEN:.*]] = llvm.call_intrinsic "llvm.nvvm.barrier.cta.red.or.aligned.all"
// CHECK: scf.if %[[IS_HIDDEN]]
// CHECK: llvm.nvvm.barrier.cta.sync.aligned.all
// CHECK: llvm.nvvm.barrier.cta.sync.aligned.all
// CHECK: arith.cmpf oeq
// CHECK: arith.addf
// CHECK: llvm.nvvm.mma.m16n8k16.row.col.bf16
// CHECK: return
func.func @masked(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %s = tile.dot %x, %x {transpose_b} : (tensor<16x16xbf16>, tensor<16x16xbf16>) -> tensor<16x16xf32>
  %i = tile.iota : tensor<16xi32>
  %seen = tile.mask %first below %i axis 1 {inclusive} : (i32, tensor<16xi32>) -> tensor<16x16xi1>
  %none = arith.constant dense<0.0> : tensor<16x16xf32>
  %w = arith.select %seen, %s, %none : tensor<16x16xi1>, tensor<16x16xf32>
  %v = tile.load %in[%n] : <16 x bf16> -> tensor<16x16xbf16>
  %y = tile.dot %w, %v nonzero_where %seen : (tensor<16x16xf32>, tensor<16x16xbf16>, tensor<16x16xi1>) -> tensor<16x16xf32>
  tile.store %y, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// Rows that were hidden are NaN again where another dot reads them.
// CHECK-LABEL: func.func @read_later(
// CHECK: red.or
// CHECK: arith.constant 2143322048 : i32
// CHECK: return
func.func @read_later(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %s = tile.dot %x, %x {transpose_b} : (tensor<16x16xbf16>, tensor<16x16xbf16>) -> tensor<16x16xf32>
  %i = tile.iota : tensor<16xi32>
  %seen = tile.mask %first below %i axis 1 {inclusive} : (i32, tensor<16xi32>) -> tensor<16x16xi1>
  %none = arith.constant dense<0.0> : tensor<16x16xf32>
  %w = arith.select %seen, %s, %none : tensor<16x16xi1>, tensor<16x16xf32>
  %v = tile.load %in[%n] : <16 x bf16> -> tensor<16x16xbf16>
  %y = tile.dot %w, %v nonzero_where %seen : (tensor<16x16xf32>, tensor<16x16xbf16>, tensor<16x16xi1>) -> tensor<16x16xf32>
  %z = tile.dot %x, %v, %y : (tensor<16x16xbf16>, tensor<16x16xbf16>, tensor<16x16xf32>) -> tensor<16x16xf32>
  tile.store %z, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// Of two terms the look is at the first.
// CHECK-LABEL: func.func @two_terms(
// CHECK: scf.for
// CHECK-NOT: scf.for
// CHECK: red.or
// CHECK: return
func.func @two_terms(%p: !tile.ptr<bf16>, %f: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %values = tile.view %f[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %s = tile.dot %x, %x {transpose_b} : (tensor<16x16xbf16>, tensor<16x16xbf16>) -> tensor<16x16xf32>
  %i = tile.iota : tensor<16xi32>
  %seen = tile.mask %first below %i axis 1 {inclusive} : (i32, tensor<16xi32>) -> tensor<16x16xi1>
  %none = arith.constant dense<0.0> : tensor<16x16xf32>
  %w = arith.select %seen, %s, %none : tensor<16x16xi1>, tensor<16x16xf32>
  %v = tile.load %values[%n] : <16 x f32> -> tensor<16x16xf32>
  %y = tile.dot %w, %v nonzero_where %seen {precision = 1 : i32} : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xi1>) -> tensor<16x16xf32>
  tile.store %y, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// Without a mask nothing is hidden.
// CHECK-LABEL: func.func @open(
// CHECK-NOT: red.or
// CHECK: return
func.func @open(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %y = tile.dot %x, %x : (tensor<16x16xbf16>, tensor<16x16xbf16>) -> tensor<16x16xf32>
  tile.store %y, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

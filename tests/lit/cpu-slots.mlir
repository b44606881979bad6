// A dot accumulates in place, and a loop's carried tile, its initial value and its next value share one slot.
// RUN: nysjit-opt --tile-to-cpu %s | FileCheck %s

// q, k and the accumulator: three tiles of 16 x 16 floats, no copy of the accumulator at the yield.
// CHECK-LABEL: func.func @accumulate
// CHECK-SAME: scratch_bytes = 3072
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} : i32
func.func @accumulate(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %fill = arith.constant dense<0.0> : tensor<16x16xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %q = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  %sum = scf.for %i = %first to %n step %step iter_args(%acc = %fill) -> tensor<16x16xf32> : i32 {
    %k = tile.load %in[%i] : <16 x f32> -> tensor<16x16xf32>
    %next = tile.dot %q, %k, %acc : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    scf.yield %next : tensor<16x16xf32>
  }
  tile.store %sum, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// The carried tile is read after its next value is made: they must not share, and the loop ends with a copy.
// CHECK-LABEL: func.func @must_not_share
// CHECK-SAME: scratch_bytes = 3072
func.func @must_not_share(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %fill = arith.constant dense<0.0> : tensor<16x16xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %sum = scf.for %i = %first to %n step %step iter_args(%acc = %fill) -> tensor<16x16xf32> : i32 {
    %k = tile.load %in[%i] : <16 x f32> -> tensor<16x16xf32>
    %next = tile.dot %k, %k : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    tile.store %acc, %out[%i] : tensor<16x16xf32>, <16 x f32>
    scf.yield %next : tensor<16x16xf32>
  }
  tile.store %sum, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// A dot adds to whole rows of memory in place: scratch holds the transpose of %x alone.
// CHECK-LABEL: func.func @adds_in_memory
// CHECK-SAME: scratch_bytes = 1024
// CHECK: return
func.func @adds_in_memory(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %stride = arith.constant 16 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  scf.for %i = %first to %n step %step : i32 {
    %x = tile.load %in[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %y = tile.load %in[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %sum = tile.load %out[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %next = tile.dot %x, %y, %sum {transpose_b} : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    tile.store %next, %out[%i] : tensor<16x16xf32>, <16 x f32>
  }
  return
}

// Not where the rows may not all exist, lie apart, or may be what the dot reads.
// CHECK-LABEL: func.func @adds_in_scratch
// CHECK-SAME: scratch_bytes = 2048
// CHECK-LABEL: func.func @adds_to_rows_apart
// CHECK-SAME: scratch_bytes = 2048
// CHECK-LABEL: func.func @adds_to_what_it_reads
// CHECK-SAME: scratch_bytes = 2048
func.func @adds_in_scratch(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %stride = arith.constant 16 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  scf.for %i = %first to %n step %step : i32 {
    %x = tile.load %in[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %y = tile.load %in[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %sum = tile.load %out[%i] : <16 x f32> -> tensor<16x16xf32>
    %next = tile.dot %x, %y, %sum {transpose_b} : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    tile.store %next, %out[%i] : tensor<16x16xf32>, <16 x f32>
  }
  return
}
func.func @adds_to_rows_apart(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  scf.for %i = %first to %n step %step : i32 {
    %x = tile.load %in[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %y = tile.load %in[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %sum = tile.load %out[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %next = tile.dot %x, %y, %sum {transpose_b} : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    tile.store %next, %out[%i] : tensor<16x16xf32>, <16 x f32>
  }
  return
}
func.func @adds_to_what_it_reads(%o: !tile.ptr<f32>, %n: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %stride = arith.constant 16 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  scf.for %i = %first to %n step %step : i32 {
    %x = tile.load %out[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %y = tile.load %out[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %sum = tile.load %out[%i] {in_bounds} : <16 x f32> -> tensor<16x16xf32>
    %next = tile.dot %x, %y, %sum {transpose_b} : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    tile.store %next, %out[%i] : tensor<16x16xf32>, <16 x f32>
  }
  return
}

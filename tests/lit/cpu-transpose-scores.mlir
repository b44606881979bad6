// Scores of many keys with one tile of queries, and what hangs on them, are computed by keys instead
// of by queries.
// RUN: nysjit-opt --expand-masks --cpu-transpose-scores %s | FileCheck %s

// CHECK-LABEL: func.func @softmax
// CHECK: %[[Q:.*]] = tile.load
// CHECK: %[[QT:.*]] = tile.transpose %[[Q]] : tensor<16x64xf32> -> tensor<64x16xf32>
// CHECK: scf.for
// CHECK: %[[K:.*]] = tile.load
// CHECK: %[[S:.*]] = tile.dot %[[K]], %[[QT]] : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
// CHECK: %[[M:.*]] = tile.reduce max %[[S]] axis 0 : tensor<32x16xf32> -> tensor<16xf32>
// CHECK: %[[B:.*]] = tile.broadcast %[[M]] axis 1 : tensor<16xf32> -> tensor<32x16xf32>
// CHECK: %[[D:.*]] = arith.subf %[[S]], %[[B]] : tensor<32x16xf32>
// CHECK: %[[P:.*]] = math.exp2 %[[D]] : tensor<32x16xf32>
// CHECK: tile.dot %[[P]], %[[K]] {transpose_a} : (tensor<32x16xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
func.func @softmax(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %m = tile.reduce max %s axis 1 : tensor<16x32xf32> -> tensor<16xf32>
    %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x32xf32>
    %d = arith.subf %s, %b : tensor<16x32xf32>
    %p = math.exp2 %d : tensor<16x32xf32>
    %o = tile.dot %p, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

// No softmax is looked for: two dots of scores that meet in P * (dP - D) are turned together.
// CHECK-LABEL: func.func @backward
// CHECK-DAG: %[[QT:.*]] = tile.transpose
// CHECK-DAG: %[[GT:.*]] = tile.transpose
// CHECK: scf.for
// CHECK: %[[S:.*]] = tile.dot %{{.*}}, %{{.*}} : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
// CHECK: %[[P:.*]] = math.exp2 %{{.*}} : tensor<32x16xf32>
// CHECK: %[[DP:.*]] = tile.dot %{{.*}}, %{{.*}} : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
// CHECK: %[[E:.*]] = arith.subf %[[DP]], %{{.*}} : tensor<32x16xf32>
// CHECK: %[[DS:.*]] = arith.mulf %[[P]], %[[E]] : tensor<32x16xf32>
// CHECK: tile.dot %[[DS]], %{{.*}} {transpose_a}
// CHECK-NOT: transpose_b
// CHECK: return
func.func @backward(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  %do = tile.load %out[%n] : <64 x f32> -> tensor<16x64xf32>
  %sums = tile.reduce sum %do axis 1 : tensor<16x64xf32> -> tensor<16xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %l = tile.broadcast %sums axis 0 : tensor<16xf32> -> tensor<16x32xf32>
    %d = arith.subf %s, %l : tensor<16x32xf32>
    %p = math.exp2 %d : tensor<16x32xf32>
    %v = tile.load %out[%i] : <64 x f32> -> tensor<32x64xf32>
    %dp = tile.dot %do, %v {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %e = arith.subf %dp, %l : tensor<16x32xf32>
    %ds = arith.mulf %p, %e : tensor<16x32xf32>
    %o = tile.dot %ds, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

// Masks turn with what they hide of.
// CHECK-LABEL: func.func @masked
// CHECK-DAG: tile.mask %{{.*}} below %{{.*}} axis 0 : (i32, i32) -> tensor<32x16xi1>
// CHECK: tile.dot {{.*}} read_where %{{.*}} : (tensor<32x64xf32>, tensor<64x16xf32>, tensor<32x16xi1>) -> tensor<32x16xf32>
// CHECK: arith.select {{.*}} : tensor<32x16xi1>, tensor<32x16xf32>
// CHECK: tile.dot {{.*}} nonzero_where %{{.*}} {transpose_a} : (tensor<32x16xf32>, tensor<32x64xf32>, tensor<32x16xi1>) -> tensor<16x64xf32>
func.func @masked(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %mask = tile.mask %i below %n axis 1 : (i32, i32) -> tensor<16x32xi1>
    %s = tile.dot %q, %k read_where %mask {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>, tensor<16x32xi1>) -> tensor<16x32xf32>
    %none = arith.constant dense<0.0> : tensor<16x32xf32>
    %p = arith.select %mask, %s, %none : tensor<16x32xi1>, tensor<16x32xf32>
    %o = tile.dot %p, %k nonzero_where %mask : (tensor<16x32xf32>, tensor<32x64xf32>, tensor<16x32xi1>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

// Keys that are gathered come by in the loop, too; two such dots meet in a maximum.
// CHECK-LABEL: func.func @gathered
// CHECK: %[[QT:.*]] = tile.transpose %{{.*}} : tensor<16x64xf32> -> tensor<64x16xf32>
// CHECK: scf.for
// CHECK: %[[K:.*]] = tile.gather
// CHECK: %[[L:.*]] = tile.gather
// CHECK: %[[S:.*]] = tile.dot %[[K]], %[[QT]] : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
// CHECK: %[[T:.*]] = tile.dot %[[L]], %[[QT]] : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
// CHECK: arith.maximumf %[[S]], %[[T]] : tensor<32x16xf32>
// CHECK: tile.dot {{.*}} {transpose_a}
// CHECK-NOT: transpose_b
// CHECK: return
func.func @gathered(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  %count = tile.iota : tensor<32xi32>
  scf.for %i = %n to %n step %step : i32 {
    %first = tensor.splat %i : tensor<32xi32>
    %rows = arith.addi %count, %first : tensor<32xi32>
    %k = tile.gather %in[%rows] : <64 x f32>, tensor<32xi32> -> tensor<32x64xf32>
    %l = tile.gather %out[%rows] : <64 x f32>, tensor<32xi32> -> tensor<32x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %t = tile.dot %q, %l {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %p = arith.maximumf %s, %t : tensor<16x32xf32>
    %o = tile.dot %p, %l : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

// A dot that takes the scores transposed takes them as they are, then.
// CHECK-LABEL: func.func @taken_transposed
// CHECK: scf.for
// CHECK: %[[S:.*]] = tile.dot %{{.*}}, %{{.*}} : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
// CHECK: tile.dot %[[S]], %{{.*}} {transpose_a} : (tensor<32x16xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
// CHECK: tile.dot %[[S]], %{{.*}} : (tensor<32x16xf32>, tensor<16x64xf32>) -> tensor<32x64xf32>
func.func @taken_transposed(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %o = tile.dot %s, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
    %r = tile.dot %s, %q {transpose_a} : (tensor<16x32xf32>, tensor<16x64xf32>) -> tensor<32x64xf32>
    tile.store %r, %out[%i] : tensor<32x64xf32>, <64 x f32>
  }
  return
}

// A transpose that the program asks for is not made where what follows may be turned.
// CHECK-LABEL: func.func @asked_for
// CHECK-NOT: tile.transpose
// CHECK: tile.reduce max %{{.*}} axis 0 : tensor<32x64xf32> -> tensor<64xf32>
// CHECK: tile.dot {{.*}} {transpose_a} : (tensor<32x64xf32>, tensor<32x64xf32>) -> tensor<64x64xf32>
func.func @asked_for(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %x = arith.addf %k, %k : tensor<32x64xf32>
    %s = tile.transpose %x : tensor<32x64xf32> -> tensor<64x32xf32>
    %m = tile.reduce max %s axis 1 : tensor<64x32xf32> -> tensor<64xf32>
    %b = tile.broadcast %m axis 0 : tensor<64xf32> -> tensor<64x32xf32>
    %p = arith.subf %s, %b : tensor<64x32xf32>
    %o = tile.dot %p, %k : (tensor<64x32xf32>, tensor<32x64xf32>) -> tensor<64x64xf32>
    tile.store %o, %out[%i] : tensor<64x64xf32>, <64 x f32>
  }
  return
}

// Not where something reads the scores that cannot be turned: a store, a dot's right side, what a dot
// is added to, a loop that carries them on.
// CHECK-LABEL: func.func @stored
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}}transpose_b
// CHECK-NOT: transpose_a
// CHECK: return
func.func @stored(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %m = tile.reduce max %s axis 1 : tensor<16x32xf32> -> tensor<16xf32>
    %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x32xf32>
    %d = arith.subf %s, %b : tensor<16x32xf32>
    %p = math.exp2 %d : tensor<16x32xf32>
    %o = tile.dot %p, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
    tile.store %p, %flat[%i] : tensor<16x32xf32>, <32 x f32>
  }
  return
}

// CHECK-LABEL: func.func @right_side
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}}transpose_b
// CHECK-NOT: transpose_a
// CHECK: return
func.func @right_side(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %m = tile.reduce max %s axis 1 : tensor<16x32xf32> -> tensor<16xf32>
    %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x32xf32>
    %d = arith.subf %s, %b : tensor<16x32xf32>
    %p = math.exp2 %d : tensor<16x32xf32>
    %o = tile.dot %p, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
    %w = arith.constant dense<1.0> : tensor<16x16xf32>
    %r = tile.dot %w, %p : (tensor<16x16xf32>, tensor<16x32xf32>) -> tensor<16x32xf32>
    tile.store %r, %flat[%i] : tensor<16x32xf32>, <32 x f32>
  }
  return
}

// CHECK-LABEL: func.func @added_to
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}}transpose_b
// CHECK-NOT: transpose_a
// CHECK: return
func.func @added_to(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %o = tile.dot %s, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
    %w = tile.load %in[%i] : <64 x f32> -> tensor<16x64xf32>
    %y = arith.addf %k, %k : tensor<32x64xf32>
    %r = tile.dot %w, %y, %s {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>, tensor<16x32xf32>) -> tensor<16x32xf32>
    tile.store %r, %flat[%i] : tensor<16x32xf32>, <32 x f32>
  }
  return
}

// Not where the keys are no rows that the loop loads: computed, or loaded before it.
// CHECK-LABEL: func.func @computed_keys
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}}transpose_b
// CHECK-NOT: transpose_a
// CHECK: return
func.func @computed_keys(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %y = arith.addf %k, %k : tensor<32x64xf32>
    %s = tile.dot %q, %y {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %m = tile.reduce max %s axis 1 : tensor<16x32xf32> -> tensor<16xf32>
    %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x32xf32>
    %d = arith.subf %s, %b : tensor<16x32xf32>
    %p = math.exp2 %d : tensor<16x32xf32>
    %o = tile.dot %p, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

// CHECK-LABEL: func.func @keys_before
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}}transpose_b
// CHECK-NOT: transpose_a
// CHECK: return
func.func @keys_before(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  %k = tile.load %in[%n] : <64 x f32> -> tensor<32x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %m = tile.reduce max %s axis 1 : tensor<16x32xf32> -> tensor<16xf32>
    %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x32xf32>
    %d = arith.subf %s, %b : tensor<16x32xf32>
    %p = math.exp2 %d : tensor<16x32xf32>
    %o = tile.dot %p, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

// Not where the queries change too.
// CHECK-LABEL: func.func @queries_inside
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}}transpose_b
// CHECK-NOT: transpose_a
// CHECK: return
func.func @queries_inside(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %x = tile.load %in[%i] : <64 x f32> -> tensor<16x64xf32>
    %s = tile.dot %x, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %m = tile.reduce max %s axis 1 : tensor<16x32xf32> -> tensor<16xf32>
    %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x32xf32>
    %d = arith.subf %s, %b : tensor<16x32xf32>
    %p = math.exp2 %d : tensor<16x32xf32>
    %o = tile.dot %p, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

// Not where a side fills no vector registers: 24 keys to registers of 16.
// CHECK-LABEL: func.func @odd_side
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}}transpose_b
// CHECK-NOT: transpose_a
// CHECK: return
func.func @odd_side(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<24x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<24x64xf32>) -> tensor<16x24xf32>
    %m = tile.reduce max %s axis 1 : tensor<16x24xf32> -> tensor<16xf32>
    %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x24xf32>
    %d = arith.subf %s, %b : tensor<16x24xf32>
    %p = math.exp2 %d : tensor<16x24xf32>
    %o = tile.dot %p, %k : (tensor<16x24xf32>, tensor<24x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

// Not by halves: what meets the scores in elementwise operations must be turned too.
// CHECK-LABEL: func.func @meets_a_tile
// CHECK-NOT: tile.transpose
// CHECK: tile.dot {{.*}}transpose_b
// CHECK-NOT: transpose_a
// CHECK: return
func.func @meets_a_tile(%in: !tile.view<64 x f32>, %out: !tile.view<64 x f32>, %flat: !tile.view<32 x f32>, %n: i32, %step: i32) {
  %q = tile.load %in[%n] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %n to %n step %step : i32 {
    %k = tile.load %in[%i] : <64 x f32> -> tensor<32x64xf32>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<32x64xf32>) -> tensor<16x32xf32>
    %x = tile.load %flat[%i] : <32 x f32> -> tensor<16x32xf32>
    %p = arith.mulf %s, %x : tensor<16x32xf32>
    %o = tile.dot %p, %k : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
    tile.store %o, %out[%i] : tensor<16x64xf32>, <64 x f32>
  }
  return
}

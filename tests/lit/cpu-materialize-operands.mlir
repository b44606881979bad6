// Tiles that are computed anew wherever they are read get memory where an operation reads memory.
// RUN: nysjit-opt --cpu-materialize-operands %s | FileCheck %s

// CHECK-LABEL: func.func @dots
// CHECK-SAME: (%[[X:.*]]: tensor<16x16xf32>,
// CHECK: %[[B:.*]] = tile.broadcast
// CHECK: %[[M:.*]] = arith.mulf %[[B]], %{{.*}} : tensor<16x16xf32>
// CHECK: tile.dot %[[M]], %[[X]]
// CHECK: %[[N:.*]] = arith.mulf %[[B]]
// CHECK: tile.dot %[[X]], %[[N]]
func.func @dots(%x: tensor<16x16xf32>, %v: tensor<16xf32>) -> (tensor<16x16xf32>, tensor<16x16xf32>) {
  %b = tile.broadcast %v axis 0 : tensor<16xf32> -> tensor<16x16xf32>
  %y = tile.dot %b, %x : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %z = tile.dot %x, %b : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  return %y, %z : tensor<16x16xf32>, tensor<16x16xf32>
}

// CHECK-LABEL: func.func @others
// CHECK: %[[B:.*]] = tile.broadcast
// CHECK: %[[T:.*]] = arith.mulf %[[B]]
// CHECK: tile.transpose %[[T]]
// CHECK: %[[L:.*]] = arith.mulf %[[B]]
// CHECK: tile.triangular_solve %[[L]]
// CHECK: %[[C:.*]] = arith.mulf %[[B]]
// CHECK: tile.cumulative_sum %[[C]]
func.func @others(%x: tensor<16x16xf32>, %v: tensor<16xf32>) -> (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) {
  %b = tile.broadcast %v axis 0 : tensor<16xf32> -> tensor<16x16xf32>
  %t = tile.transpose %b : tensor<16x16xf32> -> tensor<16x16xf32>
  %u = tile.triangular_solve %b, %x : tensor<16x16xf32>, tensor<16x16xf32>
  %c = tile.cumulative_sum %b axis 0 : tensor<16x16xf32>
  return %t, %u, %c : tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>
}

// Loaded (and widened) tiles and products have memory; what a dot adds to and is told by masks, and
// what elementwise operations read, needs none.
// CHECK-LABEL: func.func @stay
// CHECK-COUNT-1: arith.mulf
// CHECK-NOT: arith.mulf
// CHECK: return
func.func @stay(%in: !tile.view<16 x bf16>, %n: i32, %v: tensor<16xf32>) -> tensor<16x16xf32> {
  %b = tile.broadcast %v axis 0 : tensor<16xf32> -> tensor<16x16xf32>
  %narrow = tile.load %in[%n] : <16 x bf16> -> tensor<16x16xbf16>
  %x = arith.extf %narrow : tensor<16x16xbf16> to tensor<16x16xf32>
  %seen = tile.mask %n below %n axis 1 : (i32, i32) -> tensor<16x16xi1>
  %m = arith.mulf %x, %b : tensor<16x16xf32>
  %y = tile.dot %m, %x, %b read_where %seen nonzero_where %seen : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xi1>, tensor<16x16xi1>) -> tensor<16x16xf32>
  return %y : tensor<16x16xf32>
}

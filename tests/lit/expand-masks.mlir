// Masks become comparisons where they are read as tiles.
// RUN: nysjit-opt --expand-masks %s | FileCheck %s

// One end a row: every element compares its column's number with its row's end.
// CHECK-LABEL: func.func @row_ends
// CHECK-SAME: (%[[X:.*]]: tensor<16x32xf32>, %[[FIRST:.*]]: i32, %[[END:.*]]: tensor<16xi32>)
// CHECK: %[[COUNT:.*]] = tile.iota : tensor<32xi32>
// CHECK: %[[START:.*]] = tensor.splat %[[FIRST]] : tensor<32xi32>
// CHECK: %[[J:.*]] = arith.addi %[[START]], %[[COUNT]]
// CHECK: %[[LEFT:.*]] = tile.broadcast %[[J]] axis 1 : tensor<32xi32> -> tensor<16x32xi32>
// CHECK: %[[RIGHT:.*]] = tile.broadcast %[[END]] axis 0 : tensor<16xi32> -> tensor<16x32xi32>
// CHECK: %[[BITS:.*]] = arith.cmpi slt, %[[LEFT]], %[[RIGHT]]
// CHECK-NOT: arith.andi
// CHECK: arith.select %[[BITS]]
func.func @row_ends(%x: tensor<16x32xf32>, %first: i32, %end: tensor<16xi32>) -> tensor<16x32xf32> {
  %mask = tile.mask %first below %end axis 1 : (i32, tensor<16xi32>) -> tensor<16x32xi1>
  %y = arith.select %mask, %x, %x : tensor<16x32xi1>, tensor<16x32xf32>
  return %y : tensor<16x32xf32>
}

// Along rows, up to and with an end a column, from a number for all on.
// CHECK-LABEL: func.func @column_ends
// CHECK-SAME: %[[BEGIN:[a-z0-9]+]]: i32) ->
// CHECK: tile.broadcast %{{.*}} axis 0 : tensor<16xi32> -> tensor<16x32xi32>
// CHECK: tile.broadcast %{{.*}} axis 1 : tensor<32xi32> -> tensor<16x32xi32>
// CHECK: %[[BEFORE:.*]] = arith.cmpi sle
// CHECK: %[[LIMIT:.*]] = tensor.splat %[[BEGIN]] : tensor<16xi32>
// CHECK: %[[LINE:.*]] = arith.cmpi sge, %{{.*}}, %[[LIMIT]] : tensor<16xi32>
// CHECK: %[[AFTER:.*]] = tile.broadcast %[[LINE]] axis 0 : tensor<16xi1> -> tensor<16x32xi1>
// CHECK: %[[BITS:.*]] = arith.andi %[[BEFORE]], %[[AFTER]]
// CHECK: arith.select %[[BITS]]
func.func @column_ends(%x: tensor<16x32xf32>, %first: i32, %end: tensor<32xi32>, %begin: i32) -> tensor<16x32xf32> {
  %mask = tile.mask %first below %end from %begin axis 0 {inclusive} : (i32, tensor<32xi32>, i32) -> tensor<16x32xi1>
  %y = arith.select %mask, %x, %x : tensor<16x32xi1>, tensor<16x32xf32>
  return %y : tensor<16x32xf32>
}

// A dot is told by the mask itself, whether something else reads it or not.
// CHECK-LABEL: func.func @dots
// CHECK-NOT: arith.cmpi
// CHECK: %[[MASK:.*]] = tile.mask
// CHECK-NOT: arith.cmpi
// CHECK: tile.dot {{.*}} read_where %[[MASK]] :
// CHECK: arith.cmpi slt
// CHECK: %[[BITS:.*]] = tile.broadcast %{{.*}} axis 1 : tensor<16xi1>
// CHECK: %[[OTHER:.*]] = tile.mask
// CHECK: %[[P:.*]] = arith.select %[[BITS]]
// CHECK: tile.dot %[[P]], {{.*}} nonzero_where %[[OTHER]] :
func.func @dots(%x: tensor<16x16xf32>, %first: i32, %end: i32) -> tensor<16x16xf32> {
  %zero = arith.constant dense<0.0> : tensor<16x16xf32>
  %mask = tile.mask %first below %end axis 1 : (i32, i32) -> tensor<16x16xi1>
  %s = tile.dot %x, %x read_where %mask : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xi1>) -> tensor<16x16xf32>
  %other = tile.mask %first below %end axis 1 : (i32, i32) -> tensor<16x16xi1>
  %p = arith.select %other, %s, %zero : tensor<16x16xi1>, tensor<16x16xf32>
  %y = tile.dot %p, %x nonzero_where %other : (tensor<16x16xf32>, tensor<16x16xf32>, tensor<16x16xi1>) -> tensor<16x16xf32>
  return %y : tensor<16x16xf32>
}

// A sum that is rescaled before a product is added is left alone where the factor is 1.
// RUN: nysjit-opt --cpu-skip-unit-scales %s | FileCheck %s

// CHECK-LABEL: func.func @accumulator
// CHECK-SAME: (%[[S:.*]]: tensor<16x64xf32>, %[[F:.*]]: tensor<16xf32>,
// CHECK: %[[SCALED:.*]] = tile.scale_rows %[[S]], %[[F]] : tensor<16x64xf32>, tensor<16xf32>
// CHECK-NOT: arith.mulf
// CHECK: tile.dot %{{.*}}, %{{.*}}, %[[SCALED]]
func.func @accumulator(%s: tensor<16x64xf32>, %f: tensor<16xf32>, %p: tensor<16x16xf32>, %v: tensor<16x64xf32>) -> tensor<16x64xf32> {
  %factors = tile.broadcast %f axis 0 : tensor<16xf32> -> tensor<16x64xf32>
  %scaled = arith.mulf %s, %factors : tensor<16x64xf32>
  %y = tile.dot %p, %v, %scaled : (tensor<16x16xf32>, tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x64xf32>
  return %y : tensor<16x64xf32>
}

// An operand that is multiplied is no running sum.
// CHECK-LABEL: func.func @left_operand
// CHECK-NOT: tile.scale_rows
// CHECK: return
func.func @left_operand(%s: tensor<16x16xf32>, %f: tensor<16xf32>, %v: tensor<16x64xf32>) -> tensor<16x64xf32> {
  %factors = tile.broadcast %f axis 0 : tensor<16xf32> -> tensor<16x16xf32>
  %scaled = arith.mulf %s, %factors : tensor<16x16xf32>
  %y = tile.dot %scaled, %v : (tensor<16x16xf32>, tensor<16x64xf32>) -> tensor<16x64xf32>
  return %y : tensor<16x64xf32>
}

// Nor is what else is read too.
// CHECK-LABEL: func.func @second_use
// CHECK-NOT: tile.scale_rows
// CHECK: return
func.func @second_use(%s: tensor<16x64xf32>, %f: tensor<16xf32>, %p: tensor<16x16xf32>, %v: tensor<16x64xf32>) -> (tensor<16x64xf32>, tensor<16x64xf32>) {
  %factors = tile.broadcast %f axis 0 : tensor<16xf32> -> tensor<16x64xf32>
  %scaled = arith.mulf %s, %factors : tensor<16x64xf32>
  %other = math.exp2 %scaled : tensor<16x64xf32>
  %y = tile.dot %p, %v, %scaled : (tensor<16x16xf32>, tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x64xf32>
  return %y, %other : tensor<16x64xf32>, tensor<16x64xf32>
}

// One factor a column leaves no row alone.
// CHECK-LABEL: func.func @columns
// CHECK-NOT: tile.scale_rows
// CHECK: return
func.func @columns(%s: tensor<16x64xf32>, %f: tensor<64xf32>, %p: tensor<16x16xf32>, %v: tensor<16x64xf32>) -> tensor<16x64xf32> {
  %factors = tile.broadcast %f axis 1 : tensor<64xf32> -> tensor<16x64xf32>
  %scaled = arith.mulf %s, %factors : tensor<16x64xf32>
  %y = tile.dot %p, %v, %scaled : (tensor<16x16xf32>, tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x64xf32>
  return %y : tensor<16x64xf32>
}

// Sums along columns are sums along rows of the transposed tile.
// RUN: nysjit-opt --cpu-transpose-column-sums %s | FileCheck %s

// CHECK-LABEL: func.func @columns
// CHECK-SAME: (%[[X:.*]]: tensor<16x32xf32>)
// CHECK: %[[T:.*]] = tile.transpose %[[X]] : tensor<16x32xf32> -> tensor<32x16xf32>
// CHECK: %[[S:.*]] = tile.cumulative_sum %[[T]] axis 0 : tensor<32x16xf32>
// CHECK: %[[Y:.*]] = tile.transpose %[[S]] : tensor<32x16xf32> -> tensor<16x32xf32>
// CHECK: return %[[Y]]
func.func @columns(%x: tensor<16x32xf32>) -> tensor<16x32xf32> {
  %y = tile.cumulative_sum %x axis 1 : tensor<16x32xf32>
  return %y : tensor<16x32xf32>
}

// Sums along rows are what the loop over rows carries: they stay.
// CHECK-LABEL: func.func @rows
// CHECK-NOT: tile.transpose
// CHECK: tile.cumulative_sum %{{.*}} axis 0 : tensor<16x32xf32>
// CHECK-NOT: tile.transpose
// CHECK: return
func.func @rows(%x: tensor<16x32xf32>) -> tensor<16x32xf32> {
  %y = tile.cumulative_sum %x axis 0 : tensor<16x32xf32>
  return %y : tensor<16x32xf32>
}

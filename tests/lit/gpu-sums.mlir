// A cumulative sum is a product with a triangle of ones: down the columns from the left, along the
// rows from the right. To the last instruction.
// RUN: nysjit-opt --tile-to-gpu %s -o %t
// RUN: FileCheck %s --input-file %t
// RUN: sed -n '/func.func @sum(/,/^  }/p' %t | tail -n +2 > %t.sum
// RUN: sed -n '/func.func @product(/,/^  }/p' %t | tail -n +2 > %t.product
// RUN: diff %t.sum %t.product

// CHECK-LABEL: func.func @sum(
// CHECK: arith.cmpi sle
// CHECK: arith.select
// CHECK-COUNT-3: llvm.nvvm.mma.m16n8k8.row.col.tf32
func.func @sum(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<32x64xf32>
  %y = tile.cumulative_sum %x axis 0 : tensor<32x64xf32>
  tile.store %y, %in[%first] : tensor<32x64xf32>, <64 x f32>
  return
}

// CHECK-LABEL: func.func @product(
func.func @product(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<32x64xf32>
  %i = tile.iota : tensor<32xi32>
  %column = tile.broadcast %i axis 1 : tensor<32xi32> -> tensor<32x32xi32>
  %row = tile.broadcast %i axis 0 : tensor<32xi32> -> tensor<32x32xi32>
  %below = arith.cmpi sle, %column, %row : tensor<32x32xi32>
  %one = arith.constant dense<1.0> : tensor<32x32xf32>
  %none = arith.constant dense<0.0> : tensor<32x32xf32>
  %triangle = arith.select %below, %one, %none : tensor<32x32xi1>, tensor<32x32xf32>
  %y = tile.dot %triangle, %x {precision = 2 : i32, skips_zeros} : (tensor<32x32xf32>, tensor<32x64xf32>) -> tensor<32x64xf32>
  tile.store %y, %in[%first] : tensor<32x64xf32>, <64 x f32>
  return
}

// Along rows the triangle, which is computed, goes through shared memory.
// CHECK-LABEL: func.func @along_rows(
// CHECK-SAME: shared_bytes = 20480
// CHECK: llvm.store {{.*}} : vector<2xf32>, !llvm.ptr<3>
// CHECK: llvm.nvvm.barrier
// CHECK-COUNT-3: llvm.nvvm.mma.m16n8k8.row.col.tf32
func.func @along_rows(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<16x64xf32>
  %y = tile.cumulative_sum %x axis 1 : tensor<16x64xf32>
  tile.store %y, %in[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

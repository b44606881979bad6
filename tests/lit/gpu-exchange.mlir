// What is needed in another place than it comes about goes through shared memory once.
// RUN: nysjit-opt --tile-to-gpu %s | FileCheck %s

// CHECK-LABEL: func.func @transposed(
// CHECK: llvm.store {{.*}} : vector<2xf32>, !llvm.ptr<3>
// CHECK: llvm.nvvm.barrier
// CHECK-NOT: llvm.nvvm.barrier
// CHECK-COUNT-32: llvm.load {{.*}} : !llvm.ptr<3> -> f32
// CHECK-NOT: llvm.load {{.*}} : !llvm.ptr<3>
// CHECK: return
func.func @transposed(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %y = tile.transpose %x : tensor<64x64xf32> -> tensor<64x64xf32>
  tile.store %y, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// The largest of each row, along columns.
// CHECK-LABEL: func.func @along_the_other_axis(
// CHECK: llvm.nvvm.shfl.sync.bfly
// CHECK: llvm.store {{.*}} : f32, !llvm.ptr<3>
// CHECK: llvm.nvvm.barrier
// CHECK-NOT: llvm.nvvm.barrier
// CHECK: llvm.load {{.*}} : !llvm.ptr<3> -> f32
// CHECK: return
func.func @along_the_other_axis(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %m = tile.reduce max %x axis 1 : tensor<64x64xf32> -> tensor<64xf32>
  %b = tile.broadcast %m axis 1 : tensor<64xf32> -> tensor<64x64xf32>
  %y = arith.subf %x, %b : tensor<64x64xf32>
  tile.store %y, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// The least of each column, and of those.
// CHECK-LABEL: func.func @least(
// CHECK: arith.minnumf
// CHECK-NOT: arith.maxnumf
// CHECK: return
func.func @least(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %m = tile.reduce min %x axis 0 : tensor<64x64xf32> -> tensor<64xf32>
  %least = tile.reduce min %m axis 0 : tensor<64xf32> -> f32
  %y = tensor.splat %least : tensor<64x64xf32>
  tile.store %y, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// Substitution forward begins with the first row's successor, backward with the last row's
// predecessor.
// CHECK-LABEL: func.func @solved(
// CHECK: scf.for %[[I:.*]] = %c1
// CHECK-NOT: arith.muli %[[I]], %c-1
// CHECK: scf.for %{{.*}} = %c0{{.*}} to %[[I]]
// CHECK: scf.for %[[J:.*]] = %c1
// CHECK: %[[NEGATED:.*]] = arith.muli %[[J]], %c-1
// CHECK: %[[ROW:.*]] = arith.addi %[[NEGATED]], %c15
// CHECK: %[[NEXT:.*]] = arith.addi %[[ROW]], %c1
// CHECK: scf.for %{{.*}} = %[[NEXT]] to %c16
func.func @solved(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  %y = tile.triangular_solve %x, %x : tensor<16x16xf32>, tensor<16x16xf32>
  %z = tile.triangular_solve %x, %y {upper} : tensor<16x16xf32>, tensor<16x16xf32>
  tile.store %z, %in[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// Rows that start anywhere go through registers: of sixteen chunks of a thread four at once.
// RUN: nysjit-opt --tile-to-gpu %s | FileCheck %s

// CHECK-LABEL: func.func @rows(
// CHECK-NOT: llvm.nvvm.bar.warp.sync
// CHECK-LABEL: func.func @rows_unaligned(
// CHECK-COUNT-4: llvm.store {{.*}} vector<8xi16>, !llvm.ptr<3>
// CHECK-NEXT: arith.constant -1
// CHECK-NEXT: llvm.nvvm.bar.warp.sync
// CHECK-COUNT-4: llvm.store {{.*}} vector<8xi16>, !llvm.ptr<3>
// CHECK: llvm.nvvm.bar.warp.sync
// CHECK: llvm.nvvm.bar.warp.sync
// CHECK-NOT: llvm.nvvm.bar.warp.sync
// CHECK: return
func.func @rows(%p: !tile.ptr<bf16> {tile.argument}, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %weight = arith.constant dense<1.0> : tensor<16x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %v = tile.load %in[%first] {in_bounds} : <64 x bf16> -> tensor<64x64xbf16>
  %x = tile.dot %weight, %v : (tensor<16x64xf32>, tensor<64x64xbf16>) -> tensor<16x64xf32>
  tile.store %x, %out[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// A widened form that takes the shared memory of a load which arrives with a loop's copies is not written before that
// has arrived: the loop may not turn, and a load through registers has no copies of its own to wait for.
// RUN: nysjit-opt --tile-to-gpu=shared=100000 %s | FileCheck %s

// CHECK-LABEL: func.func @arrives(
// CHECK-SAME: shared_bytes = 98304
// CHECK-LABEL: func.func @arrives_unaligned(
// CHECK: scf.for
// CHECK: llvm.nvvm.cp.async.wait.group
// CHECK: llvm.nvvm.barrier.cta.sync.aligned.all
// CHECK: llvm.nvvm.cp.async.wait.group
// CHECK-NEXT: arith.constant 0
// CHECK: llvm.nvvm.barrier.cta.sync.aligned.all
// CHECK: llvm.store {{.*}} : vector<4xf32>, !llvm.ptr<3>
// CHECK: llvm.nvvm.barrier.cta.sync.aligned.all
// CHECK: return
func.func @arrives(%p: !tile.ptr<f16>, %r: !tile.ptr<f16>, %s: !tile.ptr<f16> {tile.argument}, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %none = arith.constant dense<0.0> : tensor<64x16xf32>
  %weight = arith.constant dense<1.0> : tensor<16x64xf32>
  %queries = tile.view %p[%zero] length %n stride %stride : <f16> -> <256 x f16>
  %keys = tile.view %r[%zero] length %n stride %stride : <f16> -> <256 x f16>
  %values = tile.view %s[%zero] length %n stride %stride : <f16> -> <256 x f16>
  %narrow = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %wide = tile.view %o[%zero] length %n stride %stride : <f32> -> <256 x f32>
  %q = tile.load %queries[%first] : <256 x f16> -> tensor<64x256xf16>
  %sum = scf.for %i = %first to %n step %step iter_args(%c = %none) -> (tensor<64x16xf32>) : i32 {
    %k = tile.load %keys[%i] : <256 x f16> -> tensor<16x256xf16>
    %next = tile.dot %q, %k, %c {transpose_b} : (tensor<64x256xf16>, tensor<16x256xf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %next : tensor<64x16xf32>
  }
  tile.store %sum, %narrow[%first] : tensor<64x16xf32>, <16 x f32>
  %v = tile.load %values[%first] : <256 x f16> -> tensor<64x256xf16>
  %all = tile.dot %weight, %v {precision = 2 : i32} : (tensor<16x64xf32>, tensor<64x256xf16>) -> tensor<16x256xf32>
  tile.store %all, %wide[%first] : tensor<16x256xf32>, <256 x f32>
  return
}

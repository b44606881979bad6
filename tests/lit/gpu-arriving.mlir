// A load that only a loop reads arrives with the loop's own copies. Where the loop may not turn, its shared memory is
// not given to a later load before the copy has arrived.
// RUN: nysjit-opt --tile-to-gpu=shared=60000 %s | FileCheck %s --check-prefixes=CHECK,TURNS
// RUN: nysjit-opt --tile-to-gpu=shared=100000 %s | FileCheck %s --check-prefixes=CHECK,APART

// CHECK-LABEL: func.func @arrives(
// TURNS-SAME: shared_bytes = 49152
// APART-SAME: shared_bytes = 90112
// CHECK: scf.for
// CHECK: scf.yield
// CHECK-NEXT: }
// TURNS-NEXT: llvm.nvvm.cp.async.commit.group
// TURNS-NEXT: %[[PENDING:.*]] = arith.constant 0 : i32
// TURNS-NEXT: llvm.call_intrinsic "llvm.nvvm.cp.async.wait.group"(%[[PENDING]])
// TURNS-NEXT: arith.constant 0
// TURNS-NEXT: llvm.nvvm.barrier.cta.sync.aligned.all
// APART-NOT: cp.async.wait.group
// CHECK: cp.async.cg.shared.global
// CHECK: return
func.func @arrives(%p: !tile.ptr<bf16>, %r: !tile.ptr<bf16>, %s: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %none = arith.constant dense<0.0> : tensor<64x16xf32>
  %queries = tile.view %p[%zero] length %n stride %stride : <bf16> -> <256 x bf16>
  %keys = tile.view %r[%zero] length %n stride %stride : <bf16> -> <256 x bf16>
  %others = tile.view %s[%zero] length %n stride %stride : <bf16> -> <256 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %q = tile.load %queries[%first] : <256 x bf16> -> tensor<64x256xbf16>
  %sum = scf.for %i = %first to %n step %step iter_args(%c = %none) -> (tensor<64x16xf32>) : i32 {
    %k = tile.load %keys[%i] : <256 x bf16> -> tensor<16x256xbf16>
    %next = tile.dot %q, %k, %c {transpose_b} : (tensor<64x256xbf16>, tensor<16x256xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
    scf.yield %next : tensor<64x16xf32>
  }
  %d = tile.load %others[%first] : <256 x bf16> -> tensor<64x256xbf16>
  %e = tile.load %others[%step] : <256 x bf16> -> tensor<16x256xbf16>
  %all = tile.dot %d, %e, %sum {transpose_b} : (tensor<64x256xbf16>, tensor<16x256xbf16>, tensor<64x16xf32>) -> tensor<64x16xf32>
  tile.store %all, %out[%first] : tensor<64x16xf32>, <16 x f32>
  return
}

// A loop over tiles keeps the copies of later iterations under way, unless it writes memory.
// RUN: nysjit-opt --tile-to-gpu=stages=3 %s | FileCheck %s --check-prefixes=CHECK,THREE
// RUN: nysjit-opt --tile-to-gpu=stages=1 %s | FileCheck %s --check-prefixes=CHECK,ONE

// Two groups start before the loop; an iteration waits for the older one only. One buffer a stage: 3 * 64 * 64 * 2 bytes.
// CHECK-LABEL: func.func @sum(
// THREE-SAME: shared_bytes = 24576
// ONE-SAME: shared_bytes = 8192
// THREE-COUNT-2: llvm.nvvm.cp.async.commit.group
// CHECK: scf.for
// THREE: %[[PENDING:.*]] = arith.constant 1 : i32
// THREE-NEXT: llvm.call_intrinsic "llvm.nvvm.cp.async.wait.group"(%[[PENDING]])
// THREE-NEXT: arith.constant 0
// THREE-NEXT: llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.all"
// ONE: llvm.nvvm.barrier.cta.sync.aligned.all
// ONE: llvm.nvvm.cp.async.commit.group
// ONE: llvm.nvvm.cp.async.wait.group
// ONE: llvm.nvvm.barrier.cta.sync.aligned.all
// CHECK: llvm.nvvm.mma
// CHECK: return
func.func @sum(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  %none = arith.constant dense<0.0> : tensor<64x64xf32>
  %weight = arith.constant dense<1.0> : tensor<64x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %sum = scf.for %i = %first to %n step %step iter_args(%s = %none) -> (tensor<64x64xf32>) : i32 {
    %v = tile.load %in[%i] : <64 x bf16> -> tensor<64x64xbf16>
    %next = tile.dot %weight, %v, %s : (tensor<64x64xf32>, tensor<64x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
    scf.yield %next : tensor<64x64xf32>
  }
  tile.store %sum, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// What one iteration writes the next may read: its copies stand where the load does, after the barrier.
// CHECK-LABEL: func.func @writes(
// CHECK-SAME: shared_bytes = 8192
// CHECK: scf.for
// CHECK-NOT: scf.yield
// CHECK: llvm.nvvm.cp.async.commit.group
func.func @writes(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  %weight = arith.constant dense<1.0> : tensor<64x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  scf.for %i = %first to %n step %step : i32 {
    %v = tile.load %in[%i] : <64 x bf16> -> tensor<64x64xbf16>
    %next = tile.dot %weight, %v : (tensor<64x64xf32>, tensor<64x64xbf16>) -> tensor<64x64xf32>
    tile.store %next, %out[%i] : tensor<64x64xf32>, <64 x f32>
  }
  return
}

// A tile.sync is a barrier where a load needs it: not before what reads other memory, and once.
// CHECK-LABEL: func.func @sync(
// CHECK: llvm.store
// CHECK-NOT: llvm.nvvm.barrier
// CHECK: llvm.load {{.*}} -> f32
// CHECK: llvm.nvvm.barrier
// CHECK: llvm.load {{.*}} -> f32
// CHECK-NOT: llvm.nvvm.barrier
// CHECK: return
func.func @sync(%p: !tile.ptr<f32>, %q: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %first = arith.constant 0 : i32
  %second = arith.constant 16 : i32
  %x = arith.constant dense<1.0> : tensor<16xf32>
  %own = tile.view %p[%zero] length %n stride %one : <f32> -> <0 x f32>
  %other = tile.view %q[%zero] length %n stride %one : <f32> -> <0 x f32>
  %out = tile.view %o[%zero] length %n stride %one : <f32> -> <0 x f32>
  tile.store %x, %own[%first] : tensor<16xf32>, <0 x f32>
  tile.sync
  %a = tile.load %other[%first] : <0 x f32> -> tensor<16xf32>
  %b = tile.load %own[%second] : <0 x f32> -> tensor<16xf32>
  %c = tile.load %own[%first] : <0 x f32> -> tensor<16xf32>
  %ab = arith.addf %a, %b : tensor<16xf32>
  %sum = arith.addf %ab, %c : tensor<16xf32>
  tile.store %sum, %out[%first] : tensor<16xf32>, <0 x f32>
  return
}

// A store waits for threads that may still have to read what it overwrites, unless none has.
// CHECK-LABEL: func.func @overwrites(
// CHECK: llvm.load {{.*}} -> f32
// CHECK: llvm.nvvm.barrier
// CHECK: llvm.store
// CHECK: return
func.func @overwrites(%p: !tile.ptr<f32>, %n: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %first = arith.constant 0 : i32
  %second = arith.constant 16 : i32
  %own = tile.view %p[%zero] length %n stride %one : <f32> -> <0 x f32>
  %x = tile.load %own[%first] : <0 x f32> -> tensor<16xf32>
  tile.store %x, %own[%second] : tensor<16xf32>, <0 x f32>
  return
}

// CHECK-LABEL: func.func @unread(
// CHECK: llvm.load {{.*}} -> f32
// CHECK-NOT: llvm.nvvm.barrier
// CHECK: llvm.store
// CHECK: return
func.func @unread(%p: !tile.ptr<f32>, %n: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %first = arith.constant 0 : i32
  %second = arith.constant 16 : i32
  %own = tile.view %p[%zero] length %n stride %one : <f32> -> <0 x f32>
  %x = tile.load %own[%first] : <0 x f32> -> tensor<16xf32>
  tile.store %x, %own[%second] {unread} : tensor<16xf32>, <0 x f32>
  return
}

// A product of two loads that stands before the last of four that start together: its copies are waited for first.
// CHECK-LABEL: func.func @between(
// CHECK-NOT: llvm.nvvm.ldmatrix
// CHECK: llvm.nvvm.cp.async.wait.group
// CHECK: llvm.nvvm.barrier
// CHECK: llvm.nvvm.ldmatrix
// CHECK: llvm.nvvm.cp.async.wait.group
func.func @between(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %r0 = arith.constant 0 : i32
  %r1 = arith.constant 64 : i32
  %r2 = arith.constant 128 : i32
  %r3 = arith.constant 192 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %a = tile.load %in[%r0] : <64 x bf16> -> tensor<64x64xbf16>
  %b = tile.load %in[%r1] : <64 x bf16> -> tensor<64x64xbf16>
  %c = tile.load %in[%r2] : <64 x bf16> -> tensor<64x64xbf16>
  %x = tile.dot %a, %b : (tensor<64x64xbf16>, tensor<64x64xbf16>) -> tensor<64x64xf32>
  %d = tile.load %in[%r3] : <64 x bf16> -> tensor<64x64xbf16>
  %y = tile.dot %x, %c, %x : (tensor<64x64xf32>, tensor<64x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %z = tile.dot %y, %d, %y : (tensor<64x64xf32>, tensor<64x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
  tile.store %z, %out[%r0] : tensor<64x64xf32>, <64 x f32>
  return
}

// What is promised to be inside is read without a test, whatever number of bytes.
// CHECK-LABEL: func.func @whole(
// CHECK: scf.for
// CHECK-NOT: cmpi ult
// CHECK: llvm.nvvm.cp.async.cg.shared.global.16"
// CHECK-NOT: cmpi ult
// CHECK: scf.yield
func.func @whole(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  %none = arith.constant dense<0.0> : tensor<64x64xf32>
  %weight = arith.constant dense<1.0> : tensor<64x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %sum = scf.for %i = %first to %n step %step iter_args(%s = %none) -> (tensor<64x64xf32>) : i32 {
    %v = tile.load %in[%i] {in_bounds} : <64 x bf16> -> tensor<64x64xbf16>
    %next = tile.dot %weight, %v, %s : (tensor<64x64xf32>, tensor<64x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
    scf.yield %next : tensor<64x64xf32>
  }
  tile.store %sum, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

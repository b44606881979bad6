// A gather copies as a load does; where each row lies is computed again for the thread that reads
// it.
// RUN: nysjit-opt --tile-to-gpu=stages=3 %s | FileCheck %s

// Its rows depend on the induction variable: copies of later iterations are under way. Nothing of
// the index is in registers, and outside the view zeros are copied.
// CHECK-LABEL: func.func @ahead(
// CHECK-SAME: shared_bytes = 24576
// CHECK: arith.remui
// CHECK: arith.cmpi ult
// CHECK: llvm.nvvm.cp.async.cg.shared.global.16.s"
// CHECK-COUNT-2: llvm.nvvm.cp.async.commit.group
// CHECK: scf.for
// CHECK: llvm.nvvm.cp.async.wait.group
// CHECK: llvm.nvvm.barrier
// CHECK: scf.if
// CHECK: arith.remui
// CHECK: llvm.nvvm.cp.async.cg.shared.global.16.s"
// CHECK: llvm.nvvm.mma
// CHECK: return
func.func @ahead(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  %none = arith.constant dense<0.0> : tensor<64x64xf32>
  %weight = arith.constant dense<1.0> : tensor<64x64xf32>
  %iota = tile.iota : tensor<64xi32>
  %seven = arith.constant dense<7> : tensor<64xi32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %sum = scf.for %i = %first to %n step %step iter_args(%s = %none) -> (tensor<64x64xf32>) : i32 {
    %j = arith.addi %i, %step : i32
    %start = tensor.splat %j : tensor<64xi32>
    %moved = arith.addi %iota, %start : tensor<64xi32>
    %rows = arith.remui %moved, %seven : tensor<64xi32>
    %v = tile.gather %in[%rows] : <64 x bf16>, tensor<64xi32> -> tensor<64x64xbf16>
    %next = tile.dot %weight, %v, %s : (tensor<64x64xf32>, tensor<64x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
    scf.yield %next : tensor<64x64xf32>
  }
  tile.store %sum, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// They depend on what the loop carries: copied where it stands.
// CHECK-LABEL: func.func @where_it_stands(
// CHECK-SAME: shared_bytes = 8192
// CHECK-NOT: llvm.nvvm.cp.async
// CHECK: scf.for
// CHECK: llvm.nvvm.cp.async.cg.shared.global.16.s"
// CHECK: llvm.nvvm.cp.async.wait.group
// CHECK: llvm.nvvm.mma
func.func @where_it_stands(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  %none = arith.constant dense<0.0> : tensor<64x64xf32>
  %weight = arith.constant dense<1.0> : tensor<64x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %r:2 = scf.for %i = %first to %n step %step iter_args(%s = %none, %j = %first) -> (tensor<64x64xf32>, i32) : i32 {
    %iota = tile.iota : tensor<64xi32>
    %start = tensor.splat %j : tensor<64xi32>
    %rows = arith.addi %iota, %start : tensor<64xi32>
    %v = tile.gather %in[%rows] : <64 x bf16>, tensor<64xi32> -> tensor<64x64xbf16>
    %next = tile.dot %weight, %v, %s : (tensor<64x64xf32>, tensor<64x64xbf16>, tensor<64x64xf32>) -> tensor<64x64xf32>
    %k = arith.muli %j, %step : i32
    scf.yield %next, %k : tensor<64x64xf32>, i32
  }
  tile.store %r#0, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// In registers each thread reads its rows, behind a branch each.
// CHECK-LABEL: func.func @in_registers(
// CHECK-NOT: cp.async
// CHECK: arith.muli
// CHECK: arith.cmpi ult
// CHECK: scf.if
// CHECK: llvm.load {{.*}} !llvm.ptr<1> -> vector<2xf32>
func.func @in_registers(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %iota = tile.iota : tensor<16xi32>
  %rows = arith.muli %iota, %iota : tensor<16xi32>
  %x = tile.gather %in[%rows] : <64 x f32>, tensor<16xi32> -> tensor<16x64xf32>
  tile.store %x, %in[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// Elements of a vector: by the numbers that the thread holds, where it needs them.
// CHECK-LABEL: func.func @elements(
// CHECK-NOT: cp.async
// CHECK: arith.muli
// CHECK: arith.cmpi ult
// CHECK: scf.if
// CHECK: llvm.load {{.*}} !llvm.ptr<1> -> f32
func.func @elements(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <0 x f32>
  %iota = tile.iota : tensor<16xi32>
  %rows = arith.muli %iota, %iota : tensor<16xi32>
  %x = tile.gather %in[%rows] : <0 x f32>, tensor<16xi32> -> tensor<16xf32>
  tile.store %x, %in[%first] : tensor<16xf32>, <0 x f32>
  return
}

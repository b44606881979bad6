// Dots become mma.sync on operands that ldmatrix brings from swizzled shared memory.
// RUN: nysjit-opt --tile-to-gpu %s | FileCheck %s --check-prefixes=CHECK,HALF

// A product's result is the next product's operand: packed, not exchanged.
// CHECK-LABEL: func.func @attention(
// CHECK-SAME: tile.threads = 128
// HALF: llvm.nvvm.cp.async.cg.shared.global.16.s
// HALF: llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3
// HALF: llvm.nvvm.mma.m16n8k16.row.col.bf16
// CHECK-NOT: llvm.nvvm.shfl.sync.bfly
// HALF: llvm.nvvm.ff2bf16x2.rn
// HALF: llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16.p3
// HALF: llvm.nvvm.mma.m16n8k16.row.col.bf16
// CHECK: return
func.func @attention(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %q = tile.load %in[%first] : <64 x bf16> -> tensor<64x64xbf16>
  %k = tile.load %in[%first] : <64 x bf16> -> tensor<64x64xbf16>
  %s = tile.dot %q, %k {transpose_b} : (tensor<64x64xbf16>, tensor<64x64xbf16>) -> tensor<64x64xf32>
  %y = tile.dot %s, %k : (tensor<64x64xf32>, tensor<64x64xbf16>) -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// A float32 operand at precision two_terms is two 16-bit terms: two products a piece.
// CHECK-LABEL: func.func @split(
// HALF-COUNT-2: llvm.nvvm.ff2bf16x2.rn
// HALF-COUNT-2: llvm.nvvm.mma.m16n8k16.row.col.bf16
func.func @split(%p: !tile.ptr<bf16>, %f: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %wide = tile.view %f[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %q = tile.load %in[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %k = tile.load %wide[%first] : <16 x f32> -> tensor<16x16xf32>
  %s = tile.dot %q, %k {transpose_b, precision = 1 : i32} : (tensor<16x16xbf16>, tensor<16x16xf32>) -> tensor<16x16xf32>
  tile.store %s, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// At full precision it is three tf32 products, whatever the dtype; the steps are a loop.
// CHECK-LABEL: func.func @full(
// CHECK: scf.for
// CHECK: llvm.nvvm.f2tf32.rna
// CHECK-COUNT-3: llvm.nvvm.mma.m16n8k8.row.col.tf32
func.func @full(%f: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %wide = tile.view %f[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %k = tile.load %wide[%first] : <16 x f32> -> tensor<16x16xf32>
  %s = tile.dot %k, %k {transpose_b, precision = 2 : i32} : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  tile.store %s, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// 16-bit operands have no low terms: one product each, of numbers as they are. Of two barriers with nothing but a wait between them the second is enough.
// CHECK-LABEL: func.func @exact(
// CHECK: llvm.nvvm.cp.async.wait.group
// CHECK: llvm.nvvm.barrier
// CHECK: llvm.store
// CHECK-NOT: llvm.nvvm.barrier
// CHECK: llvm.nvvm.cp.async.wait.group
// CHECK: llvm.nvvm.barrier
// CHECK: llvm.nvvm.barrier
// CHECK-NOT: llvm.nvvm.f2tf32.rna
// CHECK-COUNT-2: llvm.nvvm.mma.m16n8k8.row.col.tf32
// CHECK-NOT: llvm.nvvm.mma
// CHECK: return
// Rows that may start anywhere are not copied asynchronously: there is no group to wait for.
// CHECK-LABEL: func.func @exact_unaligned(
// CHECK-NOT: llvm.nvvm.cp.async
// CHECK: return
func.func @exact(%p: !tile.ptr<bf16> {tile.argument}, %q: !tile.ptr<bf16> {tile.argument}, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %one = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %two = tile.view %q[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %a = tile.load %one[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %b = tile.load %two[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %s = tile.dot %a, %b {transpose_b, precision = 2 : i32} : (tensor<16x16xbf16>, tensor<16x16xbf16>) -> tensor<16x16xf32>
  tile.store %s, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// A transposed a is read by the ldmatrix that transposes, like b where its rows are k.
// CHECK-LABEL: func.func @transposed_left(
// HALF-NOT: llvm.store {{.*}} !llvm.ptr<3>
// HALF: llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16.p3
// HALF-NOT: m8n8.x4.b16.p3
// HALF: llvm.nvvm.mma.m16n8k16.row.col.bf16
// HALF-NOT: m8n8.x4.b16.p3
// CHECK: return
func.func @transposed_left(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x bf16> -> tensor<32x64xbf16>
  %y = tile.dot %x, %x {transpose_a} : (tensor<32x64xbf16>, tensor<32x64xbf16>) -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// What is computed goes through shared memory, as 16-bit numbers; a's registers are no fragments.
// CHECK-LABEL: func.func @transposed_sum(
// HALF: llvm.nvvm.mma
// HALF: llvm.nvvm.ff2bf16x2.rn
// HALF: llvm.store {{.*}} : i32, !llvm.ptr<3>
// HALF: llvm.nvvm.barrier
// HALF: llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16.p3
// HALF: llvm.nvvm.mma
func.func @transposed_sum(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <64 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x bf16> -> tensor<64x64xbf16>
  %s = tile.dot %x, %x {transpose_b} : (tensor<64x64xbf16>, tensor<64x64xbf16>) -> tensor<64x64xf32>
  %y = tile.dot %s, %x {transpose_a} : (tensor<64x64xf32>, tensor<64x64xbf16>) -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// A load that is only an accumulator comes in registers.
// CHECK-LABEL: func.func @onto_a_load(
// CHECK: llvm.load {{.*}} : !llvm.ptr<1> -> vector<2xf32>
// CHECK: llvm.nvvm.mma
func.func @onto_a_load(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %s = tile.load %out[%first] : <16 x f32> -> tensor<16x16xf32>
  %y = tile.dot %x, %x, %s : (tensor<16x16xbf16>, tensor<16x16xbf16>, tensor<16x16xf32>) -> tensor<16x16xf32>
  tile.store %y, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// Rows that a loop's products share are kept in registers before it.
// CHECK-LABEL: func.func @kept(
// HALF: llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3
// CHECK: scf.for
func.func @kept(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 32 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <128 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %q = tile.load %in[%first] : <128 x bf16> -> tensor<16x128xbf16>
  scf.for %i = %first to %n step %step : i32 {
    %k = tile.load %in[%i] : <128 x bf16> -> tensor<32x128xbf16>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x128xbf16>, tensor<32x128xbf16>) -> tensor<16x32xf32>
    tile.store %s, %out[%i] : tensor<16x32xf32>, <32 x f32>
  }
  return
}

// Not those of a wide head where the results of three products and more take their place.
// CHECK-LABEL: func.func @read_anew(
// CHECK-NOT: llvm.nvvm.ldmatrix
// CHECK: scf.for
func.func @read_anew(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 32 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <128 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %q = tile.load %in[%first] : <128 x bf16> -> tensor<16x128xbf16>
  scf.for %i = %first to %n step %step : i32 {
    %k = tile.load %in[%i] : <128 x bf16> -> tensor<32x128xbf16>
    %s = tile.dot %q, %k {transpose_b} : (tensor<16x128xbf16>, tensor<32x128xbf16>) -> tensor<16x32xf32>
    %t = tile.dot %q, %k, %s {transpose_b} : (tensor<16x128xbf16>, tensor<32x128xbf16>, tensor<16x32xf32>) -> tensor<16x32xf32>
    %u = tile.dot %q, %k, %t {transpose_b} : (tensor<16x128xbf16>, tensor<32x128xbf16>, tensor<16x32xf32>) -> tensor<16x32xf32>
    tile.store %u, %out[%i] : tensor<16x32xf32>, <32 x f32>
  }
  return
}

// Nor where the loop carries sums that take most registers.
// CHECK-LABEL: func.func @beside_sums(
// CHECK-NOT: llvm.nvvm.ldmatrix
// CHECK: scf.for
func.func @beside_sums(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %none = arith.constant dense<0.0> : tensor<16x128xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <128 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <128 x f32>
  %q = tile.load %in[%first] : <128 x bf16> -> tensor<16x128xbf16>
  %a, %b = scf.for %i = %first to %n step %step iter_args(%s = %none, %t = %none) -> (tensor<16x128xf32>, tensor<16x128xf32>) : i32 {
    %k = tile.load %in[%i] : <128 x bf16> -> tensor<16x128xbf16>
    %x = tile.dot %q, %k {transpose_b} : (tensor<16x128xbf16>, tensor<16x128xbf16>) -> tensor<16x16xf32>
    %u = tile.dot %x, %k, %s : (tensor<16x16xf32>, tensor<16x128xbf16>, tensor<16x128xf32>) -> tensor<16x128xf32>
    %v = tile.dot %x, %k, %t : (tensor<16x16xf32>, tensor<16x128xbf16>, tensor<16x128xf32>) -> tensor<16x128xf32>
    scf.yield %u, %v : tensor<16x128xf32>, tensor<16x128xf32>
  }
  tile.store %a, %out[%first] : tensor<16x128xf32>, <128 x f32>
  tile.store %b, %out[%step] : tensor<16x128xf32>, <128 x f32>
  return
}

// A dot keeps a register tile over the whole of k: 16 registers of AVX-512, 8 of AVX2.
// RUN: nysjit-opt --tile-to-cpu %s | FileCheck %s --check-prefixes=CHECK,WIDE
// RUN: nysjit-opt --tile-to-cpu=lanes=8 %s | FileCheck %s --check-prefixes=CHECK,NARROW

// CHECK-LABEL: func.func @dot
// WIDE: scf.for {{.*}} -> (vector<64xf32>, vector<64xf32>, vector<64xf32>, vector<64xf32>)
// WIDE: vector.fma {{.*}} : vector<64xf32>
// NARROW: scf.for {{.*}} -> (vector<32xf32>, vector<32xf32>)
// NARROW: vector.fma {{.*}} : vector<32xf32>
func.func @dot(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %y = tile.dot %x, %x : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// Columns that are not a power of two: 64 and then 16, never a vector that LLVM would scalarise.
// CHECK-LABEL: func.func @uneven
// CHECK-NOT: vector<80xf32>
// CHECK: return
func.func @uneven(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <80 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <80 x f32>
  %x = tile.load %in[%first] : <80 x f32> -> tensor<16x80xf32>
  %s = tile.dot %x, %x {transpose_b} : (tensor<16x80xf32>, tensor<16x80xf32>) -> tensor<16x16xf32>
  %y = tile.dot %s, %x : (tensor<16x16xf32>, tensor<16x80xf32>) -> tensor<16x80xf32>
  tile.store %y, %out[%first] : tensor<16x80xf32>, <80 x f32>
  return
}

// A loop over whole tiles of keys transposes the queries once, before it, and reads the keys straight from the view, whose rows are no
// constant apart; no sum goes across lanes. It prefetches the next tile while it multiplies, and rescales the sum under a running
// maximum where the factor is not 1.
// CHECK-LABEL: func.func @online
// CHECK: call @transpose_{{[0-9]+}}
// CHECK-NOT: call @transpose
// CHECK: llvm.intr.prefetch
// CHECK-NOT: call @transpose
// CHECK: vector.fma
// CHECK-NOT: vector.reduction
// CHECK: cmpf une
// CHECK-NEXT: scf.if
// CHECK: llvm.intr.prefetch
// CHECK: return
func.func @online(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %none = arith.constant dense<0.0> : tensor<16x64xf32>
  %lowest = arith.constant dense<-1.0e38> : tensor<16xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %q = tile.load %in[%first] : <64 x f32> -> tensor<16x64xf32>
  %sum, %max = scf.for %i = %first to %n step %step iter_args(%s = %none, %m = %lowest) -> (tensor<16x64xf32>, tensor<16xf32>) : i32 {
    %kt = tile.load %in[%i] {in_bounds} : <64 x f32> -> tensor<16x64xf32>
    %x = tile.dot %q, %kt {transpose_b} : (tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x16xf32>
    %k = tile.load %in[%i] {in_bounds} : <64 x f32> -> tensor<16x64xf32>
    %own = tile.reduce max %x axis 1 : tensor<16x16xf32> -> tensor<16xf32>
    %next = arith.maxnumf %m, %own : tensor<16xf32>
    %moved = arith.subf %m, %next : tensor<16xf32>
    %factor = math.exp2 %moved : tensor<16xf32>
    %factors = tile.broadcast %factor axis 0 : tensor<16xf32> -> tensor<16x64xf32>
    %scaled = arith.mulf %s, %factors : tensor<16x64xf32>
    %added = tile.dot %x, %k, %scaled : (tensor<16x16xf32>, tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x64xf32>
    scf.yield %added, %next : tensor<16x64xf32>, tensor<16xf32>
  }
  tile.store %sum, %out[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// Where the product is stored too it stays as it is, and the keys are transposed in the loop.
// CHECK-LABEL: func.func @stored
// CHECK: scf.for
// CHECK: scf.for
// CHECK: call @transpose_{{[0-9]+}}(%{{[0-9]+}}, %{{[0-9]+}}, %{{[0-9]+}}, %c16
// CHECK: vector.fma
// CHECK: vector.reduction <maxnumf>
// CHECK: return
func.func @stored(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %maxima = tile.view %o[%zero] length %n stride %stride : <f32> -> <0 x f32>
  %q = tile.load %in[%first] : <64 x f32> -> tensor<16x64xf32>
  scf.for %i = %first to %n step %step : i32 {
    %k = tile.load %in[%i] {in_bounds} : <64 x f32> -> tensor<16x64xf32>
    %x = tile.dot %q, %k {transpose_b} : (tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x16xf32>
    %m = tile.reduce max %x axis 1 : tensor<16x16xf32> -> tensor<16xf32>
    tile.store %m, %maxima[%i] : tensor<16xf32>, <0 x f32>
    tile.store %x, %out[%i] : tensor<16x16xf32>, <16 x f32>
  }
  return
}

// What the program stores in the end is asked for while its first rows are loaded, and so are the first tiles of a later loop.
// CHECK-LABEL: func.func @later
// CHECK: scf.for
// CHECK: "llvm.intr.prefetch"({{.*}}) <{cache = 1 : i32, hint = 2 : i32, rw = 0 : i32}>
// CHECK: "llvm.intr.prefetch"({{.*}}) <{cache = 1 : i32, hint = 3 : i32, rw = 1 : i32}>
// CHECK: scf.for
// CHECK: return
func.func @later(%p: !tile.ptr<f32>, %v: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  %begin = arith.addi %n, %step : i32
  %value = tile.view %v[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %sum = scf.for %i = %begin to %n step %step iter_args(%s = %x) -> (tensor<16x16xf32>) : i32 {
    %y = tile.load %value[%i] : <16 x f32> -> tensor<16x16xf32>
    %next = arith.addf %s, %y : tensor<16x16xf32>
    scf.yield %next : tensor<16x16xf32>
  }
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  tile.store %sum, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

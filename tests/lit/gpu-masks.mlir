// A mask is the comparisons that it stands for: to the last instruction.
// RUN: nysjit-opt --tile-to-gpu %s -o %t
// RUN: FileCheck %s --input-file %t
// RUN: sed -n '/func.func @mask(/,/^  }/p' %t | tail -n +2 > %t.mask
// RUN: sed -n '/func.func @comparisons(/,/^  }/p' %t | tail -n +2 > %t.comparisons
// RUN: diff %t.mask %t.comparisons
// RUN: sed -n '/func.func @columns(/,/^  }/p' %t | tail -n +2 > %t.columns
// RUN: sed -n '/func.func @compared_columns(/,/^  }/p' %t | tail -n +2 > %t.compared
// RUN: diff %t.columns %t.compared

// CHECK-LABEL: func.func @mask(
// CHECK: arith.cmpi sle
// CHECK: arith.cmpi sge
// CHECK: arith.andi
// CHECK: arith.select
func.func @mask(%p: !tile.ptr<f32>, %n: i32, %stride: i64, %t: i32, %b: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %none = arith.constant dense<0.0> : tensor<16x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<16x64xf32>
  %row = tile.iota : tensor<16xi32>
  %seen = tile.mask %t below %row from %b axis 1 {inclusive} : (i32, tensor<16xi32>, i32) -> tensor<16x64xi1>
  %y = arith.select %seen, %x, %none : tensor<16x64xi1>, tensor<16x64xf32>
  tile.store %y, %in[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// CHECK-LABEL: func.func @comparisons(
func.func @comparisons(%p: !tile.ptr<f32>, %n: i32, %stride: i64, %t: i32, %b: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %none = arith.constant dense<0.0> : tensor<16x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<16x64xf32>
  %row = tile.iota : tensor<16xi32>
  %iota = tile.iota : tensor<64xi32>
  %start = tensor.splat %t : tensor<64xi32>
  %column = arith.addi %start, %iota : tensor<64xi32>
  %columns = tile.broadcast %column axis 1 : tensor<64xi32> -> tensor<16x64xi32>
  %rows = tile.broadcast %row axis 0 : tensor<16xi32> -> tensor<16x64xi32>
  %below = arith.cmpi sle, %columns, %rows : tensor<16x64xi32>
  %begin = tensor.splat %b : tensor<64xi32>
  %past = arith.cmpi sge, %column, %begin : tensor<64xi32>
  %from = tile.broadcast %past axis 1 : tensor<64xi1> -> tensor<16x64xi1>
  %seen = arith.andi %below, %from : tensor<16x64xi1>
  %y = arith.select %seen, %x, %none : tensor<16x64xi1>, tensor<16x64xf32>
  tile.store %y, %in[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// Along axis 0 rows count, from 0 on here: nothing is added.
// CHECK-LABEL: func.func @columns(
// CHECK: arith.cmpi slt
// CHECK-NOT: arith.andi
// CHECK: arith.select
func.func @columns(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %none = arith.constant dense<0.0> : tensor<16x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<16x64xf32>
  %column = tile.iota : tensor<64xi32>
  %seen = tile.mask %first below %column axis 0 : (i32, tensor<64xi32>) -> tensor<16x64xi1>
  %y = arith.select %seen, %x, %none : tensor<16x64xi1>, tensor<16x64xf32>
  tile.store %y, %in[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// CHECK-LABEL: func.func @compared_columns(
func.func @compared_columns(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %none = arith.constant dense<0.0> : tensor<16x64xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<16x64xf32>
  %column = tile.iota : tensor<64xi32>
  %row = tile.iota : tensor<16xi32>
  %rows = tile.broadcast %row axis 0 : tensor<16xi32> -> tensor<16x64xi32>
  %columns = tile.broadcast %column axis 1 : tensor<64xi32> -> tensor<16x64xi32>
  %seen = arith.cmpi slt, %rows, %columns : tensor<16x64xi32>
  %y = arith.select %seen, %x, %none : tensor<16x64xi1>, tensor<16x64xf32>
  tile.store %y, %in[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// What only tells a dot what it may leave out is not made, nor what only that needs.
// CHECK-LABEL: func.func @forgotten(
// CHECK-NOT: arith.cmpi {{s[lg]}}
// CHECK-NOT: llvm.load {{.*}} -> i32
// CHECK: llvm.nvvm.mma
// CHECK: return
func.func @forgotten(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64, %t: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %one = arith.constant dense<1> : tensor<16xi32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] {in_bounds} : <16 x bf16> -> tensor<16x16xbf16>
  %row = tile.iota : tensor<16xi32>
  %end = arith.addi %row, %one : tensor<16xi32>
  %seen = tile.mask %t below %end axis 1 : (i32, tensor<16xi32>) -> tensor<16x16xi1>
  %y = tile.dot %x, %x read_where %seen nonzero_where %seen {transpose_b} : (tensor<16x16xbf16>, tensor<16x16xbf16>, tensor<16x16xi1>, tensor<16x16xi1>) -> tensor<16x16xf32>
  tile.store %y, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// What something else takes, too, stays.
// CHECK-LABEL: func.func @taken(
// CHECK: llvm.nvvm.mma
// CHECK: arith.cmpi slt
// CHECK: arith.select
func.func @taken(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64, %t: i32) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %none = arith.constant dense<0.0> : tensor<16x16xf32>
  %in = tile.view %p[%zero] length %n stride %stride : <bf16> -> <16 x bf16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x bf16> -> tensor<16x16xbf16>
  %y = tile.dot %x, %x {transpose_b} : (tensor<16x16xbf16>, tensor<16x16xbf16>) -> tensor<16x16xf32>
  %seen = tile.mask %t below %n axis 1 : (i32, i32) -> tensor<16x16xi1>
  %masked = arith.select %seen, %y, %none : tensor<16x16xi1>, tensor<16x16xf32>
  %z = tile.dot %masked, %x nonzero_where %seen : (tensor<16x16xf32>, tensor<16x16xbf16>, tensor<16x16xi1>) -> tensor<16x16xf32>
  tile.store %z, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

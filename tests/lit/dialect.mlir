// The tile dialect prints what it parses.
// RUN: nysjit-opt %s | nysjit-opt | FileCheck %s

// CHECK-LABEL: func.func @all_operations
func.func @all_operations(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %offset: i64, %n: i32, %stride: i64) attributes {tile.kernel} {
  // CHECK: tile.cell_id : i32
  %id = tile.cell_id : i32
  // CHECK: tile.view %{{.*}}[%{{.*}}] length %{{.*}} stride %{{.*}} : <bf16> -> <32 x bf16>
  %view = tile.view %p[%offset] length %n stride %stride : <bf16> -> <32 x bf16>
  %out = tile.view %o[%offset] length %n stride %stride : <f32> -> <32 x f32>
  // CHECK: tile.view %{{.*}}[%{{.*}}] length %{{.*}} stride %{{.*}} {strided} : <f32> -> <0 x f32>
  %line = tile.view %o[%offset] length %n stride %stride {strided} : <f32> -> <0 x f32>
  // CHECK: tile.load %{{.*}}[%{{.*}}] : <32 x bf16> -> tensor<16x32xbf16>
  %x = tile.load %view[%id] : <32 x bf16> -> tensor<16x32xbf16>
  // CHECK: tile.load %{{.*}}[%{{.*}}] {in_bounds} : <32 x bf16> -> tensor<16x32xbf16>
  %w = tile.load %view[%id] {in_bounds} : <32 x bf16> -> tensor<16x32xbf16>
  // CHECK: tile.dot %{{.*}}, %{{.*}} {precision = 2 : i32, transpose_b} : (tensor<16x32xbf16>, tensor<16x32xbf16>) -> tensor<16x16xf32>
  %s = tile.dot %x, %x {precision = 2 : i32, transpose_b} : (tensor<16x32xbf16>, tensor<16x32xbf16>) -> tensor<16x16xf32>
  // CHECK: tile.reduce max %{{.*}} axis 1 : tensor<16x16xf32> -> tensor<16xf32>
  %m = tile.reduce max %s axis 1 : tensor<16x16xf32> -> tensor<16xf32>
  // CHECK: tile.reduce sum %{{.*}} axis 0 : tensor<16xf32> -> f32
  %t = tile.reduce sum %m axis 0 : tensor<16xf32> -> f32
  // CHECK: tile.broadcast %{{.*}} axis 0 : tensor<16xf32> -> tensor<16x32xf32>
  %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x32xf32>
  // CHECK: tile.triangular_solve %{{.*}}, %{{.*}} : tensor<16x16xf32>, tensor<16x32xf32>
  %u = tile.triangular_solve %s, %b : tensor<16x16xf32>, tensor<16x32xf32>
  // CHECK: tile.iota : tensor<16xi32>
  %i = tile.iota : tensor<16xi32>
  // CHECK: tile.store %{{.*}}, %{{.*}}[%{{.*}}] : tensor<16x32xf32>, <32 x f32>
  tile.store %u, %out[%id] : tensor<16x32xf32>, <32 x f32>
  // CHECK: tile.sync
  tile.sync
  return
}

// CHECK-LABEL: func.func @masks
func.func @masks(%x: tensor<16x32xf32>, %first: i32, %rows: tensor<16xi32>, %columns: tensor<32xi32>) {
  // CHECK: tile.mask %{{.*}} below %{{.*}} axis 1 : (i32, i32) -> tensor<16x32xi1>
  %a = tile.mask %first below %first axis 1 : (i32, i32) -> tensor<16x32xi1>
  // CHECK: tile.mask %{{.*}} below %{{.*}} from %{{.*}} axis 1 {inclusive} : (i32, tensor<16xi32>, i32) -> tensor<16x32xi1>
  %b = tile.mask %first below %rows from %first axis 1 {inclusive} : (i32, tensor<16xi32>, i32) -> tensor<16x32xi1>
  // CHECK: tile.mask %{{.*}} below %{{.*}} from %{{.*}} axis 0 : (i32, tensor<32xi32>, tensor<32xi32>) -> tensor<16x32xi1>
  %c = tile.mask %first below %columns from %columns axis 0 : (i32, tensor<32xi32>, tensor<32xi32>) -> tensor<16x32xi1>
  // CHECK: %[[S:.*]] = tile.mask %{{.*}} : (i32, i32) -> tensor<16x16xi1>
  %s = tile.mask %first below %first axis 1 : (i32, i32) -> tensor<16x16xi1>
  // CHECK: tile.dot %{{.*}}, %{{.*}} read_where %[[S]] {transpose_b}
  %d = tile.dot %x, %x read_where %s {transpose_b} : (tensor<16x32xf32>, tensor<16x32xf32>, tensor<16x16xi1>) -> tensor<16x16xf32>
  // CHECK: tile.dot %{{.*}}, %{{.*}}, %{{.*}} nonzero_where %[[S]] :
  %e = tile.dot %d, %x, %x nonzero_where %s : (tensor<16x16xf32>, tensor<16x32xf32>, tensor<16x32xf32>, tensor<16x16xi1>) -> tensor<16x32xf32>
  // CHECK: tile.dot %{{.*}}, %{{.*}}, %{{.*}} read_where %{{.*}} nonzero_where %[[S]] {transpose_a}
  %f = tile.dot %d, %x, %x read_where %a nonzero_where %s {transpose_a} : (tensor<16x16xf32>, tensor<16x32xf32>, tensor<16x32xf32>, tensor<16x32xi1>, tensor<16x16xi1>) -> tensor<16x32xf32>
  return
}

// CHECK-LABEL: func.func @rows_and_columns
func.func @rows_and_columns(%x: tensor<16x32xf32>, %s: tensor<16x16xf32>, %f: tensor<16xf32>, %i: tensor<16xi32>, %v: !tile.view<32 x bf16>, %l: !tile.view<0 x i32>, %n: i32, %numbers: !tile.view<0 x f32>) {
  // CHECK: tile.gather %{{.*}}[%{{.*}}] : <0 x f32>, tensor<16xi32> -> tensor<16xf32>
  %elements = tile.gather %numbers[%i] : <0 x f32>, tensor<16xi32> -> tensor<16xf32>
  // CHECK: tile.gather %{{.*}}[%{{.*}}] : <32 x bf16>, tensor<16xi32> -> tensor<16x32xbf16>
  %g = tile.gather %v[%i] : <32 x bf16>, tensor<16xi32> -> tensor<16x32xbf16>
  // CHECK: tile.load_scalar %{{.*}}[%{{.*}}] : <0 x i32> -> i32
  %o = tile.load_scalar %l[%n] : <0 x i32> -> i32
  // CHECK: tile.transpose %{{.*}} : tensor<16x32xf32> -> tensor<32x16xf32>
  %t = tile.transpose %x : tensor<16x32xf32> -> tensor<32x16xf32>
  // CHECK: tile.round_operand %{{.*}} : tensor<16x32xf32>
  %h = tile.round_operand %x : tensor<16x32xf32>
  // CHECK: tile.cumulative_sum %{{.*}} axis 1 : tensor<16x32xf32>
  %c = tile.cumulative_sum %x axis 1 : tensor<16x32xf32>
  // CHECK: tile.reduce min %{{.*}} axis 0 : tensor<16x32xf32> -> tensor<32xf32>
  %m = tile.reduce min %x axis 0 : tensor<16x32xf32> -> tensor<32xf32>
  // CHECK: tile.triangular_solve %{{.*}}, %{{.*}} {upper} : tensor<16x16xf32>, tensor<16x32xf32>
  %u = tile.triangular_solve %s, %x {upper} : tensor<16x16xf32>, tensor<16x32xf32>
  // CHECK: tile.scale_rows %{{.*}}, %{{.*}} : tensor<16x32xf32>, tensor<16xf32>
  %r = tile.scale_rows %x, %f : tensor<16x32xf32>, tensor<16xf32>
  return
}

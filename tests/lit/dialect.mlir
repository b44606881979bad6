// The tile dialect prints what it parses.
// RUN: nysjit-opt %s | nysjit-opt | FileCheck %s

// CHECK-LABEL: func.func @all_operations
func.func @all_operations(%p: !tile.ptr<bf16>, %o: !tile.ptr<f32>, %offset: i64, %n: i32, %stride: i64) attributes {tile.kernel} {
  // CHECK: tile.cell_id : i32
  %id = tile.cell_id : i32
  // CHECK: tile.view %{{.*}}[%{{.*}}] length %{{.*}} stride %{{.*}} : <bf16> -> <32 x bf16>
  %view = tile.view %p[%offset] length %n stride %stride : <bf16> -> <32 x bf16>
  %out = tile.view %o[%offset] length %n stride %stride : <f32> -> <32 x f32>
  // CHECK: tile.load %{{.*}}[%{{.*}}] : <32 x bf16> -> tensor<16x32xbf16>
  %x = tile.load %view[%id] : <32 x bf16> -> tensor<16x32xbf16>
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

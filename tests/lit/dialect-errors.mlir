// What the verifiers refuse, with what was expected and found.
// RUN: nysjit-opt %s -split-input-file -verify-diagnostics

func.func @dot(%a: tensor<16x32xf32>, %b: tensor<16x32xf32>) {
  // expected-error @+1 {{expects equal inner dimensions, found 32 and 16}}
  %s = tile.dot %a, %b : (tensor<16x32xf32>, tensor<16x32xf32>) -> tensor<16x32xf32>
  return
}

// -----

func.func @dot_result(%a: tensor<16x32xf32>, %b: tensor<8x32xf32>) {
  // expected-error @+1 {{expects a result of 16x8, found 'tensor<16x16xf32>'}}
  %s = tile.dot %a, %b {transpose_b} : (tensor<16x32xf32>, tensor<8x32xf32>) -> tensor<16x16xf32>
  return
}

// -----

func.func @dot_left(%a: tensor<16x32xf32>, %b: tensor<16x8xf32>) {
  // expected-error @+1 {{expects a result of 32x8, found 'tensor<16x8xf32>'}}
  %s = tile.dot %a, %b {transpose_a} : (tensor<16x32xf32>, tensor<16x8xf32>) -> tensor<16x8xf32>
  return
}

// -----

func.func @transpose(%a: tensor<16x32xf32>) {
  // expected-error @+1 {{expects [N, M] of [M, N], found 'tensor<16x32xf32>' of 'tensor<16x32xf32>'}}
  %s = tile.transpose %a : tensor<16x32xf32> -> tensor<16x32xf32>
  return
}

// -----

func.func @cumulative_sum_of_a_vector(%a: tensor<16xf32>) {
  // expected-error @+1 {{expects a 2-D tile and axis 0 or 1, found 'tensor<16xf32>' and axis 0}}
  %s = tile.cumulative_sum %a axis 0 : tensor<16xf32>
  return
}

// -----

func.func @cumulative_sum_axis(%a: tensor<16x32xf32>) {
  // expected-error @+1 {{expects a 2-D tile and axis 0 or 1, found 'tensor<16x32xf32>' and axis 2}}
  %s = tile.cumulative_sum %a axis 2 : tensor<16x32xf32>
  return
}

// -----

func.func @view(%p: !tile.ptr<bf16>, %n: i32, %s: i64) {
  // expected-error @+1 {{expects a view of 'bf16', found '!tile.view<32 x f32>'}}
  %v = tile.view %p[%s] length %n stride %s : <bf16> -> <32 x f32>
  return
}

// -----

func.func @load(%v: !tile.view<32 x f32>, %i: i32) {
  // expected-error @+1 {{expects a tile that fits '!tile.view<32 x f32>', found 'tensor<16x64xf32>'}}
  %x = tile.load %v[%i] : <32 x f32> -> tensor<16x64xf32>
  return
}

// -----

func.func @reduce(%x: tensor<16x32xf32>) {
  // expected-error @+1 {{expects what is left of 'tensor<16x32xf32>' without axis 1, found 'tensor<32xf32>'}}
  %m = tile.reduce max %x axis 1 : tensor<16x32xf32> -> tensor<32xf32>
  return
}

// -----

func.func @broadcast(%x: tensor<16xf32>) {
  // expected-error @+1 {{expects a 1-D tile along axis 1 of the result}}
  %m = tile.broadcast %x axis 1 : tensor<16xf32> -> tensor<16x32xf32>
  return
}

// -----

func.func @solve(%l: tensor<16x32xf32>, %x: tensor<16x32xf32>) {
  // expected-error @+1 {{expects a square tile and as many rows}}
  %m = tile.triangular_solve %l, %x : tensor<16x32xf32>, tensor<16x32xf32>
  return
}

// -----

func.func @mask_rank(%n: i32) {
  // expected-error @+1 {{expects a 2-D mask and axis 0 or 1, found 'tensor<16xi1>' and axis 1}}
  %m = tile.mask %n below %n axis 1 : (i32, i32) -> tensor<16xi1>
  return
}

// -----

func.func @mask_axis(%n: i32) {
  // expected-error @+1 {{expects a 2-D mask and axis 0 or 1, found 'tensor<16x32xi1>' and axis 2}}
  %m = tile.mask %n below %n axis 2 : (i32, i32) -> tensor<16x32xi1>
  return
}

// -----

func.func @mask_end(%n: i32, %end: tensor<32xi32>) {
  // expected-error @+1 {{expects a number, or one for each of 16, found 'tensor<32xi32>'}}
  %m = tile.mask %n below %end axis 1 : (i32, tensor<32xi32>) -> tensor<16x32xi1>
  return
}

// -----

func.func @mask_begin(%n: i32, %begin: tensor<16xi32>) {
  // expected-error @+1 {{expects a number, or one for each of 32, found 'tensor<16xi32>'}}
  %m = tile.mask %n below %n from %begin axis 0 : (i32, i32, tensor<16xi32>) -> tensor<16x32xi1>
  return
}

// -----

func.func @dot_read_where(%a: tensor<16x32xf32>, %m: tensor<16x32xi1>) {
  // expected-error @+1 {{expects read_where in the shape of 'tensor<16x16xf32>', found 'tensor<16x32xi1>'}}
  %s = tile.dot %a, %a read_where %m {transpose_b} : (tensor<16x32xf32>, tensor<16x32xf32>, tensor<16x32xi1>) -> tensor<16x16xf32>
  return
}

// -----

func.func @dot_nonzero_where(%a: tensor<16x32xf32>, %m: tensor<16x16xi1>) {
  // expected-error @+1 {{expects nonzero_where in the shape of 'tensor<16x32xf32>', found 'tensor<16x16xi1>'}}
  %s = tile.dot %a, %a nonzero_where %m {transpose_b} : (tensor<16x32xf32>, tensor<16x32xf32>, tensor<16x16xi1>) -> tensor<16x16xf32>
  return
}

// -----

func.func @gather_element(%v: !tile.view<32 x bf16>, %i: tensor<16xi32>) {
  // expected-error @+1 {{expects elements of '!tile.view<32 x bf16>', found 'tensor<16x32xf32>'}}
  %x = tile.gather %v[%i] : <32 x bf16>, tensor<16xi32> -> tensor<16x32xf32>
  return
}

// -----

func.func @gather_vector(%v: !tile.view<0 x f32>, %i: tensor<16xi32>) {
  // expected-error @+1 {{expects a tile that fits '!tile.view<0 x f32>', found 'tensor<16x8xf32>'}}
  %x = tile.gather %v[%i] : <0 x f32>, tensor<16xi32> -> tensor<16x8xf32>
  return
}

// -----

func.func @gather_index(%v: !tile.view<32 x f32>, %i: tensor<16x32xi32>) {
  // expected-error @+1 {{expects one number a row, found 'tensor<16x32xi32>'}}
  %x = tile.gather %v[%i] : <32 x f32>, tensor<16x32xi32> -> tensor<16x32xf32>
  return
}

// -----

func.func @gather_rows(%v: !tile.view<32 x f32>, %i: tensor<8xi32>) {
  // expected-error @+1 {{expects 8 rows, found 'tensor<16x32xf32>'}}
  %x = tile.gather %v[%i] : <32 x f32>, tensor<8xi32> -> tensor<16x32xf32>
  return
}

// -----

func.func @gather_columns(%v: !tile.view<32 x f32>, %i: tensor<16xi32>) {
  // expected-error @+1 {{expects a tile that fits '!tile.view<32 x f32>', found 'tensor<16x64xf32>'}}
  %x = tile.gather %v[%i] : <32 x f32>, tensor<16xi32> -> tensor<16x64xf32>
  return
}

// -----

func.func @scale_rows(%x: tensor<16x32xf32>, %f: tensor<32xf32>) {
  // expected-error @+1 {{expects one factor a row, found 'tensor<32xf32>' and 'tensor<16x32xf32>'}}
  %m = tile.scale_rows %x, %f : tensor<16x32xf32>, tensor<32xf32>
  return
}

// -----

func.func @solve_rows(%l: tensor<16x16xf32>, %x: tensor<32x16xf32>) {
  // expected-error @+1 {{expects a square tile and as many rows}}
  %m = tile.triangular_solve %l, %x {upper} : tensor<16x16xf32>, tensor<32x16xf32>
  return
}

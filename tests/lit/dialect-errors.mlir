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

func.func @prefix_sum(%a: tensor<16xf32>) {
  // expected-error @+1 {{expects a 2-D tile and axis 0 or 1, found 'tensor<16xf32>' and axis 0}}
  %s = tile.prefix_sum %a : tensor<16xf32>
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

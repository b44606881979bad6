// What the CPU lowering cannot express is a diagnostic at the operation, not an abort in LLVM or a wrong result.
// RUN: nysjit-opt --tile-to-cpu --verify-diagnostics --split-input-file %s

func.func @small(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <4 x f32>
  %x = tile.load %in[%first] : <4 x f32> -> tensor<4x4xf32>
  // expected-error @+1 {{expects sides by eights of what it transposes, found 'tensor<4x4xf32>'}}
  %y = tile.transpose %x : tensor<4x4xf32> -> tensor<4x4xf32>
  tile.store %y, %in[%first] : tensor<4x4xf32>, <4 x f32>
  return
}

// -----

func.func @small_in_a_dot(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <20 x f32>
  %x = tile.load %in[%first] : <20 x f32> -> tensor<20x20xf32>
  // expected-error @+1 {{expects sides by eights of what it transposes, found 'tensor<20x20xf32>'}}
  %y = tile.dot %x, %x {transpose_b} : (tensor<20x20xf32>, tensor<20x20xf32>) -> tensor<20x20xf32>
  tile.store %y, %in[%first] : tensor<20x20xf32>, <20 x f32>
  return
}

// -----

func.func @later_place(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  // expected-error @+1 {{expects a carried tile to be carried on in its own place or an earlier one}}
  %r:2 = scf.for %i = %first to %n step %one iter_args(%a = %x, %b = %x) -> (tensor<16x16xf32>, tensor<16x16xf32>) : i32 {
    %c = arith.addf %a, %b : tensor<16x16xf32>
    scf.yield %c, %a : tensor<16x16xf32>, tensor<16x16xf32>
  }
  tile.store %r#1, %in[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

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

// -----

func.func @tiles_in_a_condition(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  %r = scf.while (%a = %x) : (tensor<16x16xf32>) -> tensor<16x16xf32> {
    // expected-error @+1 {{expects scalars alone in a loop's condition}}
    %m = tile.reduce max %a axis 1 : tensor<16x16xf32> -> tensor<16xf32>
    %t = tile.reduce max %m axis 0 : tensor<16xf32> -> f32
    %zeros = arith.constant 0.0 : f32
    %c = arith.cmpf ogt, %t, %zeros : f32
    scf.condition(%c) %a : tensor<16x16xf32>
  } do {
  ^bb0(%a: tensor<16x16xf32>):
    %b = arith.addf %a, %a : tensor<16x16xf32>
    scf.yield %b : tensor<16x16xf32>
  }
  tile.store %r, %in[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// -----

func.func @condition_that_reorders(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  // expected-error @+1 {{expects a condition that hands on what is carried, in its place}}
  %r:2 = scf.while (%a = %x, %b = %x) : (tensor<16x16xf32>, tensor<16x16xf32>) -> (tensor<16x16xf32>, tensor<16x16xf32>) {
    %c = arith.cmpi slt, %first, %n : i32
    scf.condition(%c) %b, %a : tensor<16x16xf32>, tensor<16x16xf32>
  } do {
  ^bb0(%a: tensor<16x16xf32>, %b: tensor<16x16xf32>):
    scf.yield %a, %b : tensor<16x16xf32>, tensor<16x16xf32>
  }
  tile.store %r#0, %in[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

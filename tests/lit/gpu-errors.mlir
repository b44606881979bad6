// What the GPU lowering cannot express is a diagnostic at the operation, not an abort in LLVM.
// RUN: nysjit-opt --tile-to-gpu --verify-diagnostics --split-input-file %s

func.func @uneven(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  // expected-error @+1 {{expects rows by sixteens (or 8) and columns by eights, found 'tensor<20x64xf32>'}}
  %x = tile.load %in[%first] : <64 x f32> -> tensor<20x64xf32>
  tile.store %x, %in[%first] : tensor<20x64xf32>, <64 x f32>
  return
}

// -----

func.func @transposed(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  // expected-error @+1 {{the GPU lowering has no transposition of 2-D tiles}}
  %y = tile.transpose %x : tensor<64x64xf32> -> tensor<64x64xf32>
  tile.store %y, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// -----

func.func @prefix_sum(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  // expected-error @+1 {{has no lowering for the GPU, which multiplies by a triangle of ones}}
  %y = tile.prefix_sum %x : tensor<64x64xf32>
  tile.store %y, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// -----

func.func @transposed_left(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  // expected-error @+1 {{the GPU lowering has no transposition of 2-D tiles}}
  %y = tile.dot %x, %x {transpose_a} : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  tile.store %y, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// -----

func.func @transposed_vector(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  // expected-error @+1 {{is needed along the other axis than it comes about}}
  %m = tile.reduce max %x axis 1 : tensor<64x64xf32> -> tensor<64xf32>
  %b = tile.broadcast %m axis 1 : tensor<64xf32> -> tensor<64x64xf32>
  %y = arith.subf %x, %b : tensor<64x64xf32>
  tile.store %y, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

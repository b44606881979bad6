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

func.func @transposed(%p: !tile.ptr<f16>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f16> -> <64 x f16>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f16> -> tensor<64x64xf16>
  // expected-error @+1 {{expects a float32 tile on the GPU}}
  %y = tile.transpose %x : tensor<64x64xf16> -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// -----

// A cumulative sum down 8 rows would be a product with a triangle of 8.
func.func @cumulative_sum(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<8x64xf32>
  // expected-error @+1 {{expects rows by sixteens, found 'tensor<8x8xf32>'}}
  %y = tile.cumulative_sum %x axis 0 : tensor<8x64xf32>
  tile.store %y, %in[%first] : tensor<8x64xf32>, <64 x f32>
  return
}

// -----

func.func @transposed_left(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  // expected-error @+1 {{the GPU lowering has no product of a transposed a}}
  %y = tile.dot %x, %x {transpose_a} : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  tile.store %y, %in[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

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
  // expected-error @+1 {{expects a result's rows by sixteens, found 'tensor<8x64xf32>'}}
  %y = tile.cumulative_sum %x axis 0 : tensor<8x64xf32>
  tile.store %y, %in[%first] : tensor<8x64xf32>, <64 x f32>
  return
}

// -----

// A gather's rows are computed again for each row: not from what a loop carries.
func.func @gathered(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %iota = tile.iota : tensor<16xi32>
  %last = scf.for %i = %first to %n step %one iter_args(%rows = %iota) -> (tensor<16xi32>) : i32 {
    %next = arith.addi %rows, %rows : tensor<16xi32>
    scf.yield %next : tensor<16xi32>
  }
  // expected-error @+1 {{expects rows computed from iotas and numbers by integer arithmetic}}
  %x = tile.gather %in[%last] : <64 x f32>, tensor<16xi32> -> tensor<16x64xf32>
  tile.store %x, %in[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// -----

// Of a transposed a the columns are rows of the result.
func.func @transposed_left(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <8 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <8 x f32>
  %x = tile.load %in[%first] : <8 x f32> -> tensor<64x8xf32>
  // expected-error @+1 {{expects a result's rows by sixteens, found 'tensor<8x8xf32>'}}
  %y = tile.dot %x, %x {transpose_a} : (tensor<64x8xf32>, tensor<64x8xf32>) -> tensor<8x8xf32>
  tile.store %y, %out[%first] : tensor<8x8xf32>, <8 x f32>
  return
}

// -----

func.func @scaled(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<16x64xf32>
  %half = arith.constant dense<0.5> : tensor<16xf32>
  // expected-error @+1 {{has no lowering for the GPU}}
  %y = tile.scale_rows %x, %half : tensor<16x64xf32>, tensor<16xf32>
  tile.store %y, %in[%first] : tensor<16x64xf32>, <64 x f32>
  return
}

// Dots stop at the mask: where no row (column) of a group sees more, no more is computed.
// RUN: nysjit-opt --tile-to-cpu %s | FileCheck %s

// Columns that no row of a register tile sees: a loop over rows, in which columns stop.
// CHECK-LABEL: func.func @columns
// CHECK: scf.if
// CHECK: %[[LAST:.*]] = arith.minsi %{{.*}}, %{{.*}} : i32
// CHECK: %[[END:.*]] = arith.extsi %[[LAST]] : i32 to i64
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]]
// CHECK: vector.fma
// CHECK: return
func.func @columns(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %in[%first] : <32 x f32> -> tensor<32x32xf32>
  %mask = tile.mask %first below %n axis 1 : (i32, i32) -> tensor<32x32xi1>
  %y = tile.dot %x, %x read_where %mask : (tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xi1>) -> tensor<32x32xf32>
  tile.store %y, %out[%first] : tensor<32x32xf32>, <32 x f32>
  return
}

// Ends by rows: the largest of the register tile's sixteen rows, and one more where it is seen itself.
// CHECK-LABEL: func.func @rows_each
// CHECK-COUNT-15: arith.maxsi
// CHECK: arith.subi
// CHECK: arith.addi %{{.*}}, %c1_i32
// CHECK: %[[LAST:.*]] = arith.minsi %{{.*}}, %{{.*}} : i32
// CHECK: %[[END:.*]] = arith.extsi %[[LAST]] : i32 to i64
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]]
// CHECK: vector.fma
// CHECK: return
func.func @rows_each(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %in[%first] : <32 x f32> -> tensor<32x32xf32>
  %count = tile.iota : tensor<32xi32>
  %mask = tile.mask %first below %count axis 1 {inclusive} : (i32, tensor<32xi32>) -> tensor<32x32xi1>
  %y = tile.dot %x, %x read_where %mask : (tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xi1>) -> tensor<32x32xf32>
  tile.store %y, %out[%first] : tensor<32x32xf32>, <32 x f32>
  return
}

// A mask along rows: a loop over columns, in which rows stop.
// CHECK-LABEL: func.func @rows
// CHECK: %[[LAST:.*]] = arith.minsi %{{.*}}, %{{.*}} : i32
// CHECK: %[[END:.*]] = arith.extsi %[[LAST]] : i32 to i64
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]]
// CHECK: vector.fma
// CHECK: return
func.func @rows(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %in[%first] : <32 x f32> -> tensor<32x32xf32>
  %mask = tile.mask %first below %n axis 0 : (i32, i32) -> tensor<32x32xi1>
  %y = tile.dot %x, %x read_where %mask : (tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xi1>) -> tensor<32x32xf32>
  tile.store %y, %out[%first] : tensor<32x32xf32>, <32 x f32>
  return
}

// One end for all columns: register tiles as wide as without a mask, of few rows, stop there.
// CHECK-LABEL: func.func @rows_at_once
// CHECK: %[[LAST:.*]] = arith.minsi %{{.*}}, %{{.*}} : i32
// CHECK: %[[END:.*]] = arith.extsi %[[LAST]] : i32 to i64
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]] step %c4_i64
// CHECK-COUNT-4: vector.fma {{.*}} : vector<64xf32>
// CHECK-NOT: vector.fma
// CHECK: return
func.func @rows_at_once(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %mask = tile.mask %first below %n axis 0 : (i32, i32) -> tensor<64x64xi1>
  %y = tile.dot %x, %x read_where %mask : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xi1>) -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// An end for each: as wide as one register, whose rows stop at its own.
// CHECK-LABEL: func.func @columns_each
// CHECK-COUNT-16: vector.fma {{.*}} : vector<16xf32>
// CHECK-NOT: vector.fma
// CHECK: return
func.func @columns_each(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <64 x f32>
  %x = tile.load %in[%first] : <64 x f32> -> tensor<64x64xf32>
  %count = tile.iota : tensor<64xi32>
  %mask = tile.mask %first below %count axis 0 : (i32, tensor<64xi32>) -> tensor<64x64xi1>
  %y = tile.dot %x, %x read_where %mask : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xi1>) -> tensor<64x64xf32>
  tile.store %y, %out[%first] : tensor<64x64xf32>, <64 x f32>
  return
}

// The left side is 0 from there on: the sum stops.
// CHECK-LABEL: func.func @steps
// CHECK: %[[LAST:.*]] = arith.minsi %{{.*}}, %{{.*}} : i32
// CHECK: %[[END:.*]] = arith.extsi %[[LAST]] : i32 to i64
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]] step %{{.*}} iter_args
// CHECK: vector.fma
// CHECK: return
func.func @steps(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %in[%first] : <32 x f32> -> tensor<32x32xf32>
  %mask = tile.mask %first below %n axis 1 : (i32, i32) -> tensor<32x32xi1>
  %y = tile.dot %x, %x nonzero_where %mask : (tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xi1>) -> tensor<32x32xf32>
  tile.store %y, %out[%first] : tensor<32x32xf32>, <32 x f32>
  return
}

// A transposed left side's steps are its rows.
// CHECK-LABEL: func.func @steps_transposed
// CHECK: %[[LAST:.*]] = arith.minsi %{{.*}}, %{{.*}} : i32
// CHECK: %[[END:.*]] = arith.extsi %[[LAST]] : i32 to i64
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]] step %{{.*}} iter_args
// CHECK: vector.fma
// CHECK: return
func.func @steps_transposed(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %in[%first] : <32 x f32> -> tensor<32x32xf32>
  %mask = tile.mask %first below %n axis 0 : (i32, i32) -> tensor<32x32xi1>
  %y = tile.dot %x, %x nonzero_where %mask {transpose_a} : (tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xi1>) -> tensor<32x32xf32>
  tile.store %y, %out[%first] : tensor<32x32xf32>, <32 x f32>
  return
}

// Rows of the left side, which are rows of the result, are computed all.
// CHECK-LABEL: func.func @left_rows
// CHECK-NOT: arith.minsi
// CHECK: vector.fma
// CHECK: return
func.func @left_rows(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %in[%first] : <32 x f32> -> tensor<32x32xf32>
  %mask = tile.mask %first below %n axis 0 : (i32, i32) -> tensor<32x32xi1>
  %y = tile.dot %x, %x nonzero_where %mask : (tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xi1>) -> tensor<32x32xf32>
  tile.store %y, %out[%first] : tensor<32x32xf32>, <32 x f32>
  return
}

// Chunks of 24 columns are no registers of sixteen: all are computed.
// CHECK-LABEL: func.func @odd
// CHECK-NOT: arith.minsi
// CHECK: vector.fma
// CHECK: return
func.func @odd(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <24 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <24 x f32>
  %x = tile.load %in[%first] : <24 x f32> -> tensor<24x24xf32>
  %mask = tile.mask %first below %n axis 1 : (i32, i32) -> tensor<24x24xi1>
  %y = tile.dot %x, %x read_where %mask : (tensor<24x24xf32>, tensor<24x24xf32>, tensor<24x24xi1>) -> tensor<24x24xf32>
  tile.store %y, %out[%first] : tensor<24x24xf32>, <24 x f32>
  return
}

// Rows that end at steps of their own: all take those before the first end; of the others b is 0
// for the rows whose a is.
// CHECK-LABEL: func.func @own_ends
// CHECK: scf.for
// CHECK: scf.for
// CHECK-NOT: arith.cmpf
// CHECK: scf.yield
// CHECK: scf.for
// CHECK: %[[HIDDEN:.*]] = arith.cmpf oeq
// CHECK: arith.select %[[HIDDEN]]
// CHECK: vector.fma
// CHECK: return
func.func @own_ends(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %in[%first] : <32 x f32> -> tensor<32x32xf32>
  %ends = tile.iota : tensor<32xi32>
  %mask = tile.mask %first below %ends axis 1 : (i32, tensor<32xi32>) -> tensor<32x32xi1>
  %y = tile.dot %x, %x nonzero_where %mask : (tensor<32x32xf32>, tensor<32x32xf32>, tensor<32x32xi1>) -> tensor<32x32xf32>
  tile.store %y, %out[%first] : tensor<32x32xf32>, <32 x f32>
  return
}

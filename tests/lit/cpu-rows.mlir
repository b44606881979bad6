// Elementwise operations, row reductions and what hangs on them share one loop over rows; what only that loop reads never
// goes to memory.
// RUN: nysjit-opt --tile-to-cpu %s | FileCheck %s

// One slot, for what the store's loop reads: the loaded row, its maximum and the difference stay in registers.
// CHECK-LABEL: func.func @softmax_numerator
// CHECK-SAME: scratch_bytes = 2048
// CHECK: scf.for
// CHECK: scf.if
// CHECK: vector.reduction <maxnumf>
// CHECK: llvm.intr.fma
// CHECK: llvm.store
// CHECK: scf.for
// CHECK: scf.if
// CHECK-NOT: scf.for
// CHECK: return
func.func @softmax_numerator(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %in[%first] : <32 x f32> -> tensor<16x32xf32>
  %m = tile.reduce max %x axis 1 : tensor<16x32xf32> -> tensor<16xf32>
  %b = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x32xf32>
  %d = arith.subf %x, %b : tensor<16x32xf32>
  %e = math.exp2 %d : tensor<16x32xf32>
  tile.store %e, %out[%first] : tensor<16x32xf32>, <32 x f32>
  return
}

// A store after a load of the same group waits until all rows are read: two loops, one slot between them.
// CHECK-LABEL: func.func @shifted_copy
// CHECK-SAME: scratch_bytes = 2048
// CHECK: scf.for
// CHECK: scf.for
func.func @shifted_copy(%p: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %second = arith.constant 1 : i32
  %view = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>
  %x = tile.load %view[%first] : <32 x f32> -> tensor<16x32xf32>
  tile.store %x, %view[%second] : tensor<16x32xf32>, <32 x f32>
  return
}

// Scalars are no tiles: nothing here loops.
// CHECK-LABEL: func.func @scalars
// CHECK-SAME: scratch_bytes = 0
// CHECK-NOT: scf.for
// CHECK: return
func.func @scalars(%n: i32) attributes {tile.kernel} {
  %id = tile.cell_id : i32
  %sum = arith.addi %id, %n : i32
  return
}

// A sum of rows up to each is carried by the loop over rows.
// CHECK-LABEL: func.func @sums
// CHECK: scf.for {{.*}} iter_args(%[[SUM:.*]] = {{.*}}) -> (vector<16xf32>)
// CHECK: %[[NEXT:.*]] = arith.addf %[[SUM]]
// CHECK: scf.yield %[[NEXT]]
// CHECK: return
func.func @sums(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %x = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>
  %y = tile.cumulative_sum %x axis 0 : tensor<16x16xf32>
  tile.store %y, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// A gather reads each row by its own number, tested against the view's length.
// CHECK-LABEL: func.func @gathered
// CHECK: scf.for
// CHECK: %[[ROW:.*]] = arith.muli %{{.*}} : i32
// CHECK: %[[INDEX:.*]] = arith.extsi %[[ROW]] : i32 to i64
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %[[INDEX]]
// CHECK: scf.if %[[INSIDE]]
// CHECK: return
func.func @gathered(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <16 x f32>
  %count = tile.iota : tensor<16xi32>
  %apart = tensor.splat %n : tensor<16xi32>
  %rows = arith.muli %count, %apart : tensor<16xi32>
  %x = tile.gather %in[%rows] : <16 x f32>, tensor<16xi32> -> tensor<16x16xf32>
  tile.store %x, %out[%first] : tensor<16x16xf32>, <16 x f32>
  return
}

// Of a vector each element by its own number, tested against the vector's length.
// CHECK-LABEL: func.func @gathered_elements
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %[[INDEX:.*]], %{{.*}} : vector<16xi32>
// CHECK: %[[FROM:.*]] = llvm.getelementptr %{{.*}}[%[[INDEX]]] : {{.*}} -> vector<16x!llvm.ptr>, f32
// CHECK: llvm.intr.masked.gather %[[FROM]], %[[INSIDE]]
// CHECK: return
func.func @gathered_elements(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <0 x f32>
  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <0 x f32>
  %count = tile.iota : tensor<16xi32>
  %apart = tensor.splat %n : tensor<16xi32>
  %rows = arith.muli %count, %apart : tensor<16xi32>
  %x = tile.gather %in[%rows] : <0 x f32>, tensor<16xi32> -> tensor<16xf32>
  tile.store %x, %out[%first] : tensor<16xf32>, <0 x f32>
  return
}

// Of a strided vector, too, whose elements are loaded and stored apart.
// CHECK-LABEL: func.func @strided_elements
// CHECK: llvm.intr.masked.gather
// CHECK: llvm.intr.masked.scatter
// CHECK: return
func.func @strided_elements(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {
  %zero = arith.constant 0 : i64
  %first = arith.constant 0 : i32
  %in = tile.view %p[%zero] length %n stride %stride {strided} : <f32> -> <0 x f32>
  %out = tile.view %o[%zero] length %n stride %stride {strided} : <f32> -> <0 x f32>
  %x = tile.load %in[%first] : <0 x f32> -> tensor<16xf32>
  tile.store %x, %out[%first] : tensor<16xf32>, <0 x f32>
  return
}

// Scalar arithmetic and views stand as early in their block as their operands allow.
// RUN: nysjit-opt --cpu-hoist-scalars %s | FileCheck %s

// CHECK-LABEL: func.func @after_a_loop
// CHECK: %[[BEGIN:.*]] = arith.addi
// CHECK: tile.view %{{.*}}[%{{.*}}] length %[[BEGIN]]
// CHECK: scf.for
// CHECK: return
func.func @after_a_loop(%p: !tile.ptr<f32>, %offset: i64, %n: i32, %step: i32) {
  scf.for %i = %n to %n step %step : i32 {
  }
  %begin = arith.addi %n, %step : i32
  %view = tile.view %p[%offset] length %begin stride %offset : <f32> -> <16 x f32>
  return
}

// In a body by themselves: not out of the loop, even what does not depend on its number.
// CHECK-LABEL: func.func @in_a_body
// CHECK: scf.for
// CHECK-NEXT: arith.muli
// CHECK-NEXT: scf.for
// CHECK-NEXT: arith.addi
// CHECK: return
func.func @in_a_body(%n: i32, %step: i32) {
  scf.for %i = %n to %n step %step : i32 {
    scf.for %j = %n to %n step %step : i32 {
      %a = arith.addi %n, %step : i32
    }
    %b = arith.muli %i, %step : i32
  }
  return
}

// What reads memory, or is made of tiles or of floating-point numbers, stays behind the loop.
// CHECK-LABEL: func.func @stay
// CHECK: scf.for
// CHECK: tile.load_scalar
// CHECK: arith.addi
// CHECK: arith.addf
// CHECK: tile.reduce
// CHECK: arith.fptosi
// CHECK: return
func.func @stay(%in: !tile.view<0 x i32>, %x: tensor<16xf32>, %f: f32, %n: i32, %step: i32) {
  scf.for %i = %n to %n step %step : i32 {
  }
  %begin = tile.load_scalar %in[%n] : <0 x i32> -> i32
  %end = arith.addi %begin, %n : i32
  %twice = arith.addf %f, %f : f32
  %sum = tile.reduce sum %x axis 0 : tensor<16xf32> -> f32
  %count = arith.fptosi %sum : f32 to i32
  return
}

// Vectors whose elements are not side by side, on the emulator.
#include "tests/compiler/gpu_tile_op.h"

using namespace nysjit;

namespace {

/// %s: elements 0, 5, 10, ... of %v, 30 of them; %w: elements 0, 3, ... of %y, 25 of them.
std::string views(const std::string &element) {
  return "  %five = arith.constant 5 : i64\n  %three = arith.constant 3 : i64\n"
         "  %n = arith.constant 30 : i32\n  %m = arith.constant 25 : i32\n"
         "  %before = arith.constant -2 : i32\n"
         "  %s = tile.view %v_pointer[%zero] length %n stride %five {strided} : <" +
         element + "> -> <0 x " + element +
         ">\n"
         "  %w = tile.view %y_pointer[%zero] length %m stride %three {strided} : <f32> -> <0 x "
         "f32>\n";
}

TEST_F(GpuTileOp, StridedVectorsAreLoadedAndStored) {
  const Array v = random("v", 160, 0);
  const Array y = random("y", 100, 0);
  const std::vector<float> result =
      run({v, y}, views("f32") + "  %a = tile.load %s[%before] : <0 x f32> -> tensor<32xf32>\n"
                                 "  %j = tile.iota : tensor<32xi32>\n"
                                 "  %g = tile.gather %s[%j] : <0 x f32>, tensor<32xi32> -> "
                                 "tensor<32xf32>\n"
                                 "  %one = tile.load_scalar %s[%i16] : <0 x f32> -> f32\n"
                                 "  %ones = tensor.splat %one : tensor<32xf32>\n"
                                 "  %ag = arith.addf %a, %g : tensor<32xf32>\n"
                                 "  %all = arith.addf %ag, %ones : tensor<32xf32>\n"
                                 "  tile.store %all, %w[%i1] : tensor<32xf32>, <0 x f32>\n");
  auto of = [&](int i) { return i >= 0 && i < 30 ? v.values[size_t(5 * i)] : 0.0f; };
  std::vector<float> expected = y.values;
  for (int i = 0; i + 1 < 25; ++i)
    expected[size_t(3 * (i + 1))] = of(i - 2) + of(i) + of(16);
  EXPECT_EQ(result, expected);
}

TEST_F(GpuTileOp, StridedVectorsLieAlongRowsAndColumns) {
  for (const std::string element : {"f32", "bf16"}) {
    const Array v = random("v", 160, 0, element);
    const Array y = random("y", 32, 64);
    const std::string line = "tensor<32x" + element + ">";
    const std::string wide =
        element == "f32" ? "" : "  %b = arith.extf %a : " + line + " to tensor<32xf32>\n";
    const std::string a = element == "f32" ? "%a" : "%b";
    const std::vector<float> result = run(
        {v, y}, views(element) + "  %a = tile.load %s[%before] : <0 x " + element + "> -> " + line +
                    "\n" + wide + "  %r = tile.broadcast " + a +
                    " axis 0 : tensor<32xf32> -> tensor<32x32xf32>\n  %c = tile.broadcast " + a +
                    " axis 1 : tensor<32xf32> -> tensor<32x32xf32>\n"
                    "  %t = arith.subf %r, %c : tensor<32x32xf32>\n"
                    "  %o = tile.view %y_pointer[%zero] length %i32 stride %y_stride : <f32> -> "
                    "<32 x f32>\n  tile.store %t, %o[%i0] : tensor<32x32xf32>, <32 x f32>\n");
    auto of = [&](int i) { return i >= 0 && i < 30 ? v.values[size_t(5 * i)] : 0.0f; };
    for (int i = 0; i < 32; ++i)
      for (int j = 0; j < 32; ++j)
        ASSERT_EQ(result[size_t(i * 64 + j)], of(i - 2) - of(j - 2)) << element << i << " " << j;
  }
}

} // namespace

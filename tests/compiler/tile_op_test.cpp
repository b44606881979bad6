// Each tile operation on the CPU against values computed here by hand-written loops; dots are in
// tile_dot_test.cpp.
#include "tests/compiler/tile_op.h"

#include "runtime/npy/half.h"

#include <cmath>

using namespace nysjit;
using namespace nysjit::execution;

namespace {

INSTANTIATE_TEST_SUITE_P(Levels, TileOp, testing::ValuesIn(levels()), levelName);

/// The unary operation `op` on a [16, 32] tile.
std::vector<float> unary(const std::string &op, std::vector<float> x, CpuLevel level) {
  std::vector<float> y(16 * 32, 7.0f);
  runTiles(rowsKernel(
               32, "  %x = tile.load %in[%first] : <32 x f32> -> tensor<16x32xf32>\n  %y = " + op +
                       " %x : tensor<16x32xf32>\n"
                       "  tile.store %y, %out[%first] : tensor<16x32xf32>, <32 x f32>\n"),
           {slot(x.data()), slot(y.data()), slot(16), slot(32)}, level);
  return y;
}

TEST_P(TileOp, Exp2) {
  std::vector<float> x(512);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = -126.0f + 253.0f * float(i) / 511.0f;
  const std::vector<float> y = unary("math.exp2", x, GetParam());
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(y[i] / std::exp2(double(x[i])), 1, 1.2e-7) << x[i];
}

TEST_P(TileOp, Exp2AtItsEnds) {
  std::vector<float> x(512, 0.0f);
  const float infinity = INFINITY;
  x = {0.0f, -0.0f, -infinity, -1e38f, -200.0f, 128.0f, infinity, NAN, 1.0f, -1.0f, 127.0f};
  x.resize(512, 0.0f);
  const std::vector<float> y = unary("math.exp2", x, GetParam());
  const std::vector<float> expected = {1, 1, 0, 0, 0, infinity, infinity, NAN, 2, 0.5f, 0x1p127f};
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(y[i] == expected[i] || (std::isnan(y[i]) && std::isnan(expected[i])))
        << x[i] << " gave " << y[i];
}

TEST_P(TileOp, Log2) {
  std::vector<float> x(512);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = std::exp2(-100.0f + float(i) * 0.4f) * (1 + float(i % 7) / 7);
  x[0] = 1;
  x[1] = 0;
  x[2] = 0.99999994f;
  const std::vector<float> y = unary("math.log2", x, GetParam());
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], -INFINITY);
  for (size_t i = 2; i < x.size(); ++i)
    EXPECT_NEAR(y[i], std::log2(double(x[i])),
                1e-7 * std::max(1.0, std::abs(std::log2(double(x[i])))))
        << x[i];
}

TEST_P(TileOp, LoadZeroFillsAndStoreDropsOutsideTheView) {
  // Rows -4 .. 11 of a view of 6 rows; the memory around it is NaN and must be neither read nor
  // written.
  std::vector<float> memory(20 * 8, NAN);
  std::vector<float> y(16 * 8, 5.0f);
  for (int i = 0; i < 6 * 8; ++i)
    memory[size_t(5 * 8 + i)] = float(i);
  const std::string ir =
      "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>) attributes {tile.kernel} {\n"
      "  %zero = arith.constant 0 : i64\n  %eight = arith.constant 8 : i64\n  %six = "
      "arith.constant 6 : i32\n"
      "  %before = arith.constant -4 : i32\n"
      "  %in = tile.view %p[%zero] length %six stride %eight : <f32> -> <8 x f32>\n"
      "  %out = tile.view %o[%zero] length %six stride %eight : <f32> -> <8 x f32>\n"
      "  %x = tile.load %in[%before] : <8 x f32> -> tensor<16x8xf32>\n"
      "  %c = arith.constant dense<1.0> : tensor<16x8xf32>\n  %y = arith.addf %x, %c : "
      "tensor<16x8xf32>\n"
      "  tile.store %y, %out[%before] : tensor<16x8xf32>, <8 x f32>\n  return\n}\n";
  runTiles(ir, {slot(memory.data() + 5 * 8), slot(y.data())}, GetParam());
  for (size_t i = 0; i < y.size(); ++i)
    EXPECT_EQ(y[i], i < 48 ? float(i) + 1 : 5.0f) << i;
}

// Loops in a loop: the inner one begins with the outer one's tiles, each in its own place or in the
// other's.
TEST_P(TileOp, TilesCarriedThroughLoops) {
  for (const bool isSwapped : {false, true}) {
    constexpr int count = 16;
    constexpr int turns = 3;
    const std::vector<float> x = random(count * count);
    std::vector<float> y(x.size(), NAN);
    const std::string f = "tensor<16x16xf32>";
    const std::string view = "<16 x f32>";
    const std::string two = "(" + f + ", " + f + ")";
    const std::string ir =
        "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) "
        "attributes {tile.kernel} {\n"
        "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n  %one = "
        "arith.constant 1 : i32\n  %turns = arith.constant 3 : i32\n"
        "  %half = arith.constant dense<0.5> : " +
        f + "\n  %unit = arith.constant dense<1.0> : " + f +
        "\n"
        "  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> " +
        view + "\n  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> " + view +
        "\n"
        "  %x = tile.load %in[%first] : " +
        view + " -> " + f +
        "\n"
        "  %r:2 = scf.for %i = %first to %turns step %one iter_args(%a = %x, %b = %unit) -> " +
        two +
        " : i32 {\n"
        "    %s:2 = scf.for %j = %first to %turns step %one iter_args(%c = " +
        (isSwapped ? "%b, %d = %a" : "%a, %d = %b") + ") -> " + two +
        " : i32 {\n"
        "      %e = arith.mulf %c, %half : " +
        f + "\n      %g = arith.addf %d, %e : " + f + "\n      scf.yield %e, %g : " + f + ", " + f +
        "\n    }\n"
        "    scf.yield %s#0, %s#1 : " +
        f + ", " + f +
        "\n  }\n"
        "  %z = arith.addf %r#0, %r#1 : " +
        f + "\n  tile.store %z, %out[%first] : " + f + ", " + view + "\n  return\n}\n";
    runTiles(ir, {slot(x.data()), slot(y.data()), slot(count), slot(count)}, GetParam());
    for (size_t n = 0; n < x.size(); ++n) {
      double a = x[n];
      double b = 1;
      for (int i = 0; i < turns; ++i) {
        double c = isSwapped ? b : a;
        double d = isSwapped ? a : b;
        for (int j = 0; j < turns; ++j) {
          c *= 0.5;
          d += c;
        }
        a = c;
        b = d;
      }
      ASSERT_NEAR(y[n], a + b, 1e-5) << n << (isSwapped ? ", swapped" : "");
    }
  }
}

// A carried tile times a carried number a row that the same rows give a next value, and a transpose
// of what is carried.
TEST_P(TileOp, CarriedTilesReadAsTheyWere) {
  constexpr int count = 32;
  constexpr int turns = 3;
  const std::vector<float> x = random(count * count);
  std::vector<float> y(x.size(), NAN);
  const std::string f = "tensor<32x32xf32>";
  const std::string v = "tensor<32xf32>";
  const std::string view = "<32 x f32>";
  const std::string ir =
      "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) "
      "attributes {tile.kernel} {\n"
      "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n  %one = "
      "arith.constant 1 : i32\n  %turns = arith.constant 3 : i32\n"
      "  %ones = arith.constant dense<1.0> : " +
      v +
      "\n"
      "  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> " +
      view + "\n  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> " + view +
      "\n"
      "  %x = tile.load %in[%first] : " +
      view + " -> " + f +
      "\n"
      "  %r:3 = scf.for %i = %first to %turns step %one iter_args(%a = %x, %m = %ones, %t = %x) -> "
      "(" +
      f + ", " + v + ", " + f +
      ") : i32 {\n"
      "    %s = tile.load %in[%i] : " +
      view + " -> " + f + "\n    %m2 = tile.reduce max %s axis 1 : " + f + " -> " + v +
      "\n"
      "    %b = tile.broadcast %m axis 0 : " +
      v + " -> " + f + "\n    %a2 = arith.mulf %a, %b : " + f +
      "\n"
      "    %t2 = tile.transpose %t : " +
      f + " -> " + f + "\n    scf.yield %a2, %m2, %t2 : " + f + ", " + v + ", " + f +
      "\n  }\n"
      "  %z = arith.addf %r#0, %r#2 : " +
      f + "\n  tile.store %z, %out[%first] : " + f + ", " + view + "\n  return\n}\n";
  runTiles(ir, {slot(x.data()), slot(y.data()), slot(count), slot(count)}, GetParam());
  auto maximum = [&](int row) {
    return row < count ? *std::max_element(x.begin() + row * count, x.begin() + (row + 1) * count)
                       : 0.0f;
  };
  for (int r = 0; r < count; ++r)
    for (int c = 0; c < count; ++c) {
      double a = x[size_t(r * count + c)];
      double factor = 1;
      for (int i = 0; i < turns; ++i) {
        a *= factor;
        factor = maximum(r + i);
      }
      ASSERT_NEAR(y[size_t(r * count + c)], a + x[size_t(c * count + r)], 1e-4)
          << "row " << r << " column " << c;
    }
}

TEST_P(TileOp, WidenAndNarrowSixteenBits) {
  for (const std::string element : {"f16", "bf16"}) {
    std::vector<uint16_t> x(16 * 24);
    std::vector<uint16_t> y(16 * 24);
    const std::vector<float> numbers = random(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = element == "f16" ? floatToFloat16(numbers[i]) : floatToBfloat16(numbers[i]);
    const std::string type = "<24 x " + element + ">";
    const std::string ir = "func.func @exact_causal(%p: !tile.ptr<" + element +
                           ">, %o: !tile.ptr<" + element +
                           ">, %n: i32, %stride: i64) attributes {tile.kernel} {\n"
                           "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n"
                           "  %in = tile.view %p[%zero] length %n stride %stride : <" +
                           element + "> -> " + type +
                           "\n"
                           "  %out = tile.view %o[%zero] length %n stride %stride : <" +
                           element + "> -> " + type +
                           "\n"
                           "  %x = tile.load %in[%first] : " +
                           type + " -> tensor<16x24x" + element +
                           ">\n"
                           "  %w = arith.extf %x : tensor<16x24x" +
                           element +
                           "> to tensor<16x24xf32>\n"
                           "  %c = arith.constant dense<1.1> : tensor<16x24xf32>\n  %y = "
                           "arith.mulf %w, %c : tensor<16x24xf32>\n"
                           "  tile.store %y, %out[%first] : tensor<16x24xf32>, " +
                           type + "\n  return\n}\n";
    runTiles(ir, {slot(x.data()), slot(y.data()), slot(16), slot(24)}, GetParam());
    for (size_t i = 0; i < x.size(); ++i) {
      const float wide = element == "f16" ? float16ToFloat(x[i]) : bfloat16ToFloat(x[i]);
      EXPECT_EQ(y[i], element == "f16" ? floatToFloat16(wide * 1.1f) : floatToBfloat16(wide * 1.1f))
          << element << " " << wide;
    }
  }
}

TEST_P(TileOp, ReductionsAlongBothAxes) {
  std::vector<float> x = random(16 * 40);
  std::vector<float> y(16 * 40, NAN);
  // y = x - row maximum + column sum
  runTiles(rowsKernel(40, "  %x = tile.load %in[%first] : <40 x f32> -> tensor<16x40xf32>\n"
                          "  %m = tile.reduce max %x axis 1 : tensor<16x40xf32> -> tensor<16xf32>\n"
                          "  %s = tile.reduce sum %x axis 0 : tensor<16x40xf32> -> tensor<40xf32>\n"
                          "  %mb = tile.broadcast %m axis 0 : tensor<16xf32> -> tensor<16x40xf32>\n"
                          "  %sb = tile.broadcast %s axis 1 : tensor<40xf32> -> tensor<16x40xf32>\n"
                          "  %d = arith.subf %x, %mb : tensor<16x40xf32>\n  %y = arith.addf %d, "
                          "%sb : tensor<16x40xf32>\n"
                          "  tile.store %y, %out[%first] : tensor<16x40xf32>, <40 x f32>\n"),
           {slot(x.data()), slot(y.data()), slot(16), slot(40)}, GetParam());
  for (int i = 0; i < 16; ++i)
    for (int e = 0; e < 40; ++e) {
      float maximum = -INFINITY;
      double sum = 0;
      for (int k = 0; k < 40; ++k)
        maximum = std::max(maximum, x[size_t(i * 40 + k)]);
      for (int r = 0; r < 16; ++r)
        sum += x[size_t(r * 40 + e)];
      EXPECT_NEAR(y[size_t(i * 40 + e)], double(x[size_t(i * 40 + e)]) - maximum + sum, 1e-5);
    }
}

TEST_P(TileOp, TriangularSolveReadsTheStrictlyLowerPartOnly) {
  std::vector<float> x = random(16 * 16);
  std::vector<float> y(16 * 16, NAN);
  std::vector<float> lower(16 * 16);
  // lower = x / 4 below the diagonal; on and above it the solve must not look: NaN there.
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j)
      lower[size_t(i * 16 + j)] = j < i ? x[size_t(i * 16 + j)] / 4 : NAN;
  const std::string ir =
      "func.func @exact_causal(%l: !tile.ptr<f32>, %p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: "
      "i32, %s: i64) attributes {tile.kernel} {\n"
      "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n"
      "  %lv = tile.view %l[%zero] length %n stride %s : <f32> -> <16 x f32>\n"
      "  %in = tile.view %p[%zero] length %n stride %s : <f32> -> <16 x f32>\n"
      "  %out = tile.view %o[%zero] length %n stride %s : <f32> -> <16 x f32>\n"
      "  %a = tile.load %lv[%first] : <16 x f32> -> tensor<16x16xf32>\n"
      "  %b = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>\n"
      "  %u = tile.triangular_solve %a, %b : tensor<16x16xf32>, tensor<16x16xf32>\n"
      "  tile.store %u, %out[%first] : tensor<16x16xf32>, <16 x f32>\n  return\n}\n";
  runTiles(ir, {slot(lower.data()), slot(x.data()), slot(y.data()), slot(16), slot(16)},
           GetParam());
  for (int i = 0; i < 16; ++i)
    for (int e = 0; e < 16; ++e) {
      double back = y[size_t(i * 16 + e)];
      for (int j = 0; j < i; ++j)
        back += double(lower[size_t(i * 16 + j)]) * y[size_t(j * 16 + e)];
      EXPECT_NEAR(back, x[size_t(i * 16 + e)], 1e-4);
    }
}

TEST_P(TileOp, CarriedTilesThatTradePlaces) {
  // (a, b) <- (b, a + b), five times, from rows of x: slots must not overwrite what is still read.
  std::vector<float> x = random(32 * 16);
  std::vector<float> y(32 * 16, NAN);
  const std::string body = "  %i16 = arith.constant 16 : i32\n  %five = arith.constant 5 : i32\n  "
                           "%one = arith.constant 1 : i32\n"
                           "  %a = tile.load %in[%first] : <16 x f32> -> tensor<16x16xf32>\n"
                           "  %b = tile.load %in[%i16] : <16 x f32> -> tensor<16x16xf32>\n"
                           "  %r:2 = scf.for %i = %first to %five step %one iter_args(%u = %a, %v "
                           "= %b) -> (tensor<16x16xf32>, tensor<16x16xf32>) : i32 {\n"
                           "    %w = arith.addf %u, %v : tensor<16x16xf32>\n    scf.yield %v, %w : "
                           "tensor<16x16xf32>, tensor<16x16xf32>\n  }\n"
                           "  tile.store %r#0, %out[%first] : tensor<16x16xf32>, <16 x f32>\n"
                           "  tile.store %r#1, %out[%i16] : tensor<16x16xf32>, <16 x f32>\n";
  runTiles(rowsKernel(16, body), {slot(x.data()), slot(y.data()), slot(32), slot(16)}, GetParam());
  for (size_t i = 0; i < 256; ++i) {
    float a = x[i];
    float b = x[256 + i];
    for (int step = 0; step < 5; ++step) {
      const float next = a + b;
      a = b;
      b = next;
    }
    EXPECT_EQ(y[i], a) << i;
    EXPECT_EQ(y[256 + i], b) << i;
  }
}

} // namespace

// Dots and transposes on the CPU, and the ways around them that the lowering takes, against values
// computed here by hand-written loops.
#include "tests/compiler/tile_op.h"

#include <algorithm>
#include <cmath>
#include <functional>

using namespace nysjit;
using namespace nysjit::execution;

namespace {

using TileDot = TileOp;
INSTANTIATE_TEST_SUITE_P(Levels, TileDot, testing::ValuesIn(levels()), levelName);

TEST_P(TileDot, DotOfEveryWidth) {
  for (int d : {8, 16, 24, 40, 64, 80, 120, 128, 200, 256}) {
    const std::string D = std::to_string(d);
    std::vector<float> x = random(size_t(32 * d));
    std::vector<float> y(size_t(32 * d), NAN);
    // y = x + (x x^T) x
    runTiles(rowsKernel(d, "  %x = tile.load %in[%first] : <" + D + " x f32> -> tensor<32x" + D +
                               "xf32>\n"
                               "  %s = tile.dot %x, %x {transpose_b} : (tensor<32x" +
                               D + "xf32>, tensor<32x" + D +
                               "xf32>) -> tensor<32x32xf32>\n"
                               "  %y = tile.dot %s, %x, %x : (tensor<32x32xf32>, tensor<32x" +
                               D + "xf32>, tensor<32x" + D + "xf32>) -> tensor<32x" + D +
                               "xf32>\n"
                               "  tile.store %y, %out[%first] : tensor<32x" +
                               D + "xf32>, <" + D + " x f32>\n"),
             {slot(x.data()), slot(y.data()), slot(32), slot(d)}, GetParam());
    for (int i = 0; i < 32; ++i)
      for (int e = 0; e < d; ++e) {
        double expected = x[size_t(i * d + e)];
        double size = std::abs(expected);
        for (int j = 0; j < 32; ++j) {
          double s = 0;
          double largest = 0;
          for (int k = 0; k < d; ++k) {
            s += double(x[size_t(i * d + k)]) * x[size_t(j * d + k)];
            largest += std::abs(double(x[size_t(i * d + k)]) * x[size_t(j * d + k)]);
          }
          expected += s * x[size_t(j * d + e)];
          size += largest * std::abs(x[size_t(j * d + e)]);
        }
        ASSERT_NEAR(y[size_t(i * d + e)], expected, 1e-6 * size)
            << "d " << d << " at " << i << ", " << e;
      }
  }
}

// Either side transposed, with and without something to add to.
TEST_P(TileDot, TransposedSides) {
  for (int turn = 0; turn < 8; ++turn) {
    const bool isLeft = turn & 1;
    const bool isRight = turn & 2;
    const bool isAdded = turn & 4;
    const int m = 8 * any(1, 5);
    const int n = 8 * any(1, 5);
    const int k = 8 * any(1, 5);
    Matrix a = isLeft ? randomMatrix(k, m) : randomMatrix(m, k);
    Matrix b = isRight ? randomMatrix(n, k) : randomMatrix(k, n);
    Matrix c = randomMatrix(m, n);
    Matrix y(m, n);
    SCOPED_TRACE(testing::Message() << m << "x" << n << "x" << k << (isLeft ? " left" : "")
                                    << (isRight ? " right" : "") << (isAdded ? " added" : ""));
    const std::map<std::string, std::string> names = {
        {"A", a.type()},
        {"B", b.type()},
        {"C", c.type()},
        {"SIDES", std::string(isLeft ? "{transpose_a" : "{") +
                      (isRight ? std::string(isLeft ? ", " : "") + "transpose_b}" : "}")}};
    TileKernel(GetParam())
        .in("a", a)
        .in("b", b)
        .in("c", c)
        .out("y", y)
        .run(with(names, isAdded ? "  %y = tile.dot %a, %b, %c $SIDES : ($A, $B, $C) -> $C\n"
                                 : "  %y = tile.dot %a, %b $SIDES : ($A, $B) -> $C\n"));
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) {
        double sum = isAdded ? c(i, j) : 0;
        for (int e = 0; e < k; ++e)
          sum += double(isLeft ? a(e, i) : a(i, e)) * (isRight ? b(j, e) : b(e, j));
        ASSERT_NEAR(y(i, j), sum, 1e-4) << i << ", " << j;
      }
  }
}

// Operands that a dot may read where they are: a key tile that it transposes and a left one, whose
// rows lie as far apart as the view's; a right one, if they lie one after the other. Something
// stored between must not be seen.
TEST_P(TileDot, RowsReadInPlaceAreThoseOfTheLoad) {
  constexpr int count = 16;
  for (const bool isTransposed : {true, false})
    for (const int stride : {count, 40})
      for (const bool storesBetween : {false, true}) {
        std::vector<float> x = random(size_t(count * stride));
        std::vector<float> y(size_t(count * stride), NAN);
        const std::vector<float> before = x;
        const std::string f = "tensor<16x16xf32>";
        const std::string view = "<16 x f32>";
        const std::string ir =
            "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: "
            "i64) attributes {tile.kernel} {\n"
            "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n  %ones = "
            "arith.constant dense<1.0> : " +
            f +
            "\n"
            "  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> " +
            view +
            "\n"
            "  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> " +
            view +
            "\n"
            "  %a = tile.load %in[%first] {in_bounds} : " +
            view + " -> " + f + "\n  %b = tile.load %in[%first] {in_bounds} : " + view + " -> " +
            f + "\n" +
            (storesBetween ? "  tile.store %ones, %in[%first] : " + f + ", " + view + "\n"
                           : std::string()) +
            "  %s = tile.dot %a, %b " + (isTransposed ? "{transpose_b} " : "") + ": (" + f + ", " +
            f + ") -> " + f +
            "\n"
            "  tile.store %s, %out[%first] : " +
            f + ", " + view + "\n  return\n}\n";
        runTiles(ir, {slot(x.data()), slot(y.data()), slot(count), slot(stride)}, GetParam());
        for (int i = 0; i < count; ++i)
          for (int j = 0; j < count; ++j) {
            double expected = 0;
            for (int c = 0; c < count; ++c)
              expected += double(before[size_t(i * stride + c)]) *
                          before[size_t(isTransposed ? j * stride + c : c * stride + j)];
            ASSERT_NEAR(y[size_t(i * stride + j)], expected, 1e-5 * count)
                << i << ", " << j << " stride " << stride << (isTransposed ? " transposed" : "")
                << (storesBetween ? " with a store between" : "");
          }
      }
}

// Where only rows are reduced and multiplied of it, a transpose is not made: the same is done along
// columns.
TEST_P(TileDot, Transpose) {
  constexpr int rows = 48;
  constexpr int columns = 32;
  const std::vector<float> x = random(rows * columns);
  std::vector<float> y(columns * rows, NAN);
  std::vector<float> z(columns * columns, NAN);
  const std::string f = "tensor<48x32xf32>";
  const std::string t = "tensor<32x48xf32>";
  const std::string s = "tensor<32x32xf32>";
  const std::string v = "tensor<32xf32>";
  for (const bool isStored : {true, false}) {
    runTiles(
        "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %s: !tile.ptr<f32>, %n: "
        "i32, %stride: i64, %other: i64) attributes {tile.kernel} {\n"
        "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n"
        "  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>\n  %out = "
        "tile.view %o[%zero] length %n stride %other : <f32> -> <48 x f32>\n"
        "  %sums = tile.view %s[%zero] length %n stride %stride : <f32> -> <32 x f32>\n"
        "  %x = tile.load %in[%first] : <32 x f32> -> " +
            f + "\n  %d = arith.addf %x, %x : " + f +
            "\n"
            "  %t = tile.transpose %d : " +
            f + " -> " + t + "\n" +
            (isStored ? "  tile.store %t, %out[%first] : " + t + ", <48 x f32>\n" : "") +
            "  %m = tile.reduce max %t axis 1 : " + t + " -> " + v +
            "\n  %b = tile.broadcast %m axis 0 : " + v + " -> " + t +
            "\n"
            "  %w = arith.subf %t, %b : " +
            t + "\n  %y = tile.dot %w, %x : (" + t + ", " + f + ") -> " + s +
            "\n"
            "  tile.store %y, %sums[%first] : " +
            s + ", <32 x f32>\n  return\n}\n",
        {slot(x.data()), slot(y.data()), slot(z.data()), slot(rows), slot(columns), slot(rows)},
        GetParam());
    for (int i = 0; i < columns; ++i) {
      double largest = -INFINITY;
      for (int r = 0; r < rows; ++r) {
        largest = std::max(largest, 2.0 * x[size_t(r * columns + i)]);
        ASSERT_TRUE(!isStored || y[size_t(i * rows + r)] == 2 * x[size_t(r * columns + i)])
            << i << ", " << r;
      }
      for (int j = 0; j < columns; ++j) {
        double sum = 0;
        for (int r = 0; r < rows; ++r)
          sum += (2.0 * x[size_t(r * columns + i)] - largest) * x[size_t(r * columns + j)];
        ASSERT_NEAR(z[size_t(i * columns + j)], sum, 1e-3)
            << i << ", " << j << (isStored ? " stored" : "");
      }
    }
  }
}

// Operands that are computed anew wherever they are read, of dots and transposes.
TEST_P(TileDot, OperandsThatAreSpread) {
  constexpr int count = 32;
  const std::vector<float> x = random(count * count);
  std::vector<float> largest(count);
  for (int r = 0; r < count; ++r)
    largest[size_t(r)] = *std::max_element(x.begin() + r * count, x.begin() + (r + 1) * count);
  auto sumOf = [&](int r, auto of) {
    double sum = 0;
    for (int i = 0; i < count; ++i)
      sum += of(r, i);
    return sum;
  };
  const std::string f = "tensor<32x32xf32>";
  const std::string types = " : (" + f + ", " + f + ") -> " + f + "\n";
  const auto at = [&](int r, int c) { return double(x[size_t(r * count + c)]); };
  const std::vector<std::pair<std::string, std::function<double(int, int)>>> cases = {
      {"tile.dot %b, %x" + types,
       [&](int r, int c) {
         return sumOf(r, [&](int row, int i) { return largest[size_t(row)] * at(i, c); });
       }},
      {"tile.dot %x, %b" + types,
       [&](int r, int) {
         return sumOf(r, [&](int row, int i) { return at(row, i) * largest[size_t(i)]; });
       }},
      {"tile.dot %x, %b {transpose_b}" + types,
       [&](int r, int c) {
         return sumOf(r, [&](int row, int i) { return at(row, i) * largest[size_t(c)]; });
       }},
      {"tile.transpose %b : " + f + " -> " + f + "\n",
       [&](int, int c) { return double(largest[size_t(c)]); }}};
  for (const auto &[operation, expected] : cases) {
    std::vector<float> y(x.size(), NAN);
    runTiles(rowsKernel(count, "  %x = tile.load %in[%first] : <32 x f32> -> " + f +
                                   "\n  %m = tile.reduce max %x axis 1 : " + f +
                                   " -> tensor<32xf32>\n"
                                   "  %b = tile.broadcast %m axis 0 : tensor<32xf32> -> " +
                                   f + "\n  %y = " + operation +
                                   "  tile.store %y, %out[%first] : " + f + ", <32 x f32>\n"),
             {slot(x.data()), slot(y.data()), slot(count), slot(count)}, GetParam());
    for (int r = 0; r < count; ++r)
      for (int c = 0; c < count; ++c)
        ASSERT_NEAR(y[size_t(r * count + c)], expected(r, c), 1e-3) << operation << r << ", " << c;
  }
}

// What a loop's dot takes transposed, and the loop does not change, is transposed before it.
TEST_P(TileDot, TransposedOnceForALoop) {
  constexpr int count = 32;
  constexpr int turns = 3;
  const std::vector<float> x = random(turns * count * count);
  const std::vector<float> k = random(count * count);
  std::vector<float> y(x.size(), NAN);
  const std::string f = "tensor<32x32xf32>";
  const std::string view = "<32 x f32>";
  runTiles("func.func @exact_causal(%p: !tile.ptr<f32>, %q: !tile.ptr<f32>, %o: !tile.ptr<f32>, "
           "%n: i32, %stride: i64) attributes {tile.kernel} {\n"
           "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n  %step = "
           "arith.constant 32 : i32\n"
           "  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> " +
               view + "\n  %keys = tile.view %q[%zero] length %n stride %stride : <f32> -> " +
               view +
               "\n"
               "  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> " +
               view + "\n  %k = tile.load %keys[%first] : " + view + " -> " + f +
               "\n"
               "  scf.for %i = %first to %n step %step : i32 {\n    %x = tile.load %in[%i] : " +
               view + " -> " + f +
               "\n"
               "    %s = tile.dot %x, %k {transpose_b} : (" +
               f + ", " + f + ") -> " + f + "\n    %z = tile.dot %s, %k : (" + f + ", " + f +
               ") -> " + f +
               "\n"
               "    tile.store %z, %out[%i] : " +
               f + ", " + view + "\n  }\n  return\n}\n",
           {slot(x.data()), slot(k.data()), slot(y.data()), slot(turns * count), slot(count)},
           GetParam());
  for (int r = 0; r < turns * count; ++r)
    for (int c = 0; c < count; ++c) {
      double expected = 0;
      for (int j = 0; j < count; ++j) {
        double score = 0;
        for (int i = 0; i < count; ++i)
          score += double(x[size_t(r * count + i)]) * k[size_t(j * count + i)];
        expected += score * k[size_t(j * count + c)];
      }
      ASSERT_NEAR(y[size_t(r * count + c)], expected, 1e-3) << r << ", " << c;
    }
}

} // namespace

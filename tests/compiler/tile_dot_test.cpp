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

/// weights x, and s where `alsoReads`, with s = x x^T and weights = 2^(s - its row's maximum) where
/// first + column < (<= if inclusive) row * slope + end and first + column >= begin, else 0.
std::vector<double> maskedProduct(const std::vector<float> &x, bool isInclusive, int first,
                                  int slope, int end, int begin, bool alsoReads) {
  constexpr int count = 32;
  std::vector<double> o(count * count);
  for (int r = 0; r < count; ++r) {
    std::vector<double> s(count, 0);
    std::vector<double> weight(count, 0);
    double maximum = -1e30;
    auto isVisible = [&](int c) {
      return first + c < r * slope + end + (isInclusive ? 1 : 0) && first + c >= begin;
    };
    for (int c = 0; c < count; ++c) {
      for (int k = 0; k < count; ++k)
        s[size_t(c)] += double(x[size_t(r * count + k)]) * x[size_t(c * count + k)];
      if (isVisible(c))
        maximum = std::max(maximum, s[size_t(c)]);
    }
    for (int c = 0; c < count; ++c) {
      const double w = isVisible(c) ? std::exp2(s[size_t(c)] - maximum) : 0;
      for (int k = 0; k < count; ++k)
        o[size_t(r * count + k)] += w * x[size_t(c * count + k)];
      if (alsoReads)
        o[size_t(r * count + c)] += s[size_t(c)];
    }
  }
  return o;
}

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

// Dots stop where a mask hides the rest: whatever the rows' ends are, and not where something else
// reads what is hidden.
TEST_P(TileDot, DotsUnderAMask) {
  auto any = [&](int low, int high) { return std::uniform_int_distribution(low, high)(generator); };
  for (int turn = 0; turn < 64; ++turn) {
    const bool isInclusive = turn & 1;
    const bool alsoReads = turn & 2;
    const bool hasBegin = turn & 4;
    const bool isInLoop = turn & 16;
    const bool isInBounds = turn & 32;
    const int first = any(-40, 200);
    const int slope = any(-3, 3);
    const int end = first + any(-20, 50);
    const int begin = hasBegin ? first + any(0, 10) : first;
    SCOPED_TRACE(testing::Message()
                 << "first " << first << " slope " << slope << " end " << end << " begin " << begin
                 << (isInclusive ? " <=" : " <") << (alsoReads ? ", read elsewhere" : "")
                 << (isInLoop ? ", keys in a loop" : "") << (isInBounds ? ", in bounds" : ""));
    const std::string t = "tensor<32xi32>";
    const std::string tt = "tensor<32x32xi32>";
    const std::string f = "tensor<32x32xf32>";
    const std::string m = "tensor<32x32xi1>";
    const std::string ir =
        "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64, "
        "%begin0: i32, %slope0: i32, %end0: i32, %begin1: i32) attributes "
        "{tile.kernel} {\n  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n"
        "  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> <32 x f32>\n  %out = "
        "tile.view %o[%zero] length %n stride %stride : <f32> -> <32 x f32>\n"
        "  %x = tile.load %in[%first] : <32 x f32> -> " +
        f + "\n  %one = arith.constant 1 : i32\n" +
        // turned over in a loop
        (isInLoop ? "  scf.for %i = %first to %one step %one : i32 {\n"
                  : std::string("  %i = arith.constant 0 : i32\n")) +
        "  %k = tile.load %in[%i] " + (isInBounds ? "{in_bounds} " : "") + ": <32 x f32> -> " + f +
        "\n"
        "  %s = tile.dot %x, %k {transpose_b} : (" +
        f + ", " + f + ") -> " + f +
        "\n"
        "  %count = tile.iota : " +
        t + "\n  %c0 = tensor.splat %begin0 : " + t + "\n  %c1 = arith.addi %c0, %count : " + t +
        "\n"
        "  %columns = tile.broadcast %c1 axis 1 : " +
        t + " -> " + tt +
        "\n"
        "  %slopes = tensor.splat %slope0 : " +
        t + "\n  %e0 = arith.muli %count, %slopes : " + t + "\n  %e1 = tensor.splat %end0 : " + t +
        "\n"
        "  %e2 = arith.addi %e0, %e1 : " +
        t + "\n  %ends = tile.broadcast %e2 axis 0 : " + t + " -> " + tt +
        "\n"
        "  %below = arith.cmpi " +
        std::string(isInclusive ? "sle" : "slt") + ", %columns, %ends : " + tt +
        "\n"
        "  %b1 = tensor.splat %begin1 : " +
        tt + "\n  %above = arith.cmpi sge, %columns, %b1 : " + tt +
        "\n"
        "  %mask = arith.andi " +
        std::string(turn & 8 ? "%below, %above" : "%above, %below") + " : " + m +
        "\n"
        "  %hidden = arith.constant dense<0xFF800000> : " +
        f + "\n  %y = arith.select %mask, %s, %hidden : " + m + ", " + f +
        "\n"
        "  %m0 = tile.reduce max %y axis 1 : " +
        f +
        " -> tensor<32xf32>\n  %low = arith.constant dense<-1.0e30> : tensor<32xf32>\n"
        "  %m1 = arith.maxnumf %m0, %low : tensor<32xf32>\n  %m2 = tile.broadcast %m1 axis 0 : "
        "tensor<32xf32> -> " +
        f +
        "\n"
        "  %d = arith.subf %y, %m2 : " +
        f + "\n  %w = math.exp2 %d : " + f +
        "\n"
        "  %wx = tile.dot %w, %x : (" +
        f + ", " + f + ") -> " + f + "\n" +
        (alsoReads ? "  %sum = arith.addf %wx, %s : " + f + "\n  tile.store %sum"
                   : std::string("  tile.store %wx")) +
        ", %out[%first] : " + f + ", <32 x f32>\n" + (isInLoop ? "  }\n" : "") + "  return\n}\n";
    std::vector<float> x = random(32 * 32);
    std::vector<float> y(32 * 32, NAN);
    runTiles(ir,
             {slot(x.data()), slot(y.data()), slot(32), slot(32), slot(first), slot(slope),
              slot(end), slot(begin)},
             GetParam());
    const std::vector<double> expected =
        maskedProduct(x, isInclusive, first, slope, end, begin, alsoReads);
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_NEAR(y[i], expected[i], 1e-4 * std::max(1.0, std::abs(expected[i])))
          << "row " << i / 32 << " column " << i % 32;
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

// A product with a triangle of ones, whether it is computed as one or as sums of rows.
TEST_P(TileDot, SumsOfRowsUpToEach) {
  for (const std::string compare : {"sle", "slt"})
    for (const bool hasAccumulator : {false, true}) {
      constexpr int rows = 16;
      constexpr int columns = 24;
      const std::vector<float> x = random(rows * columns);
      std::vector<float> y(x.size(), NAN);
      const std::string f = "tensor<16x24xf32>";
      const std::string m = "tensor<16x16xi1>";
      const std::string i = "tensor<16x16xi32>";
      const std::string s = "tensor<16x16xf32>";
      const std::string view = "<24 x f32>";
      const std::string ir =
          "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>, %n: i32, %stride: i64) "
          "attributes {tile.kernel} {\n"
          "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n  %one = "
          "arith.constant dense<1.0> : " +
          s + "\n  %none = arith.constant dense<0.0> : " + s +
          "\n"
          "  %in = tile.view %p[%zero] length %n stride %stride : <f32> -> " +
          view + "\n  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> " + view +
          "\n"
          "  %x = tile.load %in[%first] : " +
          view + " -> " + f +
          "\n  %count = tile.iota : tensor<16xi32>\n"
          "  %c = tile.broadcast %count axis 1 : tensor<16xi32> -> " +
          i + "\n  %r = tile.broadcast %count axis 0 : tensor<16xi32> -> " + i +
          "\n"
          "  %mask = arith.cmpi " +
          compare + ", %c, %r : " + i + "\n  %ones = arith.select %mask, %one, %none : " + m +
          ", " + s +
          "\n"
          "  %y = tile.dot %ones, %x" +
          (hasAccumulator ? ", %x : (" + s + ", " + f + ", " + f : " : (" + s + ", " + f) +
          ") -> " + f +
          "\n"
          "  %z = arith.mulf %y, %x : " +
          f + "\n  tile.store %z, %out[%first] : " + f + ", " + view + "\n  return\n}\n";
      runTiles(ir, {slot(x.data()), slot(y.data()), slot(rows), slot(columns)}, GetParam());
      for (int c = 0; c < columns; ++c) {
        double sum = 0;
        for (int r = 0; r < rows; ++r) {
          const double own = x[size_t(r * columns + c)];
          const double before = sum;
          sum += own;
          const double expected =
              ((compare == "sle" ? sum : before) + (hasAccumulator ? own : 0)) * own;
          ASSERT_NEAR(y[size_t(r * columns + c)], expected, 1e-4)
              << "row " << r << " column " << c << " " << compare
              << (hasAccumulator ? " with an accumulator" : "");
        }
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

// Each tile operation on the CPU against values computed here by hand-written loops; dots, masks,
// loops and solves have files of their own.
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

TEST_P(TileOp, LeastAlongBothAxes) {
  const int rows = 8 * any(1, 4);
  const int columns = 8 * any(1, 9);
  Matrix x = randomMatrix(rows, columns);
  for (float &value : x.values)
    value += 10; // none is as small as 0
  Matrix y(rows, columns);
  TileKernel(GetParam())
      .in("x", x)
      .out("y", y)
      .run(with({{"F", x.type()}, {"R", std::to_string(rows)}, {"C", std::to_string(columns)}},
                R"(  %m = tile.reduce min %x axis 1 : $F -> tensor<$Rxf32>
  %n = tile.reduce min %x axis 0 : $F -> tensor<$Cxf32>
  %mb = tile.broadcast %m axis 0 : tensor<$Rxf32> -> $F
  %nb = tile.broadcast %n axis 1 : tensor<$Cxf32> -> $F
  %y = arith.addf %mb, %nb : $F
)"));
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) {
      float ofRow = INFINITY;
      float ofColumn = INFINITY;
      for (int j = 0; j < columns; ++j)
        ofRow = std::min(ofRow, x(r, j));
      for (int i = 0; i < rows; ++i)
        ofColumn = std::min(ofColumn, x(i, c));
      ASSERT_EQ(y(r, c), ofRow + ofColumn) << r << ", " << c;
    }
}

TEST_P(TileOp, SumsAlongAnAxisUpToEach) {
  for (const int axis : {0, 1}) {
    const int rows = 8 * any(1, 5);
    const int columns = 8 * any(1, 5);
    SCOPED_TRACE(testing::Message() << rows << "x" << columns << " axis " << axis);
    Matrix x = randomMatrix(rows, columns);
    Matrix y(rows, columns);
    TileKernel(GetParam())
        .in("x", x)
        .out("y", y)
        .run(with({{"F", x.type()}, {"A", std::to_string(axis)}},
                  "  %s = tile.cumulative_sum %x axis $A : $F\n  %y = arith.addf %s, %s : $F\n"));
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c) {
        double sum = 0;
        for (int i = 0; i <= (axis == 0 ? r : c); ++i)
          sum += axis == 0 ? x(i, c) : x(r, i);
        ASSERT_NEAR(y(r, c), 2 * sum, 1e-4) << r << ", " << c;
      }
  }
}

// Rows inside, negative and beyond the view; their numbers are those of a line.
TEST_P(TileOp, GatheredRowsAreZerosWhereThereAreNone) {
  for (int turn = 0; turn < 4; ++turn) {
    const int slope = turn == 0 ? -1 : any(-3, 3);
    const int start = turn == 0 ? 28 : any(-10, 30);
    SCOPED_TRACE(testing::Message() << "rows " << start << " + " << slope << " i");
    Matrix x(24, 40, random(32 * 40)); // something lies behind the view
    Matrix y(32, 40);
    TileKernel(GetParam())
        .view("x", x)
        .out("y", y)
        .number("slope", slope)
        .number("start", start)
        .run(R"(  %count = tile.iota : tensor<32xi32>
  %slopes = tensor.splat %slope : tensor<32xi32>
  %starts = tensor.splat %start : tensor<32xi32>
  %far = arith.muli %count, %slopes : tensor<32xi32>
  %index = arith.addi %far, %starts : tensor<32xi32>
  %y = tile.gather %x[%index] : <40 x f32>, tensor<32xi32> -> tensor<32x40xf32>
)");
    for (int r = 0; r < 32; ++r)
      for (int c = 0; c < 40; ++c) {
        const int from = start + slope * r;
        ASSERT_EQ(y(r, c), from >= 0 && from < 24 ? x(from, c) : 0) << r << ", " << c;
      }
  }
}

// Elements of a vector in its own 16 bits, and nothing beyond its end.
TEST_P(TileOp, VectorsAreStoredInSixteenBits) {
  for (const std::string element : {"f16", "bf16"}) {
    constexpr size_t length = 19;
    std::vector<float> x = random(48);
    std::vector<uint16_t> y(64, 0x1234);
    const std::string ir =
        "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<" + element +
        ">) attributes {tile.kernel} {\n  %zero = arith.constant 0 : i64\n"
        "  %one = arith.constant 1 : i64\n  %first = arith.constant 0 : i32\n"
        "  %all = arith.constant 48 : i32\n  %length = arith.constant 19 : i32\n"
        "  %in = tile.view %p[%zero] length %all stride %one : <f32> -> <0 x f32>\n"
        "  %out = tile.view %o[%zero] length %length stride %one : <" +
        element + "> -> <0 x " + element +
        ">\n  %x = tile.load %in[%first] : <0 x f32> -> tensor<48xf32>\n"
        "  tile.store %x, %out[%first] : tensor<48xf32>, <0 x " +
        element + ">\n  return\n}\n";
    runTiles(ir, {slot(x.data()), slot(y.data())}, GetParam());
    for (size_t i = 0; i < y.size(); ++i) {
      const uint16_t narrow = element == "f16" ? floatToFloat16(x[std::min(i, x.size() - 1)])
                                               : floatToBfloat16(x[std::min(i, x.size() - 1)]);
      EXPECT_EQ(y[i], i < length ? narrow : 0x1234) << element << " " << i;
    }
  }
}

// Elements inside, negative and beyond the vector, in whole vectors and what is left.
TEST_P(TileOp, GatheredElementsAreZerosWhereThereAreNone) {
  for (const int count : {8, 24, 80}) {
    const std::string ints = "tensor<" + std::to_string(count) + "xi32>";
    const std::string floats = "tensor<" + std::to_string(count) + "xf32>";
    std::vector<float> memory = random(400);
    std::vector<float> y(size_t(count), 5.0f);
    const std::string ir =
        "func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<f32>) attributes "
        "{tile.kernel} {\n  %zero = arith.constant 0 : i64\n  %one = arith.constant 1 : i64\n"
        "  %first = arith.constant 0 : i32\n  %length = arith.constant 100 : i32\n"
        "  %in = tile.view %p[%zero] length %length stride %one : <f32> -> <0 x f32>\n"
        "  %out = tile.view %o[%zero] length %length stride %one : <f32> -> <0 x f32>\n"
        "  %i = tile.iota : " +
        ints + "\n  %five = arith.constant dense<5> : " + ints +
        "\n  %ten = arith.constant dense<10> : " + ints +
        "\n  %far = arith.muli %i, %five : " + ints +
        "\n  %index = arith.subi %far, %ten : " + ints +
        "\n  %x = tile.gather %in[%index] : <0 x f32>, " + ints + " -> " + floats +
        "\n  tile.store %x, %out[%first] : " + floats + ", <0 x f32>\n  return\n}\n";
    runTiles(ir, {slot(memory.data()), slot(y.data())}, GetParam());
    for (int i = 0; i < count; ++i) {
      const int from = 5 * i - 10;
      ASSERT_EQ(y[size_t(i)], from >= 0 && from < 100 ? memory[size_t(from)] : 0) << count << i;
    }
  }
}

// Elements that are not side by side; what lies between them stays.
TEST_P(TileOp, StridedVectors) {
  const std::vector<float> x = random(400);
  auto of = [&](int i) { return i >= 0 && i < 40 ? x[size_t(5 * i)] : 0.0f; };
  auto run = [&](const std::string &element, const void *y) {
    const std::string out = "<0 x " + element + ">";
    runTiles("func.func @exact_causal(%p: !tile.ptr<f32>, %o: !tile.ptr<" + element +
                 ">) attributes {tile.kernel} {\n  %zero = arith.constant 0 : i64\n"
                 "  %five = arith.constant 5 : i64\n  %seven = arith.constant 7 : i64\n"
                 "  %before = arith.constant -3 : i32\n  %first = arith.constant 1 : i32\n"
                 "  %n = arith.constant 40 : i32\n  %m = arith.constant 20 : i32\n"
                 "  %in = tile.view %p[%zero] length %n stride %five {strided} : <f32> -> "
                 "<0 x f32>\n"
                 "  %out = tile.view %o[%zero] length %m stride %seven {strided} : <" +
                 element + "> -> " + out +
                 "\n  %a = tile.load %in[%before] : <0 x f32> -> tensor<24xf32>\n"
                 "  %i = tile.iota : tensor<24xi32>\n"
                 "  %two = arith.constant dense<2> : tensor<24xi32>\n"
                 "  %twice = arith.muli %i, %two : tensor<24xi32>\n"
                 "  %g = tile.gather %in[%twice] : <0 x f32>, tensor<24xi32> -> tensor<24xf32>\n"
                 "  %one = tile.load_scalar %in[%m] : <0 x f32> -> f32\n"
                 "  %ones = tensor.splat %one : tensor<24xf32>\n"
                 "  %ag = arith.addf %a, %g : tensor<24xf32>\n"
                 "  %all = arith.addf %ag, %ones : tensor<24xf32>\n"
                 "  tile.store %all, %out[%first] : tensor<24xf32>, " +
                 out + "\n  return\n}\n",
             {slot(x.data()), slot(y)}, GetParam());
  };
  std::vector<float> wide(200, 7.0f);
  std::vector<uint16_t> narrow(200, 0x1234);
  run("f32", wide.data());
  run("bf16", narrow.data());
  for (int at = 0; at < 200; ++at) {
    const int i = at / 7 - 1; // of the 24, of which 19 are inside
    const bool isOne = at % 7 == 0 && i >= 0 && i < 19;
    const float expected = of(i - 3) + of(2 * i) + of(20);
    EXPECT_EQ(wide[size_t(at)], isOne ? expected : 7.0f) << at;
    EXPECT_EQ(narrow[size_t(at)], isOne ? floatToBfloat16(expected) : 0x1234) << at;
  }
}

// Factors of 1 leave a row as it is, whether the product is scaled where it lies, for another to be
// added, or not.
TEST_P(TileOp, ScaledRows) {
  for (const bool isAdded : {false, true}) {
    Matrix x = randomMatrix(8, 24);
    Matrix f = randomMatrix(32, 8);
    Matrix y(32, 24);
    for (int r = 0; r < 32; ++r)
      for (int c = 0; c < 8; ++c)
        f(r, c) = r % 3 ? std::min(f(r, c), 0.5f) : c == 2 ? 1.0f : -1.0f;
    TileKernel(GetParam())
        .in("x", x)
        .in("f", f)
        .out("y", y)
        .run(with({{"F", y.type()}, {"G", f.type()}, {"X", x.type()}},
                  std::string("  %m = tile.reduce max %f axis 1 : $G -> tensor<32xf32>\n"
                              "  %p = tile.dot %f, %x : ($G, $X) -> $F\n"
                              "  %s = tile.scale_rows %p, %m : $F, tensor<32xf32>\n") +
                      (isAdded ? "  %y = tile.dot %f, %x, %s : ($G, $X, $F) -> $F\n"
                               : "  %y = arith.negf %s : $F\n")));
    for (int r = 0; r < 32; ++r)
      for (int c = 0; c < 24; ++c) {
        double factor = -INFINITY;
        double product = 0;
        for (int i = 0; i < 8; ++i) {
          factor = std::max(factor, double(f(r, i)));
          product += double(f(r, i)) * x(i, c);
        }
        const double scaled = factor * product;
        ASSERT_NEAR(y(r, c), isAdded ? scaled + product : -scaled, 1e-4) << r << ", " << c;
      }
  }
}

} // namespace

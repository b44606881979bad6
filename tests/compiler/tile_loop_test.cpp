// Loops on the CPU that carry tiles and numbers, against the same loops in C++.
#include "tests/compiler/tile_op.h"

#include <algorithm>
#include <utility>

using namespace nysjit;
using namespace nysjit::execution;

namespace {

using TileLoop = TileOp;
INSTANTIATE_TEST_SUITE_P(Levels, TileLoop, testing::ValuesIn(levels()), levelName);

// Loops in a loop: the inner one begins with the outer one's tiles, each in its own place or in the
// other's.
TEST_P(TileLoop, TilesCarriedThroughLoops) {
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
TEST_P(TileLoop, CarriedTilesReadAsTheyWere) {
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

TEST_P(TileLoop, CarriedTilesThatTradePlaces) {
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

// A tile that doubles as often as a carried number says, or never.
TEST_P(TileLoop, WhileANumberIsBelowAnother) {
  for (const int turns : {0, 1, 5}) {
    Matrix x = randomMatrix(16, 24);
    Matrix y(16, 24);
    Matrix z(1, 8);
    TileKernel(GetParam())
        .in("x", x)
        .out("y", y)
        .out("z", z)
        .number("turns", turns)
        .run(with({{"F", x.type()}}, R"(  %one = arith.constant 1 : i32
  %y, %count = scf.while (%t = %x, %i = %first) : ($F, i32) -> ($F, i32) {
    %goes = arith.cmpi slt, %i, %turns : i32
    scf.condition(%goes) %t, %i : $F, i32
  } do {
  ^bb0(%t: $F, %i: i32):
    %twice = arith.addf %t, %t : $F
    %next = arith.addi %i, %one : i32
    scf.yield %twice, %next : $F, i32
  }
  %number = arith.sitofp %count : i32 to f32
  %z = tensor.splat %number : tensor<1x8xf32>
)"));
    EXPECT_EQ(z(0, 0), float(turns));
    for (size_t i = 0; i < x.values.size(); ++i)
      ASSERT_EQ(y.values[i], x.values[i] * float(1 << turns)) << i << " turns " << turns;
  }
}

// What is computed of a tile says when to stop: a tile whose largest number is 12 is below 1 when
// it has been halved four times. A loop in the body carries it too.
TEST_P(TileLoop, WhileWhatATileSays) {
  Matrix x = randomMatrix(16, 24);
  for (float &value : x.values)
    value = std::min(value, 11.0f);
  x(7, 9) = 12;
  Matrix y(16, 24);
  TileKernel(GetParam())
      .in("x", x)
      .out("y", y)
      .run(with({{"F", x.type()}},
                R"(  %one = arith.constant 1.0 : f32
  %half = arith.constant dense<0.5> : $F
  %step = arith.constant 1 : i32
  %y, %last = scf.while (%t = %x, %m = %one) : ($F, f32) -> ($F, f32) {
    %goes = arith.cmpf oge, %m, %one : f32
    scf.condition(%goes) %t, %m : $F, f32
  } do {
  ^bb0(%t: $F, %m: f32):
    %u = scf.for %i = %first to %step step %step iter_args(%v = %t) -> $F : i32 {
      %w = arith.mulf %v, %half : $F
      scf.yield %w : $F
    }
    %rows = tile.reduce max %u axis 1 : $F -> tensor<16xf32>
    %next = tile.reduce max %rows axis 0 : tensor<16xf32> -> f32
    scf.yield %u, %next : $F, f32
  }
)"));
  for (size_t i = 0; i < x.values.size(); ++i)
    ASSERT_EQ(y.values[i], x.values[i] / 16) << i;
}

/// P = 2^(Q K^T - L) and dS = P * (dO V^T - D), in float64.
struct Backward {
  std::vector<double> weights;
  std::vector<double> gradients;
  Backward(const Matrix &q, const Matrix &g, const Matrix &k, const Matrix &v, double l, double d)
      : weights(size_t(q.rows * k.rows)), gradients(weights.size()) {
    for (int i = 0; i < q.rows; ++i)
      for (int j = 0; j < k.rows; ++j) {
        double score = 0;
        double product = 0;
        for (int e = 0; e < q.columns; ++e) {
          score += q(i, e) * k(j, e);
          product += g(i, e) * v(j, e);
        }
        const size_t at = size_t(i * k.rows + j);
        weights[at] = std::exp2(score - l);
        gradients[at] = weights[at] * (product - d);
      }
  }
};

/// S, dP, P and dS of a tile %q, %g of queries and one %k, %v of keys.
const std::string backward = R"(    %s = tile.dot %q, %k {transpose_b} : ($X, $X) -> $F
    %s1 = arith.subf %s, %l : $F
    %w = math.exp2 %s1 : $F
    %dp = tile.dot %g, %v {transpose_b} : ($X, $X) -> $F
    %dp1 = arith.subf %dp, %d : $F
    %ds = arith.mulf %w, %dp1 : $F
)";
const std::map<std::string, std::string> backwardTypes = {{"X", "tensor<32x16xf32>"},
                                                          {"F", "tensor<32x32xf32>"}};

class TileBackward : public TileOp {
protected:
  Matrix small(int rows) {
    Matrix matrix = randomMatrix(rows, 16);
    for (float &value : matrix.values)
      value /= 2;
    return matrix;
  }
};
INSTANTIATE_TEST_SUITE_P(Levels, TileBackward, testing::ValuesIn(levels()), levelName);

// dQ += dS K in a loop over keys.
TEST_P(TileBackward, QueriesMeetKeysInALoop) {
  const int count = 32 * any(1, 3);
  Matrix q = small(32);
  Matrix g = small(32);
  Matrix keys = small(count);
  Matrix values = small(count);
  Matrix y(32, 16);
  TileKernel(GetParam())
      .in("q", q)
      .in("g", g)
      .view("keys", keys)
      .view("values", values)
      .out("y", y)
      .number("count", count)
      .run(with(backwardTypes, R"(  %step = arith.constant 32 : i32
  %none = arith.constant dense<0.0> : $X
  %l = arith.constant dense<0.5> : $F
  %d = arith.constant dense<0.25> : $F
  %y = scf.for %i = %first to %count step %step iter_args(%sum = %none) -> $X : i32 {
    %k = tile.load %keys[%i] {in_bounds} : <16 x f32> -> $X
    %v = tile.load %values[%i] {in_bounds} : <16 x f32> -> $X
)" + backward + R"(    %next = tile.dot %ds, %k, %sum : ($F, $X, $X) -> $X
    scf.yield %next : $X
  }
)"));
  const Backward expected(q, g, keys, values, 0.5, 0.25);
  for (int i = 0; i < 32; ++i)
    for (int e = 0; e < 16; ++e) {
      double sum = 0;
      for (int j = 0; j < count; ++j)
        sum += expected.gradients[size_t(i * count + j)] * std::as_const(keys)(j, e);
      ASSERT_NEAR(y(i, e), sum, 1e-3 * std::max(1.0, std::abs(sum))) << i << ", " << e;
    }
}

// dV += P^T dO and dK += dS^T Q in a loop over queries.
TEST_P(TileBackward, KeysMeetQueriesInALoop) {
  const int count = 32 * any(1, 3);
  Matrix queries = small(count);
  Matrix grads = small(count);
  Matrix k = small(32);
  Matrix v = small(32);
  Matrix y(32, 16);
  Matrix z(32, 16);
  TileKernel(GetParam())
      .view("queries", queries)
      .view("grads", grads)
      .in("k", k)
      .in("v", v)
      .out("y", y)
      .out("z", z)
      .number("count", count)
      .run(with(backwardTypes, R"(  %step = arith.constant 32 : i32
  %none = arith.constant dense<0.0> : $X
  %l = arith.constant dense<0.5> : $F
  %d = arith.constant dense<0.25> : $F
  %y, %z = scf.for %i = %first to %count step %step
      iter_args(%a = %none, %b = %none) -> ($X, $X) : i32 {
    %q = tile.load %queries[%i] {in_bounds} : <16 x f32> -> $X
    %g = tile.load %grads[%i] {in_bounds} : <16 x f32> -> $X
)" + backward + R"(    %dv = tile.dot %w, %g, %a {transpose_a} : ($F, $X, $X) -> $X
    %dk = tile.dot %ds, %q, %b {transpose_a} : ($F, $X, $X) -> $X
    scf.yield %dv, %dk : $X, $X
  }
)"));
  const Backward expected(queries, grads, k, v, 0.5, 0.25);
  for (int j = 0; j < 32; ++j)
    for (int e = 0; e < 16; ++e) {
      double ofValue = 0;
      double ofKey = 0;
      for (int i = 0; i < count; ++i) {
        ofValue += expected.weights[size_t(i * 32 + j)] * std::as_const(grads)(i, e);
        ofKey += expected.gradients[size_t(i * 32 + j)] * std::as_const(queries)(i, e);
      }
      ASSERT_NEAR(y(j, e), ofValue, 1e-3 * std::max(1.0, std::abs(ofValue))) << j << ", " << e;
      ASSERT_NEAR(z(j, e), ofKey, 1e-3 * std::max(1.0, std::abs(ofKey))) << j << ", " << e;
    }
}

} // namespace

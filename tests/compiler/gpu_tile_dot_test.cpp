// Products of a transposed a on the PTX emulator against values computed here by hand-written
// loops: of loads, of loads that stay in registers as fragments, and of what is computed; and what
// products take of what is rounded for them.
#include "tests/compiler/gpu_tile_op.h"

#include <cmath>

using namespace nysjit;

namespace {

enum class Left { Loaded, Held, Computed };

struct Product {
  std::string element;
  DType dtype;
  int k = 0;
  int m = 0;
  int n = 0;
  bool isTransposedB = false;
  Left left = Left::Loaded;
  int precision = 0;
  std::string text() const {
    return element + " " + std::to_string(k) + "x" + std::to_string(m) + "x" + std::to_string(n) +
           (isTransposedB ? ", b transposed" : "") + ", a " + std::to_string(int(left)) +
           ", precision " + std::to_string(precision);
  }
  /// Of what a product may be wrong by, relative to its terms.
  double tolerance() const {
    const bool isRounded = left == Left::Computed && element != "f32" && precision == 0;
    return !isRounded ? (precision == 1 ? 2e-5 : 3e-6) : element == "f16" ? 0x1p-11 : 0x1p-8;
  }
};

std::string tensorOf(int rows, int columns, const std::string &element) {
  return "tensor<" + std::to_string(rows) + "x" + std::to_string(columns) + "x" + element + ">";
}

class GpuTileDot : public GpuTileOp {
protected:
  /// y = the sum over two tiles of b of transpose(a) b.
  void check(const Product &product) {
    SCOPED_TRACE(product.text());
    const int bRows = product.isTransposedB ? product.n : product.k;
    const int bColumns = product.isTransposedB ? product.k : product.n;
    const Array a = random("a", product.k, product.m, product.element);
    const Array b = random("b", 2 * bRows, bColumns, product.element);
    const Array y = random("y", product.m, product.n);
    const std::string shape = tensorOf(product.k, product.m, product.element);
    const std::string wide = tensorOf(product.k, product.m, "f32");
    const std::string bShape = tensorOf(bRows, bColumns, product.element);
    const std::string f = tensorOf(product.m, product.n, "f32");
    const std::string load = "  %a = tile.load %a_rows[%i0] : " + a.view() + " -> " + shape + "\n";
    std::string computed = load;
    if (product.left == Left::Computed) // three times a, with a fraction that 16 bits do not hold
      computed +=
          (product.element == "f32" ? ""
                                    : "  %w = arith.extf %a : " + shape + " to " + wide + "\n") +
          std::string("  %three = arith.constant dense<3.001> : ") + wide + "\n  %c = arith.mulf " +
          (product.element == "f32" ? "%a" : "%w") + ", %three : " + wide + "\n";
    const bool isComputed = product.left == Left::Computed;
    const std::string body =
        "  %none = arith.constant dense<0.0> : " + f + "\n  %rows = arith.constant " +
        std::to_string(bRows) + " : i32\n  %end = arith.constant " + std::to_string(2 * bRows) +
        " : i32\n" + (product.left == Left::Loaded ? "" : computed) +
        "  %y = scf.for %t = %i0 to %end step %rows iter_args(%s = %none) -> (" + f +
        ") : i32 {\n" + (product.left == Left::Loaded ? load : "") +
        "  %b = tile.load %b_rows[%t] : " + b.view() + " -> " + bShape + "\n  %next = tile.dot " +
        (isComputed ? "%c" : "%a") + ", %b, %s {transpose_a" +
        (product.isTransposedB ? ", transpose_b" : "") +
        ", precision = " + std::to_string(product.precision) + " : i32} : (" +
        (isComputed ? wide : shape) + ", " + bShape + ", " + f + ") -> " + f +
        "\n  scf.yield %next : " + f + "\n  }\n  tile.store %y, %y_rows[%i0] : " + f + ", " +
        y.view() + "\n";
    const std::vector<float> result = run({a, b, y}, body, product.dtype);
    for (int i = 0; i < product.m; ++i)
      for (int j = 0; j < product.n; ++j) {
        double sum = 0;
        double size = 0;
        for (int t = 0; t < 2; ++t)
          for (int k = 0; k < product.k; ++k) {
            const double term =
                (isComputed ? a.at(k, i) * 3.001 : a.at(k, i)) *
                (product.isTransposedB ? b.at(t * bRows + j, k) : b.at(t * bRows + k, j));
            sum += term;
            size += std::abs(term);
          }
        ASSERT_NEAR(result[size_t(i * product.n + j)], sum, product.tolerance() * size)
            << i << " " << j;
      }
  }
};

TEST_F(GpuTileDot, TransposedLeft) {
  for (const auto &[element, dtype] :
       {std::pair("f32", DType::Float32), {"bf16", DType::BFloat16}, {"f16", DType::Float16}})
    for (const bool isTransposedB : {false, true})
      for (Left left : {Left::Loaded, Left::Held, Left::Computed})
        for (int precision : {0, 1, 2})
          check({element, dtype, 32, 64, isTransposedB ? 32 : 24, isTransposedB, left, precision});
}

TEST_F(GpuTileDot, TransposedMatricesMeetNoBankConflict) {
  for (int m : {32, 64, 80, 128}) {
    check({"bf16", DType::BFloat16, 32, m, 32, false, Left::Loaded, 0});
    EXPECT_EQ(counts.ldmatrix_conflicts, 0) << m;
  }
}

// One warp with a band, four with two; a chunk of k more than a whole step.
TEST_F(GpuTileDot, TransposedLeftOfOtherShapes) {
  for (const auto &[element, dtype] : {std::pair("f32", DType::Float32), {"bf16", DType::BFloat16}})
    for (Left left : {Left::Loaded, Left::Held, Left::Computed}) {
      check({element, dtype, 16, 16, 16, false, left, 0});
      check({element, dtype, 64, 128, 16, true, left, 0});
      check({element, dtype, 48, 80, 8, false, left, 0});
      check({element, dtype, 8, 32, 16, true, left, 0});
    }
}

// What is one product of each, float32 tiles in shared memory: as terms, and widened.
TEST_F(GpuTileDot, TransposedLeftOfMixedTypes) {
  for (const auto &[element, dtype] : {std::pair("bf16", DType::BFloat16), {"f16", DType::Float16}})
    for (int precision : {0, 1, 2}) {
      const Array a = random("a", 32, 64, "f32");
      const Array b = random("b", 32, 16, element);
      const Array y = random("y", 64, 16);
      const std::string bShape = tensorOf(32, 16, element);
      const std::vector<float> result = run(
          {a, b, y},
          "  %a = tile.load %a_rows[%i0] : <64 x f32> -> tensor<32x64xf32>\n"
          "  %b = tile.load %b_rows[%i0] : " +
              b.view() + " -> " + bShape + "\n  %y = tile.dot %a, %b {transpose_a, precision = " +
              std::to_string(precision) + " : i32} : (tensor<32x64xf32>, " + bShape +
              ") -> tensor<64x16xf32>\n"
              "  tile.store %y, %y_rows[%i0] : tensor<64x16xf32>, <16 x f32>\n",
          dtype);
      for (int i = 0; i < 64; ++i)
        for (int j = 0; j < 16; ++j) {
          double sum = 0;
          double size = 0;
          for (int k = 0; k < 32; ++k) {
            sum += a.at(k, i) * b.at(k, j);
            size += std::abs(a.at(k, i) * b.at(k, j));
          }
          ASSERT_NEAR(result[size_t(i * 16 + j)], sum, size * (precision ? 2e-5 : 0x1p-8))
              << element << " " << precision << ": " << i << " " << j;
        }
    }
}

/// Weights of eight columns times their values: one step, whose high and low products are one sum.
TEST_F(GpuTileDot, ComputedLeftOfOneStep) {
  constexpr int columns = 128;
  const Array a = random("a", 64, 8);
  const Array b = random("b", 8, columns);
  const Array y = random("y", 64, columns);
  const std::string weights = tensorOf(64, 8, "f32");
  const std::string values = tensorOf(8, columns, "f32");
  const std::string f = tensorOf(64, columns, "f32");
  const std::vector<float> result =
      run({a, b, y}, "  %a = tile.load %a_rows[%i0] : " + a.view() + " -> " + weights +
                         "\n  %c = arith.addf %a, %a : " + weights +
                         "\n  %b = tile.load %b_rows[%i0] : " + b.view() + " -> " + values +
                         "\n  %y = tile.load %y_rows[%i0] : " + y.view() + " -> " + f +
                         "\n  %next = tile.dot %c, %b, %y : (" + weights + ", " + values + ", " +
                         f + ") -> " + f + "\n  tile.store %next, %y_rows[%i0] : " + f + ", " +
                         y.view() + "\n");
  for (int i = 0; i < 64; ++i)
    for (int j = 0; j < columns; ++j) {
      double sum = y.at(i, j);
      double size = std::abs(sum);
      for (int k = 0; k < 8; ++k) {
        sum += 2.0 * a.at(i, k) * b.at(k, j);
        size += std::abs(2.0 * a.at(i, k) * b.at(k, j));
      }
      ASSERT_NEAR(result[size_t(i * columns + j)], sum, 1e-6 * size) << i << " " << j;
    }
}

// What threads may be reading when a loop begins is known at its end, too: said twice, it would
// double with each of many loops one after the other.
TEST_F(GpuTileDot, ManyLoopsOneAfterTheOther) {
  constexpr int loops = 40;
  const Array a = random("a", 16, 16);
  const Array b = random("b", 16, 16);
  const Array y = random("y", 16, 16);
  const std::string f = tensorOf(16, 16, "f32");
  const std::string load = " : <16 x f32> -> " + f + "\n";
  std::string body;
  for (int i = 0; i < loops; ++i)
    body += "  scf.for %i = %i0 to %i1 step %i1 : i32 {\n"
            "  scf.for %j = %i0 to %i1 step %i1 : i32 {\n"
            "  %a = tile.load %a_rows[%i0]" +
            load + "  %b = tile.load %b_rows[%i0]" + load + "  %y = tile.load %y_rows[%i0]" + load +
            "  %next = tile.dot %a, %b, %y {precision = 2 : i32} : (" + f + ", " + f + ", " + f +
            ") -> " + f + "\n  tile.store %next, %y_rows[%i0] : " + f +
            ", <16 x f32>\n  tile.sync\n  }\n  }\n";
  const std::vector<float> result = run({a, b, y}, body);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j) {
      double expected = y.at(i, j);
      for (int k = 0; k < 16; ++k)
        expected += loops * (a.at(i, k) * b.at(k, j));
      ASSERT_NEAR(result[size_t(i * 16 + j)], expected, 1e-2) << i << " " << j;
    }
}

/// A weighted sum over the sum of its weights: of equal values it is that value, to float32, only
/// if both are of the same weights.
TEST_F(GpuTileOp, RoundedOperandsAreWhatMultiplies) {
  const char *const loadX = "  %x = tile.load %x_rows[%i0] : <64 x f32> -> tensor<32x64xf32>\n";
  const char *const storeY = "  tile.store %y, %y_rows[%i0] : tensor<32x64xf32>, <64 x f32>\n";
  for (const auto &[element, dtype] :
       {std::pair("bf16", DType::BFloat16), {"f16", DType::Float16}}) {
    Array x = random("x", 32, 64);
    for (float &weight : x.values)
      weight = std::abs(weight);
    Array v = random("v", 64, 64, element);
    for (int i = 64; i < 64 * 64; ++i) // all rows are the first
      v.values[size_t(i)] = v.values[size_t(i - 64)];
    const std::string tileOfV = std::string("tensor<64x64x") + element + ">";
    const std::vector<float> result =
        run({x, v, random("y", 32, 64)},
            loadX + ("  %v = tile.load %v_rows[%i0] : " + v.view() + " -> " + tileOfV) +
                "\n  %w = tile.round_operand %x : tensor<32x64xf32>\n"
                "  %m = tile.reduce sum %w axis 1 : tensor<32x64xf32> -> tensor<32xf32>\n"
                "  %masses = tile.broadcast %m axis 0 : tensor<32xf32> -> tensor<32x64xf32>\n"
                "  %sum = tile.dot %w, %v : (tensor<32x64xf32>, " +
                tileOfV +
                ") -> tensor<32x64xf32>\n"
                "  %y = arith.divf %sum, %masses : tensor<32x64xf32>\n" +
                storeY,
            dtype);
    for (int i = 0; i < 32; ++i)
      for (int j = 0; j < 64; ++j)
        ASSERT_NEAR(result[size_t(i * 64 + j)], v.at(0, j), 4e-6 * std::abs(v.at(0, j)))
            << element << " " << i << " " << j;
  }
}

} // namespace

// Tile operations on the PTX emulator against values computed here by hand-written loops; products
// of a transposed a are in gpu_tile_dot_test.cpp.
#include "tests/compiler/gpu_tile_op.h"

#include <cmath>

using namespace nysjit;

namespace {

const char *const loadX = "  %x = tile.load %x_rows[%i0] : <64 x f32> -> tensor<32x64xf32>\n";
const char *const storeY = "  tile.store %y, %y_rows[%i0] : tensor<32x64xf32>, <64 x f32>\n";

TEST_F(GpuTileOp, Masks) {
  for (int axis : {0, 1}) {
    const Array x = random("x", 32, 64);
    const Array y = random("y", 32, 64);
    const std::string line = axis == 1 ? "tensor<32xi32>" : "tensor<64xi32>";
    const std::string body = loadX + std::string("  %i = tile.iota : ") + line +
                             "\n  %two = arith.constant dense<2> : " + line +
                             "\n  %end = arith.muli %i, %two : " + line +
                             "\n  %seen = tile.mask %i1 below %end from %i16 axis " +
                             std::to_string(axis) + " {inclusive} : (i32, " + line +
                             ", i32) -> tensor<32x64xi1>\n"
                             "  %none = arith.constant dense<-7.0> : tensor<32x64xf32>\n"
                             "  %y = arith.select %seen, %x, %none : tensor<32x64xi1>, "
                             "tensor<32x64xf32>\n" +
                             storeY;
    const std::vector<float> result = run({x, y}, body);
    for (int i = 0; i < 32; ++i)
      for (int j = 0; j < 64; ++j) {
        const int position = 1 + (axis == 1 ? j : i);
        const bool isSeen = 16 <= position && position <= 2 * (axis == 1 ? i : j);
        ASSERT_EQ(result[size_t(i * 64 + j)], isSeen ? x.at(i, j) : -7) << i << " " << j;
      }
  }
}

TEST_F(GpuTileOp, MinimaAlongBothAxes) {
  const Array x = random("x", 32, 64);
  const Array y = random("y", 32, 64);
  // y = row minimum + column minimum * least column minimum
  const std::vector<float> result =
      run({x, y}, std::string(loadX) +
                      "  %r = tile.reduce min %x axis 1 : tensor<32x64xf32> -> tensor<32xf32>\n"
                      "  %c = tile.reduce min %x axis 0 : tensor<32x64xf32> -> tensor<64xf32>\n"
                      "  %l = tile.reduce min %c axis 0 : tensor<64xf32> -> f32\n"
                      "  %least = tensor.splat %l : tensor<32x64xf32>\n"
                      "  %rows = tile.broadcast %r axis 0 : tensor<32xf32> -> tensor<32x64xf32>\n"
                      "  %cols = tile.broadcast %c axis 1 : tensor<64xf32> -> tensor<32x64xf32>\n"
                      "  %p = arith.mulf %cols, %least : tensor<32x64xf32>\n"
                      "  %y = arith.addf %p, %rows : tensor<32x64xf32>\n" +
                      storeY);
  const double least = *std::min_element(x.values.begin(), x.values.end());
  for (int i = 0; i < 32; ++i)
    for (int j = 0; j < 64; ++j) {
      double row = INFINITY;
      double column = INFINITY;
      for (int k = 0; k < 64; ++k)
        row = std::min(row, x.at(i, k));
      for (int k = 0; k < 32; ++k)
        column = std::min(column, x.at(k, j));
      ASSERT_NEAR(result[size_t(i * 64 + j)], row + column * least, 1e-5) << i << " " << j;
    }
}

TEST_F(GpuTileOp, CumulativeSums) {
  for (int axis : {0, 1}) {
    const Array x = random("x", 32, 64);
    const Array y = random("y", 32, 64);
    const std::vector<float> result =
        run({x, y}, loadX + ("  %y = tile.cumulative_sum %x axis " + std::to_string(axis)) +
                        " : tensor<32x64xf32>\n" + storeY);
    for (int i = 0; i < 32; ++i)
      for (int j = 0; j < 64; ++j) {
        double sum = 0;
        for (int k = 0; k <= (axis == 0 ? i : j); ++k)
          sum += axis == 0 ? x.at(k, j) : x.at(i, k);
        ASSERT_NEAR(result[size_t(i * 64 + j)], sum, 2e-5) << axis << ": " << i << " " << j;
      }
  }
}

TEST_F(GpuTileOp, SolvesReadOneStrictTriangleOnly) {
  for (const bool isUpper : {false, true}) {
    Array t = random("t", 32, 32);
    const Array x = random("x", 32, 64);
    const Array y = random("y", 32, 64);
    auto isRead = [&](int i, int j) { return isUpper ? i < j : j < i; };
    for (int i = 0; i < 32; ++i)
      for (int j = 0; j < 32; ++j)
        t.values[size_t(i * 32 + j)] = isRead(i, j) ? t.values[size_t(i * 32 + j)] / 8 : NAN;
    const std::vector<float> result =
        run({t, x, y},
            loadX +
                std::string("  %t = tile.load %t_rows[%i0] : <32 x f32> -> tensor<32x32xf32>\n"
                            "  %y = tile.triangular_solve %t, %x ") +
                (isUpper ? "{upper} " : "") + ": tensor<32x32xf32>, tensor<32x64xf32>\n" + storeY);
    for (int i = 0; i < 32; ++i)
      for (int e = 0; e < 64; ++e) {
        double back = result[size_t(i * 64 + e)];
        for (int j = 0; j < 32; ++j)
          if (isRead(i, j))
            back += t.at(i, j) * result[size_t(j * 64 + e)];
        ASSERT_NEAR(back, x.at(i, e), 1e-4) << isUpper << ": " << i << " " << e;
      }
  }
}

// Carried: a tile, a number for each row that is needed along columns too, numbers of three types,
// and two tiles that change places. The transpose goes through shared memory each time.
TEST_F(GpuTileOp, WhileLoops) {
  const Array x = random("x", 32, 32);
  const Array y = random("y", 32, 32);
  const std::string f = "tensor<32x32xf32>";
  const std::string all = f + ", tensor<32xf32>, " + f + ", " + f + ", f32, i32, i1";
  const std::string body =
      "  %x = tile.load %x_rows[%i0] : <32 x f32> -> " + f +
      "\n  %one = arith.constant dense<1.0> : tensor<32xf32>\n"
      "  %u = arith.constant dense<3.0> : " +
      f +
      "\n  %f0 = arith.constant 0.0 : f32\n"
      "  %f1 = arith.constant 1.5 : f32\n  %f7 = arith.constant 7.0 : f32\n"
      "  %true = arith.constant true\n"
      "  %r:7 = scf.while (%a = %x, %v = %one, %p = %x, %q = %u, %n = %f0, %c = %i0, %b = %true) : "
      "(" +
      all + ") -> (" + all +
      ") {\n    %below = arith.cmpf olt, %n, %f7 : f32\n    %more = arith.andi %below, %b : i1\n"
      "    scf.condition(%more) %a, %v, %p, %q, %n, %c, %b : " +
      all +
      "\n  } do {\n"
      "  ^bb0(%a: " +
      f + ", %v: tensor<32xf32>, %p: " + f + ", %q: " + f +
      ", %n: f32, %c: i32, %b: i1):\n"
      "    %t = tile.transpose %a : " +
      f + " -> " + f + "\n    %rows = tile.broadcast %v axis 0 : tensor<32xf32> -> " + f +
      "\n    %cols = tile.broadcast %v axis 1 : tensor<32xf32> -> " + f +
      "\n    %s = arith.addf %t, %rows : " + f + "\n    %d = arith.mulf %s, %cols : " + f +
      "\n    %w = tile.reduce min %d axis 1 : " + f +
      " -> tensor<32xf32>\n"
      "    %m = arith.addf %n, %f1 : f32\n    %e = arith.addi %c, %i1 : i32\n"
      "    %g = arith.cmpi slt, %e, %i64 : i32\n    scf.yield %d, %w, %q, %p, %m, %e, %g : " +
      all + "\n  }\n  %count = arith.sitofp %r#5 : i32 to f32\n  %k = tensor.splat %count : " + f +
      "\n  %z = arith.addf %r#0, %r#2 : " + f + "\n  %y = arith.addf %z, %k : " + f +
      "\n  tile.store %y, %y_rows[%i0] : " + f + ", <32 x f32>\n";
  const std::vector<float> result = run({x, y}, body);
  std::vector<double> a(x.values.begin(), x.values.end());
  std::vector<double> v(32, 1.0);
  int count = 0;
  for (double n = 0; n < 7; n += 1.5, ++count) {
    std::vector<double> d(a.size());
    for (size_t i = 0; i < 32; ++i)
      for (size_t j = 0; j < 32; ++j)
        d[i * 32 + j] = (a[j * 32 + i] + v[i]) * v[j];
    for (size_t i = 0; i < 32; ++i)
      v[i] = *std::min_element(d.begin() + long(i) * 32, d.begin() + long(i + 1) * 32);
    a = d;
  }
  double largest = 1;
  for (double value : a)
    largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < a.size(); ++i) {
    const double expected = a[i] + (count % 2 ? 3.0 : x.values[i]) + count;
    ASSERT_NEAR(result[i], expected, 1e-5 * largest) << i;
  }
}

// Products of what is loaded in the loop, whose copies start where they stand.
TEST_F(GpuTileOp, LoadsInWhileLoops) {
  const Array x = random("x", 64, 64, "bf16");
  const Array y = random("y", 16, 64);
  const std::string f = "tensor<16x64xf32>";
  const std::string body =
      "  %none = arith.constant dense<0.0> : " + f + "\n  %one = arith.constant dense<1.0> : " + f +
      "\n  %r:2 = scf.while (%s = %none, %t = %i0) : (" + f + ", i32) -> (" + f +
      ", i32) {\n"
      "    %more = arith.cmpi slt, %t, %i64 : i32\n    scf.condition(%more) %s, %t : " +
      f + ", i32\n  } do {\n  ^bb0(%s: " + f +
      ", %t: i32):\n"
      "    %v = tile.load %x_rows[%i0] : <64 x bf16> -> tensor<64x64xbf16>\n"
      "    %q = tile.load %x_rows[%t] : <64 x bf16> -> tensor<16x64xbf16>\n"
      "    %w = tile.dot %q, %v, %s : (tensor<16x64xbf16>, tensor<64x64xbf16>, " +
      f + ") -> " + f + "\n    %next = arith.addi %t, %i16 : i32\n    scf.yield %w, %next : " + f +
      ", i32\n  }\n  tile.store %r#0, %y_rows[%i0] : " + f + ", <64 x f32>\n";
  const std::vector<float> result = run({x, y}, body, DType::BFloat16);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 64; ++j) {
      double sum = 0;
      for (int t = 0; t < 64; t += 16)
        for (int k = 0; k < 64; ++k)
          sum += x.at(t + i, k) * x.at(k, j);
      ASSERT_NEAR(result[size_t(i * 64 + j)], sum, 1e-3) << i << " " << j;
    }
}

// A loop whose copies are under way in a while loop in a loop: 2 * 3 times the sum over x's tiles.
TEST_F(GpuTileOp, LoopsInWhileLoopsInLoops) {
  const Array x = random("x", 64, 64, "bf16");
  const Array y = random("y", 16, 64);
  const std::string f = "tensor<16x64xf32>";
  const std::string body =
      "  %none = arith.constant dense<0.0> : " + f +
      "\n  %w = arith.constant dense<1.0> : tensor<16x32xf32>\n  %i2 = arith.constant 2 : i32\n"
      "  %y = scf.for %a = %i0 to %i2 step %i1 iter_args(%p = %none) -> (" +
      f +
      ") : i32 {\n"
      "    %r:2 = scf.while (%q = %p, %n = %i0) : (" +
      f + ", i32) -> (" + f +
      ", i32) {\n"
      "      %more = arith.cmpi sle, %n, %i2 : i32\n      scf.condition(%more) %q, %n : " +
      f + ", i32\n    } do {\n    ^bb0(%q: " + f +
      ", %n: i32):\n"
      "      %s = scf.for %t = %i0 to %i64 step %i32 iter_args(%s = %q) -> (" +
      f +
      ") : i32 {\n"
      "        %v = tile.load %x_rows[%t] : <64 x bf16> -> tensor<32x64xbf16>\n"
      "        %next = tile.dot %w, %v, %s : (tensor<16x32xf32>, tensor<32x64xbf16>, " +
      f + ") -> " + f + "\n        scf.yield %next : " + f +
      "\n      }\n      %m = arith.addi %n, %i1 : i32\n      scf.yield %s, %m : " + f +
      ", i32\n    }\n    scf.yield %r#0 : " + f + "\n  }\n  tile.store %y, %y_rows[%i0] : " + f +
      ", <64 x f32>\n";
  const std::vector<float> result = run({x, y}, body, DType::BFloat16);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 64; ++j) {
      double sum = 0;
      for (int k = 0; k < 64; ++k)
        sum += x.at(k, j);
      ASSERT_NEAR(result[size_t(i * 64 + j)], 6 * sum, 1e-3) << i << " " << j;
    }
}

/// Rows (5 i + t) mod 48 - 4, some of them outside the 40 there are.
int gathered(int i, int t) { return (5 * i + t) % 48 - 4; }

std::string gatherOf(const std::string &element, const std::string &shape) {
  return "    %i = tile.iota : tensor<32xi32>\n    %five = arith.constant dense<5> : "
         "tensor<32xi32>\n    %most = arith.constant dense<48> : tensor<32xi32>\n"
         "    %four = arith.constant dense<4> : tensor<32xi32>\n"
         "    %start = tensor.splat %t : tensor<32xi32>\n"
         "    %stepped = arith.muli %i, %five : tensor<32xi32>\n"
         "    %moved = arith.addi %stepped, %start : tensor<32xi32>\n"
         "    %wrapped = arith.remui %moved, %most : tensor<32xi32>\n"
         "    %index = arith.subi %wrapped, %four : tensor<32xi32>\n"
         "    %g = tile.gather %x_rows[%index] : <64 x " +
         element + ">, tensor<32xi32> -> " + shape + "\n";
}

// In a loop whose copies are under way ahead, and, where the loop stores, where they stand.
TEST_F(GpuTileOp, GathersAsOperands) {
  for (const auto &[element, dtype] : {std::pair("f32", DType::Float32), {"bf16", DType::BFloat16}})
    for (const bool stores : {false, true}) {
      const Array x = random("x", 40, 64, element);
      const Array w = random("w", 16, 32, element);
      const Array y = random("y", 16, 64);
      const std::string shape = std::string("tensor<32x64x") + element + ">";
      const std::string left = std::string("tensor<16x32x") + element + ">";
      const std::string f = "tensor<16x64xf32>";
      const std::string body =
          "  %none = arith.constant dense<0.0> : " + f +
          "\n  %w = tile.load %w_rows[%i0] : <32 x " + element + "> -> " + left +
          "\n  %y = scf.for %t = %i0 to %i64 step %i16 iter_args(%s = %none) -> (" + f +
          ") : i32 {\n" + gatherOf(element, shape) + "    %next = tile.dot %w, %g, %s : (" + left +
          ", " + shape + ", " + f + ") -> " + f + "\n" +
          (stores ? "    tile.store %next, %y_rows[%i0] : " + f + ", <64 x f32>\n" : "") +
          "    scf.yield %next : " + f + "\n  }\n  tile.store %y, %y_rows[%i0] : " + f +
          ", <64 x f32>\n";
      const std::vector<float> result = run({x, w, y}, body, dtype);
      for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 64; ++j) {
          double sum = 0;
          for (int t = 0; t < 64; t += 16)
            for (int k = 0; k < 32; ++k)
              if (const int row = gathered(k, t); row >= 0 && row < 40)
                sum += w.at(i, k) * x.at(row, j);
          ASSERT_NEAR(result[size_t(i * 64 + j)], sum, 1e-4) << element << stores << i << " " << j;
        }
    }
}

// A gather and a load whose copies start together, and one whose rows are known only after them;
// the first is held as fragments through the loop.
TEST_F(GpuTileOp, GathersBesideLoads) {
  const Array x = random("x", 40, 64, "bf16");
  const Array w = random("w", 64, 64, "bf16");
  const Array y = random("y", 32, 64);
  const std::string f = "tensor<32x64xf32>";
  const std::string g = "tensor<32x64xbf16>";
  const std::string body =
      "  %t = arith.addi %i1, %i16 : i32\n" + gatherOf("bf16", g) +
      "  %w = tile.load %w_rows[%i0] : <64 x bf16> -> tensor<64x64xbf16>\n"
      "  %s = tile.dot %g, %w : (" +
      g + ", tensor<64x64xbf16>) -> " + f +
      "\n  %h = tile.gather %x_rows[%i] : <64 x bf16>, tensor<32xi32> -> " + g +
      "\n  %p = tile.dot %s, %h {transpose_b} : (" + f + ", " + g +
      ") -> tensor<32x32xf32>\n"
      "  %y = scf.for %k = %i0 to %i64 step %i32 iter_args(%o = %s) -> (" +
      f +
      ") : i32 {\n"
      "    %v = tile.load %w_rows[%k] : <64 x bf16> -> " +
      g + "\n    %a = tile.dot %g, %v {transpose_b} : (" + g + ", " + g +
      ") -> tensor<32x32xf32>\n    %n = tile.dot %a, %v, %o {precision = 2 : i32} : "
      "(tensor<32x32xf32>, " +
      g + ", " + f + ") -> " + f + "\n    scf.yield %n : " + f +
      "\n  }\n  %z = tile.dot %p, %h, %y {precision = 2 : i32} : (tensor<32x32xf32>, " + g + ", " +
      f + ") -> " + f + "\n  tile.store %z, %y_rows[%i0] : " + f + ", <64 x f32>\n";
  const std::vector<float> result = run({x, w, y}, body, DType::BFloat16);
  auto left = [&](int i, int e) {
    const int row = gathered(i, 17);
    return row >= 0 && row < 40 ? x.at(row, e) : 0.0;
  };
  for (int i = 0; i < 32; ++i) {
    std::vector<double> s(64);
    std::vector<double> sum(64);
    double size = 0;
    for (int j = 0; j < 64; ++j)
      for (int e = 0; e < 64; ++e)
        s[size_t(j)] += left(i, e) * w.at(e, j);
    for (int r = 0; r < 64; ++r) {
      double a = 0;
      for (int e = 0; e < 64; ++e)
        a += left(i, e) * w.at(r, e);
      for (int j = 0; j < 64; ++j)
        sum[size_t(j)] += a * w.at(r, j);
    }
    for (int r = 0; r < 32; ++r) {
      double p = 0;
      for (int e = 0; e < 64; ++e) {
        p += s[size_t(e)] * x.at(r, e);
        size += std::abs(s[size_t(e)] * x.at(r, e));
      }
      for (int j = 0; j < 64; ++j)
        sum[size_t(j)] += p * x.at(r, j);
    }
    for (int j = 0; j < 64; ++j) // s is rounded to bfloat16
      ASSERT_NEAR(result[size_t(i * 64 + j)], s[size_t(j)] + sum[size_t(j)], 0x1p-8 * size)
          << i << " " << j;
  }
}

TEST_F(GpuTileOp, GathersInRegisters) {
  for (const std::string element : {"f32", "bf16", "f16"}) {
    const Array x = random("x", 40, 64, element);
    const Array y = random("y", 32, 64);
    const std::string shape = "tensor<32x64x" + element + ">";
    const std::string widened =
        element == "f32"
            ? "  %y = arith.addf %g, %g : " + shape + "\n"
            : "  %z = arith.extf %g : " + shape +
                  " to tensor<32x64xf32>\n  %y = arith.addf %z, %z : tensor<32x64xf32>\n";
    const std::vector<float> result = run({x, y}, "  %t = arith.addi %i1, %i16 : i32\n" +
                                                      gatherOf(element, shape) + widened + storeY);
    for (int i = 0; i < 32; ++i)
      for (int j = 0; j < 64; ++j) {
        const int row = gathered(i, 17);
        ASSERT_EQ(result[size_t(i * 64 + j)], row >= 0 && row < 40 ? 2 * x.at(row, j) : 0)
            << element << " " << i << " " << j;
      }
  }
}

// A vector's elements, along rows and along columns.
TEST_F(GpuTileOp, GathersOfAVector) {
  const Array v = random("v", 40, 0);
  const Array y = random("y", 32, 64);
  const std::string line = "tensor<64xi32>";
  const std::string body =
      "  %t = arith.addi %i1, %i16 : i32\n" + gatherOf("f32", "tensor<32x64xf32>") +
      "  %r = tile.gather %v_rows[%index] : <0 x f32>, tensor<32xi32> -> tensor<32xf32>\n"
      "  %j = tile.iota : " +
      line + "\n  %c = tile.gather %v_rows[%j] : <0 x f32>, " + line +
      " -> tensor<64xf32>\n"
      "  %rows = tile.broadcast %r axis 0 : tensor<32xf32> -> tensor<32x64xf32>\n"
      "  %cols = tile.broadcast %c axis 1 : tensor<64xf32> -> tensor<32x64xf32>\n"
      "  %y = arith.addf %rows, %cols : tensor<32x64xf32>\n" +
      storeY;
  const Array x = random("x", 40, 64);
  const std::vector<float> result = run({v, x, y}, body);
  auto element = [&](int i) { return i >= 0 && i < 40 ? v.values[size_t(i)] : 0.0f; };
  for (int i = 0; i < 32; ++i)
    for (int j = 0; j < 64; ++j)
      ASSERT_EQ(result[size_t(i * 64 + j)], element(gathered(i, 17)) + element(j)) << i << j;
}

} // namespace

// Masks on the CPU: what they show, and dots that leave out what they hide.
#include "tests/compiler/tile_op.h"

#include <algorithm>
#include <functional>
#include <optional>

using namespace nysjit;
using namespace nysjit::execution;

namespace {

/// A mask whose limits are numbers, or lie on a line over rows (columns).
struct Limits {
  int axis;
  bool isInclusive;
  bool isEndTile;
  std::optional<bool> isBeginTile; // nothing: no begin
  int first;
  int slope;
  int end;
  int begin;

  bool shows(int r, int c) const {
    const int position = first + (axis == 1 ? c : r);
    const int other = axis == 1 ? r : c;
    const int last = end + (isEndTile ? slope * other : 0) + (isInclusive ? 1 : 0);
    const int from = isBeginTile ? begin + (*isBeginTile ? slope * other : 0) : position;
    return position < last && position >= from;
  }

  TileKernel &numbersOf(TileKernel &kernel) const {
    return kernel.number("start", first)
        .number("slope", slope)
        .number("end", end)
        .number("begin", begin);
  }

  /// %mask of that shape.
  std::string text(int rows, int columns) const {
    const std::string line = "tensor<" + std::to_string(axis == 1 ? rows : columns) + "xi32>";
    const bool hasBegin = isBeginTile.has_value();
    const bool isTileBegin = isBeginTile.value_or(false);
    return with({{"L", line},
                 {"M", Matrix::typeOf(rows, columns, "i1")},
                 {"AXIS", std::to_string(axis)},
                 {"INCLUSIVE", isInclusive ? "{inclusive} " : ""},
                 {"END", isEndTile ? "%ends" : "%end"},
                 {"FROM", !hasBegin     ? ""
                          : isTileBegin ? "from %begins "
                                        : "from %begin "},
                 {"TYPES", std::string("i32, ") + (isEndTile ? line : "i32") +
                               (!hasBegin     ? ""
                                : isTileBegin ? ", " + line
                                              : ", i32")}},
                R"(  %line = tile.iota : $L
  %slopes = tensor.splat %slope : $L
  %far = arith.muli %line, %slopes : $L
  %end_line = tensor.splat %end : $L
  %ends = arith.addi %far, %end_line : $L
  %begin_line = tensor.splat %begin : $L
  %begins = arith.addi %far, %begin_line : $L
  %mask = tile.mask %start below $END $FROMaxis $AXIS $INCLUSIVE: ($TYPES) -> $M
)");
  }
};

std::ostream &operator<<(std::ostream &stream, const Limits &limits) {
  return stream << "axis " << limits.axis << " first " << limits.first << " slope " << limits.slope
                << " end " << limits.end << (limits.isEndTile ? " each" : "")
                << (limits.isInclusive ? " inclusive" : "") << " begin "
                << (limits.isBeginTile ? std::to_string(limits.begin) : "none")
                << (limits.isBeginTile.value_or(false) ? " each" : "");
}

class TileMaskTest : public TileOp {
protected:
  Limits randomLimits() {
    Limits limits;
    limits.axis = any(0, 1);
    limits.isInclusive = any(0, 1);
    limits.isEndTile = any(0, 1);
    if (any(0, 2))
      limits.isBeginTile = any(0, 1);
    limits.first = any(-40, 200);
    limits.slope = any(-3, 3);
    limits.end = limits.first + any(-10, 45);
    limits.begin = limits.first + any(-5, 12);
    return limits;
  }
};
INSTANTIATE_TEST_SUITE_P(Levels, TileMaskTest, testing::ValuesIn(levels()), levelName);

// Every kind of limits.
TEST_P(TileMaskTest, ShowsFromBeginToEnd) {
  for (int turn = 0; turn < 24; ++turn) {
    Limits limits = randomLimits();
    limits.axis = turn & 1;
    limits.isInclusive = turn & 2;
    limits.isEndTile = turn & 4;
    limits.isBeginTile = turn / 8 == 0 ? std::nullopt : std::optional<bool>(turn / 8 == 1);
    SCOPED_TRACE(testing::Message() << limits);
    Matrix x = randomMatrix(16, 24);
    Matrix y(16, 24);
    TileKernel kernel(GetParam());
    limits.numbersOf(kernel.in("x", x).out("y", y))
        .run(limits.text(16, 24) + with({{"F", x.type()}, {"M", "tensor<16x24xi1>"}},
                                        "  %none = arith.constant dense<-7.0> : $F\n"
                                        "  %y = arith.select %mask, %x, %none : $M, $F\n"));
    for (int r = 0; r < 16; ++r)
      for (int c = 0; c < 24; ++c)
        ASSERT_EQ(y(r, c), limits.shows(r, c) ? x(r, c) : -7) << r << ", " << c;
  }
}

/// A dot of random shape and sides.
struct Product {
  bool isLeft; // transposed
  bool isRight;
  bool isAdded;
  Matrix a;
  Matrix b;
  Matrix c;
  Matrix y;
  /// With the mask said as `word`, of `left`.
  std::string text(const std::string &left, const std::string &word, const std::string &mask) {
    return with({{"A", a.type()},
                 {"B", b.type()},
                 {"Y", y.type()},
                 {"M", mask},
                 {"LEFT", left},
                 {"WORD", word},
                 {"ADDED", isAdded ? ", %c" : ""},
                 {"ADDEDTYPE", isAdded ? ", " + c.type() : ""},
                 {"SIDES", std::string(isLeft ? "transpose_a" : "") +
                               (isLeft && isRight ? ", " : "") + (isRight ? "transpose_b" : "")}},
                "  %y = tile.dot $LEFT, %b$ADDED $WORD %mask {$SIDES} : ($A, $B$ADDEDTYPE, $M) -> "
                "$Y\n");
  }
  double expected(int i, int j, const std::function<bool(int, int)> &isLeftSeen) {
    double sum = isAdded ? c(i, j) : 0;
    for (int e = 0; e < (isLeft ? a.rows : a.columns); ++e) {
      const int r = isLeft ? e : i;
      const int column = isLeft ? i : e;
      if (isLeftSeen(r, column))
        sum += double(a(r, column)) * (isRight ? b(j, e) : b(e, j));
    }
    return sum;
  }
};

class TileMaskedDot : public TileMaskTest {
protected:
  Product randomProduct(int turn) {
    const bool isLeft = turn & 1;
    const bool isRight = turn & 2;
    const int m = 8 * any(1, 5);
    const int n = any(0, 1) ? 16 * any(1, 4) : 8 * any(1, 5);
    const int k = 8 * any(1, 5);
    return {isLeft,
            isRight,
            bool(turn & 4),
            isLeft ? randomMatrix(k, m) : randomMatrix(m, k),
            isRight ? randomMatrix(n, k) : randomMatrix(k, n),
            randomMatrix(m, n),
            Matrix(m, n)};
  }
  /// y of a left side that is 0 where the limits hide it.
  void runWhereShown(Product &product, const Limits &limits) {
    Matrix &a = product.a;
    const std::string mask = Matrix::typeOf(a.rows, a.columns, "i1");
    TileKernel kernel(GetParam());
    kernel.in("a", a).in("b", product.b).in("c", product.c).out("y", product.y);
    limits.numbersOf(kernel).run(limits.text(a.rows, a.columns) +
                                 with({{"A", a.type()}, {"M", mask}},
                                      "  %none = arith.constant dense<0.0> : $A\n"
                                      "  %seen = arith.select %mask, %a, %none : $M, $A\n") +
                                 product.text("%seen", "nonzero_where", mask));
  }
};
INSTANTIATE_TEST_SUITE_P(Levels, TileMaskedDot, testing::ValuesIn(levels()), levelName);

// What is hidden of the result may be anything.
TEST_P(TileMaskedDot, IsRightWhereItIsRead) {
  for (int turn = 0; turn < 32; ++turn) {
    Limits limits = randomLimits();
    limits.axis = turn / 8 % 2;
    Product product = randomProduct(turn);
    Matrix &y = product.y;
    SCOPED_TRACE(testing::Message() << y.type() << " turn " << turn << ": " << limits);
    TileKernel kernel(GetParam());
    kernel.in("a", product.a).in("b", product.b).in("c", product.c).out("y", y);
    limits.numbersOf(kernel).run(
        limits.text(y.rows, y.columns) +
        product.text("%a", "read_where", Matrix::typeOf(y.rows, y.columns, "i1")));
    for (int i = 0; i < y.rows; ++i)
      for (int j = 0; j < y.columns; ++j)
        if (limits.shows(i, j))
          ASSERT_NEAR(y(i, j), product.expected(i, j, [](int, int) { return true; }), 1e-4)
              << i << ", " << j;
  }
}

// A left side that is 0 where it is hidden.
TEST_P(TileMaskedDot, LeavesOutZeros) {
  for (int turn = 0; turn < 32; ++turn) {
    Limits limits = randomLimits();
    limits.axis = turn / 8 % 2;
    Product product = randomProduct(turn);
    Matrix &y = product.y;
    SCOPED_TRACE(testing::Message() << y.type() << " turn " << turn << ": " << limits);
    runWhereShown(product, limits);
    auto isSeen = [&](int r, int c) { return limits.shows(r, c); };
    for (int i = 0; i < y.rows; ++i)
      for (int j = 0; j < y.columns; ++j)
        ASSERT_NEAR(y(i, j), product.expected(i, j, isSeen), 1e-4) << i << ", " << j;
  }
}

// What zeros hide may be no number at all.
TEST_P(TileMaskedDot, HiddenNaNsAreNotSeen) {
  for (int turn = 0; turn < 32; ++turn) {
    Limits limits = randomLimits();
    limits.axis = turn / 8 % 2;
    Product product = randomProduct(turn);
    Matrix &a = product.a;
    Matrix &b = product.b;
    Matrix &y = product.y;
    const int step = any(0, (product.isLeft ? a.rows : a.columns) - 1);
    const int column = any(0, y.columns - 1);
    (product.isRight ? b(column, step) : b(step, column)) = turn % 3 ? NAN : INFINITY;
    SCOPED_TRACE(testing::Message() << y.type() << " turn " << turn << ": " << limits << " step "
                                    << step << " column " << column);
    runWhereShown(product, limits);
    auto isSeen = [&](int r, int c) { return limits.shows(r, c); };
    for (int i = 0; i < y.rows; ++i)
      for (int j = 0; j < y.columns; ++j) {
        const bool seesIt = product.isLeft ? isSeen(step, i) : isSeen(i, step);
        if (j == column && seesIt)
          ASSERT_FALSE(std::isfinite(y(i, j))) << i << ", " << j;
        else
          ASSERT_NEAR(y(i, j), product.expected(i, j, isSeen), 1e-4) << i << ", " << j;
      }
  }
}

/// Weights 2^(s - their row's largest) of the scores s = q k^T that a mask shows, times v.
std::vector<double> maskedAttention(const Matrix &q, const Matrix &k, const Limits &limits) {
  std::vector<double> output(size_t(q.rows * k.columns));
  for (int i = 0; i < q.rows; ++i) {
    std::vector<double> scores(size_t(k.rows), -INFINITY);
    for (int j = 0; j < k.rows; ++j)
      if (limits.shows(i, j)) {
        scores[size_t(j)] = 0;
        for (int e = 0; e < q.columns; ++e)
          scores[size_t(j)] += q(i, e) * k(j, e);
      }
    const double largest = std::max(-1e30, *std::max_element(scores.begin(), scores.end()));
    for (int j = 0; j < k.rows; ++j)
      for (int e = 0; e < k.columns; ++e)
        output[size_t(i * k.columns + e)] += std::exp2(scores[size_t(j)] - largest) * k(j, e);
  }
  return output;
}

// Scores, weights and their product with values under one mask, whether the keys are in a loop,
// where scores are computed by keys, or not.
TEST_P(TileMaskTest, AttentionSeesWhatIsShown) {
  const std::string body = R"(    %k = tile.load %keys[%i] {in_bounds} : <16 x f32> -> $X
    %s = tile.dot %q, %k read_where %mask {transpose_b} : ($X, $X, $M) -> $F
    %hidden = arith.constant dense<0xFF800000> : $F
    %s1 = arith.select %mask, %s, %hidden : $M, $F
    %m0 = tile.reduce max %s1 axis 1 : $F -> tensor<32xf32>
    %low = arith.constant dense<-1.0e30> : tensor<32xf32>
    %m1 = arith.maxnumf %m0, %low : tensor<32xf32>
    %m2 = tile.broadcast %m1 axis 0 : tensor<32xf32> -> $F
    %d = arith.subf %s1, %m2 : $F
    %w = math.exp2 %d : $F
    %o = tile.dot %w, %k, %sum nonzero_where %mask : ($F, $X, $X, $M) -> $X
)";
  for (int turn = 0; turn < 16; ++turn) {
    Limits limits = randomLimits();
    limits.axis = 1;
    SCOPED_TRACE(testing::Message() << limits << (turn & 1 ? ", keys in a loop" : ""));
    Matrix q = randomMatrix(32, 16);
    Matrix k = randomMatrix(32, 16);
    Matrix y(32, 16);
    TileKernel kernel(GetParam());
    kernel.in("q", q).view("keys", k).out("y", y);
    limits.numbersOf(kernel).run(
        limits.text(32, 32) +
        with({{"X", q.type()}, {"F", "tensor<32x32xf32>"}, {"M", "tensor<32x32xi1>"}},
             "  %zeros = arith.constant dense<0.0> : $X\n" +
                 (turn & 1 ? "  %one = arith.constant 1 : i32\n  %y = scf.for %i = %first to %one "
                             "step %one iter_args(%sum = %zeros) -> $X : i32 {\n" +
                                 body + "    scf.yield %o : $X\n  }\n"
                           : "  %i = arith.constant 0 : i32\n  %sum = arith.addf %zeros, %zeros : "
                             "$X\n" +
                                 body + "  %y = arith.addf %o, %zeros : $X\n")));
    const std::vector<double> expected = maskedAttention(q, k, limits);
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(y.values[i], expected[i], 1e-4 * std::max(1.0, std::abs(expected[i]))) << i;
  }
}

} // namespace

// Triangular solves on the CPU: what is solved, multiplied back, is the right side.
#include "tests/compiler/tile_op.h"

using namespace nysjit;
using namespace nysjit::execution;

namespace {

using TileSolve = TileOp;
INSTANTIATE_TEST_SUITE_P(Levels, TileSolve, testing::ValuesIn(levels()), levelName);

// On the diagonal and beyond it the triangle holds NaN.
TEST_P(TileSolve, ReadsItsStrictTriangleOnly) {
  for (const bool isUpper : {false, true}) {
    const int rows = 8 * any(1, 4);
    const int columns = 8 * any(1, 5);
    SCOPED_TRACE(testing::Message() << rows << "x" << columns << (isUpper ? " upper" : " lower"));
    Matrix triangle = randomMatrix(rows, rows);
    Matrix b = randomMatrix(rows, columns);
    Matrix x(rows, columns);
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < rows; ++j)
        triangle(i, j) = (isUpper ? j > i : j < i) ? triangle(i, j) / 8 : NAN;
    TileKernel(GetParam())
        .in("t", triangle)
        .in("b", b)
        .out("x", x)
        .run(with({{"T", triangle.type()}, {"F", b.type()}, {"U", isUpper ? "{upper} " : ""}},
                  "  %x = tile.triangular_solve %t, %b $U: $T, $F\n"));
    for (int i = 0; i < rows; ++i)
      for (int c = 0; c < columns; ++c) {
        double back = x(i, c);
        for (int j = isUpper ? i + 1 : 0; j < (isUpper ? rows : i); ++j)
          back += double(triangle(i, j)) * x(j, c);
        ASSERT_NEAR(back, b(i, c), 1e-4) << i << ", " << c;
      }
  }
}

} // namespace

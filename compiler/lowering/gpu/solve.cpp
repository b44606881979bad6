// The triangular solve, a thread a column.
#include "compiler/lowering/gpu/kernel_emitter.h"

using namespace mlir;
namespace nysjit::gpu {

/// x_i = rhs_i - sum over j < i (upper: j > i) of triangle_ij x_j, a thread a column: its x stays
/// in shared memory, which no other thread reads, and a row of the triangle is read by all at once.
void KernelEmitter::emitSolve(tile::TriangularSolveOp op) {
  const int64_t rows = op.getRhs().getType().getDimSize(0);
  const int64_t columns = op.getRhs().getType().getDimSize(1);
  Value triangle = sharedAddress(plan.scratch(op).begin);
  Value x = e.offset(triangle, rows * rows * 4);
  awaitReaders(plan.scratch(op));
  storeTile(op.getTriangle(), triangle, rows);
  storeTile(op.getRhs(), x, columns);
  barrier();
  OpBuilder &b = e.builder;
  forEachChunk(columns, [&](Value column) {
    Value own = e.offset(x, e.mul(column, 4));
    auto element = [&](Value row) { return e.offset(own, e.mul(row, columns * 4)); };
    auto outer = scf::ForOp::create(b, e.loc, e.i32(1), e.i32(rows), e.i32(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(outer.getBody());
    // From the first row or from the last, of which there is nothing to solve.
    Value row = outer.getInductionVar();
    if (op.getUpper())
      row = e.add(e.mul(row, -1), rows - 1);
    Value weights = e.offset(triangle, e.mul(row, rows * 4));
    auto inner = scf::ForOp::create(b, e.loc, op.getUpper() ? e.add(row, 1) : e.i32(0),
                                    op.getUpper() ? e.i32(rows) : row, e.i32(1),
                                    ValueRange{e.load(e.f32Type(), element(row), 4)});
    {
      OpBuilder::InsertionGuard innerGuard(b);
      b.setInsertionPointToStart(inner.getBody());
      Value j = inner.getInductionVar();
      Value weight = e.load(e.f32Type(), e.offset(weights, e.mul(j, 4)), 4);
      Value known = e.load(e.f32Type(), element(j), 4);
      scf::YieldOp::create(b, e.loc,
                           ValueRange{e.fma(e.negate(weight), known, inner.getRegionIterArg(0))});
    }
    e.store(inner.getResult(0), element(row), 4);
  });
  barrier();
  // Back to registers.
  underWay.reads.push_back(plan.scratch(op));
  const WarpRows warpRows = plan.warpRows(rows);
  Value first = e.add(firstRow(warpRows), laneRow);
  Registers values(warpRows.rowRegisters() * columns / 4);
  for (int64_t band = 0; band < warpRows.bands; ++band)
    for (int64_t half = 0; half < warpRows.halves; ++half) {
      Value row = e.offset(
          x, e.mul(e.add(e.mul(e.add(first, band * 16 + half * 8), columns), laneColumn), 4));
      for (int64_t piece = 0; piece < columns / 8; ++piece) {
        Value pair = e.load(VectorType::get({2}, e.f32Type()), e.offset(row, piece * 32), 8);
        const int64_t at = ((band * (columns / 8) + piece) * warpRows.halves + half) * 2;
        values[at] = e.element(pair, 0);
        values[at + 1] = e.element(pair, 1);
      }
    }
  setRegisters(op.getResult(), values);
}

} // namespace nysjit::gpu

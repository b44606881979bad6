// Dots, transposes and triangular solves over row-major float32 tiles in scratch.
//
// A dot keeps a register tile of c, MR rows by a chunk of columns, over the whole of k:
//   for each chunk of columns, for each MR rows:  acc = c;  for k: acc[r] += a[r, k] * b[k, chunk];  c = acc
// a is read by scalars that are broadcast, so it may lie in any order; b needs contiguous rows, so a transposed b is
// transposed once a tile, in blocks of lanes x lanes by rounds of interleaving shuffles.
#include "compiler/cpu/emission.h"

using namespace mlir;
namespace nysjit::cpu {

namespace {

/// Largest power of two that divides m and is at most `limit`.
int64_t rowsAtOnce(int64_t m, int64_t limit) {
  int64_t rows = 1;
  while (rows * 2 <= limit && m % (rows * 2) == 0)
    rows *= 2;
  return rows;
}

/// One line in step `step` of k of rows [i, i + rows) of m: in all steps of all rows most lines, some more than once.
void emitPrefetch(Emission &e, const Ahead &ahead, Value i, int64_t rows, int64_t m, Value step, int64_t k) {
  constexpr int64_t line = 64, readOnly = 0, keepInSecondCache = 2, data = 1;
  const int64_t count = llvm::divideCeil(ahead.rows * rows, m), lines = llvm::divideCeil(ahead.columnBytes, line);
  auto divide = [&](Value a, int64_t b) -> Value { return arith::DivUIOp::create(e.builder, e.loc, a, e.i64(b)); };
  Value row = e.add(divide(e.mul(i, e.i64(ahead.rows)), m), divide(e.mul(step, e.i64(count)), k));
  Value column = arith::RemUIOp::create(e.builder, e.loc, step, e.i64(lines));
  Value address = e.offset(e.offset(ahead.address, e.mul(row, ahead.rowBytes)), e.mul(column, e.i64(line)));
  LLVM::Prefetch::create(e.builder, e.loc, address, readOnly, keepInSecondCache, data);
}

void emitColumns(Emission &e, Value a, Value b, Value from, Value c, int64_t m, int64_t n, int64_t k, int64_t width, const Ahead &ahead) {
  const int64_t registers = llvm::divideCeil(width, e.shape.lanes);
  const int64_t rows = rowsAtOnce(m, std::max<int64_t>(1, e.shape.accumulators / registers));
  const VectorType type = e.f32Vector(width);
  e.loop(m, rows, {}, [&](Value i, ValueRange) {
    Value cRow = e.mul(i, e.i64(n * 4)), aRow = e.offset(a, e.mul(i, e.i64(k * 4)));
    Emission::Values sums;
    for (int64_t r = 0; r < rows; ++r)
      sums.push_back(from ? e.load(type, e.offset(e.offset(from, cRow), r * n * 4)) : e.constant(type, 0));
    sums = e.loop(k, 1, sums, [&](Value step, ValueRange carried) {
      if (ahead.rows)
        emitPrefetch(e, ahead, i, rows, m, step, k);
      Value column = e.load(type, e.offset(b, e.mul(step, e.i64(n * 4))));
      Value aColumn = e.offset(aRow, e.mul(step, e.i64(4)));
      Emission::Values next;
      for (int64_t r = 0; r < rows; ++r) {
        Value scalar = e.load(e.builder.getF32Type(), e.offset(aColumn, r * k * 4));
        next.push_back(vector::FMAOp::create(e.builder, e.loc, e.splat(scalar, width), column, carried[r]));
      }
      return next;
    });
    for (int64_t r = 0; r < rows; ++r)
      e.store(sums[r], e.offset(e.offset(c, cRow), r * n * 4));
    return Emission::Values();
  });
}

/// Transposes L x L: after log2 L rounds, in each of which vector i is interleaved with vector i + L/2, row i is column i.
Emission::Values transposeRegisters(Emission &e, Emission::Values rows) {
  const int64_t lanes = rows.size();
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < lanes / 2; ++i) {
    low.append({i, lanes + i});
    high.append({lanes / 2 + i, lanes + lanes / 2 + i});
  }
  for (int64_t round = 1; round < lanes; round *= 2) {
    Emission::Values next;
    for (int64_t i = 0; i < lanes / 2; ++i) {
      next.push_back(vector::ShuffleOp::create(e.builder, e.loc, rows[i], rows[i + lanes / 2], low));
      next.push_back(vector::ShuffleOp::create(e.builder, e.loc, rows[i], rows[i + lanes / 2], high));
    }
    rows = next;
  }
  return rows;
}

} // namespace

void emitDot(Emission &e, Value a, Value b, Value from, Value c, int64_t m, int64_t n, int64_t k, const Ahead &ahead) {
  // Columns in chunks as wide as a quarter of the accumulators allows: equal ones in a loop, what is left by powers of two.
  const int64_t widest = std::min<int64_t>(64, e.shape.lanes * 4);
  const llvm::SmallVector<int64_t> widths = rowPieces(n, widest);
  int64_t start = 0;
  auto columns = [&](Value bytes, int64_t count) {
    emitColumns(e, a, e.offset(b, bytes), from ? e.offset(from, bytes) : Value(), e.offset(c, bytes), m, n, k, count, start ? Ahead() : ahead);
  };
  if (const int64_t full = llvm::count(widths, widest); full > 1) {
    e.loop(full * widest, widest, {}, [&](Value j, ValueRange) {
      columns(e.mul(j, e.i64(4)), widest);
      return Emission::Values();
    });
    start = full * widest;
  }
  for (int64_t width : rowPieces(n - start, widest)) {
    columns(e.i64(start * 4), width);
    start += width;
  }
}

void emitTranspose(Emission &e, Value from, Value to, int64_t rows, int64_t columns) {
  const int64_t lanes = columns % e.shape.lanes == 0 && rows % e.shape.lanes == 0 ? e.shape.lanes : 8;
  const VectorType type = e.f32Vector(lanes);
  e.loop(rows, lanes, {}, [&](Value row, ValueRange) {
    e.loop(columns, lanes, {}, [&](Value column, ValueRange) {
      Value source = e.offset(e.offset(from, e.mul(row, e.i64(columns * 4))), e.mul(column, e.i64(4)));
      Value target = e.offset(e.offset(to, e.mul(column, e.i64(rows * 4))), e.mul(row, e.i64(4)));
      Emission::Values block;
      for (int64_t i = 0; i < lanes; ++i)
        block.push_back(e.load(type, e.offset(source, i * columns * 4)));
      block = transposeRegisters(e, block);
      for (int64_t i = 0; i < lanes; ++i)
        e.store(block[i], e.offset(target, i * rows * 4));
      return Emission::Values();
    });
    return Emission::Values();
  });
}

void emitTriangularSolve(Emission &e, Value lower, Value x, int64_t m, int64_t n) {
  e.loop(m, 1, {}, [&](Value i, ValueRange) {
    Value row = e.offset(x, e.mul(i, e.i64(n * 4))), weights = e.offset(lower, e.mul(i, e.i64(m * 4)));
    Emission::Values sums(e.loadPieces(n, row));
    sums = e.loop(i, 1, sums, [&](Value j, ValueRange carried) {
      Value weight = e.load(e.builder.getF32Type(), e.offset(weights, e.mul(j, e.i64(4))));
      Value negated = arith::NegFOp::create(e.builder, e.loc, weight);
      Emission::Values next;
      for (auto [known, sum] : llvm::zip(e.loadPieces(n, e.offset(x, e.mul(j, e.i64(n * 4)))), carried)) {
        Value factor = e.splat(negated, cast<VectorType>(known.getType()).getDimSize(0));
        next.push_back(vector::FMAOp::create(e.builder, e.loc, factor, known, sum));
      }
      return next;
    });
    e.storePieces(Pieces(sums.begin(), sums.end()), row);
    return Emission::Values();
  });
}

} // namespace nysjit::cpu

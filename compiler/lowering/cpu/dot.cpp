// Dots, transposes and triangular solves over row-major float32 tiles.
//
// A dot keeps a register tile of c, MR rows by a chunk of columns, over the whole of k:
//   for each chunk of columns, for each MR rows:  acc = 0; for k: acc[r] += a[r, k] * b[k, chunk];
//                                                 c += acc
// Sums of sums: of 65536 equal numbers, one after the other, float32 has eleven bits right.
// Where a mask hides c's columns from some number on, each MR rows stop there. Where it hides a's,
// b counts for nothing, NaNs and infinities of it too: steps that none of the rows needs are left
// out, and of those that only some of them need b is taken as 0 for the others.
// a is read by scalars that are broadcast, so it may lie in any order; b needs contiguous rows, so
// a transposed b is transposed once a tile, in blocks of lanes x lanes by rounds of interleaving
// shuffles.
#include "compiler/lowering/cpu/vector_builder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

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

/// Steps of k between two prefetches, so that rows [i, i + rows) of m have asked for their share of
/// `ahead` in all of k.
int64_t stepsBetween(const Ahead &ahead, int64_t rows, int64_t m, int64_t k) {
  const int64_t lines =
      llvm::divideCeil(ahead.rows * rows, m) * llvm::divideCeil(ahead.columnBytes, cacheLine);
  int64_t steps = std::max<int64_t>(1, k / lines);
  while (k % steps != 0)
    --steps;
  return steps;
}

/// The line of number `round` of `rounds`: in all rounds of all rows each line once, or some more
/// often.
void emitPrefetch(VectorBuilder &e, const Ahead &ahead, Value i, int64_t rows, int64_t m,
                  Value round, int64_t rounds) {
  const int64_t count = llvm::divideCeil(ahead.rows * rows, m);
  const int64_t lines = llvm::divideCeil(ahead.columnBytes, cacheLine);
  auto divide = [&](Value a, int64_t b) -> Value {
    return arith::DivUIOp::create(e.builder, e.loc, a, e.i64(b));
  };
  Value row =
      e.add(divide(e.mul(i, e.i64(ahead.rows)), m), divide(e.mul(round, e.i64(count)), rounds));
  Value column = arith::RemUIOp::create(e.builder, e.loc, round, e.i64(lines));
  Value address = e.offset(e.offset(ahead.address, e.mul(row, ahead.rowBytes)),
                           e.mul(column, e.i64(cacheLine)));
  emitPrefetch(e, address, ahead.isWritten);
}

/// The share that rows [i, i + rows) of m have of `ahead`.
void emitPrefetches(VectorBuilder &e, const Ahead &ahead, Value i, int64_t rows, int64_t m) {
  const int64_t count = llvm::divideCeil(ahead.rows * rows, m);
  Value first = arith::DivUIOp::create(e.builder, e.loc, e.mul(i, e.i64(ahead.rows)), e.i64(m));
  Value address = e.offset(ahead.address, e.mul(first, ahead.rowBytes));
  for (int64_t r = 0; r < count; ++r, address = e.offset(address, ahead.rowBytes))
    for (int64_t byte = 0; byte < ahead.columnBytes; byte += cacheLine)
      emitPrefetch(e, e.offset(address, byte), ahead.isWritten);
}

/// c, from row i on, becomes what it is added to and `sums`, a row each.
void addToResult(VectorBuilder &e, const Dot &dot, Value i, ValueRange sums) {
  Value first = e.mul(i, e.i64(dot.n * 4));
  for (const auto &[r, own] : llvm::enumerate(sums)) {
    const int64_t bytes = int64_t(r) * dot.n * 4;
    Value sum = own;
    if (dot.from) {
      Value from = e.load(sum.getType(), e.offset(e.offset(dot.from, first), bytes));
      sum = arith::AddFOp::create(e.builder, e.loc, from, sum);
    }
    e.store(sum, e.offset(e.offset(dot.c, first), bytes));
  }
}

/// Columns [0, width) of `dot` for rows [i, i + rows), its b, from and c given from the first of
/// them on.
void emitRegisterTile(VectorBuilder &e, const Dot &dot, Value i, int64_t rows, int64_t width,
                      const Ahead &ahead) {
  const VectorType type = e.f32Vector(width);
  Value aRow = e.offset(dot.a, e.mul(i, dot.aRowBytes));
  VectorBuilder::Values sums(rows, e.constant(type, 0));
  auto addStep = [&](Value step, ValueRange carried, bool isForAll) {
    Value b = e.load(type, e.offset(dot.b, e.mul(step, e.i64(dot.n * 4))));
    Value aColumn = e.offset(aRow, e.mul(step, e.i64(dot.aStepBytes)));
    VectorBuilder::Values next;
    for (int64_t r = 0; r < rows; ++r) {
      Value scalar = e.load(e.builder.getF32Type(),
                            r ? e.offset(aColumn, e.mul(dot.aRowBytes, e.i64(r))) : aColumn);
      Value factors = e.splat(scalar, width);
      Value column = b;
      if (!isForAll) {
        Value zeros = e.constant(type, 0);
        Value isZero =
            arith::CmpFOp::create(e.builder, e.loc, arith::CmpFPredicate::OEQ, factors, zeros);
        column = arith::SelectOp::create(e.builder, e.loc, isZero, zeros, b);
      }
      next.push_back(vector::FMAOp::create(e.builder, e.loc, factors, column, carried[r]));
    }
    return next;
  };
  auto add = [&](Value step, ValueRange carried) { return addStep(step, carried, true); };
  if (dot.steps) {
    for (const Ahead &tile : dot.aheadOfTiles)
      emitPrefetches(e, tile, i, rows, dot.m);
    const Dot::Steps steps = dot.steps(i, rows);
    auto range = [&](Value begin, Value end, bool isForAll) {
      if (begin == end)
        return;
      Value count = begin ? arith::SubIOp::create(e.builder, e.loc, end, begin) : end;
      sums = e.loop(count, 1, sums, [&](Value step, ValueRange carried) {
        return addStep(begin ? e.add(begin, step) : step, carried, isForAll);
      });
    };
    range(steps.begin, steps.allBegin, false);
    range(steps.allBegin, steps.allEnd, true);
    range(steps.allEnd, steps.end, false);
  } else if (ahead.rows) {
    const int64_t steps = stepsBetween(ahead, rows, dot.m, dot.k);
    const int64_t rounds = dot.k / steps;
    sums = e.loop(rounds, 1, sums, [&](Value round, ValueRange carried) {
      emitPrefetch(e, ahead, i, rows, dot.m, round, rounds);
      return e.loop(steps, 1, carried, [&](Value step, ValueRange inner) {
        return add(e.add(e.mul(round, e.i64(steps)), step), inner);
      });
    });
  } else {
    sums = e.loop(dot.k, 1, sums, add);
  }
  addToResult(e, dot, i, sums);
}

/// The dot of the columns from `bytes` of a row on.
Dot fromColumn(VectorBuilder &e, Dot dot, Value bytes) {
  dot.b = e.offset(dot.b, bytes);
  dot.from = dot.from ? e.offset(dot.from, bytes) : Value();
  dot.c = e.offset(dot.c, bytes);
  return dot;
}

/// Rows of a register tile so wide.
int64_t rowsBeside(VectorBuilder &e, int64_t m, int64_t width) {
  return rowsAtOnce(
      m, std::max<int64_t>(1, e.shape.accumulators / llvm::divideCeil(width, e.shape.lanes)));
}

/// Columns of a register tile: as wide as a quarter of the accumulators allows.
int64_t widestChunk(VectorBuilder &e) { return std::min<int64_t>(64, e.shape.lanes * 4); }

/// Chunks as wide as one register, so that each group of rows can stop at its own end.
void emitVisibleColumns(VectorBuilder &e, const Dot &dot) {
  const int64_t width = e.shape.lanes;
  const int64_t rows = rowsBeside(e, dot.m, width);
  e.loop(dot.m, rows, {}, [&](Value i, ValueRange) {
    for (const Ahead &tile : dot.aheadOfTiles)
      emitPrefetches(e, tile, i, rows, dot.m);
    e.loop(dot.columnEnd(i, rows), width, {}, [&](Value j, ValueRange) {
      emitRegisterTile(e, fromColumn(e, dot, e.mul(j, e.i64(4))), i, rows, width, Ahead());
      return VectorBuilder::Values();
    });
    return VectorBuilder::Values();
  });
}

/// The same where columns stop at their own ends, or all at one, as whole register tiles can.
void emitVisibleRows(VectorBuilder &e, const Dot &dot) {
  const int64_t widest = widestChunk(e);
  const int64_t width = dot.hasOneRowEnd && dot.n % widest == 0 ? widest : e.shape.lanes;
  const int64_t rows = rowsBeside(e, dot.m, width);
  e.loop(dot.n, width, {}, [&](Value j, ValueRange) {
    const Dot chunk = fromColumn(e, dot, e.mul(j, e.i64(4)));
    e.loop(dot.rowEnd(j, width), rows, {}, [&](Value i, ValueRange) {
      emitRegisterTile(e, chunk, i, rows, width, Ahead());
      return VectorBuilder::Values();
    });
    return VectorBuilder::Values();
  });
}

/// Transposes L x L: after log2 L rounds, in each of which vector i is interleaved with vector i +
/// L/2, row i is column i.
VectorBuilder::Values transposeRegisters(VectorBuilder &e, VectorBuilder::Values rows) {
  const int64_t lanes = rows.size();
  SmallVector<int64_t> low;
  SmallVector<int64_t> high;
  for (int64_t i = 0; i < lanes / 2; ++i) {
    low.append({i, lanes + i});
    high.append({lanes / 2 + i, lanes + lanes / 2 + i});
  }
  for (int64_t round = 1; round < lanes; round *= 2) {
    VectorBuilder::Values next;
    for (int64_t i = 0; i < lanes / 2; ++i) {
      next.push_back(
          vector::ShuffleOp::create(e.builder, e.loc, rows[i], rows[i + lanes / 2], low));
      next.push_back(
          vector::ShuffleOp::create(e.builder, e.loc, rows[i], rows[i + lanes / 2], high));
    }
    rows = next;
  }
  return rows;
}

/// transpose_L(from, the bytes between its rows, to, rows, columns), once a module: LLVM takes its
/// time over so many shuffles.
func::FuncOp transposeFunction(VectorBuilder &e, int64_t lanes) {
  auto module = e.builder.getInsertionBlock()->getParent()->getParentOfType<ModuleOp>();
  const std::string name = "transpose_" + std::to_string(lanes);
  if (auto known = module.lookupSymbol<func::FuncOp>(name))
    return known;
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(module.getBody());
  const Type pointer = LLVM::LLVMPointerType::get(e.builder.getContext());
  const Type i64 = e.builder.getI64Type();
  auto function = func::FuncOp::create(
      e.builder, e.loc, name, e.builder.getFunctionType({pointer, i64, pointer, i64, i64}, {}));
  function->setAttr("llvm.linkage",
                    LLVM::LinkageAttr::get(e.builder.getContext(), LLVM::Linkage::Internal));
  function.setVisibility(SymbolTable::Visibility::Private);
  Block *body = function.addEntryBlock();
  e.builder.setInsertionPointToStart(body);
  Value from = body->getArgument(0);
  Value fromStride = body->getArgument(1);
  Value to = body->getArgument(2);
  Value rows = body->getArgument(3);
  Value columns = body->getArgument(4);
  Value toStride = e.mul(rows, e.i64(4));
  const VectorType type = e.f32Vector(lanes);
  e.loop(rows, lanes, {}, [&](Value row, ValueRange) {
    e.loop(columns, lanes, {}, [&](Value column, ValueRange) {
      Value source = e.offset(e.offset(from, e.mul(row, fromStride)), e.mul(column, e.i64(4)));
      Value target = e.offset(e.offset(to, e.mul(column, toStride)), e.mul(row, e.i64(4)));
      VectorBuilder::Values block;
      for (int64_t i = 0; i < lanes; ++i, source = e.offset(source, fromStride))
        block.push_back(e.load(type, source));
      block = transposeRegisters(e, block);
      for (int64_t i = 0; i < lanes; ++i, target = e.offset(target, toStride))
        e.store(block[size_t(i)], target);
      return VectorBuilder::Values();
    });
    return VectorBuilder::Values();
  });
  func::ReturnOp::create(e.builder, e.loc);
  return function;
}

} // namespace

void emitDot(VectorBuilder &e, const Dot &dot) {
  if (dot.columnEnd && dot.n % e.shape.lanes == 0)
    return emitVisibleColumns(e, dot);
  if (dot.rowEnd && dot.n % e.shape.lanes == 0)
    return emitVisibleRows(e, dot);
  // Columns in the widest chunks: equal ones in a loop, what is left by powers of two.
  const int64_t widest = widestChunk(e);
  const llvm::SmallVector<int64_t> widths = rowPieces(dot.n, widest);
  int64_t start = 0;
  auto columns = [&](Value bytes, int64_t width) {
    const Dot chunk = fromColumn(e, dot, bytes);
    const int64_t rows = rowsBeside(e, dot.m, width);
    e.loop(dot.m, rows, {}, [&](Value i, ValueRange) {
      emitRegisterTile(e, chunk, i, rows, width, start ? Ahead() : dot.ahead);
      return VectorBuilder::Values();
    });
  };
  if (const int64_t full = llvm::count(widths, widest); full > 1) {
    e.loop(full * widest, widest, {}, [&](Value j, ValueRange) {
      columns(e.mul(j, e.i64(4)), widest);
      return VectorBuilder::Values();
    });
    start = full * widest;
  }
  for (int64_t width : rowPieces(dot.n - start, widest)) {
    columns(e.i64(start * 4), width);
    start += width;
  }
}

void emitTranspose(VectorBuilder &e, Value from, Value rowBytes, Value to, int64_t rows,
                   int64_t columns) {
  const int64_t lanes =
      columns % e.shape.lanes == 0 && rows % e.shape.lanes == 0 ? e.shape.lanes : 8;
  func::CallOp::create(e.builder, e.loc, transposeFunction(e, lanes),
                       ValueRange{from, rowBytes, to, e.i64(rows), e.i64(columns)});
}

void emitTriangularSolve(VectorBuilder &e, Value triangle, Value x, int64_t m, int64_t n,
                         bool isUpper) {
  // Row `done` of those to come, from the last up where the triangle is the upper one.
  auto rowAt = [&](Value number) -> Value {
    return isUpper ? arith::SubIOp::create(e.builder, e.loc, e.i64(m - 1), number) : number;
  };
  e.loop(m, 1, {}, [&](Value done, ValueRange) {
    Value i = rowAt(done);
    Value row = e.offset(x, e.mul(i, e.i64(n * 4)));
    Value weights = e.offset(triangle, e.mul(i, e.i64(m * 4)));
    VectorBuilder::Values sums(e.loadPieces(n, row));
    sums = e.loop(done, 1, sums, [&](Value before, ValueRange carried) {
      Value j = rowAt(before);
      Value weight = e.load(e.builder.getF32Type(), e.offset(weights, e.mul(j, e.i64(4))));
      Value negated = arith::NegFOp::create(e.builder, e.loc, weight);
      VectorBuilder::Values next;
      for (auto [known, sum] :
           llvm::zip(e.loadPieces(n, e.offset(x, e.mul(j, e.i64(n * 4)))), carried)) {
        Value factor = e.splat(negated, cast<VectorType>(known.getType()).getDimSize(0));
        next.push_back(vector::FMAOp::create(e.builder, e.loc, factor, known, sum));
      }
      return next;
    });
    e.storePieces(Pieces(sums.begin(), sums.end()), row);
    return VectorBuilder::Values();
  });
}

} // namespace nysjit::cpu

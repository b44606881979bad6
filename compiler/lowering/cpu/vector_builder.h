// What the CPU lowering's parts share while they emit one kernel: the builder, the scratch pointer,
// and the shape of the machine. Everything is emitted with 64-bit integers, wide 1-D vectors and
// LLVM pointers; LLVM splits the vectors.
#pragma once
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"

#include <functional>

namespace nysjit::cpu {

/// What of the machine the emitted code depends on.
struct VectorShape {
  int lanes;        // float32 in a vector register: 8 or 16
  int accumulators; // vector registers a dot's register tile may use
};

/// A row of a tile, or a 1-D tile, as vectors of the widths that rowPieces gives, or as one scalar.
using Pieces = llvm::SmallVector<mlir::Value, 4>;
/// A length as powers of two, at most `widest` each: LLVM widens and scalarises other vectors. 80
/// -> 64, 16.
llvm::SmallVector<int64_t> rowPieces(int64_t length, int64_t widest = 64);

struct VectorBuilder {
  mlir::OpBuilder builder;
  mlir::Location loc;
  mlir::Value scratch;
  VectorShape shape;

  mlir::VectorType f32Vector(int64_t count) {
    return mlir::VectorType::get({count}, builder.getF32Type());
  }
  mlir::Value i64(int64_t value) {
    return mlir::arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(value));
  }
  mlir::Value i32(int64_t value) {
    return mlir::arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(value));
  }
  mlir::Value add(mlir::Value a, mlir::Value b) {
    return mlir::arith::AddIOp::create(builder, loc, a, b);
  }
  mlir::Value mul(mlir::Value a, mlir::Value b) {
    return builder.createOrFold<mlir::arith::MulIOp>(loc, a, b);
  }
  /// A float or integer constant of a scalar or vector type.
  mlir::Value constant(mlir::Type type, double value);
  mlir::Value integerConstant(mlir::Type type, int64_t value);
  /// A scalar as a vector.
  mlir::Value splat(mlir::Value scalar, int64_t count);

  /// The address `bytes` after `base`.
  mlir::Value offset(mlir::Value base, mlir::Value bytes);
  mlir::Value offset(mlir::Value base, int64_t bytes) {
    return bytes ? offset(base, i64(bytes)) : base;
  }
  mlir::Value load(mlir::Type type, mlir::Value address, int64_t alignment = 4);
  void store(mlir::Value value, mlir::Value address, int64_t alignment = 4);
  /// `length` float32, and as many as there are.
  Pieces loadPieces(int64_t length, mlir::Value address);
  void storePieces(const Pieces &pieces, mlir::Value address);
  /// A loop 0, step, 2 step, ... < count; the body gets the induction variable and carried values
  /// and returns the next.
  using Values = llvm::SmallVector<mlir::Value>;
  Values loop(mlir::Value count, int64_t step, mlir::ValueRange carried,
              llvm::function_ref<Values(mlir::Value, mlir::ValueRange)> body);
  Values loop(int64_t count, int64_t step, mlir::ValueRange carried,
              llvm::function_ref<Values(mlir::Value, mlir::ValueRange)> body) {
    return loop(i64(count), step, carried, body);
  }
};

// vector_math.cpp
/// 2^x on a float32 scalar or vector: 0.94 ulp at most; exactly 1 at 0, 0 at -infinity, infinity
/// from 128 on, NaN kept.
mlir::Value emitExp2(VectorBuilder &e, mlir::Value x);
/// log2(x) for normal x > 0, -infinity at 0.
mlir::Value emitLog2(VectorBuilder &e, mlir::Value x);
/// Sixteen-bit floats as float32 and back (nearest even), without a call to compiler-rt.
mlir::Value emitWiden(VectorBuilder &e, mlir::Value value, mlir::Type element);
mlir::Value emitNarrow(VectorBuilder &e, mlir::Value value, mlir::Type element);

// memory.cpp
constexpr int64_t cacheLine = 64;
/// Memory that will be read (or written) soon: `rows` rows of `columnBytes`, `rowBytes` (i64)
/// apart. No rows: none.
struct Ahead {
  mlir::Value address;
  mlir::Value rowBytes;
  int64_t rows = 0;
  int64_t columnBytes = 0;
  bool isWritten = false;
};
/// Asks for the line at `address`.
void emitPrefetch(VectorBuilder &e, mlir::Value address, bool isWritten);

// dot.cpp
/// c [M, N] = from + a [M, K] b [K, N], float32, b, from and c row-major without gaps; a and b may
/// lie in memory, from and c in scratch.
struct Dot {
  mlir::Value a;
  mlir::Value aRowBytes;
  mlir::Value b;
  mlir::Value from;
  mlir::Value c; // from null: 0; c may be from
  // between a's elements of a row, which are aRowBytes (i64) apart from the next row's
  int64_t aStepBytes;
  int64_t m;
  int64_t n;
  int64_t k;
  Ahead ahead; // comes into the cache meanwhile, a line every few steps
  // The same, at the begin of each register tile's steps.
  llvm::SmallVector<Ahead, 2> aheadOfTiles;
  /// How many columns of c rows [i, i + rows) need, as i64; null: all. What c holds beyond is open.
  std::function<mlir::Value(mlir::Value i, int64_t rows)> columnEnd;
  /// Steps of k that rows [i, i + rows) need, as i64: all rows those from allBegin to allEnd, some
  /// those from begin on and up to end. null: all rows all of them.
  struct Steps {
    mlir::Value begin; // null: 0, as the next
    mlir::Value allBegin;
    mlir::Value allEnd;
    mlir::Value end;
  };
  std::function<Steps(mlir::Value i, int64_t rows)> steps;
  /// How many rows of c its columns [j, j + columns) need.
  std::function<mlir::Value(mlir::Value j, int64_t columns)> rowEnd;
  bool hasOneRowEnd = false; // whichever columns
};
void emitDot(VectorBuilder &e, const Dot &dot);
/// to [columns, rows] = transpose of from [rows, columns], whose rows are `rowBytes` (i64) apart.
void emitTranspose(VectorBuilder &e, mlir::Value from, mlir::Value rowBytes, mlir::Value to,
                   int64_t rows, int64_t columns);
/// x = rhs, then row by row x_i -= sum over j < i of triangle[i, j] x_j, in place in x [M, N]; of
/// the upper triangle from the last row up, over j > i.
void emitTriangularSolve(VectorBuilder &e, mlir::Value triangle, mlir::Value x, int64_t m,
                         int64_t n, bool isUpper);

} // namespace nysjit::cpu

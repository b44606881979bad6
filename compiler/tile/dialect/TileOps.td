//===- TileOps.td - the tile dialect ----------------------------------------------------------------------------===//
//
// A kernel is a func.func with the unit attribute `tile.kernel`; each of its programs (one grid cell) runs it once.
// Tiles are builtin tensors of static shape: [rows, columns] or 1-D. Elementwise arithmetic stays in arith and math,
// splats in tensor, loops and branches in scf; here is only what upstream lacks.
//
// A 1-D tile has no axis of its own: `tile.broadcast` says whether it varies over rows or over columns.
//
//===-------------------------------------------------------------------------------------------------------------===//
#ifndef NYSJIT_TILE_OPS
#define NYSJIT_TILE_OPS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def TileDialect : Dialect {
  let name = "tile";
  let cppNamespace = "::nysjit::tile";
  let summary = "tile programs: loads, stores, dots and reductions over tiles of static shape";
  let useDefaultTypePrinterParser = 1;
}

class TileType<string name, string mnemonicName> : TypeDef<TileDialect, name> { let mnemonic = mnemonicName; }

def PointerType : TileType<"Pointer", "ptr"> {
  let summary = "a kernel parameter: the address of a tensor's or buffer's first element";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}

def ViewType : TileType<"View", "view"> {
  let summary = "`length` rows of `columns` unit-stride elements; columns 0: a vector of `length` elements";
  let parameters = (ins "int64_t":$columns, "::mlir::Type":$element);
  let assemblyFormat = "`<` $columns `x` $element `>`";
}

def ReduceMax : I32EnumAttrCase<"Max", 0, "max">;
def ReduceSum : I32EnumAttrCase<"Sum", 1, "sum">;
def ReduceKindAttr : I32EnumAttr<"ReduceKind", "how a reduction combines", [ReduceMax, ReduceSum]> {
  let cppNamespace = "::nysjit::tile";
}

// The least precise products allowed; float32 arithmetic always satisfies it.
def PrecisionInput : I32EnumAttrCase<"Input", 0, "input">;  // operands rounded to the spec's dtype (tf32x3 or tf32 for float32)
def PrecisionSplit : I32EnumAttrCase<"Split", 1, "split">;  // float32 operands as two parts of the spec's 16-bit dtype
def PrecisionFull  : I32EnumAttrCase<"Full", 2, "full">;    // float32 products (three tf32 products on tensor cores)
def PrecisionAttr : I32EnumAttr<"Precision", "precision of a dot's products", [PrecisionInput, PrecisionSplit, PrecisionFull]> {
  let cppNamespace = "::nysjit::tile";
}

class TileOp<string mnemonic, list<Trait> traits = []> : Op<TileDialect, mnemonic, traits>;
def FloatOrIntTile : RankedTensorOf<[F32, F16, BF16, I32, I1]>;
def FloatTile : RankedTensorOf<[F32, F16, BF16]>;
def F32Tile : RankedTensorOf<[F32]>;

def ProgramIdOp : TileOp<"program_id", [Pure]> {
  let summary = "this program's number, 0 <= id < grid";
  let results = (outs I32:$id);
  let assemblyFormat = "attr-dict `:` type($id)";
}

def ViewOp : TileOp<"view", [Pure]> {
  let summary = "rows of memory: element `offset` of the pointer on, `length` rows, `row_stride` elements apart";
  let description = [{
    Loads of rows outside [0, length) give zeros and touch no memory; stores there are dropped. A vector view
    (columns 0) has unit stride and ignores `row_stride`.
  }];
  let arguments = (ins PointerType:$base, I64:$offset, I32:$length, I64:$row_stride);
  let results = (outs ViewType:$result);
  let assemblyFormat = "$base `[` $offset `]` `length` $length `stride` $row_stride attr-dict `:` type($base) `->` type($result)";
  let hasVerifier = 1;
}

def LoadOp : TileOp<"load"> {
  let summary = "rows [row, row + M) of a view; zeros outside it, unless all are promised to be in_bounds";
  let arguments = (ins Arg<ViewType, "", [MemRead]>:$view, I32:$row, UnitAttr:$in_bounds);
  let results = (outs FloatTile:$result);
  let assemblyFormat = "$view `[` $row `]` attr-dict `:` type($view) `->` type($result)";
  let hasVerifier = 1;
}

def LoadScalarOp : TileOp<"load_scalar"> {
  let summary = "element `row` of a vector view; 0 outside it";
  let arguments = (ins Arg<ViewType, "", [MemRead]>:$view, I32:$row);
  let results = (outs AnyTypeOf<[I32, F32, F16, BF16]>:$result);
  let assemblyFormat = "$view `[` $row `]` attr-dict `:` type($view) `->` type($result)";
  let hasVerifier = 1;
}

def StoreOp : TileOp<"store"> {
  let summary = "writes rows [row, row + M) of a view, rounded to its element type; rows outside it are dropped";
  let arguments = (ins F32Tile:$value, Arg<ViewType, "", [MemWrite]>:$view, I32:$row);
  let assemblyFormat = "$value `,` $view `[` $row `]` attr-dict `:` type($value) `,` type($view)";
  let hasVerifier = 1;
}

def DotOp : TileOp<"dot", [Pure]> {
  let summary = "a * b (+ accumulator), in float32; b is [N, K] when transposed, a [K, M] (on the CPU)";
  let arguments = (ins FloatTile:$a, FloatTile:$b, Optional<F32Tile>:$accumulator, UnitAttr:$transpose_b,
                       DefaultValuedAttr<PrecisionAttr, "Precision::Input">:$precision, UnitAttr:$transpose_a);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$a `,` $b (`,` $accumulator^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def TransposeOp : TileOp<"transpose", [Pure]> {
  let summary = "[N, M] of [M, N]";
  let arguments = (ins FloatTile:$value);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def PrefixSumOp : TileOp<"prefix_sum", [Pure, AllTypesMatch<["value", "result"]>]> {
  let summary = "row i is the sum of rows 0 to i (on the CPU)";
  let arguments = (ins F32Tile:$value);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$value attr-dict `:` type($value)";
  let hasVerifier = 1;
}

def ReduceOp : TileOp<"reduce", [Pure]> {
  let summary = "combines along an axis: [M, N] to [M] (axis 1) or [N] (axis 0); a 1-D tile to a scalar (axis 0)";
  let arguments = (ins F32Tile:$value, ReduceKindAttr:$kind, I32Attr:$axis);
  let results = (outs AnyTypeOf<[F32, F32Tile]>:$result);
  let assemblyFormat = "$kind $value `axis` $axis attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def BroadcastOp : TileOp<"broadcast", [Pure]> {
  let summary = "a 1-D tile along the other axis: axis 0 varies over rows, axis 1 over columns";
  let arguments = (ins FloatOrIntTile:$value, I32Attr:$axis);
  let results = (outs FloatOrIntTile:$result);
  let assemblyFormat = "$value `axis` $axis attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def IotaOp : TileOp<"iota", [Pure]> {
  let summary = "0, 1, 2, ...";
  let results = (outs RankedTensorOf<[I32]>:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def TriangularSolveOp : TileOp<"triangular_solve", [Pure, AllTypesMatch<["rhs", "result"]>]> {
  let summary = "x with (I + strictly lower part of `lower`) x = rhs; what is on or above the diagonal is not read";
  let arguments = (ins F32Tile:$lower, F32Tile:$rhs);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$lower `,` $rhs attr-dict `:` type($lower) `,` type($result)";
  let hasVerifier = 1;
}

def SyncOp : TileOp<"sync", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "this program's stores before it are seen by its loads after it";
  let assemblyFormat = "attr-dict";
}

#endif

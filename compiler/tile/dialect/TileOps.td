//===- TileOps.td - the tile dialect ----------------------------------------------------------===//
//
// A kernel is a func.func with the unit attribute `tile.kernel`; each cell of its grid runs it
// once. Tiles are builtin tensors of static shape: [rows, columns] or 1-D. Elementwise arithmetic
// stays in arith and math, splats in tensor, loops and branches in scf; here is only what upstream
// lacks.
//
// A 1-D tile has no axis of its own: `tile.broadcast` says whether it varies over rows or columns.
//
//===------------------------------------------------------------------------------------------===//
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

class TileType<string name, string mnemonicName> : TypeDef<TileDialect, name> {
  let mnemonic = mnemonicName;
}

def PointerType : TileType<"Pointer", "ptr"> {
  let summary = "a kernel parameter: the address of a tensor's or buffer's first element";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}

def ViewType : TileType<"View", "view"> {
  let summary = "`length` rows of `columns` unit-stride elements; columns 0: a vector of `length`";
  let parameters = (ins "int64_t":$columns, "::mlir::Type":$element);
  let assemblyFormat = "`<` $columns `x` $element `>`";
}

def ReduceMax : I32EnumAttrCase<"Max", 0, "max">;
def ReduceSum : I32EnumAttrCase<"Sum", 1, "sum">;
def ReduceMin : I32EnumAttrCase<"Min", 2, "min">;
def ReduceKindAttr : I32EnumAttr<"ReduceKind", "how a reduction combines",
                                 [ReduceMax, ReduceSum, ReduceMin]> {
  let cppNamespace = "::nysjit::tile";
}

// The least precise products allowed; float32 arithmetic always satisfies it.
//   input      operands rounded to the spec's dtype (tf32x3 or tf32 for float32)
//   two_terms  float32 operands as two terms of the spec's 16-bit dtype
//   full       float32 products (three tf32 products on tensor cores)
def PrecisionInput : I32EnumAttrCase<"Input", 0, "input">;
def PrecisionTwoTerms : I32EnumAttrCase<"TwoTerms", 1, "two_terms">;
def PrecisionFull : I32EnumAttrCase<"Full", 2, "full">;
def PrecisionAttr : I32EnumAttr<"Precision", "precision of a dot's products",
                                [PrecisionInput, PrecisionTwoTerms, PrecisionFull]> {
  let cppNamespace = "::nysjit::tile";
}

class TileOp<string mnemonic, list<Trait> traits = []> : Op<TileDialect, mnemonic, traits>;
def FloatOrIntTile : RankedTensorOf<[F32, F16, BF16, I32, I1]>;
def FloatTile : RankedTensorOf<[F32, F16, BF16]>;
def F32Tile : RankedTensorOf<[F32]>;
def I32Tile : RankedTensorOf<[I32]>;
def MaskTile : RankedTensorOf<[I1]>;

def CellIdOp : TileOp<"cell_id", [Pure]> {
  let summary = "the number of the grid's cell that runs this, 0 <= id < grid";
  let results = (outs I32:$id);
  let assemblyFormat = "attr-dict `:` type($id)";
}

def ViewOp : TileOp<"view", [Pure]> {
  let summary = "rows of memory: element `offset` of the pointer on, `row_stride` elements apart";
  let description = [{
    Loads of rows outside [0, length) give zeros and touch no memory; stores there are dropped. A
    vector view (columns 0) has unit stride and ignores `row_stride`, unless it is `strided`.
  }];
  let arguments = (ins PointerType:$base, I64:$offset, I32:$length, I64:$row_stride,
                       UnitAttr:$strided);
  let results = (outs ViewType:$result);
  let assemblyFormat = [{
    $base `[` $offset `]` `length` $length `stride` $row_stride attr-dict
    `:` type($base) `->` type($result)
  }];
  let hasVerifier = 1;
}

def LoadOp : TileOp<"load"> {
  let summary = "rows [row, row + M) of a view; zeros outside it, unless promised to be in_bounds";
  let arguments = (ins Arg<ViewType, "", [MemRead]>:$view, I32:$row, UnitAttr:$in_bounds);
  let results = (outs FloatTile:$result);
  let assemblyFormat = "$view `[` $row `]` attr-dict `:` type($view) `->` type($result)";
  let hasVerifier = 1;
}

def GatherOp : TileOp<"gather"> {
  let summary = "row i is row `rows`[i] of a view (element i of a vector); zeros outside it";
  let description = [{
    `rows` is computed from iotas and numbers by integer arithmetic: it is computed again where a
    row is read.
  }];
  let arguments = (ins Arg<ViewType, "", [MemRead]>:$view, I32Tile:$rows);
  let results = (outs FloatTile:$result);
  let assemblyFormat = [{
    $view `[` $rows `]` attr-dict `:` type($view) `,` type($rows) `->` type($result)
  }];
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
  let summary = "writes rows [row, row + M) of a view, rounded to its elements; others are dropped";
  let description = [{
    `unread`: this cell has loaded none of these rows, so none of its threads may still have to read
    what the store overwrites, and it waits for none.
  }];
  let arguments = (ins F32Tile:$value, Arg<ViewType, "", [MemWrite]>:$view, I32:$row,
                       UnitAttr:$unread);
  let assemblyFormat = "$value `,` $view `[` $row `]` attr-dict `:` type($value) `,` type($view)";
  let hasVerifier = 1;
}

def MaskOp : TileOp<"mask", [Pure]> {
  let summary = "element (i, j) is true where begin[i] <= first + j < end[i]";
  let description = [{
    Along axis 1 columns count, for each row from begin to end; along axis 0 rows count, for each
    column. `inclusive`: first + j <= end[i]. `end` and `begin` are a number, or one for each row
    (column); without `begin` all from 0 on. What a dot is told to read or to take as zero by a mask
    it finds here.
  }];
  let arguments = (ins I32:$first, AnyTypeOf<[I32, I32Tile]>:$end,
                       Optional<AnyTypeOf<[I32, I32Tile]>>:$begin, UnitAttr:$inclusive,
                       I32Attr:$axis);
  let results = (outs MaskTile:$result);
  let assemblyFormat = [{
    $first `below` $end (`from` $begin^)? `axis` $axis attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def DotOp : TileOp<"dot", [Pure, AttrSizedOperandSegments]> {
  let summary = "a * b (+ accumulator), in float32; a is [K, M], b [N, K] when transposed";
  let description = [{
    `read_where`, in the result's shape: nothing depends on the result's other elements, which may
    hold anything. `nonzero_where`, in a's shape: a's other elements are 0 (or NaN, in a row that is
    NaN where it counts, too), and what they would multiply counts for nothing, NaNs and infinities
    of b too (on a GPU where a is computed, not loaded, and neither is transposed; elsewhere b is
    finite). A lowering may leave out what they hide. `skips_zeros`: the same of all zeros of a, for
    a lowering that has no use for the mask.
  }];
  let arguments = (ins FloatTile:$a, FloatTile:$b, Optional<F32Tile>:$accumulator,
                       Optional<MaskTile>:$read_where, Optional<MaskTile>:$nonzero_where,
                       UnitAttr:$transpose_a, UnitAttr:$transpose_b, UnitAttr:$skips_zeros,
                       DefaultValuedAttr<PrecisionAttr, "Precision::Input">:$precision);
  let results = (outs F32Tile:$result);
  let assemblyFormat = [{
    $a `,` $b (`,` $accumulator^)? (`read_where` $read_where^)? (`nonzero_where` $nonzero_where^)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def RoundOperandOp : TileOp<"round_operand", [Pure, AllTypesMatch<["value", "result"]>]> {
  let summary = "what a dot of precision `input` takes of a computed operand";
  let description = [{
    Rounded to the spec's dtype, or to its mantissa, where a lowering's products are of that; as it
    is where they are float32's. So a sum of weights is of those that multiply.
  }];
  let arguments = (ins F32Tile:$value);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def TransposeOp : TileOp<"transpose", [Pure]> {
  let summary = "[N, M] of [M, N]";
  let arguments = (ins FloatTile:$value);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def CumulativeSumOp : TileOp<"cumulative_sum", [Pure, AllTypesMatch<["value", "result"]>]> {
  let summary = "row i (axis 0) or column i (axis 1) is the sum of those from 0 to i";
  let arguments = (ins F32Tile:$value, I32Attr:$axis);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$value `axis` $axis attr-dict `:` type($value)";
  let hasVerifier = 1;
}

def ReduceOp : TileOp<"reduce", [Pure]> {
  let summary = "combines along an axis: [M, N] to [M] (axis 1) or [N] (0); 1-D to a scalar (0)";
  let arguments = (ins F32Tile:$value, ReduceKindAttr:$kind, I32Attr:$axis);
  let results = (outs AnyTypeOf<[F32, F32Tile]>:$result);
  let assemblyFormat = [{
    $kind $value `axis` $axis attr-dict `:` type($value) `->` type($result)
  }];
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
  let results = (outs I32Tile:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def TriangularSolveOp : TileOp<"triangular_solve",
                               [Pure, AllTypesMatch<["rhs", "result"]>]> {
  let summary = "x with (I + strict triangle of `triangle`) x = rhs";
  let description = [{
    The strictly lower triangle, or the strictly `upper` one; the rest is not read.
  }];
  let arguments = (ins F32Tile:$triangle, F32Tile:$rhs, UnitAttr:$upper);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$triangle `,` $rhs attr-dict `:` type($triangle) `,` type($result)";
  let hasVerifier = 1;
}

def ScaleRowsOp : TileOp<"scale_rows", [Pure, AllTypesMatch<["value", "result"]>]> {
  let summary = "row i times `factors`[i], left as it is where that is 1 (a CPU rewrite's)";
  let arguments = (ins F32Tile:$value, F32Tile:$factors);
  let results = (outs F32Tile:$result);
  let assemblyFormat = "$value `,` $factors attr-dict `:` type($value) `,` type($factors)";
  let hasVerifier = 1;
}

def SyncOp : TileOp<"sync", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "this cell's stores before it are seen by its loads after it";
  let assemblyFormat = "attr-dict";
}

#endif

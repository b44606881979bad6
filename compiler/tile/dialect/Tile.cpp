// Registration and verifiers of the tile dialect.
#include "compiler/tile/dialect/Tile.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "TileDialect.cpp.inc"
#include "TileEnums.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "TileTypes.cpp.inc"
#define GET_OP_CLASSES
#include "TileOps.cpp.inc"

using namespace mlir;
namespace nysjit::tile {

void TileDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "TileTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "TileOps.cpp.inc"
      >();
}

LogicalResult ViewOp::verify() {
  if (getBase().getType().getElement() != getResult().getType().getElement())
    return emitOpError("expects a view of ")
           << getBase().getType().getElement() << ", found " << getResult().getType();
  return success();
}

/// A tile and the view it is read from or written to agree in rank and columns.
static LogicalResult verifyAccess(Operation *op, RankedTensorType tile, ViewType view) {
  if (!tile.hasStaticShape())
    return op->emitOpError("expects a tile of static shape, found ") << tile;
  const int64_t rank = view.getColumns() ? 2 : 1;
  if (tile.getRank() != rank || (rank == 2 && tile.getDimSize(1) != view.getColumns()))
    return op->emitOpError("expects a tile that fits ") << view << ", found " << tile;
  return success();
}

LogicalResult LoadOp::verify() {
  if (getResult().getType().getElementType() != getView().getType().getElement())
    return emitOpError("expects elements of ")
           << getView().getType() << ", found " << getResult().getType();
  return verifyAccess(*this, getResult().getType(), getView().getType());
}

LogicalResult LoadScalarOp::verify() {
  const ViewType view = getView().getType();
  if (view.getColumns() || view.getElement() != getResult().getType())
    return emitOpError("expects a vector view of ") << getResult().getType() << ", found " << view;
  return success();
}

LogicalResult StoreOp::verify() {
  return verifyAccess(*this, getValue().getType(), getView().getType());
}

LogicalResult GatherOp::verify() {
  if (getResult().getType().getElementType() != getView().getType().getElement())
    return emitOpError("expects elements of ")
           << getView().getType() << ", found " << getResult().getType();
  if (getRows().getType().getRank() != 1)
    return emitOpError("expects one number a row, found ") << getRows().getType();
  if (getRows().getType().getDimSize(0) != getResult().getType().getDimSize(0))
    return emitOpError("expects ")
           << getRows().getType().getDimSize(0) << " rows, found " << getResult().getType();
  return verifyAccess(*this, getResult().getType(), getView().getType());
}

LogicalResult MaskOp::verify() {
  const RankedTensorType result = getResult().getType();
  if (result.getRank() != 2 || getAxis() > 1)
    return emitOpError("expects a 2-D mask and axis 0 or 1, found ")
           << result << " and axis " << getAxis();
  const int64_t others = result.getDimSize(1 - getAxis());
  for (Value limit : {getEnd(), getBegin()}) {
    const auto type = limit ? dyn_cast<RankedTensorType>(limit.getType()) : RankedTensorType();
    if (type && (type.getRank() != 1 || type.getDimSize(0) != others))
      return emitOpError("expects a number, or one for each of ") << others << ", found " << type;
  }
  return success();
}

/// A mask of a dot has the shape of what it says something of.
static LogicalResult verifyMask(DotOp dot, Value mask, RankedTensorType masked, const char *name) {
  const auto type = mask ? cast<RankedTensorType>(mask.getType()) : RankedTensorType();
  if (type && type.getShape() != masked.getShape())
    return dot.emitOpError("expects ")
           << name << " in the shape of " << masked << ", found " << type;
  return success();
}

LogicalResult DotOp::verify() {
  const RankedTensorType a = getA().getType();
  const RankedTensorType b = getB().getType();
  const RankedTensorType result = getResult().getType();
  if (a.getRank() != 2 || b.getRank() != 2 || result.getRank() != 2)
    return emitOpError("expects 2-D operands and result");
  const int64_t m = a.getDimSize(getTransposeA());
  const int64_t ak = a.getDimSize(!getTransposeA());
  const int64_t k = getTransposeB() ? b.getDimSize(1) : b.getDimSize(0);
  const int64_t n = getTransposeB() ? b.getDimSize(0) : b.getDimSize(1);
  if (ak != k)
    return emitOpError("expects equal inner dimensions, found ") << ak << " and " << k;
  if (result.getDimSize(0) != m || result.getDimSize(1) != n)
    return emitOpError("expects a result of ") << m << "x" << n << ", found " << result;
  if (getAccumulator() && getAccumulator().getType() != result)
    return emitOpError("expects an accumulator of ")
           << result << ", found " << getAccumulator().getType();
  if (failed(verifyMask(*this, getReadWhere(), result, "read_where")))
    return failure();
  return verifyMask(*this, getNonzeroWhere(), a, "nonzero_where");
}

LogicalResult TransposeOp::verify() {
  const RankedTensorType from = getValue().getType();
  const RankedTensorType to = getResult().getType();
  if (from.getRank() != 2 || to.getRank() != 2 || from.getDimSize(0) != to.getDimSize(1) ||
      from.getDimSize(1) != to.getDimSize(0))
    return emitOpError("expects [N, M] of [M, N], found ") << to << " of " << from;
  return success();
}

LogicalResult CumulativeSumOp::verify() {
  if (getValue().getType().getRank() != 2 || getAxis() > 1)
    return emitOpError("expects a 2-D tile and axis 0 or 1, found ")
           << getValue().getType() << " and axis " << getAxis();
  return success();
}

LogicalResult ReduceOp::verify() {
  const RankedTensorType type = getValue().getType();
  const int64_t axis = getAxis();
  if (axis < 0 || axis >= type.getRank() || type.getRank() > 2)
    return emitOpError("expects an axis of ") << type << ", found " << axis;
  const auto result = dyn_cast<RankedTensorType>(getResult().getType());
  if (type.getRank() == 1
          ? bool(result)
          : !result || result.getRank() != 1 || result.getDimSize(0) != type.getDimSize(1 - axis))
    return emitOpError("expects what is left of ")
           << type << " without axis " << axis << ", found " << getResult().getType();
  return success();
}

LogicalResult BroadcastOp::verify() {
  const RankedTensorType type = getValue().getType();
  const RankedTensorType result = getResult().getType();
  if (type.getRank() != 1 || result.getRank() != 2 || getAxis() > 1 ||
      result.getDimSize(getAxis()) != type.getDimSize(0) ||
      type.getElementType() != result.getElementType())
    return emitOpError("expects a 1-D tile along axis ")
           << getAxis() << " of the result, found " << type << " and " << result;
  return success();
}

LogicalResult TriangularSolveOp::verify() {
  const RankedTensorType triangle = getTriangle().getType();
  const RankedTensorType rhs = getRhs().getType();
  if (triangle.getRank() != 2 || rhs.getRank() != 2 ||
      triangle.getDimSize(0) != triangle.getDimSize(1) ||
      triangle.getDimSize(0) != rhs.getDimSize(0))
    return emitOpError("expects a square tile and as many rows, found ")
           << triangle << " and " << rhs;
  return success();
}

LogicalResult ScaleRowsOp::verify() {
  const RankedTensorType value = getValue().getType();
  const RankedTensorType factors = getFactors().getType();
  if (value.getRank() != 2 || factors.getRank() != 1 ||
      factors.getDimSize(0) != value.getDimSize(0))
    return emitOpError("expects one factor a row, found ") << factors << " and " << value;
  return success();
}

} // namespace nysjit::tile

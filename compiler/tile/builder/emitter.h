// What stands behind a Kernel and a Program: the MLIR builder and the parameters gathered so far.
// Internal to builder/.
#pragma once
#include "compiler/tile/builder/program.h"

#include "compiler/tile/dialect/Tile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace nysjit {

struct Program::Module {
  mlir::ModuleOp op;
};

struct Kernel::Emitter {
  Kernel *kernel = nullptr;
  mlir::OpBuilder builder;
  mlir::func::FuncOp function;
  std::vector<PlanParameter> parameters;
  DType dtype;
  // the start of a tile of wholeTileRows rows that lies inside all views it is loaded from
  void *wholeTile = nullptr;
  int wholeTileRows = 0;

  Emitter(mlir::MLIRContext *context, DType specDtype) : builder(context), dtype(specDtype) {}

  mlir::Location at(SourceLocation where);
  mlir::Type irType(Element element);
  /// The kernel argument with this meaning, added on first use.
  mlir::Value parameter(PlanParameter parameter, mlir::Type type);
  mlir::Value pointer(const std::string &memory, Element element, SourceLocation where);
  /// A Scalar as i32 or i64.
  mlir::Value integer(const Scalar &scalar, bool wide, SourceLocation where);
  Scalar scalar(mlir::Value value, bool wide) {
    return Scalar(kernel, value.getAsOpaquePointer(), wide);
  }
  /// The operand's value; an error if it was made in a loop body that has ended.
  mlir::Value visible(void *opaque, SourceLocation where);
  Tile tile(mlir::Value value, Axis axis = Axis::None);
};

inline mlir::Value valueOf(void *opaque) { return mlir::Value::getFromOpaquePointer(opaque); }

} // namespace nysjit

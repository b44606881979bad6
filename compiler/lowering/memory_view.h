// A tile.view whose parts have been emitted.
#pragma once
#include "mlir/IR/Types.h"
#include "mlir/IR/Value.h"

namespace nysjit {

struct MemoryView {
  mlir::Value address;  // of row 0
  mlir::Value length;   // i32: rows
  mlir::Value rowBytes; // i64
  mlir::Type element;
  int64_t columns = 0;
  bool isArgument = false; // rows may start anywhere
  bool isStrided = false;  // a vector's elements are `rowBytes` apart
};

} // namespace nysjit

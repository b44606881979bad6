// The common shape of operands, and operands brought to it. Internal to builder/.
#pragma once
#include "compiler/tile/builder/emitter.h"

namespace nysjit {

/// Of a tile: rank 0 to 2; a 1-D one has `rows` elements and may say along which axis they lie.
struct Shape {
  int rank = 0;
  int rows = 0;
  int columns = 0;
  Axis axis = Axis::None;
};

/// Widens `shape` so that `tile` fits.
void include(Shape &shape, const Tile &tile, SourceLocation where);
/// The kernel of the tiles among them; there must be one.
Kernel *ownerOf(std::initializer_list<const Operand *> operands);
mlir::Type shaped(const Shape &shape, mlir::Type element);
/// The operand as a value of `shape` with the given element type (f32, i32 or i1).
mlir::Value conform(Kernel::Emitter &emitter, const Operand &operand, const Shape &shape,
                    Element element);

} // namespace nysjit

// Kernel: a tile program that runs once for each cell of a linear grid: views of tensors, loads and
// stores of tiles, loops that carry tiles.
#pragma once
#include "compiler/tile/builder/tile_ops.h"

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace nysjit {

/// A tensor argument or a buffer: dimensions and strides (in elements) over the run-time symbols.
struct TensorRef {
  std::string name;
  Element element = Element::F32;
  std::vector<Expression> shape;
  std::vector<Expression> strides;
  bool isOutput = false;
  std::string presenceSymbol; // of a tensor that is stored to only if the caller passes it
  // outputs may be float32 or this; chosen at run time by `dtypeSymbol`
  Element outputElement = Element::F32;
  std::string dtypeSymbol;
};

/// Rows of memory in a kernel: a TensorRef with all but its last one or two dimensions indexed.
struct View {
  void *irValue = nullptr;
  void *alternative = nullptr; // alternative: the view as `outputElement`
  Kernel *kernel = nullptr;
  TensorRef tensor;
  Scalar offset;
  Scalar length;
  Scalar rowStride;
  int columns = 0; // 0: a vector of `length` elements

  /// A vector whose elements are not side by side, but `rowStride` apart.
  bool isStrided() const;
};

/// Tiles that a loop carries from one iteration to the next; the loop rebinds them.
using Carry = std::vector<Tile *>;

class Program;

class Kernel {
public:
  ~Kernel();
  /// The number of the grid's cell that runs this.
  Scalar cell(SourceLocation loc = SourceLocation::current());
  /// The softmax scale tau, a run-time argument.
  Tile scale(SourceLocation loc = SourceLocation::current());

  View view(const TensorRef &tensor, std::initializer_list<Scalar> indices,
            SourceLocation loc = SourceLocation::current());
  /// Rows [start, start + length) of a view, as a view of its own: loads past its end give zeros.
  View slice(const View &view, ScalarOperand start, ScalarOperand length);
  /// Row i of `length` is row start + i step.
  View every(const View &view, ScalarOperand step, ScalarOperand start, ScalarOperand length);
  /// Rows [row, row + count) (of a vector view: elements); what lies outside the view reads as
  /// zero.
  Tile load(const View &view, ScalarOperand row, int count);
  /// Element `index` of a vector view of integers, or of floats; 0 outside it.
  Scalar loadInteger(const View &view, ScalarOperand index);
  Tile loadNumber(const View &view, ScalarOperand index);
  /// Rows (of a vector view: elements) `index`[i], zeros where there is no such row. `index` is
  /// computed from iotas and scalars.
  Tile gather(const View &view, const Tile &index, SourceLocation loc = SourceLocation::current());
  /// Columns [start, start + count) of a view's rows, all of which exist.
  View columns(const View &view, ScalarOperand start, int count);
  /// Writes a tile's rows at `row` on; what lies outside the view is dropped.
  void store(const Tile &tile, const View &view, ScalarOperand row);
  /// The same of rows of which this cell has loaded none: it waits for none of its threads that may
  /// still have to.
  void storeUnread(const Tile &tile, const View &view, ScalarOperand row);
  /// What this cell stored before is what it loads after.
  void sync(SourceLocation loc = SourceLocation::current());

  /// 0, 1, 2, ...
  Tile iota(int count, SourceLocation loc = SourceLocation::current());
  Tile fill(int rows, int columns, double number, SourceLocation loc = SourceLocation::current());
  Tile fill(int count, double number, SourceLocation loc = SourceLocation::current());
  /// A whole number, `count` times.
  Tile fill(int count, ScalarOperand integer);
  /// Rank 0: a float32, also of a whole number; and the whole number that such a tile holds.
  Tile number(double number, SourceLocation loc = SourceLocation::current());
  Tile number(const Scalar &integer, SourceLocation loc = SourceLocation::current());
  Scalar toInteger(const Tile &number, SourceLocation loc = SourceLocation::current());

  /// One sequential loop.
  void forRange(Range range, ScalarOperand step, const Carry &carry,
                const std::function<void(Scalar)> &body);
  /// While the condition, made of what is carried, is not 0. It may not read or write tiles.
  void whileLoop(const Carry &carry, const std::function<Scalar()> &condition,
                 const std::function<void()> &body, SourceLocation loc = SourceLocation::current());
  /// Tiles of `block` rows that fill `range`: a load of `block` rows at `start` must lie wholly
  /// inside its view and is not tested.
  void forWholeTiles(Range range, int block, const Carry &carry,
                     const std::function<void(Scalar start)> &body,
                     SourceLocation loc = SourceLocation::current());
  /// Tiles of `block` positions over `range`, in the order of the positions. The body is written
  /// once and emitted with nothing hidden for tiles wholly inside what all rows of the mask see
  /// (see forWholeTiles), and with what each of the others has seen. A mask of which no
  /// range is seen by all: one loop.
  void forTiles(Range range, const Mask &mask, int block, const Carry &carry,
                const std::function<void(Scalar start, const TileMask &seen)> &body,
                SourceLocation loc = SourceLocation::current());

  struct Emitter;
  Emitter &emitter() { return *emit; }

private:
  friend class Program;
  explicit Kernel(std::unique_ptr<Emitter> emitter);
  std::unique_ptr<Emitter> emit;
};

} // namespace nysjit

// Program and Kernel: what a template writes. A Program has tensors (arguments), buffers (memory
// between its kernels), preconditions and kernels in launch order; a Kernel is a tile program that
// runs once for each cell of a linear grid.
//
//   program.kernel("double", B * H * ceilDiv(n, 64), [&](Kernel &k) {
//     View rows = k.view(q, {b, h});                // [n, d] of one head
//     k.store(k.load(rows, i0, 64) * 2.0, out, i0); // rows past n are neither read nor written
//   });
#pragma once
#include "compiler/tile/builder/block_sizes.h"
#include "compiler/tile/builder/tile.h"
#include "runtime/plan/plan.h"
#include "runtime/spec/block_space.h"
#include "runtime/spec/spec.h"

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

namespace nysjit {

/// A tensor argument or a buffer: dimensions and strides (in elements) over the run-time symbols.
struct TensorRef {
  std::string name;
  Element element = Element::F32;
  std::vector<Expression> shape;
  std::vector<Expression> strides;
  bool isOutput = false;
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
};

/// Half-open range of positions.
struct Range {
  Scalar begin;
  Scalar end;
};

/// Tiles that a loop carries from one iteration to the next; the loop rebinds them.
using Carry = std::vector<Tile *>;

class Program;

class Kernel {
public:
  ~Kernel();
  /// This program's number in the grid.
  Scalar cell(SourceLocation loc = SourceLocation::current());
  /// The softmax scale tau, a run-time argument.
  Tile scale(SourceLocation loc = SourceLocation::current());

  View view(const TensorRef &tensor, std::initializer_list<Scalar> indices,
            SourceLocation loc = SourceLocation::current());
  /// Rows [start, start + length) of a view, as a view of its own: loads past its end give zeros.
  View slice(const View &view, ScalarOperand start, ScalarOperand length);
  /// Rows [row, row + count) (of a vector view: elements); what lies outside the view reads as
  /// zero.
  Tile load(const View &view, ScalarOperand row, int count);
  /// Element `index` of a vector view of integers, or of floats; 0 outside it.
  Scalar loadInteger(const View &view, ScalarOperand index);
  Tile loadNumber(const View &view, ScalarOperand index);
  /// A rank 0 tile, which holds a whole number.
  Scalar toInteger(const Tile &number, SourceLocation loc = SourceLocation::current());
  /// Columns [start, start + count) of a view's rows, all of which exist.
  View columns(const View &view, ScalarOperand start, int count);
  /// Writes a tile's rows at `row` on; what lies outside the view is dropped.
  void store(const Tile &tile, const View &view, ScalarOperand row);
  /// What this program stored before is what it loads after.
  void sync(SourceLocation loc = SourceLocation::current());

  Tile iota(int count, SourceLocation loc = SourceLocation::current());
  Tile fill(int rows, int columns, double number, SourceLocation loc = SourceLocation::current());
  Tile fill(int count, double number, SourceLocation loc = SourceLocation::current());
  Tile number(double number, SourceLocation loc = SourceLocation::current()); // rank 0

  /// One sequential loop.
  void forRange(Range range, ScalarOperand step, const Carry &carry,
                const std::function<void(Scalar)> &body);
  /// Tiles of `block` rows that fill `range`: a load of `block` rows at `start` must lie wholly
  /// inside its view and is not tested.
  void forWholeTiles(Range range, int block, const Carry &carry,
                     const std::function<void(Scalar start)> &body,
                     SourceLocation loc = SourceLocation::current());
  /// Tiles of `block` positions over `range`. The body is written once and emitted unmasked for
  /// tiles wholly inside `unmasked` (see forWholeTiles), masked for the others; their order is that
  /// of the positions. A range {0, 0} as `unmasked`: all are masked, one loop.
  void forTiles(Range range, Range unmasked, int block, const Carry &carry,
                const std::function<void(Scalar start, bool masked)> &body,
                SourceLocation loc = SourceLocation::current());

  struct Emitter;
  Emitter &emitter() { return *emit; }

private:
  friend class Program;
  explicit Kernel(std::unique_ptr<Emitter> emitter);
  std::unique_ptr<Emitter> emit;
};

class Program {
public:
  struct Module; // the MLIR module the kernels are written into

  /// `chooser` says what suits the target; it outlives the program.
  Program(Module &module, const KernelSpec &spec, const KernelConfig &config, std::string target,
          const BlockChooser &chooser);
  ~Program();

  const KernelSpec &spec() const { return kernelSpec; }
  /// A run-time symbol bound by some argument's shape.
  Scalar symbol(const std::string &name) const { return Scalar(Expression::symbol(name)); }
  /// A tensor the caller passes, unit stride in the last dimension; its other strides are symbols
  /// NAME_stride_I. With a `packedSymbol` rows of packed sequences may stand for [B, H, n, d] (see
  /// PlanArgument).
  TensorRef input(const std::string &name, std::vector<Expression> shape,
                  const std::string &packedSymbol = "");
  /// A vector of int32 that the caller passes, or may leave out: then its extent is 0. Only for
  /// loadInteger.
  TensorRef integers(const std::string &name, const Expression &extent, bool isOptional);
  /// A tensor the kernels write: float32 or the spec's dtype, as the caller passes it.
  TensorRef output(const std::string &name, std::vector<Expression> shape,
                   const std::string &packedSymbol = "");
  /// How sequences lie in the arguments' rows, to be filled in.
  PlanSequences &sequences() { return plan.sequences; }
  /// float32 memory that lives during one run.
  TensorRef buffer(const std::string &name, std::vector<Scalar> shape);
  /// Must hold before anything is launched; {n} in the sentences is replaced by symbol n's value.
  void require(const Scalar &holds, const std::string &where, const std::string &expected,
               const std::string &found);
  /// The block sizes in use for a kernel: the caller's where given, else what suits the target for
  /// such a kernel, else these. The kernel has the keys that `defaults` sets.
  BlockConfig blocks(const std::string &kernel, const BlockConfig &defaults,
                     KernelFacts facts = {});
  /// Writes one kernel and its launch, where `when` is not 0.
  void kernel(const std::string &name, const Scalar &grid,
              const std::function<void(Kernel &)> &body, const Scalar &when = 1,
              SourceLocation loc = SourceLocation::current());

  /// After the template has run: checks the config's kernel names and hands over the plan.
  Result<Plan> finish();
  /// What the block sizes of each kernel may be, in launch order.
  const std::vector<BlockSpace> &spaces() const { return kernelSpaces; }

private:
  Module &module;
  KernelSpec kernelSpec;
  KernelConfig config;
  const BlockChooser &chooser;
  Plan plan;
  std::map<std::string, BlockConfig> used;
  std::map<std::string, BlockSpace> spaceOf;
  std::vector<BlockSpace> kernelSpaces;
};

} // namespace nysjit

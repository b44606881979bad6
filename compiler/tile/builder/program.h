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
#include "compiler/tile/builder/kernel.h"
#include "runtime/plan/plan.h"
#include "runtime/spec/block_space.h"
#include "runtime/spec/spec.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace nysjit {

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
  /// A tensor that the caller passes, as the table of tensors (runtime/spec/tensor_table.h)
  /// describes it: its dimensions are symbols or the spec's numbers, the last has unit stride, the
  /// other strides are symbols NAME_stride_I. A vector's extent has a symbol of its own; left out,
  /// it is 0.
  TensorRef tensor(const std::string &name);
  /// How sequences lie in the arguments' rows, to be filled in.
  PlanSequences &sequences() { return plan.sequences; }
  /// float32 memory that lives during one run.
  TensorRef buffer(const std::string &name, std::vector<Scalar> shape);
  /// The same, but of a spec whose pass is not forward it is written by the saving program and read
  /// by the backward one: it lies in the run's saved memory where the caller passes that.
  TensorRef savedBuffer(const std::string &name, std::vector<Scalar> shape);
  /// Kernels that `write` writes fill what is saved: a backward program launches them only where
  /// the caller has not passed it.
  void writeForward(const std::function<void()> &write);
  /// Must hold before anything is launched; {n} in the sentences is replaced by symbol n's value.
  void require(const Scalar &holds, const std::string &where, const std::string &expected,
               const std::string &found);
  /// The block sizes in use for a kernel: the caller's where given, else what suits the target for
  /// such a kernel, else these. The kernel has the keys that `defaults` sets and the target has.
  BlockConfig blocks(const std::string &kernel, BlockConfig defaults, KernelFacts facts = {});
  /// How many columns tiles of such a kernel have beside its blocks: at most so many, fewer where
  /// that suits the target.
  int columns(int most, const KernelFacts &facts) const;
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
  Scalar launches = 1; // condition of kernels that are written
};

} // namespace nysjit

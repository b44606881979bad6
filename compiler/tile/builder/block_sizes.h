// Where a kernel's block sizes come from: the caller's config, then what suits the target, then the
// template's own. A template describes a kernel by facts, and a target's rules (compiler/worker)
// make sizes of them: no rule knows a kernel or a layout by name, no template a target.
#pragma once
#include "runtime/spec/spec.h"

#include <span>
#include <string>

namespace nysjit {

/// What of a kernel bears on the block sizes that suit a target.
struct KernelFacts {
  // The template's to say.
  bool hasFloat32Operand = true;  // some dot's right operand is float32 whatever the spec's dtype
  bool hasFewCells = false;       // with much to do each
  bool mayHaveFewRows = false;    // far fewer than the spec allows, on short sequences
  bool mayHaveFewColumns = false; // they are landmarks, first or alone, as few
  bool hasDiagonal = false;       // its rows meet their own positions, of which a half is masked
  bool isSubstitution = false;    // a row of block_m waits for the one before
  bool keepsMore = false;         // through its loop, than the tiles of one online softmax
  bool keepsTwoSums = false;      // [block_m, head_dim] each, through its loop
  bool maySplitSums = false;      // fused 0: each of them is another kernel's
  bool hasManyLogits = false;     // several tiles of them at once
  bool areManyTiles = false;      // the columns asked for: each of these tiles has them
  bool rereadsColumns = false;    // fused, all columns and their sums go by for each tile of rows
  // Program fills these in.
  DType dtype = DType::Float32;
  int headDim = 0;
  bool isSquare = false; // block_m lies along both sides of its products
};

/// A key of BlockConfig.
using BlockMember = std::optional<int> BlockConfig::*;

/// What a target says about block sizes. This one has nothing to say; the CPU's and the GPUs' are
/// in compiler/worker.
class BlockChooser {
public:
  virtual ~BlockChooser() = default;
  /// What suits the target better than the template's `defaults`: keys of theirs alone.
  virtual BlockConfig preferred(const std::string & /*kernel*/, const KernelFacts & /*facts*/,
                                const BlockConfig & /*defaults*/) const {
    return {};
  }
  /// Keys that every kernel has on this target, for what the template does not see.
  virtual std::span<const BlockMember> targetKeys() const { return {}; }
  /// Keys that such a kernel does not have on this target.
  virtual std::span<const BlockMember> lackingKeys(const KernelFacts & /*facts*/) const {
    return {};
  }
  /// False where this kernel's body is not asked for now.
  virtual bool isWanted(const std::string & /*kernel*/) const { return true; }
};

/// The three in their order, for the keys that `defaults` sets and those of the target.
BlockConfig mergeBlocks(const BlockConfig &given, const BlockConfig &preferred,
                        const BlockConfig &defaults, std::span<const BlockMember> targetKeys);

} // namespace nysjit

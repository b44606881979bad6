// What suits each kind of target: facts of a kernel become block sizes.
#pragma once
#include "compiler/tile/builder/block_sizes.h"

#include <map>
#include <set>

namespace nysjit {

class CpuBlocks : public BlockChooser {
public:
  explicit CpuBlocks(int vectorBits) : vectorBits(vectorBits) {}
  BlockConfig preferred(const std::string &kernel, const KernelFacts &facts,
                        const BlockConfig &defaults) const override;

private:
  int vectorBits;
};

/// A GPU's. Sizes of a kernel that does not fit a block's shared memory are halved by shrink(), and
/// chosen so from then on.
class GpuBlocks : public BlockChooser {
public:
  explicit GpuBlocks(const KernelConfig &config) : config(config) {}
  BlockConfig preferred(const std::string &kernel, const KernelFacts &facts,
                        const BlockConfig &defaults) const override;
  std::span<const BlockMember> targetKeys() const override;
  std::span<const BlockMember> lackingKeys(const KernelFacts &facts) const override;
  bool isWanted(const std::string &kernel) const override {
    return wanted.empty() || wanted.contains(kernel);
  }

  /// Halves the block size that the caller has left open of those in use, columns first. False if
  /// there is none to halve.
  bool shrink(const std::string &kernel, const BlockConfig &used);
  std::set<std::string> wanted; // these kernels alone are written; none: all

private:
  const KernelConfig &config;
  std::map<std::string, BlockConfig> smaller;
};

} // namespace nysjit

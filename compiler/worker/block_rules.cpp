// The rules. GPUs' numbers are measured, on the emulator's counts and ptxas's registers and spills.
#include "compiler/worker/block_rules.h"

#include <algorithm>

namespace nysjit {

namespace {

constexpr int anySize = 256;

/// Rows that leave a thread its registers in a kernel that keeps more than an online softmax.
int mostRowsKept(const KernelFacts &facts) {
  return facts.keepsMore && facts.dtype == DType::Float32 && facts.headDim > 112 ? 32 : anySize;
}

BlockConfig atMost(int rows, int columns, const BlockConfig &defaults) {
  BlockConfig sizes;
  if (defaults.blockM)
    sizes.blockM = std::min(*defaults.blockM, rows);
  if (defaults.blockN)
    sizes.blockN = std::min(*defaults.blockN, columns);
  return sizes;
}

//===- GPUs -----------------------------------------------------------------------------------===//

/// Positions a cell sums where a kernel can split its sum: short enough that one sequence of some
/// 10,000 fills a GPU, long enough that the partial sums (m (d + 2) floats) are a few percent of
/// the keys and values.
constexpr int gpuSplit = 2048;

/// Columns that leave a thread its registers: products of float32 hold three sums and two terms of
/// each operand, and a wide head's output alone takes half of them.
int mostGpuColumns(const KernelFacts &facts) {
  const bool isFloat32 = facts.dtype == DType::Float32;
  // float16 beside float32 operands is tf32 (kernel_plan): float32 operands, too.
  const bool hasTf32 = facts.dtype == DType::Float16 && facts.hasFloat32Operand;
  // Rows that are no power of two of 16 bytes take an address for each copy.
  const bool isOdd = facts.headDim > 96 && facts.headDim % 32 != 0;
  if (facts.areManyTiles) // 16-bit products add up 16 at least
    return (isFloat32 && facts.headDim > 80) || (hasTf32 && facts.headDim > 96) ? 8 : 16;
  if (isFloat32 && facts.headDim > (facts.hasManyLogits ? 80 : 96))
    return 16;
  if (facts.keepsTwoSums) {
    const int most = isFloat32 || hasTf32 || facts.headDim > 64 ? 16 : 32;
    return facts.hasFewCells && !isFloat32 ? 2 * most : most;
  }
  return isFloat32 || isOdd || facts.headDim > (hasTf32 ? 64 : 128) ? 32 : 64;
}

/// Both sums of a kernel that maySplitSums in a thread's registers.
bool holdsTwoSums(const KernelFacts &facts) {
  return facts.dtype != DType::Float32 || facts.headDim < 64;
}

int mostGpuRows(const KernelFacts &facts) {
  const bool isWideSquare = facts.isSquare && facts.headDim > 64; // both sides are float32
  return facts.hasFewCells || isWideSquare ? 32 : mostRowsKept(facts);
}

} // namespace

/// All measured (bench/blocks_cpu.py). Rows of a tile are computed whether they are there or not,
/// and a triangle's one by one: the fewest there can be cost little where there are many, and are
/// several times faster where there are few. Of columns 16 are too few where there are many. What
/// is masked on the diagonal grows with the blocks; that is worth smaller ones where vectors are
/// narrow and gain little from large ones.
BlockConfig CpuBlocks::preferred(const std::string &, const KernelFacts &facts,
                                 const BlockConfig &defaults) const {
  constexpr int fewRows = 16;
  constexpr int few = 32;
  const bool isNarrow = vectorBits < 512;
  int rows = mostRowsKept(facts);
  int columns = facts.mayHaveFewColumns ? few : anySize;
  if (facts.mayHaveFewRows || facts.isSubstitution)
    rows = fewRows;
  if (facts.hasDiagonal && isNarrow) {
    rows = std::min(rows, few);
    columns = few;
  }
  BlockConfig sizes = atMost(rows, columns, defaults);
  if (defaults.fused)
    sizes.fused = 1;
  if (facts.rereadsColumns && sizes.fused && !isNarrow && facts.headDim <= 64)
    sizes.blockM = 2 * *defaults.blockM;
  return sizes;
}

BlockConfig GpuBlocks::preferred(const std::string &kernel, const KernelFacts &facts,
                                 const BlockConfig &defaults) const {
  BlockConfig sizes = atMost(mostGpuRows(facts), mostGpuColumns(facts), defaults);
  if (defaults.split)
    sizes.split = gpuSplit;
  if (defaults.fused)
    sizes.fused = holdsTwoSums(facts);
  if (auto found = smaller.find(kernel); found != smaller.end())
    sizes = mergeBlocks(found->second, {}, sizes, {});
  return sizes;
}

std::span<const BlockMember> GpuBlocks::targetKeys() const {
  static constexpr BlockMember keys[] = {&BlockConfig::numWarps, &BlockConfig::numStages};
  return keys;
}

std::span<const BlockMember> GpuBlocks::lackingKeys(const KernelFacts &facts) const {
  static constexpr BlockMember keys[] = {&BlockConfig::fused};
  return facts.maySplitSums ? std::span<const BlockMember>() : keys;
}

bool GpuBlocks::shrink(const std::string &kernel, const BlockConfig &used) {
  const auto found = config.kernels.find(kernel);
  const BlockConfig given = found == config.kernels.end() ? BlockConfig() : found->second;
  for (const BlockMember key : {&BlockConfig::blockN, &BlockConfig::blockM})
    if ((used.*key).value_or(0) > 16 && !(given.*key)) {
      smaller[kernel].*key = *(used.*key) / 2;
      return true;
    }
  return false;
}

} // namespace nysjit

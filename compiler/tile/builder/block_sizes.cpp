// The order in which block sizes are looked for.
#include "compiler/tile/builder/block_sizes.h"
#include "runtime/spec/config_table.h"

#include <algorithm>

namespace nysjit {

BlockConfig mergeBlocks(const BlockConfig &given, const BlockConfig &preferred,
                        const BlockConfig &defaults, std::span<const BlockMember> targetKeys) {
  BlockConfig used = defaults;
  for (const ConfigRow &row : configTable()) {
    if (!(used.*row.member) && !std::ranges::count(targetKeys, row.member))
      continue;
    for (const BlockConfig *source : {&preferred, &given})
      if (source->*row.member)
        used.*row.member = source->*row.member;
  }
  return used;
}

} // namespace nysjit

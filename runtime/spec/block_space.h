// What a kernel's block sizes may be: the keys it has and the values each may take. The compiler
// reports one for each kernel of a program; tuning goes through them.
#pragma once
#include "runtime/spec/block_config.h"

#include <vector>

namespace nysjit {

/// One key of a kernel, by its name in JSON, with its valid values in rising order.
struct BlockKey {
  std::string name;
  std::optional<int> BlockConfig::*member = nullptr;
  std::vector<int> values;
};

struct BlockSpace {
  std::string kernel;
  std::vector<BlockKey> keys; // in the order of the table of keys

  /// Whether the kernel has every key that `block` sets, and its value is valid. What a device's
  /// memory holds is another question, which compiling answers.
  bool contains(const BlockConfig &block) const;
};

/// The space of a kernel that has the keys which `used` sets.
BlockSpace blockSpaceOf(const std::string &kernel, const BlockConfig &used);

} // namespace nysjit

// Block spaces from the table of a config's keys.
#include "runtime/spec/block_space.h"
#include "runtime/spec/config_table.h"

#include <algorithm>

namespace nysjit {

static std::vector<int> valuesOf(const ConfigRow &row) {
  std::vector<int> values;
  if (row.mayBeZero)
    values.push_back(0);
  for (int64_t value = row.minimum; value <= row.maximum;
       value = row.isPowerOfTwo ? 2 * value : value + 1)
    values.push_back(static_cast<int>(value));
  return values;
}

BlockSpace blockSpaceOf(const std::string &kernel, const BlockConfig &used) {
  BlockSpace space{kernel, {}};
  for (const ConfigRow &row : configTable())
    if (used.*row.member)
      space.keys.push_back({row.name, row.member, valuesOf(row)});
  return space;
}

bool BlockSpace::contains(const BlockConfig &block) const {
  return std::ranges::all_of(configTable(), [&](const ConfigRow &row) {
    const std::optional<int> value = block.*row.member;
    auto key = std::ranges::find(keys, row.member, &BlockKey::member);
    return !value || (key != keys.end() && std::ranges::binary_search(key->values, *value));
  });
}

} // namespace nysjit

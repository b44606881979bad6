// KernelConfig from JSON and back, by a table of its keys.
#include "runtime/base/json.h"
#include "runtime/spec/config_table.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/schema.h"
#include "runtime/spec/spec.h"

#include <algorithm>
#include <bit>

namespace nysjit {

namespace {

constexpr ConfigRow rows[] = {
    {"block_m", 16, 256, true, &BlockConfig::blockM,
     "Rows of the tile that a cell of the grid computes: positions or landmarks."},
    {"block_n", 16, 256, true, &BlockConfig::blockN,
     "Rows of keys and values that its loop takes at a time."},
    {"num_warps", 1, 8, true, &BlockConfig::numWarps, "Warps of a cell, on a GPU.", false, true},
    {"num_stages", 1, 8, false, &BlockConfig::numStages,
     "Steps of a loop whose copies are under way together, on a GPU.", false, true},
    {"split", 256, 1 << 30, true, &BlockConfig::split,
     "Positions that a cell sums of a longer sum, whatever the length; 0: all of them.", true},
    {"fused", 1, 1, true, &BlockConfig::fused,
     "Whether gradients of queries and of keys take a weight from one tile, through sums in "
     "memory, on a CPU, and probe_summary's sums of keys and of values, too; 0: each computes it.",
     true},
};

/// "block_m, block_n, ..."
std::string keyNames() {
  std::string names;
  for (const ConfigRow &row : rows)
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

Error keyError(const std::string &where, std::string expected, std::string found) {
  return Error::mismatch(ErrorKind::InvalidKey, where, std::move(expected), std::move(found));
}

bool isKernelName(const std::string &name) {
  auto isPart = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= 60 && std::ranges::all_of(name, isPart);
}

Result<int> parseValue(const ConfigRow &row, const std::string &where, const Json &value) {
  double number = value.is_number_integer() ? value.get<double>() : 0;
  bool isInRange = number >= row.minimum && number <= row.maximum;
  if (isInRange && (!row.isPowerOfTwo || std::has_single_bit(unsigned(number))))
    return int(number);
  if (row.mayBeZero && value.is_number_integer() && number == 0)
    return 0;
  std::string expected = std::string(row.mayBeZero ? "0, or " : "") + "an integer, " +
                         std::to_string(row.minimum) + " to " + std::to_string(row.maximum) +
                         (row.isPowerOfTwo ? ", a power of two" : "");
  return keyError(where, expected, describeJson(value));
}

} // namespace

std::span<const ConfigRow> configTable() { return rows; }

template <std::same_as<Json> Object>
Result<BlockConfig> parseBlockConfig(const std::string &kernel, const Object &object) {
  if (!object.is_object())
    return keyError(kernel, "an object of " + keyNames(), describeJson(object));
  BlockConfig block;
  for (const auto &[name, value] : object.items()) {
    auto row = std::ranges::find_if(
        rows, [&name = name](const ConfigRow &row) { return name == row.name; });
    std::string where = kernel + "." + describeName(name);
    if (row == std::end(rows))
      return keyError(where, "one of the keys " + keyNames(), "\"" + describeName(name) + "\"");
    Result<int> number = parseValue(*row, where, value);
    if (!number)
      return number.takeError();
    block.*row->member = *number;
  }
  return block;
}

template Result<BlockConfig> parseBlockConfig(const std::string &, const Json &);

Result<KernelConfig> parseKernelConfig(std::string_view text) {
  Result<Json> object = parseJsonObject(text);
  if (!object)
    return object.takeError();
  return parseKernelConfig(*object);
}

template <std::same_as<Json> Object> Result<KernelConfig> parseKernelConfig(const Object &object) {
  if (!object.is_object())
    return Error::mismatch(ErrorKind::InvalidJson, "config", "a JSON object", describeJson(object));
  NYSJIT_RETURN_IF_ERROR(checkSchema(object));
  KernelConfig config;
  for (const auto &[name, value] : object.items()) {
    if (name == "schema")
      continue;
    if (!isKernelName(name))
      return keyError(describeName(name), "a kernel's name: letters, digits and _",
                      "\"" + describeName(name) + "\"");
    Result<BlockConfig> block = parseBlockConfig(name, value);
    if (!block)
      return block.takeError();
    config.kernels.emplace(name, *block);
  }
  return config;
}

template Result<KernelConfig> parseKernelConfig(const Json &);

Json canonicalObject(const BlockConfig &block) {
  Json object = Json::object();
  for (const ConfigRow &row : rows)
    if (block.*row.member)
      object[row.name] = *(block.*row.member);
  return object;
}

Json canonicalObject(const KernelConfig &config) {
  Json object = Json::object();
  for (const auto &[name, block] : config.kernels)
    object[name] = canonicalObject(block);
  return object;
}

std::string canonicalJson(const KernelConfig &config) {
  return canonicalText(canonicalObject(config));
}

std::string canonicalJson(const BlockConfig &block) {
  return canonicalText(canonicalObject(block));
}

} // namespace nysjit

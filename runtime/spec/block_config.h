// KernelConfig: how a program is computed, the block sizes of its kernels. The table in config.cpp
// is the only place that knows the keys' names and ranges.
#pragma once
#include "runtime/base/json.h"
#include "runtime/base/result.h"

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace nysjit {

/// Block sizes of one kernel; an absent key takes what suits the target, else the
/// template's default.
struct BlockConfig {
  std::optional<int> blockM;
  std::optional<int> blockN;
  std::optional<int> numWarps;
  std::optional<int> numStages;
  std::optional<int> split; // positions that one cell sums of a longer sum; 0: all of it
  std::optional<int> fused; // 1: a tile of weights serves all that they are for
  bool operator==(const BlockConfig &) const = default;
};

/// KernelConfig: by kernel name.
struct KernelConfig {
  std::map<std::string, BlockConfig> kernels;
  bool operator==(const KernelConfig &) const = default;
};

/// Parses a config: block_m and block_n 16 to 256, powers of two; num_warps 1, 2, 4, 8; num_stages
/// 1 to 8; split 0 or a power of two, 256 to 2^30; fused 0 or 1. Kernel names are checked by the
/// compiler, which knows the program's kernels.
Result<KernelConfig> parseKernelConfig(std::string_view text);
template <std::same_as<Json> Object> Result<KernelConfig> parseKernelConfig(const Object &object);
/// One kernel's object of it; `kernel` is the name in errors.
template <std::same_as<Json> Object>
Result<BlockConfig> parseBlockConfig(const std::string &kernel, const Object &object);
/// One line, keys sorted, only what is set.
std::string canonicalJson(const KernelConfig &config);
/// The same as an object.
Json canonicalObject(const KernelConfig &config);
Json canonicalObject(const BlockConfig &block);
std::string canonicalJson(const BlockConfig &block);

} // namespace nysjit

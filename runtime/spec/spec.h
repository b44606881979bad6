// KernelSpec: what is computed. KernelConfig: how. (Target, in target.h: where.) Shared by compiler
// and runtime, without LLVM. The key table in key_table.cpp is the only place that knows names, types, ranges
// and which layout uses which key; the parser, the canonical form and every message come from it.
// Defaults are the member initializers below.
#pragma once
#include "runtime/base/result.h"
#include "runtime/spec/target.h"

#include <concepts>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace nysjit {

enum class Layout { Causal, ExactCausal, Bidirectional, SegmentCausal, PrefixLm, Scan };
enum class DType { Float32, Float16, BFloat16 };
enum class LandmarkWeight { Tangent, Count };
enum class LandmarkValue { Nystrom, Streaming };
enum class LandmarkSource { Learned, FirstK };
enum class Float32Math { Tf32x3, Tf32 };

/// One program's mathematics. Keys a layout does not use keep the values below and are absent from
/// the canonical form.
struct KernelSpec {
  Layout layout = Layout::Causal;
  int headDim = 0;
  int landmarks = 0;             // 0: the layout has none (exact_causal)
  std::optional<int> segmentLen; // absent: ceil(n / landmarks) of each sequence
  int window = 0;                // in segments
  LandmarkWeight landmarkWeight = LandmarkWeight::Tangent;
  LandmarkValue landmarkValue = LandmarkValue::Nystrom;
  double stabilizer = 0.25; // lambda of the stabilized solve
  int inverseIterations = 6;
  std::optional<LandmarkSource> landmarkSource;
  int firstK = 0;
  int convKernel = 0;
  DType dtype = DType::Float32;
  Float32Math float32Math = Float32Math::Tf32x3;
};

/// Parses and checks one KernelSpec. `text` is the JSON file's whole text. Errors name the key.
Result<KernelSpec> parseKernelSpec(std::string_view text);
/// The same from a parsed object. (Json is nlohmann::json alone: to that a text would convert,
/// too.)
template <std::same_as<nlohmann::json> Json> Result<KernelSpec> parseKernelSpec(const Json &object);
/// One line, keys sorted, every key the layout uses present (segment_len only if given): equal
/// specs, equal text.
std::string canonicalJson(const KernelSpec &spec);
/// The same as an object; canonicalText writes it.
nlohmann::json canonicalObject(const KernelSpec &spec);
std::string canonicalText(const nlohmann::json &object);

const char *layoutName(Layout layout);
const char *dtypeName(DType dtype);

/// Block sizes of one kernel; an absent key takes the target's default, which the template chooses.
struct BlockConfig {
  std::optional<int> blockM;
  std::optional<int> blockN;
  std::optional<int> numWarps;
  std::optional<int> numStages;
  std::optional<int> split; // positions that one cell sums of a longer sum; 0: all of it
  bool operator==(const BlockConfig &) const = default;
};

/// KernelConfig: by kernel name.
struct KernelConfig {
  std::map<std::string, BlockConfig> kernels;
  bool operator==(const KernelConfig &) const = default;
};

/// Parses a config: block_m and block_n 16 to 256, powers of two; num_warps 1, 2, 4, 8; num_stages
/// 1 to 8; split 0 or a power of two, 256 to 2^30. Kernel names are checked by the compiler, which
/// knows the program's kernels.
Result<KernelConfig> parseKernelConfig(std::string_view text);
template <std::same_as<nlohmann::json> Json>
Result<KernelConfig> parseKernelConfig(const Json &object);
/// One line, keys sorted, only what is set.
std::string canonicalJson(const KernelConfig &config);
nlohmann::json canonicalObject(const KernelConfig &config);

} // namespace nysjit

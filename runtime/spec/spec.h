// KernelSpec: what is computed. (KernelConfig, in block_config.h: how. Target, in target.h: where.)
// Shared by compiler and runtime, without LLVM. The key table in key_table.cpp is the only place
// that knows names, types, ranges and which layout uses which key; the parser, the canonical form
// and every message come from it. Defaults are the member initializers below.
#pragma once
#include "runtime/base/json.h"
#include "runtime/base/result.h"
#include "runtime/spec/block_config.h"
#include "runtime/spec/target.h"

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace nysjit {

enum class Layout {
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach) id,
#include "runtime/spec/layouts.def"
};
enum class DType { Float32, Float16, BFloat16 };
enum class LandmarkWeight { Tangent, Count };
enum class LandmarkValue { Nystrom, Streaming };
enum class LandmarkSource { Learned, FirstK, SegmentMean };
enum class LandmarkSpacing { Uniform, Dyadic };
enum class Float32Math { Tf32x3, Tf32 };
/// Saving: a forward that also writes what the backward needs.
enum class Pass { Forward, Saving, Backward };

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
  LandmarkSource landmarkSource = LandmarkSource::SegmentMean;
  int firstK = 0;
  int probes = 0; // of causal with landmark_source learned, a head
  LandmarkSpacing landmarkSpacing = LandmarkSpacing::Uniform;
  int levelWidth = 1;
  int convKernel = 0;
  DType dtype = DType::Float32;
  Float32Math float32Math = Float32Math::Tf32x3;
  Pass pass = Pass::Forward;
};

/// Parses and checks one KernelSpec. `text` is the JSON file's whole text. Errors name the key.
Result<KernelSpec> parseKernelSpec(std::string_view text);
/// The same from a parsed object. (A Json alone: to that a text would convert, too.)
template <std::same_as<Json> Object> Result<KernelSpec> parseKernelSpec(const Object &object);
/// One line, keys sorted, every key the layout uses present (segment_len only if given): equal
/// specs, equal text.
std::string canonicalJson(const KernelSpec &spec);
/// The same as an object; canonicalText writes it.
Json canonicalObject(const KernelSpec &spec);
std::string canonicalText(const Json &object);

const char *layoutName(Layout layout);
const char *dtypeName(DType dtype);
const char *landmarkSourceName(LandmarkSource source);
const char *passName(Pass pass);
/// For people: "causal float16", of another pass than the forward "causal float16 backward".
std::string specTitle(const KernelSpec &spec);

} // namespace nysjit

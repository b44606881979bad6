// KernelSpec: what is computed. Target: where. Shared by compiler and runtime, without LLVM. The
// key table in key_table.cpp is the only place that knows names, types, ranges and which layout
// uses which key; the parser, the canonical form and every message come from it. Defaults are the
// member initializers below.
#pragma once
#include "runtime/base/result.h"
#include "runtime/spec/block_config.h"

#include <concepts>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
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

const char *layoutName(Layout layout);
const char *dtypeName(DType dtype);

/// What a program is compiled for: "cpu:native", "cpu:x86-64-v3", "cpu:x86-64-v4"; "cuda:sm_80",
/// 86, 89, 90, 100, 120.
enum class CpuLevel { Native, V3, V4 };
enum class TargetKind { Cpu, Cuda };
struct Target {
  CpuLevel level = CpuLevel::Native; // of a CPU target
  TargetKind kind = TargetKind::Cpu;
  int sm = 0; // of a cuda target: its compute capability, 80 for 8.0
  bool isCuda() const { return kind == TargetKind::Cuda; }
  bool operator==(const Target &) const = default;
};
/// All there are, in the order of messages.
std::span<const Target> allTargets();
/// Parses a target name; an unknown one is ErrorKind::UnknownDevice with the names there are.
Result<Target> parseTarget(std::string_view name);
const char *targetName(const Target &target);
/// The target whose code suits a GPU of this compute capability best: its own, else the highest
/// below it whose machine code runs there (the same major number). Unavailable if there is none.
Result<Target> targetForCapability(int capability);

/// What programs run on: one for each context.
enum class DeviceKind { Cpu, Cuda, PtxEmulator };
/// "cpu", "cuda" or "ptx-emulator"; another is ErrorKind::UnknownDevice with those there are.
Result<DeviceKind> parseDevice(std::string_view name);
const char *deviceName(DeviceKind device);
/// InvalidArgument unless the device runs code of the target's kind.
Status checkTargetFits(const Target &target, DeviceKind device);

} // namespace nysjit

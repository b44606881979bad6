// The tables. float32 is last of the dtypes: 16-bit types are what a GPU is bought for.
#include "bench/gpu_day/cases.h"

#include <set>

namespace nysjit::gpu_day {

using nlohmann::json;

namespace {

constexpr int landmarks = 32;
constexpr int segmentLen = 24;
constexpr int smallLandmarks = 16;
constexpr int smallSegmentLen = 12;

/// A variant's keys beside head_dim and dtype.
json keysOf(const std::string &layout, bool isSmall) {
  const int m = isSmall ? smallLandmarks : landmarks;
  const json segments = {{"landmarks", m}, {"segment_len", isSmall ? smallSegmentLen : segmentLen}};
  json keys = {{"layout", layout}};
  if (layout == "scan_learned")
    return {{"layout", "scan"}, {"landmarks", m}, {"landmark_source", "learned"}};
  if (layout == "scan_first_k")
    return {
        {"layout", "scan"}, {"landmarks", m}, {"landmark_source", "first_k"}, {"first_k", 2 * m}};
  if (layout == "exact_causal")
    return keys;
  if (layout == "streaming")
    keys = {{"layout", "causal"}, {"landmark_value", "streaming"}};
  if (layout == "causal_window_conv")
    keys = {{"layout", "causal"}, {"window", 1}, {"landmark_weight", "count"}, {"conv_kernel", 4}};
  keys.update(segments);
  return keys;
}

/// What causality promises of a dense sequence of `length`.
void setCausality(ConformanceCase &one, int64_t length) {
  const int64_t segment = one.spec.value("segment_len", 1);
  one.changed = 3 * length / 4 + 1;
  one.unchanged = one.changed;
  if (one.layout == "segment_causal") // causal by segments
    one.unchanged = one.changed / segment * segment;
  if (one.layout == "bidirectional")
    one.changed = one.unchanged = 0;
}

struct DTypeAndSize {
  const char *dtype; // "tf32": float32 by single products
  int headDim;
};

ConformanceCase makeCase(const std::string &layout, const DTypeAndSize &type,
                         const std::string &form, bool isSmall) {
  ConformanceCase one;
  one.layout = layout;
  one.form = form;
  one.name = layout + " " + type.dtype + " d" + std::to_string(type.headDim) + " " + form;
  one.spec = keysOf(layout, isSmall);
  one.spec["head_dim"] = type.headDim;
  const bool isTf32 = std::string(type.dtype) == "tf32";
  one.spec["dtype"] = isTf32 ? "float32" : type.dtype;
  if (isTf32)
    one.spec["float32_math"] = "tf32";
  const int64_t n = isSmall ? 77 : 333;
  one.lengths = form == "dense" ? std::vector<int64_t>{n, n} : std::vector<int64_t>{n / 2, 0, n, 1};
  if (form == "dense")
    setCausality(one, n);
  return one;
}

} // namespace

std::vector<std::string> conformanceLayouts() {
  return {"causal",        "exact_causal", "streaming",    "causal_window_conv", "segment_causal",
          "bidirectional", "prefix_lm",    "scan_learned", "scan_first_k"};
}

std::vector<ConformanceCase> conformanceCases(bool isSmall) {
  std::vector<ConformanceCase> cases;
  for (const std::string &layout : conformanceLayouts()) {
    const bool isMain = layout == "causal" || layout == "exact_causal";
    std::vector<DTypeAndSize> types = {{"bfloat16", 128}, {"float16", 64}, {"float32", 64}};
    if (isMain)
      types.insert(
          types.end(),
          {{"bfloat16", 64}, {"float16", 128}, {"float32", 128}, {"tf32", 64}, {"bfloat16", 80}});
    if (isSmall)
      types = isMain ? std::vector<DTypeAndSize>{{"bfloat16", 16}, {"float32", 16}}
                     : std::vector<DTypeAndSize>{{"bfloat16", 16}};
    for (const DTypeAndSize &type : types)
      for (const char *form : {"dense", "packed", "padded"})
        if (!isSmall || isMain || std::string(form) != "padded")
          cases.push_back(makeCase(layout, type, form, isSmall));
  }
  return cases;
}

namespace {

json causal(int headDim, int m, int s, const char *dtype) {
  return {{"layout", "causal"},
          {"head_dim", headDim},
          {"landmarks", m},
          {"segment_len", s},
          {"dtype", dtype}};
}
json exact(int headDim, const char *dtype) {
  return {{"layout", "exact_causal"}, {"head_dim", headDim}, {"dtype", dtype}};
}

TimedCase timedCase(json spec, int64_t batch, int64_t heads, int64_t length) {
  std::string name = spec["layout"].get<std::string>();
  if (spec.value("landmark_value", "") == "streaming")
    name = "streaming";
  if (spec.contains("segment_len"))
    name += " " + std::to_string(spec["landmarks"].get<int>()) + "x" +
            std::to_string(spec["segment_len"].get<int>());
  name += " " + spec["dtype"].get<std::string>() + " B" + std::to_string(batch) + " H" +
          std::to_string(heads) + " n" + std::to_string(length) + " d" +
          std::to_string(spec["head_dim"].get<int>());
  return {name, std::move(spec), batch, heads, length};
}

json streaming(json spec) {
  spec["landmark_value"] = "streaming";
  return spec;
}

} // namespace

// 64 landmarks of 256 positions end at n 16384; n 131072 in the same segments has 512 landmarks.
std::vector<TimedCase> timedCases(bool isSmall) {
  if (isSmall)
    return {timedCase(causal(16, smallLandmarks, smallSegmentLen, "bfloat16"), 1, 2, 160),
            timedCase(exact(16, "bfloat16"), 1, 2, 160)};
  std::vector<TimedCase> cases;
  for (const char *dtype : {"bfloat16", "float16", "float32"}) {
    const json few = causal(128, 64, 256, dtype);
    cases.push_back(timedCase(few, 4, 16, 4096));
    cases.push_back(timedCase(few, 4, 16, 16384));
    cases.push_back(timedCase(causal(128, 512, 256, dtype), 4, 16, 131072));
    cases.push_back(timedCase(causal(128, 256, 512, dtype), 1, 32, 131072));
    cases.push_back(timedCase(exact(128, dtype), 4, 16, 4096));
    cases.push_back(timedCase(exact(128, dtype), 4, 16, 16384));
    if (dtype != std::string("bfloat16"))
      continue;
    cases.push_back(timedCase(streaming(few), 4, 16, 4096));
    cases.push_back(timedCase(streaming(few), 4, 16, 16384));
    cases.push_back(timedCase(exact(128, dtype), 1, 32, 131072));
  }
  return cases;
}

std::vector<TimedCase> launchCases(bool isSmall) {
  if (isSmall)
    return {timedCase(causal(16, smallLandmarks, smallSegmentLen, "bfloat16"), 1, 1, 40)};
  return {timedCase(causal(128, 64, 256, "bfloat16"), 1, 1, 512),
          timedCase(causal(128, 64, 256, "bfloat16"), 1, 16, 4096)};
}

std::vector<ConformanceCase> longCases(bool isSmall) {
  std::vector<ConformanceCase> cases;
  for (const auto &[spec, length] : {std::pair(exact(128, "bfloat16"), 4096),
                                     {causal(128, 64, 256, "bfloat16"), 16384},
                                     {causal(128, 64, 256, "float32"), 16384},
                                     {causal(128, 512, 256, "bfloat16"), 131072}}) {
    if (isSmall)
      break;
    ConformanceCase one;
    one.layout = spec["layout"];
    one.name = timedCase(spec, 1, 1, length).name;
    one.spec = spec;
    one.form = "dense";
    one.lengths = {length};
    one.queryHeads = 1;
    cases.push_back(std::move(one));
  }
  if (isSmall) {
    cases.push_back(makeCase("causal", {"bfloat16", 16}, "dense", isSmall));
    cases[0].name += " long";
    cases[0].lengths = {smallLandmarks * smallSegmentLen};
    cases[0].changed = cases[0].unchanged = 0;
  }
  return cases;
}

std::vector<SweepCase> sweepCases(bool isSmall) {
  std::vector<SweepCase> cases;
  const std::vector<TimedCase> timed =
      isSmall ? timedCases(true)
              : std::vector<TimedCase>{timedCase(causal(128, 64, 256, "bfloat16"), 4, 16, 16384),
                                       timedCase(exact(128, "bfloat16"), 4, 16, 16384)};
  struct Blocks {
    int m;
    int n;
    int warps;
    int stages;
  };
  std::vector<Blocks> tried = {{64, 64, 4, 1},  {64, 64, 4, 3},  {64, 32, 4, 2},
                               {64, 32, 4, 4},  {64, 128, 4, 2}, {128, 64, 8, 2},
                               {128, 64, 4, 2}, {128, 32, 8, 3}, {128, 128, 8, 2}};
  if (isSmall)
    tried = {{32, 32, 2, 2}};
  for (const TimedCase &one : timed)
    for (const Blocks &b : tried) {
      const json blocks = {
          {"block_m", b.m}, {"block_n", b.n}, {"num_warps", b.warps}, {"num_stages", b.stages}};
      const bool isExact = one.spec["layout"] == "exact_causal";
      cases.push_back({one, isExact ? json{{"exact_causal", blocks}}
                                    : json{{"causal_output", blocks}, {"landmark_past", blocks}}});
    }
  return cases;
}

json allSpecs(bool isSmall) {
  json specs = json::array();
  std::set<std::string> seen;
  const auto add = [&](const json &spec) {
    if (seen.insert(spec.dump()).second)
      specs.push_back(spec);
  };
  for (const ConformanceCase &one : conformanceCases(isSmall))
    add(one.spec);
  for (const ConformanceCase &one : longCases(isSmall))
    add(one.spec);
  for (const TimedCase &one : timedCases(isSmall))
    add(one.spec);
  return specs;
}

json sweepBundles(bool isSmall) {
  json bundles = json::array();
  for (const SweepCase &one : sweepCases(isSmall))
    bundles.push_back({{"specs", json::array({one.timed.spec})}, {"config", one.config}});
  return bundles;
}

} // namespace nysjit::gpu_day

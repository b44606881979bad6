// Random specs, and inputs that they take.
#pragma once
#include "tests/conformance/inputs.h"
#include "tests/conformance/seeded.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace nysjit::conformance {

inline bool hasInverse(const std::string &layout) {
  return layout == "bidirectional" || layout == "prefix_lm";
}

/// What `causal` has instead of landmarks' values with learned probes.
inline void addProbes(Seeded &random, nlohmann::json &spec) {
  spec["landmark_source"] = "learned";
  spec["probes"] = random.oneOf<int>({1, 2, 4, int(random.between(3, 16))});
  spec["window"] = std::min(int64_t(spec["landmarks"]), random.oneOf<int64_t>({0, 0, 1, 3}));
  if (!spec.contains("segment_len") || random.between(0, 2) == 0)
    return;
  spec["landmark_spacing"] = "dyadic";
  spec["level_width"] = random.oneOf<int>({1, 1, 2, int(random.between(1, 16))});
  spec["landmarks"] = random.oneOf<int64_t>({spec["landmarks"], 1500, 65536});
}

/// A spec of any options that the layout has; "learned" is `causal` with learned probes.
inline nlohmann::json randomSpec(Seeded &random, const std::string &name,
                                 const std::string &dtype) {
  const bool isLearned = name == "learned";
  const std::string layout = isLearned ? "causal" : name;
  nlohmann::json spec = {
      {"layout", layout},
      {"dtype", dtype},
      {"head_dim", 8 * (random.between(0, 3) ? random.between(2, 12) : random.between(13, 32))}};
  if (dtype == "float32" && random.between(0, 3) == 0)
    spec["float32_math"] = "tf32";
  if (layout == "exact_causal")
    return spec;
  const int64_t many = hasInverse(layout) ? random.between(34, 80) : random.between(65, 200);
  const int64_t landmarks = random.oneOf<int64_t>({1, random.between(2, 16), 33, 64, many});
  spec["landmarks"] = landmarks;
  if (random.between(0, 2))
    spec["segment_len"] =
        random.oneOf<int64_t>({1, random.between(2, 9), 16, 64, random.between(65, 130)});
  if (random.between(0, 2) == 0)
    spec["conv_kernel"] = random.oneOf<int64_t>({1, 2, random.between(3, 33), 129});
  if (isLearned) {
    addProbes(random, spec);
    return spec;
  }
  if (layout == "causal")
    spec["window"] = std::min(landmarks, random.oneOf<int64_t>({0, 0, 1, 3}));
  if (layout == "causal" || layout == "prefix_lm") {
    spec["landmark_weight"] = random.oneOf<std::string>({"tangent", "count"});
    spec["landmark_value"] = random.oneOf<std::string>({"nystrom", "nystrom", "streaming"});
  }
  if (layout != "bidirectional" && spec.value("landmark_value", "nystrom") == "nystrom")
    spec["stabilizer"] = random.oneOf<double>({0.25, 0.125, 1, 30, 1e6});
  if (hasInverse(layout)) // more steps invert what rounding made of singular matrices
    spec["inverse_iterations"] = random.oneOf<int>({6, 6, 6, 0, 1, 3});
  return spec;
}

/// Probes, with elements of about that size, and taps.
inline void addLearned(Seeded &random, Inputs &in, const nlohmann::json &spec, double size) {
  std::normal_distribution<double> normal;
  auto fill = [&](std::vector<double> &numbers, int64_t count, double spread) {
    while (int64_t(numbers.size()) < count)
      numbers.push_back(rounded(spread * normal(random.generator), spec["dtype"]));
  };
  fill(in.landmarkQ, in.queryHeads * spec.value("probes", int64_t(0)) * in.headDim, size);
  fill(in.conv, in.queryHeads * spec.value("conv_kernel", int64_t(0)), 0.5);
}

/// Inputs that the spec takes: sequences of one length, padded or packed, with NaNs outside them.
inline Inputs randomInputsOf(Seeded &random, const nlohmann::json &spec, bool isGpu) {
  const std::string dtype = spec["dtype"];
  const int64_t limit = spec.contains("segment_len")
                            ? int64_t(spec["landmarks"]) * int64_t(spec["segment_len"])
                            : 400;
  auto randomLength = [&](int64_t most) {
    return std::min(
        {limit, most,
         random.oneOf<int64_t>({0, 1, random.between(2, 63), 64, 65, random.between(66, 400)})});
  };
  const int64_t keyHeads = random.between(1, 2);
  const int64_t queryHeads = keyHeads * random.between(1, 3);
  int64_t sequences = random.between(1, 2);
  int64_t length = randomLength(400);
  std::vector<int64_t> cuSeqlens;
  std::vector<int64_t> seqlens;
  std::vector<int64_t> starts;
  std::vector<int64_t> lengths;
  const int64_t form = random.between(0, 2);
  if (form == 1) { // packed
    sequences = random.between(1, 4);
    cuSeqlens = {random.oneOf<int64_t>({0, 0, 7})};
    for (int64_t b = 0; b < sequences; ++b)
      cuSeqlens.push_back(cuSeqlens.back() + lengths.emplace_back(randomLength(150)));
    length = cuSeqlens.back() + random.oneOf<int64_t>({0, 0, 70});
  } else if (form == 2) { // padded
    sequences = random.between(1, 3);
    length = 0;
    for (int64_t b = 0; b < sequences; ++b)
      length = std::max(length, seqlens.emplace_back(lengths.emplace_back(randomLength(200))));
    length += random.oneOf<int64_t>({0, 0, 1, 80});
    if (random.between(0, 1))
      for (int64_t b = 0; b < sequences; ++b)
        starts.push_back(random.oneOf<int64_t>(
            {0, length - seqlens[size_t(b)], random.between(0, length - seqlens[size_t(b)])}));
  } else {
    lengths.assign(size_t(sequences), length);
  }
  const double spread = random.oneOf<double>({0.3, 1, spec.contains("float32_math") ? 1 : 3.0});
  Inputs in = randomInputs(random.generator, form == 1 ? 1 : sequences, queryHeads, keyHeads,
                           length, spec["head_dim"], dtype, spread);
  in.cuSeqlens = cuSeqlens;
  in.seqlens = seqlens;
  in.starts = starts;
  in.scale = random.oneOf<double>({in.scale, in.scale, 0.1, 0.0});
  if (spec["layout"] == "prefix_lm")
    for (int64_t n : lengths)
      in.sourceLen.push_back(random.oneOf<int64_t>({0, n, random.between(0, n)}));
  addLearned(random, in, spec, spread);
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  if (form && (random.between(0, 1) || (isGpu && length > limit)))
    in.maxLength = std::max<int64_t>(std::min(longest + random.between(0, 3), limit), 1);
  in.swapHeads = random.between(0, 1);
  in.padding = random.oneOf<int64_t>({0, 0, 1, 2, 8});
  in.fillOutside(NAN);
  return in;
}

inline std::string describe(const Inputs &in) {
  nlohmann::json all = {
      {"B", in.batch},           {"Hq", in.queryHeads},        {"Hkv", in.keyHeads},
      {"n", in.length},          {"scale", in.scale},          {"swapHeads", in.swapHeads},
      {"padding", in.padding},   {"cu_seqlens", in.cuSeqlens}, {"seqlens", in.seqlens},
      {"seq_starts", in.starts}, {"source_len", in.sourceLen}, {"max_length", in.maxLength}};
  return all.dump();
}

} // namespace nysjit::conformance

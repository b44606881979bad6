// Random specs, shapes and numbers for the gradients of the float64 reference. head_dim and the
// lengths are smaller than a spec's text may ask for: the mathematics has no such bound.
#pragma once
#include "runtime/reference/gradients.h"
#include "runtime/spec/lengths.h"
#include "tests/conformance/seeded.h"

#include <cmath>
#include <map>
#include <ostream>

namespace nysjit::reference {

using conformance::Seeded;

/// A run's numbers; what lies outside of its sequences is NaN.
struct GradientCase {
  KernelSpec spec;
  std::string form; // "dense", "padded", "packed"
  double scale = 1;
  int64_t batch = 1;
  int64_t queryHeads = 1;
  int64_t keyHeads = 1;
  int64_t length = 0;
  std::vector<int64_t> starts;
  std::vector<int64_t> lengths;
  std::vector<int64_t> sourceLengths;
  std::map<std::string, std::vector<double>> tensors; // by their names

  ReferenceInput input() const {
    ReferenceInput in;
    in.spec = spec;
    in.scale = scale;
    in.batch = batch;
    in.queryHeads = queryHeads;
    in.keyHeads = keyHeads;
    in.length = length;
    in.packed = form == "packed";
    in.starts = starts;
    in.lengths = lengths;
    in.sourceLengths = sourceLengths;
    for (const auto &[name, numbers] : tensors)
      in.*inputTensor(name) = numbers.data();
    return in;
  }

  /// Where row `t` of sequence b lies in a tensor of `heads` heads.
  size_t rowOf(size_t b, int64_t head, int64_t heads, int64_t t) const {
    const int64_t row = starts[b] + t;
    return size_t(spec.headDim * (form == "packed" ? row * heads + head
                                                   : (int64_t(b) * heads + head) * length + row));
  }
  int64_t headsOf(const std::string &tensor) const {
    return tensor == "q" || tensor == "dout" ? queryHeads : keyHeads;
  }

  /// Calls `visit` with each number of q, k, v or dout in positions [first, end) of sequence b.
  template <typename Visit>
  void forEachNumber(std::vector<double> &numbers, const std::string &tensor, size_t b,
                     int64_t first, int64_t end, Visit visit) const {
    const int64_t heads = headsOf(tensor);
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t t = first; t < end; ++t)
        for (int64_t e = 0; e < spec.headDim; ++e)
          visit(numbers[rowOf(b, h, heads, t) + size_t(e)]);
  }
  template <typename Visit>
  void forEachNumber(const std::string &tensor, size_t b, int64_t first, int64_t end, Visit visit) {
    forEachNumber(tensors.at(tensor), tensor, b, first, end, visit);
  }

  /// The sequences' numbers at random; `learned` queries and taps, too.
  void fill(Seeded &random) {
    std::normal_distribution<double> normal;
    const auto draw = [&](double &x) { x = normal(random.generator); };
    for (const char *name : {"q", "k", "v", "dout"}) {
      tensors[name].assign(size_t(batch * headsOf(name) * length * spec.headDim), NAN);
      for (size_t b = 0; b < lengths.size(); ++b)
        forEachNumber(name, b, 0, lengths[b], draw);
    }
    const bool isLearned = spec.landmarkSource == LandmarkSource::Learned;
    const int64_t learned = isLearned ? learnedQueries(spec) * spec.headDim : 0;
    const auto drawAll = [&](const char *name, int64_t count) {
      if (count > 0)
        tensors[name].resize(size_t(count));
      for (int64_t i = 0; i < count; ++i)
        draw(tensors[name][size_t(i)]);
    };
    drawAll("landmark_q", queryHeads * learned);
    drawAll("landmark_k", spec.layout == Layout::Scan ? keyHeads * learned : 0);
    drawAll("conv", queryHeads * spec.convKernel);
  }
};

/// Some sequences, of up to `longest` positions, 0 among them.
inline void drawSequences(Seeded &random, GradientCase &c, int64_t longest) {
  c.form = random.oneOf<const char *>({"dense", "padded", "packed"});
  const int64_t count = random.between(1, 3);
  int64_t most = 0;
  int64_t total = random.between(0, 3);
  for (int64_t b = 0; b < count; ++b) {
    const int64_t length = c.form == "dense" && b > 0 ? c.lengths[0] : random.between(0, longest);
    c.starts.push_back(c.form == "packed" ? total : c.form == "dense" ? 0 : random.between(0, 4));
    c.lengths.push_back(length);
    c.sourceLengths.push_back(random.oneOf<int64_t>({0, length, random.between(0, length)}));
    total += length;
    most = std::max(most, length);
  }
  c.batch = c.form == "packed" ? 1 : count;
  c.length = c.form == "packed" ? total + 2 : c.form == "padded" ? most + 4 : most;
  if (c.spec.layout != Layout::PrefixLm)
    c.sourceLengths.clear();
}

/// Any options that `causal` has with learned probes, in place of landmarks' values.
inline void drawProbes(Seeded &random, KernelSpec &spec) {
  spec.landmarkSource = LandmarkSource::Learned;
  spec.probes = random.oneOf<int>({1, 2, 3});
  if (spec.segmentLen && random.between(0, 2) > 0)
    spec.landmarkSpacing = LandmarkSpacing::Dyadic;
  spec.levelWidth = random.oneOf<int>({1, 2});
}

/// A spec of any options that the layout has; "probes" is `causal` with learned probes.
inline KernelSpec drawSpec(Seeded &random, const std::string &name) {
  KernelSpec spec;
  for (const Layout layout : {Layout::ExactCausal, Layout::Causal, Layout::SegmentCausal,
                              Layout::Bidirectional, Layout::PrefixLm, Layout::Scan})
    if (name == layoutName(layout))
      spec.layout = layout;
  spec.headDim = int(random.between(3, 8));
  if (spec.layout == Layout::ExactCausal)
    return spec;
  spec.convKernel = random.oneOf<int>({0, 0, 1, 2, 5});
  spec.inverseIterations = random.oneOf<int>({0, 1, 6});
  if (spec.layout == Layout::Scan) {
    spec.landmarks = random.oneOf<int>({1, 3, 5});
    spec.landmarkSource = random.oneOf({LandmarkSource::Learned, LandmarkSource::FirstK});
    spec.firstK = spec.landmarks * int(random.between(1, 4));
    return spec;
  }
  spec.landmarks = random.oneOf<int>({1, 3, 7});
  if (random.between(0, 3) > 0) {
    spec.landmarks = 100;
    spec.segmentLen = random.oneOf<int>({1, 3, 4, 8});
  }
  if (spec.layout == Layout::Causal)
    spec.window = random.oneOf<int>({0, 0, 1, 2});
  if (name == "probes") {
    drawProbes(random, spec);
    return spec;
  }
  // 0, the plain solve, grows with the number of landmarks.
  spec.stabilizer = random.oneOf<double>({0.25, 0.25, 1, spec.landmarks <= 3 ? 0 : 1.0 / 8});
  if (spec.layout == Layout::Causal || spec.layout == Layout::PrefixLm) {
    spec.landmarkWeight = random.oneOf({LandmarkWeight::Tangent, LandmarkWeight::Count});
    spec.landmarkValue = random.oneOf({LandmarkValue::Nystrom, LandmarkValue::Streaming});
  }
  return spec;
}

constexpr const char *gradientLayouts[] = {"exact_causal",  "causal",    "probes", "segment_causal",
                                           "bidirectional", "prefix_lm", "scan"};

inline GradientCase drawCase(Seeded &random, const std::string &name, int64_t longest = 40) {
  GradientCase c;
  c.spec = drawSpec(random, name);
  c.scale = 0.2 + double(random.between(0, 8)) / 10;
  c.keyHeads = random.between(1, 2);
  c.queryHeads = c.keyHeads * random.between(1, 2);
  drawSequences(random, c, longest);
  c.fill(random);
  return c;
}

inline std::ostream &operator<<(std::ostream &out, const GradientCase &c) {
  out << canonicalJson(c.spec) << " " << c.form << " scale " << c.scale << " heads " << c.queryHeads
      << "/" << c.keyHeads << " lengths";
  for (size_t b = 0; b < c.lengths.size(); ++b)
    out << " " << (c.sourceLengths.empty() ? "" : std::to_string(c.sourceLengths[b]) + " of ")
        << c.lengths[b];
  return out;
}

inline Gradients gradientsOf(const GradientCase &c) {
  const Result<Gradients> found = gradients(c.input());
  EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().message);
  return found.ok() ? *found : Gradients();
}

} // namespace nysjit::reference

// Operations and bytes, by hand and by going through every pair of every mask.
#include "runtime/bench/work.h"
#include "runtime/reference/layouts.h"
#include "runtime/reference/probes.h"
#include "runtime/spec/lengths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>
#include <utility>

using namespace nysjit;
using bench::Work;
using bench::workOf;

namespace {

KernelSpec specOf(const std::string &text) {
  Result<KernelSpec> spec = parseKernelSpec(std::string_view(text));
  EXPECT_TRUE(spec.ok()) << text << ": " << (spec ? "" : spec.error().message);
  return *spec;
}

/// What one query head of one sequence takes, pair by pair.
struct Tally {
  int64_t scores = 0;   // of two rows
  int64_t values = 0;   // rows that go into a sum
  int64_t means = 0;    // positions in means
  int64_t products = 0; // multiplications of m x m matrices, and with them
  void pair() { ++scores, ++values; }
};

/// Positions [first, n) with segments counted from `first`, after a source of `first` positions and
/// `before` landmarks.
void tallyTarget(const KernelSpec &spec, int64_t s, int64_t first, int64_t n, int64_t before,
                 Tally &tally) {
  const auto segment = [&](int64_t t) { return (t - first) / s; };
  const int64_t m = (n - first) / s;
  for (int64_t i = first; i < n; ++i) {
    const int64_t border = std::max<int64_t>(segment(i) - spec.window, 0);
    for (int64_t t = first; t <= i; ++t)
      if (segment(t) >= border)
        tally.pair(); // near
    for (int64_t j = 0; j < before + m; ++j)
      if (j < before || j - before < border)
        tally.pair(); // far
    tally.means += segment(i) < m;
    tally.values += segment(i) < m && spec.landmarkWeight == LandmarkWeight::Tangent; // k-hat
  }
  const bool isStreaming = spec.landmarkValue == LandmarkValue::Streaming;
  for (int64_t g = 0; g < m; ++g) {
    for (int64_t t = 0; t < n; ++t) // B
      if (t < first ? !isStreaming : isStreaming ? segment(t) == g : segment(t) <= g)
        tally.pair();
    for (int64_t j = 0; j < before + m && !isStreaming; ++j) { // A, and the solve's sum
      tally.scores += j <= before + g;
      tally.values += j < before + g;
    }
  }
}

void tallyInverse(const KernelSpec &spec, int64_t m, Tally &tally) {
  for (int step = 0; step < 4 * spec.inverseIterations; ++step)
    tally.products += m * m * m;
}

void tallySource(const KernelSpec &spec, int64_t s, int64_t n, Tally &tally) {
  const int64_t m = (n + s - 1) / s;
  tally.means += n;
  tally.scores += m * m; // A
  tally.values += m * m; // A+ (B V)
  tallyInverse(spec, m, tally);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      tally.pair(); // F U
      tally.pair(); // B V
    }
}

void tallyScan(const KernelSpec &spec, int64_t n, Tally &tally) {
  const int64_t exact = std::min<int64_t>(spec.firstK, n);
  const int64_t m = spec.landmarks;
  for (int64_t i = 0; i < exact; ++i)
    for (int64_t t = 0; t <= i; ++t)
      tally.pair();
  if (exact == n)
    return;
  tally.means += exact;
  tally.scores += m * m;
  tallyInverse(spec, m, tally);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      tally.pair(); // x_jt, and v in the running sum
      if (i < exact)
        continue;
      tally.pair();        // q_i k_j, and P_ij of the sum
      tally.products += m; // P = F A+
    }
}

void tallySegments(int64_t s, int64_t n, Tally &tally) {
  const int64_t m = (n + s - 1) / s;
  tally.means += n;
  for (int64_t j = 0; j < m; ++j) {
    for (int64_t i = 0; i < n; ++i)
      if (j <= i / s)
        tally.pair(); // F U
    for (int64_t t = 0; t < n; ++t)
      if (t / s <= j)
        tally.pair(); // B V
    tally.scores += j + 1;
    tally.values += j;
  }
}

/// The blocks of a row are the reference's; each is merged of two halves, those of their own.
void tallyProbes(const KernelSpec &spec, int64_t s, int64_t n, Tally &tally) {
  std::set<std::pair<int64_t, int64_t>> blocks; // all that there must be
  const std::function<void(int64_t, int64_t)> need = [&](int64_t first, int64_t end) {
    if (!blocks.emplace(first, end).second)
      return;
    const int64_t half = (first + end) / 2;
    for (int64_t p = 0; p < spec.probes; ++p)
      if (end - first > 1)
        tally.values += 4; // k-hat and U of both halves
      else
        tally.scores += s, tally.values += 2 * s;
    if (end - first > 1)
      need(first, half), need(half, end);
  };
  for (int64_t i = 0; i < n; ++i) {
    const int64_t far = std::max<int64_t>(i / s - spec.window, 0);
    for (int64_t t = far * s; t <= i; ++t)
      tally.pair();
    for (const reference::Block &block : reference::blocksBefore(far, spec)) {
      for (int64_t p = 0; p < spec.probes; ++p)
        tally.pair();
      need(block.first, block.end);
    }
  }
}

Tally tallyOf(const KernelSpec &spec, int64_t n, int64_t source) {
  const int64_t s = segmentLength(spec, n);
  Tally tally;
  switch (spec.layout) {
  case Layout::ExactCausal:
    for (int64_t i = 0; i < n; ++i)
      for (int64_t t = 0; t <= i; ++t)
        tally.pair();
    break;
  case Layout::Causal:
    if (spec.landmarkSource == LandmarkSource::Learned)
      tallyProbes(spec, s, n, tally);
    else
      tallyTarget(spec, s, 0, n, 0, tally);
    break;
  case Layout::SegmentCausal: tallySegments(s, n, tally); break;
  case Layout::Bidirectional: tallySource(spec, s, n, tally); break;
  case Layout::PrefixLm:
    tallySource(spec, s, source, tally);
    tallyTarget(spec, s, source, n, (source + s - 1) / s, tally);
    if (n > source && spec.landmarkWeight == LandmarkWeight::Tangent)
      tally.values += source; // the source's k-hat
    break;
  case Layout::Scan: tallyScan(spec, n, tally); break;
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t r = 0; r < spec.convKernel; ++r) {
      const int64_t t = i - r + (spec.layout == Layout::Bidirectional ? spec.convKernel / 2 : 0);
      tally.values += t >= 0 && t < n;
    }
  return tally;
}

double flopsOf(const KernelSpec &spec, const tune::TuneShape &shape) {
  const Tally tally = tallyOf(spec, shape.length, shape.sourceLen);
  const int64_t d = spec.headDim;
  const bool isBackward = spec.pass == Pass::Backward;
  const int64_t scores = isBackward ? 3 * tally.scores : tally.scores; // again, and two products
  const int64_t values = isBackward ? 2 * tally.values : tally.values;
  const int64_t products = isBackward ? 3 * tally.products : tally.products;
  const int64_t ofQueryHead = 2 * d * (scores + values) + d * tally.means + 2 * products;
  return double(shape.batch * (shape.heads * ofQueryHead + shape.kvHeads * d * tally.means));
}

TEST(Work, ByHand) {
  // 6 pairs of 4 d.
  const Work exact = workOf(specOf(R"({"layout": "exact_causal", "head_dim": 16})"), {.length = 3});
  EXPECT_EQ(exact.flops, 6 * 4 * 16);
  EXPECT_EQ(exact.bytes, 4 * 3 * 16 * 4);
  // 6 pairs of 10 d; q, k, v, dO in 16 bits, o, dq, dk, dv in 32.
  const Work backward = workOf(
      specOf(
          R"({"layout": "exact_causal", "head_dim": 16, "dtype": "float16", "pass": "backward"})"),
      {.length = 3});
  EXPECT_EQ(backward.flops, 6 * 10 * 16);
  EXPECT_EQ(backward.bytes, 3 * 16 * (4 * 2 + 4 * 4));
  // Means 2 * 16 * 4; B V and F U 4 * 16 * 8 each; A and A+ (B V) 2 * 16 * 4 each; 6 * 8 * 2^3.
  const KernelSpec spec =
      specOf(R"({"layout": "bidirectional", "head_dim": 16, "landmarks": 2, "dtype": "float16"})");
  const Work both = workOf(spec, {.length = 4, .heads = 2, .kvHeads = 2});
  EXPECT_EQ(both.flops, 2 * (128 + 512 + 512 + 128 + 128 + 384));
  EXPECT_EQ(both.bytes, 2 * 4 * 16 * (3 * 2 + 4)) << "o is float32";
}

TEST(Work, IsThatOfEveryPairUnderTheMasks) {
  const char *specs[] = {
      R"("layout": "exact_causal")",
      R"("layout": "causal", "landmarks": 64, "segment_len": 5)",
      R"("layout": "causal", "landmarks": 64, "segment_len": 4, "window": 2, "conv_kernel": 3)",
      R"("layout": "causal", "landmarks": 4, "landmark_value": "streaming")",
      R"("layout": "causal", "landmarks": 64, "segment_len": 3, "landmark_weight": "count")",
      R"("layout": "causal", "landmarks": 64, "landmark_source": "learned", "probes": 3,
         "segment_len": 2, "window": 1)",
      R"("layout": "causal", "landmarks": 64, "landmark_source": "learned", "probes": 2,
         "landmark_spacing": "dyadic", "segment_len": 1)",
      R"("layout": "causal", "landmarks": 64, "landmark_source": "learned", "probes": 1,
         "landmark_spacing": "dyadic", "level_width": 2, "segment_len": 1, "window": 2)",
      R"("layout": "causal", "landmarks": 64, "landmark_source": "learned", "probes": 1,
         "landmark_spacing": "dyadic", "level_width": 3, "segment_len": 1)",
      R"("layout": "segment_causal", "landmarks": 64, "segment_len": 5)",
      R"("layout": "bidirectional", "landmarks": 4, "inverse_iterations": 3, "conv_kernel": 4)",
      R"("layout": "prefix_lm", "landmarks": 64, "segment_len": 5)",
      R"("layout": "prefix_lm", "landmarks": 64, "segment_len": 4, "landmark_value": "streaming",
         "landmark_weight": "count", "conv_kernel": 2)",
      R"("layout": "scan", "landmarks": 4, "landmark_source": "first_k", "first_k": 8)",
      R"("layout": "scan", "landmarks": 4, "landmark_source": "learned", "conv_kernel": 9)"};
  for (const std::string keys : specs)
    for (const std::string pass : {"forward", "saving", "backward"}) {
      const KernelSpec spec =
          specOf("{\"head_dim\": 16, \"pass\": \"" + pass + "\", " + keys + "}");
      for (const int64_t n : {1, 2, 4, 7, 8, 9, 20, 23, 40})
        for (const int64_t source : {int64_t(0), n / 2, n}) {
          const tune::TuneShape shape{
              .length = n, .batch = 1, .heads = 4, .kvHeads = 2, .sourceLen = source};
          EXPECT_EQ(workOf(spec, shape).flops, flopsOf(spec, shape))
              << pass << " " << keys << " n " << n << " source " << source;
        }
    }
}

TEST(Work, NearAndFarPairsAreTheReferencesWeights) {
  const KernelSpec spec = specOf(
      R"({"layout": "causal", "head_dim": 16, "landmarks": 64, "segment_len": 4, "window": 1,
          "landmark_value": "streaming", "landmark_weight": "count"})");
  const int64_t n = 23;
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  reference::Head head{reference::Matrix(n, 16), reference::Matrix(n, 16), reference::Matrix(n, 16),
                       0.25};
  for (reference::Matrix *x : {&head.q, &head.k, &head.v})
    for (double &value : x->values)
      value = normal(random);
  const reference::CausalWeights weights = reference::causalWeights(head, spec, 4);
  const auto count = [](const reference::Matrix &matrix) {
    return std::ranges::count_if(matrix.values, [](double weight) { return weight > 0; });
  };
  const double pairs = double(count(weights.near) + count(weights.far));
  // Beside these: means and own values of the five complete segments.
  EXPECT_EQ(workOf(spec, {.length = n}).flops, 4 * 16 * pairs + (2 + 4) * 16 * 20);
  const KernelSpec exact = specOf(R"({"layout": "exact_causal", "head_dim": 16})");
  EXPECT_EQ(workOf(exact, {.length = n}).flops,
            double(4 * 16 * count(reference::exactWeights(head))));
}

TEST(Work, SequencesAddUpButForWhatIsLearned) {
  const KernelSpec causal =
      specOf(R"({"layout": "causal", "head_dim": 16, "landmarks": 8, "segment_len": 4})");
  const auto of = [](const KernelSpec &spec, int64_t n) {
    return workOf(spec, {.length = n}).flops;
  };
  EXPECT_EQ(workOf(causal, {.length = 12, .batch = 3}).flops, 3 * of(causal, 12));
  EXPECT_EQ(workOf(causal, {.length = 12, .sequences = {5, 7}}).flops,
            of(causal, 5) + of(causal, 7));
  // A and its inverse are of the head, whatever the batch: 2 d m^2 + 6 * 8 m^3.
  const KernelSpec learned =
      specOf(R"({"layout": "scan", "head_dim": 16, "landmarks": 4, "landmark_source": "learned"})");
  EXPECT_EQ(workOf(learned, {.length = 12, .batch = 3}).flops,
            3 * of(learned, 12) - 2 * (2 * 16 * 16 + 6 * 8 * 64));
  EXPECT_EQ(workOf(learned, {.length = 12}).bytes, 4 * 16 * (4 * 12 + 2 * 4)) << "landmarks, too";
}

} // namespace

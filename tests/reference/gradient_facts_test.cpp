// Facts of the gradients in float64: what they depend on, bit for bit, and what they are where the
// mathematics says it.
#include "runtime/reference/accuracy.h"
#include "runtime/reference/landmark_gradients.h"
#include "tests/reference/gradient_case.h"

#include <algorithm>

using namespace nysjit;
using namespace nysjit::reference;

namespace {

constexpr const char *allGradients[] = {"dq", "dk", "dv", "dlandmark_q", "dlandmark_k", "dconv"};

void expectNear(const Gradients &a, const Gradients &b, double bound) {
  for (const char *name : allGradients)
    EXPECT_LE(gradientError(a.*gradientTensor(name), b.*gradientTensor(name), b.doutNorm), bound)
        << name;
}

/// One dense sequence of one head.
GradientCase oneHead(Seeded &random, const KernelSpec &spec, int64_t length) {
  GradientCase c;
  c.spec = spec;
  c.form = "dense";
  c.scale = 0.6;
  c.length = length;
  c.starts = {0};
  c.lengths = {length};
  if (spec.layout == Layout::PrefixLm)
    c.sourceLengths = {0};
  c.fill(random);
  return c;
}

class GradientFacts : public testing::TestWithParam<const char *> {
protected:
  Seeded random;
};
INSTANTIATE_TEST_SUITE_P(Layouts, GradientFacts, testing::ValuesIn(gradientLayouts),
                         [](const auto &info) { return std::string(info.param); });

/// The last position of sequence b with a gradient of its output; what comes after it is not to
/// matter. In the source nothing is causal, in segment_causal nothing within a segment, and the
/// first k0 positions of `first_k` are everyone's landmarks.
int64_t drawLast(Seeded &random, const GradientCase &c, size_t b) {
  const int64_t length = c.lengths[b];
  int64_t last = random.between(0, length - 1);
  if (c.spec.layout == Layout::PrefixLm)
    last = std::max(last, c.sourceLengths[b] - 1);
  if (c.spec.landmarkSource == LandmarkSource::FirstK && c.spec.firstK < length)
    last = std::max<int64_t>(last, c.spec.firstK);
  if (c.spec.layout == Layout::SegmentCausal) {
    const int64_t s = *c.spec.segmentLen;
    last = std::min(last / s * s + s, length) - 1;
  }
  return last;
}

/// A case in which later positions do not matter, each sequence's last position.
GradientCase drawCausal(Seeded &random, const std::string &name, std::vector<int64_t> &lasts) {
  GradientCase c = drawCase(random, name);
  if (c.spec.landmarks > 0 && c.spec.layout != Layout::Scan && !c.spec.segmentLen) {
    c.spec.landmarks = 100;
    c.spec.segmentLen = 5;
  }
  if (c.spec.stabilizer == 0)
    c.spec.stabilizer = 0.25; // the plain solve may overflow
  for (size_t b = 0; b < c.lengths.size(); ++b) {
    lasts.push_back(c.lengths[b] == 0 ? -1 : drawLast(random, c, b));
    c.forEachNumber("dout", b, lasts[b] + 1, c.lengths[b], [](double &x) { x = 0; });
  }
  return c;
}

TEST_P(GradientFacts, NeitherReachNorSeeLaterPositions) {
  if (GetParam() == std::string("bidirectional"))
    return; // every row sees all
  for (int trial = 0; trial < 30; ++trial) {
    std::vector<int64_t> lasts;
    const GradientCase c = drawCausal(random, GetParam(), lasts);
    GradientCase other = c;
    for (const char *tensor : {"q", "k", "v"})
      for (size_t b = 0; b < c.lengths.size(); ++b)
        other.forEachNumber(tensor, b, lasts[b] + 1, c.lengths[b], [&](double &x) {
          x = std::uniform_real_distribution<double>(-1e4, 1e4)(random.generator);
        });
    Gradients found = gradientsOf(c);
    const Gradients changed = gradientsOf(other);
    for (const char *name : allGradients)
      EXPECT_EQ(found.*gradientTensor(name), changed.*gradientTensor(name)) << name << " of " << c;
    for (const char *tensor : {"q", "k", "v"})
      for (size_t b = 0; b < c.lengths.size(); ++b)
        c.forEachNumber(found.*gradientTensor(std::string("d") + tensor), tensor, b, lasts[b] + 1,
                        c.lengths[b], [&](double &x) { EXPECT_EQ(x, 0) << tensor << " of " << c; });
  }
}

TEST_P(GradientFacts, AreThoseOfTheSequenceCutAfterThem) {
  if (GetParam() == std::string("bidirectional"))
    return;
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<int64_t> lasts;
    const GradientCase c = drawCausal(random, GetParam(), lasts);
    GradientCase cut = c;
    bool isFirstKLost = false; // where n <= k0, rows are served otherwise
    for (size_t b = 0; b < c.lengths.size(); ++b) {
      cut.lengths[b] = lasts[b] + 1;
      isFirstKLost |= c.spec.firstK >= cut.lengths[b] && c.spec.firstK < c.lengths[b];
    }
    const Gradients found = gradientsOf(c);
    const Gradients shorter = gradientsOf(cut);
    for (const char *name : allGradients)
      if (!isFirstKLost)
        EXPECT_EQ(found.*gradientTensor(name), shorter.*gradientTensor(name))
            << name << " of " << c;
  }
}

TEST_P(GradientFacts, AreLinearInTheOutputsGradient) {
  const GradientCase c = drawCase(random, GetParam());
  GradientCase scaled = c;
  for (double &x : scaled.tensors["dout"])
    x *= -8;
  const Gradients found = gradientsOf(c);
  const Gradients other = gradientsOf(scaled);
  for (const char *name : allGradients) {
    std::vector<double> expected = found.*gradientTensor(name);
    for (double &x : expected)
      x *= -8;
    EXPECT_EQ(other.*gradientTensor(name), expected) << name << " of " << c;
  }
}

// O is linear in V and has rows of weights that sum to 1, but for A+ and taps.
TEST_P(GradientFacts, OfValuesAreTheTransposedWeights) {
  GradientCase c = drawCase(random, GetParam());
  SCOPED_TRACE(testing::PrintToString(c));
  const Result<std::vector<double>> o = compute(c.input());
  ASSERT_TRUE(o.ok()) << o.error().message;
  const Gradients found = gradientsOf(c);
  double forth = 0;
  double back = 0;
  double size = 1e-30;
  for (size_t b = 0; b < c.lengths.size(); ++b) {
    std::vector<double> out = *o;
    std::vector<double> dv = found.v;
    std::vector<double> products;
    c.forEachNumber(out, "q", b, 0, c.lengths[b], [&](double &x) { products.push_back(x); });
    size_t at = 0;
    c.forEachNumber("dout", b, 0, c.lengths[b], [&](double &x) {
      forth += x * products[at];
      size += std::abs(x * products[at++]);
    });
    products.clear(), at = 0;
    c.forEachNumber(dv, "v", b, 0, c.lengths[b], [&](double &x) { products.push_back(x); });
    c.forEachNumber("v", b, 0, c.lengths[b], [&](double &x) { back += x * products[at++]; });
  }
  EXPECT_NEAR(forth / size, back / size, 1e-11);
}

TEST_P(GradientFacts, ComeWithTheNormOfTheOutputsGradient) {
  GradientCase c = drawCase(random, GetParam());
  std::vector<double> inside;
  for (size_t b = 0; b < c.lengths.size(); ++b)
    c.forEachNumber("dout", b, 0, c.lengths[b], [&](double &x) { inside.push_back(x); });
  EXPECT_NEAR(gradientsOf(c).doutNorm, norm(inside), 1e-12 * norm(inside)) << c;
}

TEST_P(GradientFacts, OfQueriesAndKeysAreZeroForConstantValues) {
  const std::string name = GetParam();
  if (name == "bidirectional" || name == "prefix_lm" || name == "scan")
    return; // A+ is no exact inverse
  GradientCase c = drawCase(random, name);
  SCOPED_TRACE(testing::PrintToString(c));
  for (double &x : c.tensors["v"])
    x = std::isnan(x) ? x : 3;
  const Gradients found = gradientsOf(c);
  for (const char *gradient : {"dq", "dk", "dlandmark_q"}) {
    const std::vector<double> zeros((found.*gradientTensor(gradient)).size());
    EXPECT_LE(gradientError(found.*gradientTensor(gradient), zeros, found.doutNorm), 1e-10)
        << gradient;
  }
}

TEST_P(GradientFacts, OfASharedKeyHeadAreTheSumOverItsQueryHeads) {
  GradientCase c = drawCase(random, GetParam());
  SCOPED_TRACE(testing::PrintToString(c));
  GradientCase repeated = c; // one key head for each query head
  repeated.keyHeads = c.queryHeads;
  repeated.fill(random);
  repeated.tensors = c.tensors;
  const int64_t group = c.queryHeads / c.keyHeads;
  const int64_t learned = learnedQueries(c.spec) * c.spec.headDim;
  const auto forEachRow = [&](auto visit) { // offsets of the same row in both
    for (size_t b = 0; b < c.lengths.size(); ++b)
      for (int64_t h = 0; h < c.queryHeads; ++h)
        for (int64_t t = 0; t < c.lengths[b]; ++t)
          visit(c.rowOf(b, h / group, c.keyHeads, t), repeated.rowOf(b, h, c.queryHeads, t));
  };
  for (const char *name : {"k", "v"}) {
    repeated.tensors[name].assign(c.tensors[name].size() * size_t(group), NAN);
    forEachRow([&](size_t own, size_t other) {
      std::copy_n(&c.tensors[name][own], c.spec.headDim, &repeated.tensors[name][other]);
    });
  }
  if (auto landmarks = c.tensors.find("landmark_k"); landmarks != c.tensors.end()) {
    repeated.tensors["landmark_k"].clear();
    for (int64_t h = 0; h < c.queryHeads; ++h)
      std::copy_n(&landmarks->second[size_t(h / group * learned)], learned,
                  std::back_inserter(repeated.tensors["landmark_k"]));
  }
  const Gradients found = gradientsOf(c);
  Gradients sums = gradientsOf(repeated);
  for (std::vector<double> Gradients::*of : {&Gradients::k, &Gradients::v}) {
    std::vector<double> sum((found.*of).size());
    forEachRow(
        [&](size_t own, size_t other) { addTo(&sum[own], 1, &(sums.*of)[other], c.spec.headDim); });
    sums.*of = sum;
  }
  std::vector<double> sum(found.landmarkK.size());
  for (size_t i = 0; i < sums.landmarkK.size(); ++i)
    sum[i / size_t(learned) / size_t(group) * size_t(learned) + i % size_t(learned)] +=
        sums.landmarkK[i];
  sums.landmarkK = sum;
  expectNear(found, sums, 1e-13);
}

/// Sequence b of a tensor like q or k, by itself.
std::vector<double> rowsOf(const GradientCase &c, const std::vector<double> &from,
                           const std::string &tensor, size_t b) {
  std::vector<double> rows;
  std::vector<double> numbers = from;
  c.forEachNumber(numbers, tensor, b, 0, c.lengths[b], [&](double &x) { rows.push_back(x); });
  return rows;
}

TEST_P(GradientFacts, AreThoseOfEachSequenceAlone) {
  const GradientCase c = drawCase(random, GetParam());
  SCOPED_TRACE(testing::PrintToString(c));
  Gradients found = gradientsOf(c);
  Gradients sums;
  for (size_t b = 0; b < c.lengths.size(); ++b) {
    GradientCase one = c;
    one.form = "dense";
    one.batch = 1;
    one.length = c.lengths[b];
    one.starts = {0};
    one.lengths = {c.lengths[b]};
    if (!c.sourceLengths.empty())
      one.sourceLengths = {c.sourceLengths[b]};
    for (const char *tensor : {"q", "k", "v", "dout"})
      one.tensors[tensor] = rowsOf(c, c.tensors.at(tensor), tensor, b);
    const Gradients own = gradientsOf(one);
    for (const char *tensor : {"q", "k", "v"}) {
      const auto of = gradientTensor(std::string("d") + tensor);
      EXPECT_EQ(rowsOf(c, found.*of, tensor, b), own.*of) << tensor << b;
      c.forEachNumber(found.*of, tensor, b, 0, c.lengths[b], [](double &x) { x = 0; });
    }
    for (const char *name : {"dlandmark_q", "dlandmark_k", "dconv"}) {
      const auto of = gradientTensor(name);
      (sums.*of).resize((own.*of).size());
      addTo((sums.*of).data(), 1, (own.*of).data(), int64_t((own.*of).size()));
    }
  }
  sums.q.resize(found.q.size()), sums.k.resize(found.k.size()), sums.v.resize(found.v.size());
  sums.doutNorm = found.doutNorm;
  expectNear(found, sums, 1e-13); // q, k and v: nothing is left outside the sequences
}

TEST(GradientFacts, AreExactAttentionsWhereTheLayoutIsExact) {
  Seeded random;
  for (const std::string name : {"causal", "probes"})
    for (const auto &[segmentLen, window] : {std::pair(1, 0), {11, 2}, {1, 2}}) {
      KernelSpec spec = drawSpec(random, name);
      spec.landmarks = 100;
      spec.stabilizer = 0.25; // the plain solve grows with the number of landmarks
      spec.segmentLen = segmentLen;
      spec.window = window;
      spec.landmarkSpacing = LandmarkSpacing::Uniform; // s = 1 alone is exact with no other
      const GradientCase c = oneHead(random, spec, 33);
      SCOPED_TRACE(testing::PrintToString(c));
      GradientCase exact = c;
      exact.spec.layout = Layout::ExactCausal;
      exact.spec.landmarkSource = LandmarkSource::SegmentMean;
      exact.tensors.erase("landmark_q");
      Gradients expected = gradientsOf(exact);
      expected.landmarkQ = std::vector<double>(gradientsOf(c).landmarkQ.size());
      expectNear(gradientsOf(c), expected, 1e-11);
    }
}

TEST(GradientFacts, OfPrefixLmAreBidirectionalsOrCausalsAtItsEnds) {
  Seeded random;
  KernelSpec spec = drawSpec(random, "prefix_lm");
  spec.convKernel = 0;
  GradientCase c = oneHead(random, spec, 37);
  SCOPED_TRACE(testing::PrintToString(c));
  for (const auto &[layout, source] :
       {std::pair(Layout::Bidirectional, c.length), {Layout::Causal, int64_t(0)}}) {
    c.sourceLengths = {source};
    GradientCase other = c;
    other.spec.layout = layout;
    other.sourceLengths.clear();
    expectNear(gradientsOf(c), gradientsOf(other), 1e-12);
  }
}

// A slow walk, as the bound of U is tested with.
TEST(GradientFacts, OfTheSolveStayWithinTheirBound) {
  Seeded random;
  std::normal_distribution<double> normal;
  Head head{Matrix(512, 16), Matrix(512, 16), Matrix(512, 16), 0.25};
  const KernelSpec spec;
  for (Matrix *m : {&head.q, &head.k, &head.v})
    for (int64_t t = 0; t < 512; ++t)
      for (int64_t e = 0; e < 16; ++e)
        (*m)(t, e) = 0.3 * normal(random.generator) + (t > 0 ? (*m)(t - 1, e) : 0);
  const Landmarks landmarks = makeLandmarks(head, 0, 512, 8, false, LandmarkWeight::Count);
  const SolvedValues solved = solveValues(head, landmarks, Matrix(), 0.25);
  Matrix du(64, 16);
  for (double &x : du.values)
    x = normal(random.generator);
  Matrix y = du;
  LandmarkGradients d(landmarks);
  HeadGradient out({head, spec});
  addSolveGradient(head, landmarks, solved, 0, 0.25, y, d, out);
  for (int64_t e = 0; e < 16; ++e) {
    double before = 0;
    double after = 0;
    for (int64_t g = 0; g < 64; ++g) {
      before += std::abs(du(g, e));
      after += std::abs(y(g, e));
    }
    EXPECT_LE(after, (3 + std::sqrt(5.0)) / 2 * before);
    EXPECT_NE(after, before);
  }
}

TEST(GradientFacts, OfASinglePositionAreItsValues) {
  Seeded random;
  KernelSpec spec;
  spec.layout = Layout::ExactCausal;
  spec.headDim = 4;
  const GradientCase c = oneHead(random, spec, 1);
  const Gradients found = gradientsOf(c);
  EXPECT_EQ(found.q, std::vector<double>(4));
  EXPECT_EQ(found.k, std::vector<double>(4));
  EXPECT_EQ(found.v, c.tensors.at("dout"));
}

// Two positions, one number each: P = softmax(0, x), x = q_1 (k_1 - k_0), O_1 = v_0 + P (v_1 -
// v_0).
TEST(GradientFacts, OfTwoPositionsAreTheFormulas) {
  Seeded random;
  KernelSpec spec;
  spec.layout = Layout::ExactCausal;
  spec.headDim = 1;
  GradientCase c = oneHead(random, spec, 2);
  c.scale = 1;
  c.tensors = {{"q", {9, std::log(3.0)}}, {"k", {0, 1}}, {"v", {2, 6}}, {"dout", {10, 100}}};
  const Gradients found = gradientsOf(c);
  const double dx = 0.75 * 0.25 * (6 - 2) * 100; // P = 3/4
  EXPECT_DOUBLE_EQ(found.q[0], 0);
  EXPECT_DOUBLE_EQ(found.q[1], dx);
  EXPECT_DOUBLE_EQ(found.k[0], -dx * std::log(3.0));
  EXPECT_DOUBLE_EQ(found.k[1], dx * std::log(3.0));
  EXPECT_DOUBLE_EQ(found.v[0], 10 + 25);
  EXPECT_DOUBLE_EQ(found.v[1], 75);
}

TEST(GradientFacts, AreRefusedWhereTheOutputIs) {
  Seeded random;
  KernelSpec spec;
  spec.headDim = 4;
  spec.landmarks = 2;
  spec.segmentLen = 4;
  const GradientCase c = oneHead(random, spec, 9);
  const Result<Gradients> found = gradients(c.input());
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().expected, "a length of at most landmarks * segment_len = 8 positions");
}

} // namespace

// The float64 reference against the golden cases and against facts of the mathematics.
#include "runtime/spec/tensor_table.h"
#include "tests/reference/golden.h"

#include <random>

using namespace nysjit;
using namespace nysjit::reference;

namespace {

/// Random heads; the seed is printed with every failure through SCOPED_TRACE.
struct RandomHead {
  explicit RandomHead(int64_t n, int64_t d, double spread = 1)
      : seed(std::random_device{}()), generator(seed) {
    std::normal_distribution<double> normal(0, spread);
    head = {Matrix(n, d), Matrix(n, d), Matrix(n, d), 1 / std::sqrt(double(d))};
    for (Matrix *m : {&head.q, &head.k, &head.v})
      for (double &value : m->values)
        value = normal(generator);
  }
  unsigned seed;
  std::mt19937 generator;
  Head head;
};
#define TRACE_SEED(random) SCOPED_TRACE("seed " + std::to_string((random).seed))

KernelSpec causalSpec(int window = 0) {
  KernelSpec spec;
  spec.layout = Layout::Causal;
  spec.landmarks = 1024;
  spec.window = window;
  return spec;
}

void expectNear(const Matrix &a, const Matrix &b, double bound) {
  ASSERT_EQ(a.values.size(), b.values.size());
  EXPECT_LE(golden::relativeError(a.values, b.values), bound);
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, MatchesReference) {
  const golden::Case c = golden::load(GetParam());
  std::map<std::string, std::vector<double>> storage;
  auto o = compute(golden::inputOf(c, storage));
  ASSERT_TRUE(o.ok()) << o.error().message;
  // o.npy is float32: half an ulp of it is 6e-8. Padding (NaN in q, k, v) comes back as 0.
  EXPECT_LE(golden::relativeError(*o, c.arrays.at("o").toDouble()), 2e-7);
}
INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(golden::names()), [](const auto &info) {
  std::string s = info.param;
  std::replace(s.begin(), s.end(), '-', '_');
  return s;
});

TEST(Sequences, OneThatStartsLaterIsItsRowsAlone) {
  // Two sequences of one head, d 2: rows 3 to 7 of the first, 0 to 4 of the second.
  constexpr int64_t rows = 8;
  constexpr int64_t d = 2;
  const RandomHead random(2 * rows, d);
  TRACE_SEED(random);
  ReferenceInput input;
  input.spec = causalSpec();
  input.spec.headDim = d;
  input.spec.segmentLen = 2;
  input.scale = 0.7;
  input.batch = 2;
  input.queryHeads = input.keyHeads = 1;
  input.length = rows;
  input.q = random.head.q.values.data();
  input.k = random.head.k.values.data();
  input.v = random.head.v.values.data();
  input.starts = {3, 0};
  input.lengths = {4, 5};
  const Result<std::vector<double>> both = compute(input);
  ASSERT_TRUE(both.ok()) << both.error().message;
  for (int64_t b = 0; b < 2; ++b) {
    const int64_t first = b * rows + input.starts[size_t(b)];
    const int64_t length = input.lengths[size_t(b)];
    ReferenceInput alone = input;
    alone.batch = 1;
    alone.length = length;
    alone.starts = alone.lengths = {};
    for (auto member : {&ReferenceInput::q, &ReferenceInput::k, &ReferenceInput::v})
      alone.*member += first * d;
    const Result<std::vector<double>> own = compute(alone);
    ASSERT_TRUE(own.ok()) << own.error().message;
    for (int64_t i = 0; i < rows * d; ++i) {
      const int64_t row = i / d - input.starts[size_t(b)];
      const bool isIts = row >= 0 && row < length;
      EXPECT_EQ((*both)[size_t(b * rows * d + i)], isIts ? (*own)[size_t(row * d + i % d)] : 0.0);
    }
  }
}

TEST(Tensors, EveryFloatingInputHasItsMember) {
  for (const TensorRow &row : tensorTable())
    EXPECT_EQ(inputTensor(row.name) != nullptr,
              row.role == TensorRole::Input && row.element == TensorElement::SpecDtype)
        << row.name;
}

TEST(Causal, SegmentLengthOneIsExact) {
  RandomHead random(40, 8);
  TRACE_SEED(random);
  expectNear(causal({random.head, causalSpec(), 1}), exactCausal({random.head, causalSpec()}),
             1e-12);
}

TEST(Causal, WindowOverEverythingIsExact) {
  RandomHead random(33, 8);
  TRACE_SEED(random);
  expectNear(causal({random.head, causalSpec(2), 11}), exactCausal({random.head, causalSpec()}),
             1e-12);
}

TEST(Causal, ConstantValueComesBack) {
  RandomHead random(50, 8);
  TRACE_SEED(random);
  std::fill(random.head.v.values.begin(), random.head.v.values.end(), 3.0);
  const Matrix o = causal({random.head, causalSpec(), 7});
  for (double value : o.values)
    EXPECT_NEAR(value, 3.0, 1e-12);
}

TEST(Causal, EqualScoresGiveTheRunningMean) {
  RandomHead random(50, 8);
  TRACE_SEED(random);
  std::fill(random.head.k.values.begin(), random.head.k.values.end(), 0.5);
  const Matrix o = causal({random.head, causalSpec(), 7});
  double sum = 0;
  for (int64_t i = 0; i < 50; ++i) {
    sum += random.head.v(i, 3);
    EXPECT_NEAR(o(i, 3), sum / double(i + 1), 1e-12) << i;
  }
}

TEST(Causal, LaterPositionsDoNotMatter) {
  RandomHead random(60, 8);
  TRACE_SEED(random);
  const Matrix before = causal({random.head, causalSpec(1), 8});
  for (int64_t t = 31; t < 60; ++t)
    for (Matrix *m : {&random.head.q, &random.head.k, &random.head.v})
      for (int64_t e = 0; e < 8; ++e)
        (*m)(t, e) = 1e4;
  const Matrix after = causal({random.head, causalSpec(1), 8});
  for (int64_t i = 0; i <= 30; ++i)
    for (int64_t e = 0; e < 8; ++e)
      EXPECT_EQ(before(i, e), after(i, e)) << i;
}

TEST(Landmarks, TangentIsNeverAboveTheMassAndTouchesItAtTheMeanQuery) {
  RandomHead random(24, 8, 2);
  TRACE_SEED(random);
  const Landmarks landmarks = makeLandmarks(random.head, 0, 24, 8, false, LandmarkWeight::Tangent);
  auto mass = [&](const double *query, int64_t j) {
    double sum = 0;
    for (int64_t t = j * 8; t < j * 8 + 8; ++t)
      sum += std::exp(random.head.scale * dot(query, random.head.k.row(t), 8));
    return sum;
  };
  auto tangent = [&](const double *query, int64_t j) {
    return std::exp(random.head.scale * dot(query, landmarks.khat.row(j), 8) +
                    landmarks.c[size_t(j)]);
  };
  for (int64_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(tangent(landmarks.qtilde.row(j), j) / mass(landmarks.qtilde.row(j), j), 1, 1e-12);
    for (int64_t i = 0; i < 24; ++i)
      EXPECT_LE(tangent(random.head.q.row(i), j), mass(random.head.q.row(i), j) * (1 + 1e-12));
  }
}

TEST(Landmarks, SolveStaysWithinItsBound) {
  // A slow walk under sharp scores: the plain solve explodes here, the stabilized one stays below
  // (2 + sqrt 5) max |v|.
  RandomHead random(512, 16, 1);
  TRACE_SEED(random);
  for (Matrix *m : {&random.head.q, &random.head.k})
    for (int64_t t = 1; t < 512; ++t)
      for (int64_t e = 0; e < 16; ++e)
        (*m)(t, e) = (*m)(t - 1, e) + 0.3 * (*m)(t, e);
  double largest = 0;
  for (double value : random.head.v.values)
    largest = std::max(largest, std::abs(value));
  const Matrix o = segmentCausal({random.head, causalSpec(), 8}); // rows of F U: no larger than U
  for (double value : o.values)
    EXPECT_LE(std::abs(value), (2 + std::sqrt(5.0)) * largest);
}

TEST(PrefixLm, AllSourceIsBidirectionalAndNoneIsCausal) {
  RandomHead random(45, 8);
  TRACE_SEED(random);
  KernelSpec spec = causalSpec();
  spec.layout = Layout::PrefixLm;
  expectNear(prefixLm({random.head, spec, 8, 45}), bidirectional({random.head, spec, 8}), 1e-14);
  expectNear(prefixLm({random.head, spec, 8, 0}), causal({random.head, spec, 8}), 1e-14);
}

TEST(Compute, RefusesMorePositionsThanLandmarksHold) {
  std::vector<double> zeros(16 * 9, 0.0);
  ReferenceInput input{causalSpec(), 1,           1, 1, 1, 9, false, zeros.data(),
                       zeros.data(), zeros.data()};
  input.spec.headDim = 16;
  input.spec.landmarks = 2;
  input.spec.segmentLen = 4;
  auto o = compute(input);
  ASSERT_FALSE(o.ok());
  EXPECT_EQ(o.error().expected, "a length of at most landmarks * segment_len = 8 positions");
  EXPECT_EQ(o.error().found, "9");
}

} // namespace

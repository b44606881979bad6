// Facts of the mathematics, bit for bit where it says so, on random inputs.
#include "tests/conformance/conformance.h"
#include "tests/conformance/specs.h"

#include <algorithm>
#include <nlohmann/json.hpp>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

class Property : public testing::TestWithParam<std::string> {
protected:
  Property() : device(GetParam()) {}
  Seeded random;
  Device device;
};
INSTANTIATE_TEST_SUITE_P(Targets, Property, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

/// The first `length` positions of the inputs.
Inputs prefix(const Inputs &in, int64_t length) {
  Inputs cut = in;
  cut.length = length;
  for (auto [from, to, heads] : {std::tuple(&in.q, &cut.q, in.queryHeads),
                                 {&in.k, &cut.k, in.keyHeads},
                                 {&in.v, &cut.v, in.keyHeads}}) {
    to->clear();
    for (int64_t row = 0; row < in.batch * heads; ++row)
      to->insert(to->end(), from->begin() + row * in.length * in.headDim,
                 from->begin() + (row * in.length + length) * in.headDim);
  }
  return cut;
}

/// The same number; the plain solve may overflow to NaNs.
bool isSame(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

TEST_P(Property, LaterPositionsChangeNoBit) {
  for (const char *layout : {causalSpec, plainSolveSpec, streamingSpec, exactSpec})
    for (const std::string math : {"float32", "tf32", "float16", "bfloat16"}) {
      const std::string spec = inDtype(layout, math);
      const std::string dtype = math == "tf32" ? "float32" : math;
      Inputs in = randomInputs(random.generator, 1, 2, 1, 300, 32, dtype);
      const std::vector<double> before = device.run(spec, in, dtype);
      const int64_t last = random.between(0, 298);
      std::uniform_real_distribution<double> large(-1e4, 1e4);
      for (int64_t t = last + 1; t < 300; ++t)
        for (int64_t e = 0; e < 32; ++e) {
          in.k[in.index(0, 0, t, e, 1)] = rounded(large(random.generator), dtype);
          in.v[in.index(0, 0, t, e, 1)] = rounded(large(random.generator), dtype);
          for (int64_t h = 0; h < 2; ++h)
            in.q[in.index(0, h, t, e, 2)] = rounded(large(random.generator), dtype);
        }
      const std::vector<double> after = device.run(spec, in, dtype);
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t i = 0; i <= last; ++i)
          for (int64_t e = 0; e < 32; ++e)
            ASSERT_PRED2(isSame, before[in.index(0, h, i, e, 2)], after[in.index(0, h, i, e, 2)])
                << spec << " position " << i << ", changed from " << last + 1;
    }
}

TEST_P(Property, OutputAtAPositionDoesNotDependOnTheLength) {
  for (const auto &[layout, dtype] : {std::pair(causalSpec, "float32"),
                                      {streamingSpec, "float32"},
                                      {exactSpec, "float32"},
                                      {causalSpec, "bfloat16"},
                                      {exactSpec, "float16"},
                                      {prefixSpec, "float32"}}) {
    const std::string spec = inDtype(layout, dtype);
    Inputs whole = randomInputs(random.generator, 1, 2, 2, 333, 32, dtype);
    if (layout == prefixSpec)
      whole.sourceLen = {1}; // of the shortest
    const std::vector<double> all = device.run(spec, whole, dtype);
    for (int64_t length :
         {int64_t(1), random.between(2, 332), int64_t(64), int64_t(128), int64_t(300)}) {
      const Inputs cut = prefix(whole, length);
      const std::vector<double> some = device.run(spec, cut, dtype);
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t i = 0; i < length; ++i)
          for (int64_t e = 0; e < 32; ++e)
            ASSERT_EQ(all[whole.index(0, h, i, e, 2)], some[cut.index(0, h, i, e, 2)])
                << spec << " position " << i << " of " << length;
    }
  }
}

TEST_P(Property, SegmentLengthOneAndFullWindowsAreExact) {
  const Inputs in = randomInputs(random.generator, 1, 1, 1, 150, 32);
  const std::vector<double> exact = expected(exactSpec, in);
  for (const char *spec : {R"({"layout": "causal", "head_dim": 32, "landmarks": 150, )"
                           R"("segment_len": 1})",
                           R"({"layout": "causal", "head_dim": 32, "landmarks": 5, )"
                           R"("segment_len": 50, "window": 2})",
                           R"({"layout": "causal", "head_dim": 32, "landmarks": 4, )"
                           R"("segment_len": 200})",
                           R"({"layout": "causal", "head_dim": 32, "landmarks": 1})",
                           R"({"layout": "segment_causal", "head_dim": 32, )"
                           R"("landmarks": 150, "segment_len": 1})"})
    EXPECT_LE(relativeError(device.run(spec, in), exact), 1e-5) << spec;
}

TEST_P(Property, EqualScoresGiveTheRunningMean) {
  Inputs in = randomInputs(random.generator, 1, 1, 1, 200, 32);
  std::fill(in.k.begin(), in.k.end(), 0.25);
  for (const char *spec : {causalSpec, streamingSpec, exactSpec}) {
    const std::vector<double> o = device.run(spec, in);
    double sum = 0;
    for (int64_t i = 0; i < 200; ++i) {
      sum += in.v[in.index(0, 0, i, 5, 1)];
      ASSERT_NEAR(o[in.index(0, 0, i, 5, 1)], sum / double(i + 1), 2e-6)
          << spec << " position " << i;
    }
  }
}

TEST_P(Property, ConstantValueComesBack) {
  Inputs in = randomInputs(random.generator, 1, 1, 1, 200, 32, "float32", 3);
  std::fill(in.v.begin(), in.v.end(), -2.5);
  for (const char *spec : {causalSpec, streamingSpec, exactSpec, segmentSpec})
    for (double value : device.run(spec, in))
      ASSERT_NEAR(value, -2.5, 1e-5) << spec;
}

/// Equal numbers are all rounded the same way: in one sum from the first to the last, 8192 of them
/// would be 4e-5 off.
TEST_P(Property, ManyEqualRowsComeBack) {
  const int64_t length = device.gpu ? 700 : 8192;
  Inputs in = randomInputs(random.generator, 1, 1, 1, length, 32);
  std::fill(in.k.begin(), in.k.end(), 0.25);
  for (size_t i = 32; i < in.v.size(); ++i)
    in.v[i] = in.v[i - 32];
  for (const std::string rest :
       {R"("layout": "exact_causal")", R"("layout": "causal", "landmarks": 2)",
        R"("layout": "causal", "landmarks": 2, "landmark_value": "streaming")",
        R"("layout": "segment_causal", "landmarks": 2)"}) {
    const std::string spec = R"({"head_dim": 32, )" + rest + "}";
    EXPECT_LE(relativeError(device.run(spec, in), in.v), 1e-5) << spec;
  }
}

TEST_P(Property, AllSourceIsBidirectionalAndNoSourceIsCausal) {
  for (const std::string dtype : {"float32", "float16"}) {
    Inputs in = randomInputs(random.generator, 2, 2, 1, 300, 32, dtype);
    Inputs prefixed = in;
    const std::string noWindow = R"({"layout": "causal", "head_dim": 32, "landmarks": 32, )"
                                 R"("segment_len": 12})";
    prefixed.sourceLen = {300, 300};
    EXPECT_LE(relativeError(device.run(inDtype(prefixSpec, dtype), prefixed, dtype),
                            device.run(inDtype(bidirectionalSpec, dtype), in, dtype)),
              bound(dtype) / 5);
    prefixed.sourceLen = {0, 0};
    EXPECT_LE(relativeError(device.run(inDtype(prefixSpec, dtype), prefixed, dtype),
                            device.run(inDtype(noWindow, dtype), in, dtype)),
              bound(dtype) / 5);
  }
}

TEST_P(Property, OutputsAreLinearInTheValues) {
  for (const char *spec :
       {causalSpec, streamingSpec, exactSpec, bidirectionalSpec, segmentSpec, prefixSpec}) {
    Inputs in = randomInputs(random.generator, 1, 2, 1, 250, 32);
    Inputs scaled = in;
    Inputs other = in;
    if (spec == prefixSpec)
      in.sourceLen = scaled.sourceLen = other.sourceLen = {130};
    const std::vector<double> o = device.run(spec, in);
    for (double &x : scaled.v)
      x *= 4;
    for (double &x : other.v)
      x = 3 * x + 1;
    std::vector<double> four = device.run(spec, scaled);
    std::vector<double> sum = device.run(spec, other);
    for (size_t i = 0; i < o.size(); ++i)
      ASSERT_EQ(four[i], 4 * o[i]) << spec; // a power of two: every bit
    std::fill(in.v.begin(), in.v.end(), 1);
    const std::vector<double> ones = device.run(spec, in);
    for (size_t i = 0; i < o.size(); ++i)
      sum[i] -= 3 * o[i];
    EXPECT_LE(relativeError(sum, ones), 2e-5) << spec;
  }
}

TEST_P(Property, TheSameBitsWhateverTheThreadsBatchAndStrides) {
  Inputs in = randomInputs(random.generator, 3, 4, 2, 170, 32);
  for (const char *spec : {causalSpec, exactSpec, bidirectionalSpec, segmentSpec, prefixSpec}) {
    in.sourceLen = spec == prefixSpec ? std::vector<int64_t>{0, 70, 170} : std::vector<int64_t>();
    const std::vector<double> o = device.run(spec, in);
    EXPECT_EQ(o, device.run(spec, in)) << "run twice";
    Device alone(GetParam(), 1);
    EXPECT_EQ(o, alone.run(spec, in)) << "one thread";
    Inputs swapped = in;
    swapped.swapHeads = true;
    EXPECT_EQ(o, device.run(spec, swapped)) << "[B, n, H, d]";
    swapped.padding = 1;
    EXPECT_EQ(o, device.run(spec, swapped)) << "rows not at 16 bytes";
    Inputs second = in; // batch element 1 by itself
    second.batch = 1;
    if (spec == prefixSpec)
      second.sourceLen = {70};
    auto part = [&](const std::vector<double> &x) {
      return std::vector<double>(x.begin() + ptrdiff_t(x.size() / 3),
                                 x.begin() + ptrdiff_t(x.size() / 3 * 2));
    };
    second.q = part(in.q);
    second.k = part(in.k);
    second.v = part(in.v);
    EXPECT_EQ(part(o), device.run(spec, second)) << "batch of one";
  }
}

TEST_P(Property, ANaNStaysInItsSequenceAndHead) {
  Inputs in = randomInputs(random.generator, 2, 4, 2, 100, 32);
  for (const char *spec : {causalSpec, exactSpec, bidirectionalSpec, segmentSpec, prefixSpec}) {
    in.sourceLen = spec == prefixSpec ? std::vector<int64_t>{60, 15} : std::vector<int64_t>();
    Inputs broken = in;
    // batch element 1, key head 0: query heads 0 and 1 of it
    broken.k[in.index(1, 0, 10, 3, 2)] = NAN;
    broken.v[in.index(1, 0, 20, 3, 2)] = INFINITY;
    const std::vector<double> right = device.run(spec, in);
    const std::vector<double> o = device.run(spec, broken);
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t h = 0; h < 4; ++h)
        for (int64_t i = 0; i < (b == 1 && h < 2 ? 0 : 100); ++i)
          ASSERT_EQ(right[in.index(b, h, i, 0, 4)], o[in.index(b, h, i, 0, 4)])
              << b << ", " << h << ", " << i;
  }
}

TEST_P(Property, OutputsAreFiniteForHugeScores) {
  const char *const manyLandmarks = R"({"layout": "causal", "head_dim": 40, )"
                                    R"("landmarks": 400, "segment_len": 3})";
  for (double spread : {1e3, 1e10, 3e13}) { // |scores| to 1e6, 1e20, 1e28
    for (const char *spec : {causalSpec, streamingSpec, exactSpec, manyLandmarks, bidirectionalSpec,
                             segmentSpec, prefixSpec}) {
      Inputs in = randomInputs(random.generator, 1, 1, 1, random.between(100, 384),
                               spec == manyLandmarks ? 40 : 32, "float32", spread);
      if (spec == prefixSpec)
        in.sourceLen = {random.between(0, in.length)};
      for (double value : device.run(spec, in))
        ASSERT_TRUE(std::isfinite(value)) << spec << " spread " << spread;
    }
  }
}

TEST_P(Property, LandmarkValuesAreBoundedForHugeScores) {
  for (double scale : {1e6, 1e11, 1e13, 1e28}) // |U| <= (2 + sqrt 5) max |v|, whatever the scores
    for (const std::string dtype : {"float32", "float16", "bfloat16"})
      for (const char *spec : {R"({"layout": "segment_causal", "head_dim": 16, )"
                               R"("landmarks": 40, "segment_len": 5})",
                               R"({"layout": "causal", "head_dim": 16, "landmarks": 40, )"
                               R"("segment_len": 5})"}) {
        Inputs in = randomInputs(random.generator, 1, 1, 1, 200, 16, dtype);
        in.scale = scale / 16;
        double largest = 0;
        for (double value : in.v)
          largest = std::max(largest, std::fabs(value));
        for (double value : device.run(inDtype(spec, dtype), in, dtype))
          ASSERT_LE(std::fabs(value), (2 + std::sqrt(5)) * largest)
              << spec << dtype << " scale " << scale;
      }
}

/// Segments of whole tiles: a landmark's sums begin anew where its own segment does, in whichever
/// part of the past it lies.
TEST_P(Property, OwnValuesAreSummedWithThePast) {
  for (const char *layout : {"causal", "segment_causal", "prefix_lm"}) {
    // its split is source_past's, and the target's parts begin at n1
    const bool hasSource = std::string(layout) == "prefix_lm";
    for (const int split : {0, 256}) {
      const nlohmann::json config = {{hasSource ? "source_past" : "landmark_target",
                                      {{"block_m", 16}, {"block_n", 16}, {"split", split}}}};
      nlohmann::json whole = config;
      if (split)
        whole["landmark_past"] = {{"block_m", 32}, {"block_n", 16}};
      // at 1e6 landmarks' values are their pools
      const double stabilizer = random.oneOf<double>({0.25, 1e6});
      const nlohmann::json spec = {{"layout", layout},
                                   {"head_dim", 32},
                                   {"landmarks", 40},
                                   {"segment_len", random.oneOf<int>({16, 32, 128})},
                                   {"stabilizer", stabilizer}};
      Device::Program program = device.prepare(spec.dump(), whole.dump());
      ASSERT_TRUE(program);
      for (const int64_t n : {random.between(1, 100), random.between(520, 640)}) {
        Inputs in = randomInputs(random.generator, hasSource ? 4 : 1, 2, 1, n, 32, "float32",
                                 random.oneOf<double>({0.3, hasSource ? 1.0 : 3.0}));
        if (hasSource)
          in.sourceLen = {random.between(0, n), random.between(0, n), random.between(0, n),
                          random.oneOf<int64_t>({0, n, std::min<int64_t>(n, 256)})};
        EXPECT_LE(
            relativeError(device.run(program.get(), in, "float32"), expected(spec.dump(), in)),
            bound("float32"))
            << spec << whole << " n " << n << " n1 " << nlohmann::json(in.sourceLen);
      }
    }
  }
}

TEST_P(Property, SharpScoresStayWithinTheBound) {
  // one weight takes most rows
  Inputs in = randomInputs(random.generator, 1, 2, 2, 250, 32, "float32", 6);
  for (const char *spec :
       {causalSpec, streamingSpec, exactSpec, segmentSpec, bidirectionalSpec, prefixSpec}) {
    in.sourceLen = spec == prefixSpec ? std::vector<int64_t>{100} : std::vector<int64_t>();
    EXPECT_LE(relativeError(device.run(spec, in), expected(spec, in)), 1e-5) << spec;
  }
}

TEST_P(Property, OutputInTheSpecsDtypeIsTheRoundedFloat32) {
  for (const std::string dtype : {"float16", "bfloat16"}) {
    const Inputs in = randomInputs(random.generator, 1, 2, 1, 100, 32, dtype);
    Device::Program program = device.prepare(R"({"layout": "exact_causal", "head_dim": 32, )"
                                             R"("dtype": ")" +
                                             dtype + "\"}");
    const std::vector<double> wide = device.run(program.get(), in, dtype);
    const std::vector<double> narrow = device.run(program.get(), in, dtype, dtype);
    for (size_t i = 0; i < wide.size(); ++i)
      ASSERT_EQ(narrow[i], rounded(wide[i], dtype)) << dtype << " " << i;
  }
}

} // namespace

// Sequences of their own lengths: what is beside a sequence changes no bit of it, and what cannot
// be is refused.
#include "tests/conformance/sequences.h"

#include <climits>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

class Sequences : public testing::TestWithParam<std::string> {
protected:
  Sequences() : device(GetParam()) {}
  Seeded random;
  Device device;
};
INSTANTIATE_TEST_SUITE_P(Targets, Sequences, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

struct Layout {
  const char *spec;
  const char *config = "";
  int64_t taps = 0;
  bool hasSource = false;
};
const Layout exact = {R"({"layout": "exact_causal", "head_dim": 32})"};
const Layout causal = {R"({"layout": "causal", "head_dim": 32, "landmarks": 32, )"
                       R"("segment_len": 12, "window": 1, "conv_kernel": 5})",
                       "", 5};
const Layout causalInParts = {R"({"layout": "causal", "head_dim": 32, "landmarks": 32})",
                              R"({"landmark_target": {"split": 256}})"};
// Segments of whole tiles, whose own values are summed with the past.
const Layout causalTiles = {R"({"layout": "causal", "head_dim": 32, "landmarks": 32, )"
                            R"("segment_len": 16})",
                            R"({"landmark_target": {"block_m": 16, "block_n": 16}})"};
const Layout causalTilesInParts = {R"({"layout": "causal", "head_dim": 32, )"
                                   R"("landmarks": 32, "segment_len": 16})",
                                   R"({"landmark_target": {"split": 256}, )"
                                   R"("landmark_past": {"block_m": 16, "block_n": 16}})"};
const Layout bidirectional = {R"({"layout": "bidirectional", "head_dim": 32, )"
                              R"("landmarks": 40, "segment_len": 10, "conv_kernel": 4})",
                              "", 4};
const Layout segmentCausal = {R"({"layout": "segment_causal", "head_dim": 32, )"
                              R"("landmarks": 32, "segment_len": 12, "conv_kernel": 5})",
                              "", 5};
const Layout prefix = {R"({"layout": "prefix_lm", "head_dim": 32, "landmarks": 33, )"
                       R"("segment_len": 12, "conv_kernel": 5})",
                       "", 5, true};
const Layout prefixInParts = {R"({"layout": "prefix_lm", "head_dim": 32, )"
                              R"("landmarks": 32})",
                              R"({"source_past": {"split": 256}})", 0, true};
// Solves without a stabilizer may overflow.
const Layout causalPlain = {R"({"layout": "causal", "head_dim": 32, "landmarks": 200, )"
                            R"("segment_len": 1, "stabilizer": 0})"};
const Layout prefixPlain = {R"({"layout": "prefix_lm", "head_dim": 32, "landmarks": 60, )"
                            R"("segment_len": 4, "stabilizer": 0})",
                            "", 0, true};
const std::initializer_list<Layout> layouts = {
    exact,         causal,        causalInParts, causalTiles,  causalTilesInParts,
    bidirectional, segmentCausal, prefix,        prefixInParts};

/// `spec` in another dtype.
std::string inDtype(std::string spec, const std::string &dtype) {
  spec.back() = ',';
  return spec + R"("dtype": ")" + dtype + "\"}";
}

TEST_P(Sequences, HaveTheSameBitsAloneAndAmongOthers) {
  for (const Layout &layout : layouts)
    for (const std::string dtype : {"float32", "bfloat16"}) {
      if (dtype == "bfloat16" && layout.taps == 0)
        continue;
      SCOPED_TRACE(inDtype(layout.spec, dtype));
      Device::Program program = device.prepare(inDtype(layout.spec, dtype), layout.config);
      const std::vector<int64_t> lengths = {random.between(1, 60), 0, 290, 131};
      Inputs packed = sequencesIn("packed", random, lengths, dtype, layout.taps);
      Inputs padded = sequencesIn("padded", random, lengths, dtype);
      if (layout.hasSource)
        packed.sourceLen = {1, 0, random.between(1, 289), 131};
      copySequences(packed, padded);
      const std::vector<double> o = device.run(program.get(), packed, dtype);
      const std::vector<double> p = device.run(program.get(), padded, dtype);
      EXPECT_EQ(packed.largestOutside(o), 0);
      EXPECT_EQ(padded.largestOutside(p), 0);
      for (size_t b = 0; b < 4; ++b) {
        const std::vector<double> one = device.run(program.get(), alone(packed, b), dtype);
        EXPECT_TRUE(partOf(o, packed, b, 2) == one) << "packed, sequence " << b;
        EXPECT_TRUE(partOf(p, padded, b, 2) == one) << "padded, sequence " << b;
      }
      packed.maxLength = 301; // more than there are
      EXPECT_EQ(o, device.run(program.get(), packed, dtype)) << "max_length";
    }
}

TEST_P(Sequences, OthersChangeNoBit) {
  for (const Layout &layout : layouts) {
    Device::Program program = device.prepare(layout.spec, layout.config);
    for (const char *form : {"dense", "packed", "padded"}) {
      Inputs in = sequencesIn(form, random, {100, 100, 100}, "float32", layout.taps);
      if (layout.hasSource)
        in.sourceLen = {10, 50, 100};
      const std::vector<double> before = device.run(program.get(), in, "float32");
      change(random, in, 0, 0, 100);
      change(random, in, 2, 0, 100);
      in.fillOutside(INFINITY);
      EXPECT_EQ(firstDifference(before, device.run(program.get(), in, "float32"), in, 1), 100)
          << layout.spec << form;
      in.v[in.rowOf(in.sequences()[0], 0, 99, 1)] = NAN;
      EXPECT_EQ(firstDifference(before, device.run(program.get(), in, "float32"), in, 1), 100)
          << layout.spec << form << ", a NaN";
    }
  }
}

TEST_P(Sequences, LaterPositionsChangeNoBit) {
  for (const std::string dtype : {"float32", "float16"})
    for (const Layout &layout :
         {exact, causal, causalInParts, causalTiles, causalTilesInParts, prefix, prefixInParts}) {
      Device::Program program = device.prepare(inDtype(layout.spec, dtype), layout.config);
      for (const char *form : {"dense", "packed", "padded"}) {
        Inputs in = sequencesIn(form, random, {50, 300}, dtype, layout.taps);
        const int64_t source = layout.hasSource ? random.oneOf<int64_t>({0, 7, 150}) : 0;
        const int64_t first = random.between(std::max<int64_t>(source, 1), 299);
        if (layout.hasSource)
          in.sourceLen = {20, source};
        const std::vector<double> before = device.run(program.get(), in, dtype);
        change(random, in, 1, first, 300, dtype);
        EXPECT_EQ(firstDifference(before, device.run(program.get(), in, dtype), in, 1), first)
            << layout.spec << dtype << " " << form << " source " << source;
      }
    }
}

TEST_P(Sequences, LaterNumbersOfAnySizeChangeNoBit) {
  for (const std::string dtype : {"float32", "float16", "bfloat16"})
    for (const Layout &layout : {exact, causal, causalPlain, causalInParts, causalTiles,
                                 causalTilesInParts, prefix, prefixPlain, prefixInParts}) {
      Device::Program program = device.prepare(inDtype(layout.spec, dtype), layout.config);
      Inputs in = sequencesIn("padded", random, {50, 200}, dtype, layout.taps);
      if (layout.hasSource)
        in.sourceLen = {20, 21};
      const std::vector<double> before = device.run(program.get(), in, dtype);
      const double most = dtype == "float16" ? 65504 : 3.38e38;
      for (const auto &[score, value] :
           {std::pair(20.0, 1.0), {1.0, most}, {dtype == "float16" ? most : 1e19, most}}) {
        Inputs other = in;
        const int64_t first = random.between(22, 199);
        change(random, other, 1, first, 200, dtype, score, value);
        EXPECT_GE(firstDifference(before, device.run(program.get(), other, dtype), in, 1), first)
            << layout.spec << dtype << " q, k " << score << " v " << value;
      }
    }
}

TEST_P(Sequences, SegmentCausalLeaksWithinASegmentOnly) {
  for (const char *form : {"dense", "packed", "padded"}) {
    Inputs in = sequencesIn(form, random, {50, 300}, "float32", 5);
    const std::vector<double> before =
        device.run(device.prepare(segmentCausal.spec).get(), in, "float32");
    const int64_t segment = random.between(0, 24);
    // the last of a segment changes the first of it, and none before
    change(random, in, 1, 12 * segment + 11, 12 * segment + 12);
    EXPECT_EQ(firstDifference(before,
                              device.run(device.prepare(segmentCausal.spec).get(), in, "float32"),
                              in, 1),
              12 * segment)
        << form;
  }
}

TEST_P(Sequences, TheSourceIsSeenByItselfAndTheTarget) {
  Inputs in = sequencesIn("packed", random, {50, 300});
  in.sourceLen = {20, 150};
  Device::Program program = device.prepare(prefixInParts.spec, prefixInParts.config);
  const std::vector<double> before = device.run(program.get(), in, "float32");
  change(random, in, 1, 149, 150);
  const std::vector<double> after = device.run(program.get(), in, "float32");
  EXPECT_EQ(firstDifference(before, after, in, 0), 50);
  EXPECT_EQ(firstDifference(before, after, in, 1), 0);
  for (int64_t t : {0, 149, 150, 299})
    EXPECT_NE(before[in.rowOf(in.sequences()[1], 0, t, 2)],
              after[in.rowOf(in.sequences()[1], 0, t, 2)])
        << t;
}

/// Numbers that no sequences have: on the CPU an error that begins with `where`, and nothing is
/// written. On a GPU, where values are known to the device alone, they reach no memory that is not
/// there.
struct Wrong {
  const char *form;
  const char *where;
  void (*spoil)(Inputs &);
  bool isShape = false; // said by shapes, which are known everywhere
};
const Wrong wrongs[] = {
    {"packed", "cu_seqlens[0]", [](Inputs &in) { in.cuSeqlens[0] = -1; }},
    {"packed", "cu_seqlens[0]", [](Inputs &in) { in.cuSeqlens[0] = INT_MIN; }},
    {"packed", "cu_seqlens[1]", [](Inputs &in) { in.cuSeqlens[1] = 4; }},
    {"packed", "cu_seqlens[1]", [](Inputs &in) { in.cuSeqlens[1] = INT_MIN; }},
    {"packed", "cu_seqlens[3]",
     [](Inputs &in) {
       in.cuSeqlens[3] = in.length + 1;
       in.maxLength = 384;
     }},
    {"packed", "cu_seqlens[3]", [](Inputs &in) { in.cuSeqlens[3] = INT_MAX; }},
    {"packed", "cu_seqlens[2]", [](Inputs &in) { in.maxLength = 99; }}, // sequence 1 has 100
    {"packed", "max_length", [](Inputs &in) { in.maxLength = -1; }, true},
    {"packed", "seqlens", [](Inputs &in) { in.seqlens = {30, 100, 64}; }, true},
    {"padded", "seqlens[1]",
     [](Inputs &in) {
       in.seqlens[1] = in.length + 1;
       in.maxLength = 384;
     }},
    {"padded", "seqlens[1]", [](Inputs &in) { in.seqlens[1] = INT_MAX; }},
    {"padded", "seqlens[1]", [](Inputs &in) { in.maxLength = 99; }},
    {"padded", "seqlens[2]", [](Inputs &in) { in.seqlens[2] = -1; }},
    {"padded", "seqlens[2]", [](Inputs &in) { in.seqlens[2] = INT_MIN; }},
    {"padded", "seq_starts[1]", [](Inputs &in) { in.starts[1] = in.length - 99; }},
    {"padded", "seq_starts[2]", [](Inputs &in) { in.starts[2] = INT_MAX; }},
    {"padded", "seq_starts[2]", [](Inputs &in) { in.starts[2] = -3; }},
    {"padded", "seq_starts[2]", [](Inputs &in) { in.starts[2] = INT_MIN; }},
    {"padded", "seq_starts", [](Inputs &in) { in.starts.pop_back(); }, true},
    {"padded", "seqlens",
     [](Inputs &in) {
       in.starts.pop_back();
       in.seqlens.pop_back();
       in.sourceLen = {0, 0};
     },
     true},
    {"dense", "seq_starts", [](Inputs &in) { in.starts = {0, 0, 0}; }, true},
    {"dense", "max_length", [](Inputs &in) { in.maxLength = 100; }, true},
    {"dense", "q.ndim",
     [](Inputs &in) {
       in.cuSeqlens = {};
       in.packedShape = true;
     },
     true},
    {"dense", "source_len[0]", [](Inputs &in) { in.sourceLen[0] = 101; }},
    {"dense", "source_len[1]", [](Inputs &in) { in.sourceLen[1] = -1; }},
    {"packed", "source_len[0]", [](Inputs &in) { in.sourceLen[0] = 31; }},
    {"padded", "source_len[2]", [](Inputs &in) { in.sourceLen[2] = INT_MAX; }},
    {"padded", "source_len[2]", [](Inputs &in) { in.sourceLen[2] = INT_MIN; }},
    {"padded", "source_len", [](Inputs &in) { in.sourceLen.pop_back(); }, true},
    {"dense", "source_len", [](Inputs &in) { in.sourceLen = {}; }, true},
};

TEST_P(Sequences, WrongNumbersAreRefusedOrReachNothing) {
  Device::Program program = device.prepare(R"({"layout": "prefix_lm", "head_dim": 32, )"
                                           R"("landmarks": 33, "segment_len": 12})");
  for (const Wrong &wrong : wrongs) {
    Inputs in = sequencesIn(wrong.form, random, {30, 100, 64});
    in.sourceLen = {10, 100, 0};
    in.fillOutside(0);
    wrong.spoil(in);
    SCOPED_TRACE(std::string(wrong.form) + " " + wrong.where);
    nysjit_status status = NYSJIT_OK;
    const std::vector<double> o = device.run(program.get(), in, "float32", "float32", &status);
    if (device.gpu && !wrong.isShape) {
      EXPECT_EQ(status, NYSJIT_OK) << nysjit_last_error();
      continue;
    }
    EXPECT_NE(status, NYSJIT_OK);
    EXPECT_TRUE(std::string(nysjit_last_error()).starts_with(wrong.where + std::string(":")))
        << nysjit_last_error();
    EXPECT_TRUE(std::ranges::all_of(o, [](double x) { return std::isnan(x); }))
        << "something was written";
  }
}

TEST_P(Sequences, LongerThanTheLandmarksAreRefused) {
  for (const Layout &layout : {causal, segmentCausal, prefix, bidirectional})
    for (const char *form : {"dense", "packed", "padded"}) {
      Inputs in = sequencesIn(form, random, {3, 401}, "float32", layout.taps);
      if (layout.hasSource)
        in.sourceLen = {0, 401};
      nysjit_status status = NYSJIT_OK;
      device.run(device.prepare(layout.spec).get(), in, "float32", "float32", &status);
      EXPECT_EQ(status, NYSJIT_INVALID_SHAPE) << layout.spec << form;
      EXPECT_NE(std::string(nysjit_last_error()).find("at most landmarks * segment_len"),
                std::string::npos)
          << nysjit_last_error();
    }
}

} // namespace

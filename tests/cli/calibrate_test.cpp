// `nysjit calibrate`: probes that `nysjit run` takes, from files of any layout; errors name the
// flag and the file, and leave nothing behind.
#include "runtime/npy/npy.h"
#include "tests/cli/command.h"

#include <cmath>
#include <cstring>

using namespace nysjit;

namespace {

using Flags = std::vector<std::string>;

class Calibrate : public CommandTest {
protected:
  void SetUp() override {
    CommandTest::SetUp();
    write("learned.json", spec("float32"));
    writeTensor("q2.npy", {3, 2, 7, 16}, 9);
  }
  static std::string spec(const std::string &dtype) {
    return R"({"layout":"causal","head_dim":16,"landmarks":4,"segment_len":4,)"
           R"("landmark_source":"learned","probes":3,"dtype":")" +
           dtype + "\"}";
  }
  /// The probes' file of a call with these flags; expects success.
  std::string probes(const Flags &more, const std::string &specFile = "learned.json") {
    Flags arguments = {"calibrate", specFile, "-o", "probes.npy"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = nysjit(arguments);
    EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
    return read("probes.npy");
  }
  nlohmann::json fail(const Flags &more, const std::string &kind = "invalid_argument",
                      const std::string &specFile = "learned.json") {
    Flags arguments = {"calibrate", specFile};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return expectFailure(arguments, 2, kind);
  }
  /// Writes float32 numbers in the order of the file.
  void writeFloats(const std::string &name, std::vector<int64_t> shape,
                   const std::vector<float> &values) {
    NpyArray array{"float32", std::move(shape), std::string(values.size() * 4, '\0')};
    std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
    write(name, formatNpy(array));
  }
  std::vector<float> floatsOf(const std::string &name) {
    const NpyArray array = *readNpy(folder / name);
    std::vector<float> values(array.bytes.size() / 4);
    std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
    return values;
  }
};

TEST_F(Calibrate, AProbeIsTheMeanOfItsQueries) {
  // head 0: queries around 8, -8 and 0; head 1: all the same
  std::vector<float> q;
  for (int i = 0; i < 12; ++i)
    q.insert(q.end(), 16, float(i % 3 == 0 ? 8 : i % 3 == 1 ? -8 : 0) + float(i % 2));
  q.insert(q.end(), 12 * 16, 2.5f);
  writeFloats("q.npy", {1, 2, 12, 16}, q);
  probes({"--q", "q.npy"});
  const NpyArray found = *readNpy(folder / "probes.npy");
  EXPECT_EQ(found.shape, (std::vector<int64_t>{2, 3, 16}));
  EXPECT_EQ(found.dtype, "float32");
  std::vector<float> first = floatsOf("probes.npy");
  std::vector<float> places = {first[0], first[16], first[32]};
  std::ranges::sort(places);
  EXPECT_EQ(places, (std::vector<float>{-7.5, 0.5, 8.5}));
  EXPECT_EQ(std::vector<float>(first.begin() + 48, first.end()), std::vector<float>(48, 2.5f));
}

TEST_F(Calibrate, WhatItWritesIsARunsLandmarkQ) {
  NYSJIT_NEEDS_COMPILER();
  for (const char *dtype : {"float32", "float16", "bfloat16"}) {
    write("learned.json", spec(dtype));
    probes({"--q", "q.npy", "--q", "q2.npy"});
    const Outcome outcome = run("learned.json", {"--landmark-q", "probes.npy", "--check"});
    EXPECT_EQ(outcome.exitCode, 0) << dtype << outcome.err;
  }
}

TEST_F(Calibrate, TheSameBytesWhateverTheThreads) {
  const std::string one = probes({"--q", "q.npy", "--q", "q2.npy", "--threads", "1"});
  for (const char *threads : {"2", "7"})
    EXPECT_EQ(probes({"--q", "q.npy", "--q", "q2.npy", "--threads", threads}), one);
  EXPECT_EQ(probes({"--q", "q.npy", "--q", "q2.npy", "--seed", "0"}), one);
  EXPECT_NE(probes({"--q", "q.npy", "--q", "q2.npy", "--seed", "1"}), one);
  EXPECT_NE(probes({"--q", "q.npy"}), one);
}

TEST_F(Calibrate, FlagsBelongToTheQueriesBeforeThem) {
  // [2, 2, 5, 16] of which the sequences have 4 and 2 rows, and the same packed, between others
  std::vector<float> padded(2 * 2 * 5 * 16, NAN);
  std::vector<float> packed(6 * 2 * 16);
  for (int b = 0; b < 2; ++b)
    for (int h = 0; h < 2; ++h)
      for (int i = 0; i < (b ? 2 : 4); ++i)
        for (int e = 0; e < 16; ++e) {
          const float x = std::sin(float(((b * 2 + h) * 5 + i) * 16 + e));
          padded[size_t((((b * 2 + h) * 5) + i + b) * 16 + e)] = x; // the second from row 1 on
          packed[size_t(((b * 4 + i) * 2 + h) * 16 + e)] = x;
        }
  writeFloats("padded.npy", {2, 2, 5, 16}, padded);
  writeFloats("packed.npy", {6, 2, 16}, packed);
  writeIntegers("lengths.npy", {4, 2});
  writeIntegers("starts.npy", {0, 1});
  writeIntegers("offsets.npy", {0, 4, 4, 6});
  const std::string expected =
      probes({"--q", "q.npy", "--q", "packed.npy", "--cu-seqlens", "offsets.npy", "--q", "q2.npy"});
  EXPECT_EQ(probes({"--q", "q.npy", "--q", "padded.npy", "--seqlens", "lengths.npy", "--seq-starts",
                    "starts.npy", "--q", "q2.npy"}),
            expected);
}

TEST_F(Calibrate, SaysWhatItDid) {
  const nlohmann::json reply =
      json({"calibrate", "learned.json", "--q", "q.npy", "--q", "q2.npy", "-o", "p.npy"});
  EXPECT_EQ(reply["probes"], (std::vector<int>{2, 3, 16}));
  EXPECT_EQ(reply["seed"], 0);
  ASSERT_EQ(reply["heads"].size(), 2u);
  for (const nlohmann::json &head : reply["heads"]) {
    EXPECT_EQ(head["queries"], 12 + 3 * 7);
    EXPECT_GE(head["rounds"], 1);
    EXPECT_LT(head["mean_square"], head["mean_square_of_one"]);
  }
  const Outcome text = nysjit({"calibrate", "learned.json", "--q", "q.npy", "-o", "p.npy"});
  EXPECT_NE(text.out.find("probes [2, 3, 16] from 12 queries a head\n"), std::string::npos)
      << text.out;
  EXPECT_NE(text.out.find("output    p.npy\n"), std::string::npos) << text.out;
  EXPECT_FALSE(exists("cache")) << "something was compiled";
}

TEST_F(Calibrate, StandardStreamsHoldTensors) {
  const std::string expected = probes({"--q", "q.npy"});
  const std::string command = std::string(NYSJIT_BINARY_DIR "/bin/nysjit calibrate ") +
                              (folder / "learned.json").string() + " --quiet --q - -o - < " +
                              (folder / "q.npy").string() + " > " +
                              (folder / "piped.npy").string() + " 2> /dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(read("piped.npy"), expected);
  const nlohmann::json error = fail({"--q", "-", "--q", "-", "-o", "o.npy"});
  EXPECT_EQ(error["message"], "--q: expected one file at most from standard input, found several");
}

TEST_F(Calibrate, ASpecWithoutProbesIsNamed) {
  nlohmann::json error = fail({"--q", "q.npy", "-o", "o.npy"}, "invalid_key", "causal.json");
  EXPECT_EQ(error["where"], "landmark_source");
  EXPECT_EQ(error["message"], "causal.json: landmark_source: expected learned, which has probes to "
                              "find, found segment_mean");
  error = fail({"--q", "q.npy", "-o", "o.npy"}, "invalid_key", "exact.json");
  EXPECT_EQ(error["where"], "layout");
}

TEST_F(Calibrate, AMissingOrMisplacedFlagIsNamed) {
  writeIntegers("one.npy", {12});
  const Flags q = {"--q", "q.npy"};
  const std::pair<Flags, std::string> cases[] = {
      {{"-o", "o.npy"}, "--q: expected a .npy file, found no such flag"},
      {{"--q", "", "-o", "o.npy"}, "--q: expected a .npy file, found an empty text"},
      {{"--q", "q.npy"}, "-o: expected a file to write, found no such flag"},
      {{"--seqlens", "one.npy", "--q", "q.npy", "-o", "o.npy"},
       "--seqlens: expected a --q before it, found none"},
      {{"--q", "q.npy", "--seq-starts", "one.npy", "-o", "o.npy"},
       "--seq-starts: expected --seqlens before it, found none"},
      {{"--q", "q.npy", "--seqlens", "one.npy", "--seqlens", "one.npy", "-o", "o.npy"},
       "--seqlens: expected one of a --q, found two"},
      {{"--q", "q.npy", "--seqlens", "one.npy", "--cu-seqlens", "one.npy", "-o", "o.npy"},
       "--cu-seqlens: expected no such flag beside --seqlens, found \"one.npy\""},
      {{"--q", "q.npy", "--cu-seqlens", "one.npy", "--seqlens", "one.npy", "-o", "o.npy"},
       "--seqlens: expected no such flag beside --cu-seqlens, found \"one.npy\""},
      {{"--q", "q.npy", "-o", "o.npy", "--seed", "-1"},
       "--seed: expected an integer, 0 to 18446744073709551615, found \"-1\""},
      {{"--q", "q.npy", "-o", "-"},
       "-o: expected a file other than standard output, which --json takes, found \"-\""},
  };
  for (const auto &[flags, message] : cases)
    EXPECT_EQ(fail(flags)["message"], message);
}

TEST_F(Calibrate, TensorsThatDoNotFitAreNamed) {
  writeTensor("narrow.npy", {1, 2, 12, 8}, 4);
  writeTensor("heads.npy", {1, 3, 12, 16}, 4);
  writeTensor("flat.npy", {12, 16}, 4);
  writeIntegers("long.npy", {13});
  writeIntegers("huge.npy", {int64_t(1) << 32});
  const std::string shape = "invalid_shape";
  EXPECT_EQ(fail({"--q", "narrow.npy", "-o", "o.npy"}, shape)["message"],
            "--q.shape[3]: expected 16, found 8");
  nlohmann::json error = fail({"--q", "q.npy", "--q", "narrow.npy", "-o", "o.npy"}, shape);
  EXPECT_EQ(error["message"], "narrow.npy: --q.shape[3]: expected 16, found 8");
  EXPECT_EQ(error["where"], "--q.shape[3]");
  EXPECT_EQ(fail({"--q", "q.npy", "--q", "heads.npy", "-o", "o.npy"}, shape)["message"],
            "heads.npy: --q: expected 2 query heads, as in the first file, found 3");
  EXPECT_EQ(fail({"--q", "flat.npy", "-o", "o.npy"}, shape)["where"], "--q.ndim");
  EXPECT_EQ(fail({"--q", "q.npy", "--seqlens", "long.npy", "-o", "o.npy"}, shape)["message"],
            "--seqlens[0]: expected 0 to 12, found 13");
  EXPECT_EQ(fail({"--q", "q.npy", "--seqlens", "huge.npy", "-o", "o.npy"}, shape)["where"],
            "--seqlens[0]");
  EXPECT_EQ(fail({"--q", "absent.npy", "-o", "o.npy"}, "invalid_file")["where"], "--q");
}

TEST_F(Calibrate, WhatIsNotFiniteOrNotThereIsNamed) {
  std::vector<float> q(1 * 2 * 12 * 16);
  q[size_t((1 * 12 + 4) * 16)] = INFINITY;
  writeFloats("inf.npy", {1, 2, 12, 16}, q);
  EXPECT_EQ(fail({"--q", "q.npy", "--q", "inf.npy", "-o", "o.npy"})["message"],
            "inf.npy: --q: expected finite queries, found inf in sequence 0, head 1, position 4");
  writeIntegers("none.npy", {0});
  EXPECT_EQ(fail({"--q", "q.npy", "--seqlens", "none.npy", "-o", "o.npy"})["message"],
            "--q: expected at least one query of each head, found none");
}

} // namespace

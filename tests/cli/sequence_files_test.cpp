// Convolution, sequences of their own lengths and sources on the command line: what is missing, too
// much, of a wrong shape or out of range is exit 2 and the flag's name, before anything is
// compiled. inputs_test.cpp has those of scan.
#include "tests/cli/command.h"

namespace {

using Flags = std::vector<std::string>;

class SequenceFiles : public CommandTest {
protected:
  void SetUp() override {
    CommandTest::SetUp();
    write("conv.json",
          R"({"layout":"causal","head_dim":16,"landmarks":4,"segment_len":4,"conv_kernel":4})");
    write("prefix.json", R"({"layout":"prefix_lm","head_dim":16,"landmarks":4,"segment_len":4})");
    writeTensor("conv.npy", {2, 4}, 4);
    writeIntegers("source.npy", {5});
    writeIntegers("lengths.npy", {9});
    writeIntegers("offsets.npy", {0, 5, 12});
  }
  /// q, k and v as packed rows of all sequences.
  void packTensors(int64_t keyHeads = 2) {
    writeTensor("q.npy", {12, 2, 16}, 1);
    writeTensor("k.npy", {12, keyHeads, 16}, 2);
    writeTensor("v.npy", {12, keyHeads, 16}, 3);
  }
  nlohmann::json fail(const std::string &spec, const Flags &more,
                      const std::string &kind = "invalid_shape") {
    Flags arguments = {"run", spec, "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "o.npy"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    nlohmann::json error = expectFailure(arguments, 2, kind);
    EXPECT_FALSE(exists("cache")) << "something was compiled";
    EXPECT_FALSE(error["expected"].get<std::string>().empty() ||
                 error["found"].get<std::string>().empty())
        << error;
    return error;
  }
};

TEST_F(SequenceFiles, AMissingOneIsNamed) {
  nlohmann::json error = fail("conv.json", {}, "invalid_argument");
  EXPECT_EQ(error["message"],
            "--conv: expected a .npy file with conv_kernel 4, found no such flag");
  error = fail("prefix.json", {"--seqlens", "lengths.npy"}, "invalid_argument");
  EXPECT_EQ(error["message"],
            "--source-len: expected a .npy file with layout prefix_lm, found no such flag");
}

TEST_F(SequenceFiles, ASuperfluousOneIsNamed) {
  const std::string none = "no such flag with ";
  nlohmann::json error = fail("causal.json", {"--conv", "conv.npy"}, "invalid_argument");
  EXPECT_EQ(error["message"],
            "--conv: expected no such flag with conv_kernel 0, found \"conv.npy\"");
  EXPECT_EQ(fail("exact.json", {"--conv", "conv.npy"}, "invalid_argument")["expected"],
            none + "layout exact_causal");
  EXPECT_EQ(fail("causal.json", {"--source-len", "source.npy"}, "invalid_argument")["where"],
            "--source-len");
  for (const auto &[flag, reason] : {std::pair("--landmark-q", "landmark_source segment_mean"),
                                     {"--landmark-k", "layout causal"}}) {
    error = fail("causal.json", {flag, "conv.npy"}, "invalid_argument");
    EXPECT_EQ(error["where"], flag);
    EXPECT_EQ(error["expected"], none + reason);
  }
}

TEST_F(SequenceFiles, SequencesArePackedOrPadded) {
  nlohmann::json error =
      fail("exact.json", {"--cu-seqlens", "offsets.npy", "--seqlens", "lengths.npy"},
           "invalid_argument");
  EXPECT_EQ(error["message"],
            "--seqlens: expected no such flag beside --cu-seqlens, found \"lengths.npy\"");
}

TEST_F(SequenceFiles, AnAbsentFileIsNamed) {
  const std::pair<const char *, const char *> specs[] = {
      {"--conv", "conv.json"}, {"--source-len", "prefix.json"}, {"--seqlens", "exact.json"}};
  for (const auto &[flag, spec] : specs)
    EXPECT_EQ(fail(spec, {flag, "absent.npy"}, "invalid_file")["where"], flag);
  packTensors();
  EXPECT_EQ(fail("exact.json", {"--cu-seqlens", "absent.npy"}, "invalid_file")["where"],
            "--cu-seqlens");
}

TEST_F(SequenceFiles, AWrongShapeOfConvIsNamed) {
  for (const std::vector<int64_t> &shape :
       {std::vector<int64_t>{2, 3}, {1, 4}, {4, 2}, {8}, {1, 2, 4}, {}}) {
    writeTensor("conv.npy", shape, 4);
    nlohmann::json error = fail("conv.json", {"--conv", "conv.npy"});
    EXPECT_EQ(error["where"], "--conv");
    EXPECT_EQ(error["expected"], "shape [2, 4]");
  }
}

TEST_F(SequenceFiles, AWrongTypeIsNamed) {
  writeIntegers("conv.npy", {1});
  EXPECT_EQ(fail("conv.json", {"--conv", "conv.npy"})["expected"],
            "dtype float16, float32 or float64, or bfloat16 where that is the spec's");
  writeTensor("lengths.npy", {1}, 4);
  nlohmann::json error = fail("exact.json", {"--seqlens", "lengths.npy"});
  EXPECT_EQ(error["message"], "--seqlens: expected dtype int32 or int64, found float32");
}

TEST_F(SequenceFiles, AsManyNumbersAsSequences) {
  for (const std::vector<int64_t> &numbers : {std::vector<int64_t>{}, {3, 4}}) {
    writeIntegers("numbers.npy", numbers);
    nlohmann::json error = fail("exact.json", {"--seqlens", "numbers.npy"});
    EXPECT_EQ(error["where"], "--seqlens");
    EXPECT_EQ(error["expected"], "shape [1], one a sequence");
    EXPECT_EQ(fail("prefix.json", {"--source-len", "numbers.npy"})["where"], "--source-len");
  }
  packTensors();
  writeIntegers("numbers.npy", {});
  EXPECT_EQ(fail("exact.json", {"--cu-seqlens", "numbers.npy"})["expected"], "shape [B + 1]");
  EXPECT_EQ(fail("prefix.json",
                 {"--cu-seqlens", "offsets.npy", "--source-len", "source.npy"})["expected"],
            "shape [2], one a sequence");
}

TEST_F(SequenceFiles, LengthsLieWithinTheTensors) {
  for (int64_t length : {int64_t(-1), int64_t(13), int64_t(1) << 32}) {
    writeIntegers("lengths.npy", {length});
    nlohmann::json error = fail("exact.json", {"--seqlens", "lengths.npy"});
    EXPECT_EQ(error["message"], "--seqlens[0]: expected 0 to 12, found " + std::to_string(length));
  }
}

TEST_F(SequenceFiles, StartsLieWithinTheRowsAndHaveLengths) {
  const Flags starts = {"--seqlens", "lengths.npy", "--seq-starts", "starts.npy"};
  for (int64_t start : {-1, 4}) {
    writeIntegers("starts.npy", {start});
    EXPECT_EQ(fail("exact.json", starts)["message"],
              "--seq-starts[0]: expected 0 to 3, with a length of 9, found " +
                  std::to_string(start));
  }
  writeIntegers("starts.npy", {0, 1});
  EXPECT_EQ(fail("exact.json", starts)["message"],
            "--seq-starts: expected shape [1], one a sequence, found [2]");
  EXPECT_EQ(fail("exact.json", {"--seq-starts", "starts.npy"}, "invalid_argument")["message"],
            "--seq-starts: expected --seqlens beside it, found no such flag");
  packTensors();
  EXPECT_EQ(fail("exact.json", {"--cu-seqlens", "offsets.npy", "--seq-starts", "starts.npy"},
                 "invalid_argument")["message"],
            "--seq-starts: expected no such flag beside --cu-seqlens, found \"starts.npy\"");
}

TEST_F(SequenceFiles, NoSequenceIsLongerThanIsSaid) {
  EXPECT_EQ(fail("exact.json", {"--seqlens", "lengths.npy", "--max-length", "8"})["message"],
            "--seqlens[0]: expected 0 to 8 (--max-length), found 9");
  EXPECT_EQ(fail("exact.json", {"--max-length", "8"}, "invalid_argument")["message"],
            "--max-length: expected --seqlens or --cu-seqlens beside it, found no such flag");
  packTensors();
  EXPECT_EQ(
      fail("exact.json", {"--cu-seqlens", "offsets.npy", "--max-length", "6"})["message"],
      "--cu-seqlens[2]: expected at most 11, 6 (--max-length) after the one before, found 12");
}

TEST_F(SequenceFiles, OffsetsAscendWithinTheRows) {
  packTensors();
  struct Row {
    std::vector<int64_t> offsets;
    const char *message;
  };
  for (const Row &row :
       {Row{{-1, 12}, "--cu-seqlens[0]: expected 0 to 12, found -1"},
        Row{{0, 5, 4, 12}, "--cu-seqlens[2]: expected 5 to 12, found 4"},
        Row{{0, 5, 13}, "--cu-seqlens[2]: expected 5 to 12, found 13"},
        Row{{0, (int64_t(1) << 32) + 1}, "--cu-seqlens[1]: expected 0 to 12, found 4294967297"}}) {
    writeIntegers("offsets.npy", row.offsets);
    EXPECT_EQ(fail("exact.json", {"--cu-seqlens", "offsets.npy"})["message"], row.message);
  }
}

TEST_F(SequenceFiles, ASourceIsWithinItsSequence) {
  for (int64_t source : {-1, 13}) {
    writeIntegers("source.npy", {source});
    EXPECT_EQ(fail("prefix.json", {"--source-len", "source.npy"})["message"],
              "--source-len[0]: expected 0 to its sequence's length, 12, found " +
                  std::to_string(source));
  }
  writeIntegers("source.npy", {10});
  EXPECT_EQ(
      fail("prefix.json", {"--source-len", "source.npy", "--seqlens", "lengths.npy"})["expected"],
      "0 to its sequence's length, 9");
  packTensors();
  writeIntegers("source.npy", {5, 8});
  EXPECT_EQ(
      fail("prefix.json", {"--source-len", "source.npy", "--cu-seqlens", "offsets.npy"})["where"],
      "--source-len[1]");
}

TEST_F(SequenceFiles, ASequenceOverTheLandmarksIsNamed) {
  write("short.json", R"({"layout":"causal","head_dim":16,"landmarks":2,"segment_len":4})");
  const std::string expected = "a length of at most landmarks * segment_len = 8 positions";
  nlohmann::json error = fail("short.json", {});
  EXPECT_EQ(error["message"], "--q: expected " + expected + ", found 12");
  error = fail("short.json", {"--seqlens", "lengths.npy"});
  EXPECT_EQ(error["message"], "--seqlens[0]: expected " + expected + ", found 9");
  packTensors();
  writeIntegers("offsets.npy", {0, 2, 12});
  error = fail("short.json", {"--cu-seqlens", "offsets.npy"});
  EXPECT_EQ(error["message"], "--cu-seqlens[2]: expected " + expected + ", found 10");
}

TEST_F(SequenceFiles, PackedTensorsAreRows) {
  const Flags packed = {"--cu-seqlens", "offsets.npy"};
  EXPECT_EQ(fail("exact.json", packed)["message"],
            "--q: expected shape [total, Hq, 16], with --cu-seqlens, found [1, 2, 12, 16]");
  packTensors();
  EXPECT_EQ(fail("exact.json", {})["expected"], "shape [B, Hq, n, 16]");
  packTensors(3);
  nlohmann::json error = fail("exact.json", packed);
  EXPECT_EQ(error["where"], "--k");
  EXPECT_EQ(error["expected"], "shape [12, Hkv, 16], where Hkv divides the 2 heads of --q");
  packTensors(1);
  writeTensor("v.npy", {12, 2, 16}, 3);
  EXPECT_EQ(fail("exact.json", packed)["message"],
            "--v: expected shape [12, 1, 16], as --k, found [12, 2, 16]");
}

} // namespace

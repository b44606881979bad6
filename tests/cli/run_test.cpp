// `nysjit run` where a compiler is: outputs, what the JSON says, and failures of the program
// itself.
#include "tests/cli/command.h"
#include "tests/reference/golden.h"

#include <sys/stat.h>

namespace {

class Run : public CommandTest {
protected:
  void SetUp() override {
    NYSJIT_NEEDS_COMPILER();
    CommandTest::SetUp();
  }
  nlohmann::json runJson(const std::string &spec, std::vector<std::string> more = {}) {
    more.push_back("--json");
    Outcome outcome = run(spec, more);
    EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out, nullptr, false);
  }
};

TEST_F(Run, TheJsonHasWhatTheContractSays) {
  nlohmann::json reply = runJson("causal.json", {"--check"});
  EXPECT_EQ(reply["device"], "cpu");
  EXPECT_EQ(reply["target"], "cpu:native");
  EXPECT_EQ(reply["cache"], "compiled");
  EXPECT_GT(reply["compile_ms"].get<double>(), 0);
  for (const char *key : {"load_ms", "kernel_ms", "workspace_bytes", "scratch_bytes_per_thread"})
    EXPECT_TRUE(reply[key].is_number() && reply[key].get<double>() >= 0) << key;
  EXPECT_FALSE(reply["config"].empty());
  ASSERT_FALSE(reply["launches"].empty());
  for (const nlohmann::json &launch : reply["launches"]) {
    EXPECT_TRUE(reply["config"].contains(launch["kernel"])) << launch;
    EXPECT_GT(launch["grid"].get<int64_t>(), 0);
    EXPECT_TRUE(launch["block"].is_number_integer());
    EXPECT_TRUE(launch["ms"].is_number());
  }
  EXPECT_LE(reply["rel_error"]["o"].get<double>(), 1e-5);
  EXPECT_EQ(reply["bound"], 1e-5);
}

TEST_F(Run, TheSecondRunComesFromTheDisk) {
  runJson("exact.json");
  std::string first = read("o.npy");
  nlohmann::json reply = runJson("exact.json", {"--repeat", "3", "--threads", "1"});
  EXPECT_EQ(reply["cache"], "disk");
  EXPECT_EQ(reply["compile_ms"], 0);
  EXPECT_EQ(read("o.npy"), first);
}

TEST_F(Run, TheOutputIsAFloat32TensorInTheShapeOfQ) {
  runJson("exact.json");
  std::string bytes = read("o.npy");
  EXPECT_NE(bytes.find("'<f4'"), std::string::npos);
  EXPECT_NE(bytes.find("(1, 2, 12, 16)"), std::string::npos);
  EXPECT_EQ(bytes.size() % 64, (2u * 12 * 16 * 4) % 64);
}

TEST_F(Run, AScaleTooSmallForAFloatIsZero) {
  runJson("exact.json", {"--scale", "0"});
  std::string zero = read("o.npy");
  runJson("exact.json", {"--scale", "1e-60"});
  EXPECT_EQ(read("o.npy"), zero);
}

TEST_F(Run, EveryDtypeIsWithinItsBound) {
  for (const char *dtype : {"float32", "float16", "bfloat16"}) {
    write("spec.json", R"({"layout":"causal","head_dim":16,"landmarks":4,"dtype":")" +
                           std::string(dtype) + "\"}");
    nlohmann::json reply = runJson("spec.json", {"--check", "--scale", "0.5"});
    EXPECT_LE(reply["rel_error"]["o"].get<double>(), reply["bound"].get<double>()) << dtype;
  }
}

TEST_F(Run, GroupedQueriesReadTheirHead) {
  writeTensor("k.npy", {1, 1, 12, 16}, 5);
  writeTensor("v.npy", {1, 1, 12, 16}, 6);
  EXPECT_LE(runJson("exact.json", {"--check"})["rel_error"]["o"].get<double>(), 1e-5);
}

TEST_F(Run, AnEmptySequenceGivesAnEmptyTensor) {
  for (const char *name : {"q.npy", "k.npy", "v.npy"})
    writeTensor(name, {1, 2, 0, 16}, 7);
  EXPECT_EQ(runJson("exact.json", {"--check"})["rel_error"]["o"], 0);
  EXPECT_NE(read("o.npy").find("(1, 2, 0, 16)"), std::string::npos);
}

TEST_F(Run, LargeScoresHaveTheWiderBound) {
  EXPECT_GT(runJson("exact.json", {"--check", "--scale", "1000"})["bound"], 1e-4);
  EXPECT_EQ(runJson("exact.json", {"--check", "--scale", "1"})["bound"], 1e-5);
}

TEST_F(Run, AnErrorOverTheBoundWritesNothing) {
  // The plain solve amplifies rounding by what it has of landmarks: 64 are far too many.
  write("plain.json",
        R"({"layout":"causal","head_dim":16,"landmarks":64,"segment_len":1,"stabilizer":0})");
  for (const char *name : {"q.npy", "k.npy", "v.npy"})
    writeTensor(name, {1, 1, 64, 16}, unsigned(name[0]));
  nlohmann::json error = expectFailure({"run", "plain.json", "--q", "q.npy", "--k", "k.npy", "--v",
                                        "v.npy", "-o", "o.npy", "--check"},
                                       1, "check_failed");
  EXPECT_EQ(error["where"], "--check");
}

TEST_F(Run, EveryDtypeTakesAConvolutionAndPackedSequences) {
  for (const char *name : {"q.npy", "k.npy", "v.npy"})
    writeTensor(name, {12, 2, 16}, unsigned(name[0]));
  writeTensor("conv.npy", {2, 3}, 4);
  // rows before the first and after the last are no sequence's
  writeIntegers("offsets.npy", {1, 6, 6, 11});
  for (const char *dtype : {"float32", "float16", "bfloat16"}) {
    write("spec.json",
          R"({"layout":"bidirectional","head_dim":16,"landmarks":4,"conv_kernel":3,"dtype":")" +
              std::string(dtype) + "\"}");
    nlohmann::json reply =
        runJson("spec.json", {"--check", "--conv", "conv.npy", "--cu-seqlens", "offsets.npy"});
    EXPECT_LE(reply["rel_error"]["o"].get<double>(), reply["bound"].get<double>()) << dtype;
    const std::string o = read("o.npy");
    EXPECT_EQ(o.substr(o.size() - 128), std::string(128, '\0')) << dtype;
  }
}

TEST_F(Run, SequencesMayAllBeEmptyAndShorterThanTheTensors) {
  // The tensors have more rows than landmarks hold; no sequence has.
  write("short.json", R"({"layout":"causal","head_dim":16,"landmarks":2,"segment_len":4})");
  for (const char *device : {"cpu", "ptx-emulator"})
    for (int64_t length : {0, 8}) {
      writeIntegers("lengths.npy", {length});
      nlohmann::json reply =
          runJson("short.json", {"--check", "--seqlens", "lengths.npy", "--device", device});
      EXPECT_LE(reply["rel_error"]["o"].get<double>(), 1e-5) << device << " " << length;
    }
}

TEST_F(Run, ASourceOfNoneIsCausal) {
  write("prefix.json", R"({"layout":"prefix_lm","head_dim":16,"landmarks":4,"segment_len":4})");
  writeIntegers("source.npy", {0});
  runJson("prefix.json", {"--check", "--source-len", "source.npy"});
  const std::string none = read("o.npy");
  runJson("causal.json");
  nysjit::Result<nysjit::NpyArray> o = nysjit::parseNpy(none, "o");
  nysjit::Result<nysjit::NpyArray> causal = nysjit::readNpy(folder / "o.npy");
  EXPECT_LE(nysjit::golden::relativeError(o->toDouble(), causal->toDouble()), 1e-6);
  writeIntegers("source.npy", {7});
  runJson("prefix.json", {"--check", "--source-len", "source.npy"});
  EXPECT_NE(read("o.npy"), none);
}

TEST_F(Run, AConfigForAnUnknownKernelIsRefused) {
  write("config.json", R"({"no_such_kernel":{"block_m":64}})");
  nlohmann::json error = expectFailure({"run", "exact.json", "--config", "config.json", "--q",
                                        "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "o.npy"},
                                       2, "invalid_key");
  EXPECT_NE(error["message"].get<std::string>().find("no_such_kernel"), std::string::npos);
}

TEST_F(Run, AConfigIsTheOneInUse) {
  const std::string kernel = "exact_causal";
  EXPECT_NE(runJson("exact.json")["config"][kernel]["block_m"], 16);
  write("config.json", nlohmann::json{{kernel, {{"block_m", 16}}}}.dump());
  EXPECT_EQ(
      runJson("exact.json", {"--config", "config.json", "--check"})["config"][kernel]["block_m"],
      16);
}

TEST_F(Run, WithoutJsonAReportIsPrinted) {
  Outcome outcome = run("exact.json", {"--check"});
  EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("float64"), std::string::npos) << outcome.out;
}

TEST_F(Run, AnOutputIsWhereALinkPointsAndAsOpenAsTheUmaskSays) {
  std::filesystem::create_symlink("real.npy", folder / "o.npy");
  write("real.npy", "old");
  const mode_t before = umask(027);
  Outcome outcome = run("exact.json");
  umask(before);
  EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "o.npy"));
  EXPECT_EQ(read("real.npy").substr(1, 5), "NUMPY");
  EXPECT_EQ(std::filesystem::status(folder / "real.npy").permissions(),
            std::filesystem::perms(0640));
}

TEST_F(Run, AnInputMayBeTheOutput) {
  Outcome outcome =
      nysjit({"run", "exact.json", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "q.npy"});
  EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
}

} // namespace

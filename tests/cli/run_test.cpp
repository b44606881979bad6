// `nysjit run` where a compiler is: outputs, what the JSON says, and failures of the program
// itself.
#include "tests/cli/command.h"
#include "tests/reference/golden.h"

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

TEST_F(Run, GradientsAreReportedAndChecked) {
  const std::vector<std::string> gradients = {"--dout", "q.npy", "--dq",   "dq.npy", "--dk",
                                              "dk.npy", "--dv",  "dv.npy", "--check"};
  write("config.json", R"({"position_gradient": {"block_m": 32}})");
  std::vector<std::string> flags = gradients;
  flags.insert(flags.end(), {"--config", "config.json"});
  const nlohmann::json reply = runJson("exact.json", flags);
  EXPECT_EQ(reply["gradient_bound"], 1e-5);
  for (const char *name : {"o", "dq", "dk", "dv"}) {
    EXPECT_GT(reply["rel_error"][name].get<double>(), 0) << name;
    EXPECT_LE(reply["rel_error"][name].get<double>(), 1e-5) << name;
  }
  EXPECT_EQ(reply["saved_bytes"], 2 * 128); // two numbers a row and head, 64 bytes at a time
  EXPECT_EQ(reply["backward"]["config"]["position_gradient"]["block_m"], 32);
  EXPECT_EQ(reply["backward"]["launches"].back()["kernel"], "position_gradient");

  const std::string dq = read("dq.npy");
  flags.push_back("--recompute");
  const nlohmann::json again = runJson("exact.json", flags);
  EXPECT_FALSE(again.contains("saved_bytes"));
  EXPECT_EQ(again["backward"]["launches"].front()["kernel"], "exact_causal");
  EXPECT_EQ(read("dq.npy"), dq);
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
  for (const char *tiny : {"1e-60", "-1e-400"}) {
    runJson("exact.json", {"--scale", tiny});
    EXPECT_EQ(read("o.npy"), zero) << tiny;
  }
}

TEST_F(Run, TheLargestScaleIsCarriedThrough) {
  // Scores of 0 and, where a row is its own only position, of any size that float32 holds.
  write("q.npy", npyBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 12, 16), }",
                          std::string(1536, '\0')));
  const std::string zero = (runJson("exact.json", {"--scale", "0"}), read("o.npy"));
  for (const char *scale : {"2.35e38", "-2.35e38"}) {
    runJson("exact.json", {"--check", "--scale", scale});
    EXPECT_EQ(read("o.npy"), zero) << scale;
  }
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

TEST_F(Run, AnErrorOverTheBoundIsApartFromTheOutput) {
  // The plain solve amplifies rounding by what it has of landmarks: 64 are far too many.
  write("plain.json",
        R"({"layout":"causal","head_dim":16,"landmarks":64,"segment_len":1,"stabilizer":0})");
  for (const char *name : {"q.npy", "k.npy", "v.npy"})
    writeTensor(name, {1, 1, 64, 16}, unsigned(name[0]));
  Outcome outcome = run("plain.json", {"--check", "--json"});
  EXPECT_EQ(outcome.exitCode, 1) << outcome.err;
  const nlohmann::json error = nlohmann::json::parse(outcome.out)["error"];
  EXPECT_EQ(error["kind"], "check_failed");
  EXPECT_EQ(error["where"], "--check");
  EXPECT_TRUE(error["message"].get<std::string>().ends_with("; -o o.npy was written")) << error;
  const std::string written = read("o.npy");
  runJson("plain.json");
  EXPECT_EQ(read("o.npy"), written);
}

TEST_F(Run, TheOutputMayHaveTheSpecsDtype) {
  for (const auto &[dtype, descr] : {std::pair("float16", "<f2"), {"bfloat16", "<V2"}}) {
    write("spec.json",
          R"({"layout":"exact_causal","head_dim":16,"dtype":")" + std::string(dtype) + "\"}");
    for (const char *device : {"cpu", "ptx-emulator"}) {
      nlohmann::json reply =
          runJson("spec.json", {"--check", "--o-dtype", dtype, "--device", device});
      EXPECT_LE(reply["rel_error"]["o"].get<double>(), reply["bound"].get<double>()) << dtype;
      const nysjit::Result<nysjit::NpyArray> narrow = nysjit::readNpy(folder / "o.npy");
      EXPECT_EQ(narrow->dtype, dtype);
      EXPECT_NE(read("o.npy").find(descr), std::string::npos);
      runJson("spec.json", {"--device", device});
      const nysjit::Result<nysjit::NpyArray> wide = nysjit::readNpy(folder / "o.npy");
      EXPECT_EQ(wide->dtype, "float32");
      // Rounded once: half of the last of 8 bits at most.
      EXPECT_LE(nysjit::golden::relativeError(narrow->toDouble(), wide->toDouble()), 0x1p-8);
      // What was written is read again, bfloat16 too.
      EXPECT_EQ(nysjit({"run", "spec.json", "--q", "o.npy", "--k", "k.npy", "--v", "v.npy", "-o",
                        "again.npy", "--check"})
                    .exitCode,
                0);
    }
  }
}

TEST_F(Run, SequencesMayStartAnywhere) {
  for (const char *name : {"q.npy", "k.npy", "v.npy"})
    writeTensor(name, {2, 2, 12, 16}, unsigned(name[0]));
  writeIntegers("lengths.npy", {5, 7});
  writeIntegers("starts.npy", {7, 3});
  for (const char *device : {"cpu", "ptx-emulator"}) {
    nlohmann::json reply =
        runJson("causal.json", {"--check", "--seqlens", "lengths.npy", "--seq-starts", "starts.npy",
                                "--max-length", "9", "--device", device});
    EXPECT_LE(reply["rel_error"]["o"].get<double>(), reply["bound"].get<double>()) << device;
    const nysjit::Result<nysjit::NpyArray> o = nysjit::readNpy(folder / "o.npy");
    const std::vector<double> values = o->toDouble();
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t sequence = i / (2 * 12 * 16);
      const size_t row = i / 16 % 12;
      const bool isIts = sequence == 0 ? row >= 7 : row >= 3 && row < 10;
      EXPECT_EQ(values[i] != 0, isIts) << device << " " << i;
    }
  }
}

TEST_F(Run, TensorsMayComeThroughPipesInAnyOrder) {
  ASSERT_EQ(run("exact.json").exitCode, 0);
  const std::string o = read("o.npy");
  const std::string nysjit = NYSJIT_BINARY_DIR "/bin/nysjit";
  const std::string line = "cd " + folder.string() + " && export NYSJIT_CACHE_DIR=cache && ";
  const std::string rest = " --v v.npy -o piped.npy >/dev/null";
  for (const std::string &command :
       {"cat q.npy | " + nysjit + " run exact.json --q - --k k.npy" + rest,
        nysjit + " run exact.json --q /dev/stdin --k k.npy" + rest + " <q.npy",
        nysjit + " run exact.json --q <(cat q.npy) --k <(cat k.npy)" + rest,
        "mkfifo q.fifo && (cat q.npy >q.fifo & " + nysjit + " run exact.json --q q.fifo --k k.npy" +
            rest + ")"}) {
    std::filesystem::remove(folder / "piped.npy");
    EXPECT_EQ(std::system(("bash -c '" + line + command + "'").c_str()), 0) << command;
    EXPECT_EQ(read("piped.npy"), o) << command;
  }
}

TEST_F(Run, StandardOutputTakesTheTensorAloneAndAReaderMayLeave) {
  ASSERT_EQ(run("exact.json").exitCode, 0);
  const std::string o = read("o.npy");
  const std::string nysjit = NYSJIT_BINARY_DIR "/bin/nysjit";
  const std::string line = "cd " + folder.string() + " && export NYSJIT_CACHE_DIR=cache && ";
  const std::string command = nysjit + " run exact.json --q q.npy --k k.npy --v v.npy -o ";
  for (const std::string &tail : {std::string("- >piped.npy"), std::string("- | cat >piped.npy"),
                                  std::string("/dev/stdout >piped.npy"),
                                  std::string(">(cat >piped.npy) >/dev/null; wait $!")}) {
    std::filesystem::remove(folder / "piped.npy");
    EXPECT_EQ(std::system(("bash -c '" + line + command + tail + "' 2>/dev/null").c_str()), 0);
    EXPECT_EQ(read("piped.npy"), o) << tail;
  }
  // `head` goes away: nothing is said, and the end is that of a process whose reader went away.
  for (const std::string &printing :
       {command + "-", nysjit + " compile exact.json --emit llvm", nysjit + " run --help"}) {
    const std::string ends = "(" + printing + "; echo $? >code) 2>said | true";
    ASSERT_EQ(std::system(("bash -c '" + line + ends + "'").c_str()), 0);
    EXPECT_TRUE(read("code") == "141\n" || read("code") == "0\n") << read("code");
    EXPECT_EQ(read("said").find("roken"), std::string::npos) << read("said");
  }
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

TEST_F(Run, AnOutputIsWhereALinkPointsAndAsOpenAsItWas) {
  std::filesystem::create_symlink("real.npy", folder / "o.npy");
  write("real.npy", "old");
  std::filesystem::permissions(folder / "real.npy", std::filesystem::perms(0600));
  Outcome outcome = run("exact.json");
  EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "o.npy"));
  EXPECT_EQ(read("real.npy").substr(1, 5), "NUMPY");
  EXPECT_EQ(std::filesystem::status(folder / "real.npy").permissions(),
            std::filesystem::perms(0600));
}

TEST_F(Run, AnInputMayBeTheOutput) {
  Outcome outcome =
      nysjit({"run", "exact.json", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "q.npy"});
  EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
}

} // namespace

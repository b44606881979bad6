// `nysjit tune` on the PTX emulator, on what says it is a GPU (the emulator's library in the
// driver's place), and with programs compiled elsewhere.
#include "tests/cli/command.h"

#include <cstdlib>
#include <functional>

namespace {

using Object = nlohmann::json;

class TuneDevice : public TuningTest {
protected:
  void SetUp() override {
    TuningTest::SetUp();
    setenv("NYSJIT_PTXAS", "none", 1);
    setenv("NYSJIT_CUDA_DRIVER", emulator, 1);
    write("t.json", tuneText(R"("block_m": [32, 64], "num_stages": [2, 3])"));
  }
  void TearDown() override {
    for (const char *name : {"NYSJIT_PTXAS", "NYSJIT_CUDA_DRIVER", "NYSJIT_COMPILER"})
      unsetenv(name);
    TuningTest::TearDown();
  }
  static std::string tuneText(const std::string &lists) {
    return R"({"specs": [{"layout": "exact_causal", "head_dim": 16, "dtype": "float16"}],
               "shapes": [{"length": 64}],
               "parameters": {"exact_causal": {)" +
           lists + R"(}}, "measure": {"rounds": 4, "pairs": 10}})";
  }
  Object tuned(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"tune", "t.json", "-o", "c.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json(arguments);
  }
  Object entry() { return Object::parse(read("c.json"))["entries"][0]; }
  /// The candidate of which exact_causal's blocks are so; null if there is none.
  static Object candidateOf(const Object &reply, const std::function<bool(const Object &)> &isIt) {
    for (const Object &group : reply["specs"][0]["groups"])
      for (const Object &candidate : group["candidates"])
        if (const auto block = candidate["config"].find("exact_causal");
            block != candidate["config"].end() && isIt(*block))
          return candidate;
    return {};
  }
  static Object candidateOf(const Object &reply, int rows, int stages) {
    return candidateOf(reply, [&](const Object &block) {
      return block["block_m"] == rows && block["num_stages"] == stages;
    });
  }
  std::string sourceOn(const std::string &device) {
    write("s.json", R"({"layout": "exact_causal", "head_dim": 16, "dtype": "float16"})");
    setenv("NYSJIT_CONFIGS", (folder / "c.json").c_str(), 1);
    const Object report =
        Object::parse(run("s.json", {"--device", device, "--target", "cuda:sm_80", "--json"}).out);
    unsetenv("NYSJIT_CONFIGS");
    return report["config_source"];
  }
  const char *emulator = NYSJIT_BINARY_DIR "/lib/libnysjit_ptx_emulator.so";
};

TEST_F(TuneDevice, TheEmulatorsEntryIsAModelsAndNoGpuTakesIt) {
  NYSJIT_NEEDS_COMPILER();
  const Object reply = tuned({"--device", "ptx-emulator", "--target", "cuda:sm_80"});
  EXPECT_EQ(entry()["device"], Object::parse(R"({"kind": "ptx-emulator"})"));
  EXPECT_EQ(entry()["tuned"]["objective"], "model");
  EXPECT_EQ(entry()["target"], "cuda:sm_80");
  EXPECT_EQ(reply["specs"][0]["tuned"]["about"]["model"], "A100 SXM 40 GB");
  EXPECT_EQ(sourceOn("ptx-emulator"), (folder / "c.json").string());
  EXPECT_EQ(sourceOn("cuda"), "default");
  // What the model cannot tell apart is tied, but for the instructions that go through the stages.
  const Object two = candidateOf(reply, 32, 2);
  const Object three = candidateOf(reply, 32, 3);
  ASSERT_TRUE(two.contains("ratio") && three.contains("ratio")) << reply.dump(1);
  EXPECT_NEAR(two["ratio"].get<double>(), three["ratio"].get<double>(), 0.02);
  // The same again: nothing of it is measured.
  const Object again = tuned({"--device", "ptx-emulator", "--target", "cuda:sm_80", "--restart"});
  EXPECT_EQ(candidateOf(again, 32, 2), two);
  const Outcome text = nysjit({"tune", "t.json", "-o", "c.json", "--device", "ptx-emulator",
                               "--target", "cuda:sm_90", "--resume"});
  EXPECT_EQ(text.exitCode, 1); // the journal is another target's
  const Outcome same = nysjit({"tune", "t.json", "-o", "c.json", "--device", "ptx-emulator",
                               "--target", "cuda:sm_80", "--restart", "--quiet"});
  EXPECT_NE(same.out.find("num_stages, occupancy and balance were not measured"), std::string::npos)
      << same.out;
}

TEST_F(TuneDevice, OnAGpuWhatItTakesIsMeasured) {
  NYSJIT_NEEDS_COMPILER();
  for (const bool isCold : {false, true}) {
    std::string text = tuneText(R"("block_m": [32, 64])");
    text.insert(text.find("\"rounds\""), isCold ? "\"cold\": true, " : "");
    write("t.json", text);
    const Object reply = tuned({"--device", "cuda", "--restart"});
    EXPECT_EQ(entry()["device"]["kind"], "cuda");
    EXPECT_EQ(entry()["device"]["compute_capability"], "8.0");
    EXPECT_EQ(entry()["tuned"]["objective"], "time");
    EXPECT_EQ(reply["specs"][0]["clock"], "wall");
    const Object candidate = candidateOf(reply, 32, 2);
    EXPECT_EQ(candidate["invalidity"], "correct");
    EXPECT_GT(candidate.value("ratio", 0.0), 0);
    EXPECT_EQ(sourceOn("cuda"), (folder / "c.json").string());
    EXPECT_EQ(sourceOn("ptx-emulator"), "default");
  }
}

TEST_F(TuneDevice, WhatABlockHasNotTheMemoryForIsLeftOut) {
  NYSJIT_NEEDS_COMPILER();
  write("t.json", R"({"specs": [{"layout": "exact_causal", "head_dim": 256, "dtype": "float16"}],
    "shapes": [{"length": 16}], "measure": {"rounds": 4, "pairs": 10},
    "parameters": {"exact_causal": {"block_n": [16, 256]}}})");
  const Object reply = tuned({"--device", "ptx-emulator"});
  const Object large =
      candidateOf(reply, [](const Object &block) { return block["block_n"] == 256; });
  EXPECT_EQ(large["invalidity"], "constraints");
  EXPECT_NE(large["reason"].get<std::string>().find("bytes of shared memory"), std::string::npos);
  EXPECT_FALSE(large.contains("ratio"));
}

TEST_F(TuneDevice, WhereThereIsNoCompilerTheProgramsAreABundles) {
  NYSJIT_NEEDS_COMPILER();
  const Object made =
      json({"tune", "t.json", "--compile-only", "--target", "cuda:sm_80", "-o", "p.nysjit"});
  EXPECT_EQ(made["target"], "cuda:sm_80");
  EXPECT_FALSE(exists("t.jsonl"));
  const std::string bytes = read("p.nysjit");
  json({"tune", "t.json", "--compile-only", "--target", "cuda:sm_80", "-o", "p.nysjit"});
  EXPECT_TRUE(read("p.nysjit") == bytes);
  // A machine that has neither compiler nor cache.
  setenv("NYSJIT_COMPILER", "/absent/nysjit-compiler", 1);
  std::filesystem::remove_all(folder / "cache");
  EXPECT_EQ(expectFailure({"tune", "t.json", "--device", "cuda", "-o", "c.json"}, 1,
                          "unavailable")["where"],
            "compiler");
  const Object reply = tuned({"--device", "cuda", "--bundle", "p.nysjit"});
  for (const int rows : {32, 64})
    for (const int stages : {2, 3})
      if (const Object candidate = candidateOf(reply, rows, stages); !candidate.is_null()) {
        EXPECT_TRUE(candidate.contains("ratio")) << candidate;
      }
  EXPECT_EQ(entry()["compiler"].get<std::string>().substr(0, 9), "build-id ");
  std::string other = read("t.json");
  other.replace(other.find("\"head_dim\": 16"), 14, "\"head_dim\": 32");
  write("other.json", other);
  EXPECT_EQ(expectFailure(
                {"tune", "other.json", "--device", "cuda", "--bundle", "p.nysjit", "-o", "c.json"},
                1, "unavailable")["where"],
            "--bundle");
}

// The best of a group is in a program with another group's: one of its own is compiled when it is
// known which that is.
TEST_F(TuneDevice, AChoiceThatTheBundleHasNotIsAddedByTheJournal) {
  NYSJIT_NEEDS_COMPILER();
  write("t.json", R"({"specs": [{"layout": "causal", "head_dim": 16, "landmarks": 4,
                                 "segment_len": 16, "dtype": "float16"}],
    "shapes": [{"length": 64}], "measure": {"rounds": 4, "pairs": 10, "min_gain": 0},
    "parameters": {"causal_output": {"block_m": [16, 32]}, "landmark_solve": {"block_m": [32, 16]},
                   "landmark_target": {}, "landmark_past": {}, "segment_summary": {},
                   "clear_padding": {}}})");
  const std::vector<std::string> compile = {"tune",       "t.json", "--compile-only", "--target",
                                            "cuda:sm_80", "-o",     "p.nysjit"};
  const Object first = json(compile);
  setenv("NYSJIT_COMPILER", "/absent/nysjit-compiler", 1);
  std::vector<std::string> tune = {"tune",       "t.json",   "--device", "ptx-emulator", "--target",
                                   "cuda:sm_80", "--bundle", "p.nysjit", "-o",           "c.json"};
  const Outcome failed = nysjit(tune);
  EXPECT_EQ(failed.exitCode, 1);
  EXPECT_NE(failed.err.find("`nysjit tune --compile-only` beside this journal"), std::string::npos)
      << failed.err;
  EXPECT_FALSE(exists("c.json"));
  unsetenv("NYSJIT_COMPILER");
  const Object second = json(compile);
  EXPECT_GT(second["programs"], first["programs"]);
  setenv("NYSJIT_COMPILER", "/absent/nysjit-compiler", 1);
  tune.push_back("--resume");
  const Object reply = json(tune);
  EXPECT_EQ(entry()["tuned"]["verdict"], "faster");
  EXPECT_NE(entry()["config"]["landmark_solve"]["block_m"], 64);
}

// With what runs before: the forward that saves.
TEST_F(TuneDevice, GradientsAreTunedFromABundle) {
  NYSJIT_NEEDS_COMPILER();
  write("t.json", R"({"specs": [{"layout": "exact_causal", "head_dim": 16, "dtype": "float16",
                                 "pass": "backward"}],
    "shapes": [{"length": 64}], "measure": {"rounds": 4, "pairs": 10},
    "parameters": {"position_gradient": {"block_m": [16, 32]}, "output_delta": {},
                   "clear_query_gradients": {}, "clear_key_gradients": {}}})");
  json({"tune", "t.json", "--compile-only", "--target", "cuda:sm_80", "-o", "p.nysjit"});
  setenv("NYSJIT_COMPILER", "/absent/nysjit-compiler", 1);
  std::filesystem::remove_all(folder / "cache");
  for (const char *device : {"cuda", "ptx-emulator"}) {
    const Object reply =
        tuned({"--device", device, "--target", "cuda:sm_80", "--bundle", "p.nysjit", "--restart"});
    size_t timed = 0;
    for (const Object &group : reply["specs"][0]["groups"])
      for (const Object &candidate : group["candidates"])
        timed += candidate["config"].contains("position_gradient") && candidate.contains("ratio");
    EXPECT_GT(timed, 0u) << reply.dump(1);
  }
}

TEST_F(TuneDevice, CompilingOnlyRefusesWhatItCannotUse) {
  const auto failure = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"tune", "t.json", "--compile-only"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return expectFailure(arguments, 2, "invalid_argument")["where"];
  };
  EXPECT_EQ(failure({"--target", "cuda:sm_80"}), "-o");
  EXPECT_EQ(failure({"-o", "p.nysjit", "--resume"}), "--resume");
  EXPECT_EQ(failure({"-o", "p.nysjit", "--restart"}), "--restart");
  EXPECT_EQ(failure({"-o", "p.nysjit", "--bundle", "b.nysjit"}), "--bundle");
  EXPECT_EQ(failure({"-o", "p.nysjit", "--device", "cuda"}), "--target");
  EXPECT_FALSE(exists("p.nysjit"));
}

} // namespace

// `nysjit bench`: what it refuses before it begins, small benches from their files to the report,
// and the example of its page.
#include "tests/cli/command.h"

#include <cstdlib>

namespace {

class Bench : public TuningTest {
protected:
  void SetUp() override {
    TuningTest::SetUp();
    write("defaults.json", "{}");
  }
};

TEST_F(Bench, WrongFlagsAreNamed) {
  struct {
    std::vector<std::string> flags;
    const char *where;
  } const all[] = {
      {{"--sizes", "16,x"}, "--sizes"},
      {{"--sizes", "16,,32"}, "--sizes"},
      {{"--sizes", ""}, "--sizes"},
      {{"--sizes", "0"}, "--sizes"},
      {{"--sizes", "1073741824", "--heads", "65536"}, "--sizes"}, // rows together
      {{"--batch", "0"}, "--batch"},
      {{"--heads", "-1"}, "--heads"},
      {{"--heads", "4", "--kv-heads", "3"}, "--kv-heads"},
      {{"--threads", "1025"}, "--threads"},
      {{"--seconds", "0.5"}, "--seconds"},
      {{"--svg", ""}, "--svg"},
      {{"--svg", "-"}, "--svg"}, // beside --json
      {{"--vs", ""}, "--vs"},
      {{"--frobnicate"}, "--frobnicate"},
  };
  for (const auto &[flags, where] : all) {
    std::vector<std::string> words = {"bench", "exact.json"};
    words.insert(words.end(), flags.begin(), flags.end());
    EXPECT_EQ(expectFailure(words, 2, "invalid_argument")["where"], where);
  }
  std::string many = "1";
  for (int size = 2; size <= 65; ++size)
    many += "," + std::to_string(size);
  EXPECT_EQ(expectFailure({"bench", "exact.json", "--sizes", many}, 2, "invalid_argument")["found"],
            "65");
  EXPECT_EQ(
      expectFailure({"bench", "exact.json", "--target", "cpu:z80"}, 2, "unknown_device")["where"],
      "--target");
  EXPECT_EQ(
      expectFailure({"bench", "exact.json", "--svg", "absent/b.svg"}, 2, "invalid_file")["where"],
      "--svg");
}

TEST_F(Bench, WrongFilesAreNamed) {
  EXPECT_EQ(expectFailure({"bench", "absent.json"}, 2, "invalid_file")["where"], "SPEC");
  EXPECT_EQ(
      expectFailure({"bench", "exact.json", "--vs", "absent.json"}, 2, "invalid_file")["where"],
      "--vs");
  struct {
    const char *text;
    const char *kind;
    const char *where;
  } const others[] = {
      {"[", "invalid_json", "JSON"},
      {R"({"layout": "exact_causal"})", "invalid_key", "head_dim"},
      {R"({"exact_causal": {"block_m": 17}})", "invalid_key", "exact_causal.block_m"},
      {R"({"schema": 1, "entries": [{}]})", "invalid_key", "entries[0].spec"},
  };
  for (const auto &[text, kind, where] : others) {
    write("other.json", text);
    const nlohmann::json error =
        expectFailure({"bench", "exact.json", "--vs", "other.json"}, 2, kind);
    EXPECT_EQ(error["where"], where);
    EXPECT_NE(error["message"].get<std::string>().find("other.json"), std::string::npos);
  }
}

TEST_F(Bench, WhatCannotBeComparedIsSaid) {
  write("other.json", R"({"layout": "exact_causal", "head_dim": 32})");
  const nlohmann::json error =
      expectFailure({"bench", "exact.json", "--vs", "other.json"}, 2, "invalid_argument");
  EXPECT_EQ(error["where"], "--vs");
  EXPECT_EQ(error["found"], "head_dim 32");
  // Four landmarks of four positions: 16 at most, of either.
  for (const auto &[spec, other] :
       {std::pair("exact.json", "causal.json"), {"causal.json", "exact.json"}})
    EXPECT_EQ(expectFailure({"bench", spec, "--vs", other, "--sizes", "16,17"}, 2,
                            "invalid_argument")["where"],
              "--sizes");
}

TEST_F(Bench, GradientsAreTimedBesideTheirForward) {
  NYSJIT_NEEDS_COMPILER();
  write("backward.json", R"({"layout": "exact_causal", "head_dim": 16, "pass": "backward"})");
  const nlohmann::json reply = json({"bench", "backward.json", "--vs", "exact.json", "--sizes",
                                     "12", "--heads", "2", "--seconds", "1", "--quiet"});
  EXPECT_EQ(reply["contenders"][0]["spec"]["pass"], "backward");
  const nlohmann::json &both = reply["sizes"][0]["contenders"];
  EXPECT_EQ(both[0]["flops"], 2 * 78 * 10 * 16); // pairs t <= i of two heads
  EXPECT_EQ(both[1]["flops"], 2 * 78 * 4 * 16);
  EXPECT_GT(both[0]["ms"], 0);
  // Two configs of one spec: the gradients are compared.
  write("blocks.json", R"({"position_gradient": {"block_m": 16, "block_n": 16}})");
  const nlohmann::json blocks = json({"bench", "backward.json", "--vs", "blocks.json", "--sizes",
                                      "12", "--seconds", "1", "--quiet"});
  EXPECT_EQ(blocks["contenders"][1]["config"]["position_gradient"]["block_n"], 16);
}

TEST_F(Bench, ADeviceWithoutAClockIsUnavailable) {
  EXPECT_EQ(
      expectFailure({"bench", "exact.json", "--device", "ptx-emulator"}, 1, "unavailable")["where"],
      "--device");
  setenv("NYSJIT_CUDA_DRIVER", "/absent/libcuda.so", 1);
  expectFailure({"bench", "exact.json", "--device", "cuda"}, 1, "unavailable");
  unsetenv("NYSJIT_CUDA_DRIVER");
  EXPECT_EQ(expectFailure({"bench", "exact.json", "--device", "gpu"}, 2, "unknown_device")["where"],
            "--device");
}

TEST_F(Bench, OnAGpuTheRooflineIsItsOwn) {
  NYSJIT_NEEDS_COMPILER();
  // The emulator's library in the driver's place.
  setenv("NYSJIT_CUDA_DRIVER", NYSJIT_BINARY_DIR "/lib/libnysjit_ptx_emulator.so", 1);
  setenv("NYSJIT_PTXAS", "none", 1);
  const nlohmann::json reply = json({"bench", "exact.json", "--vs", "causal.json", "--device",
                                     "cuda", "--sizes", "16", "--heads", "1", "--seconds", "1"});
  unsetenv("NYSJIT_CUDA_DRIVER");
  unsetenv("NYSJIT_PTXAS");
  EXPECT_EQ(reply["device"]["kind"], "cuda");
  EXPECT_EQ(reply["target"], "cuda:sm_80");
  EXPECT_GT(reply["rates"]["copy_gb_s"], 0);
  EXPECT_GT(reply["rates"]["product_gflop_s"], 0);
  EXPECT_EQ(reply["rates"]["vector_bits"], 0); // no vectors: mma.sync
  EXPECT_GT(reply["sizes"][0]["contenders"][1]["ms"], 0);
  EXPECT_TRUE(reply["sizes"][0]["verdict"].is_string());
}

TEST_F(Bench, TheSizesAreThoseTheSpecHas) {
  NYSJIT_NEEDS_COMPILER();
  const Outcome outcome = nysjit({"bench", "causal.json", "--json", "--seconds", "1"});
  ASSERT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("timing 5 sizes"), std::string::npos) << outcome.err;
  const nlohmann::json reply = nlohmann::json::parse(outcome.out);
  std::vector<int> lengths;
  for (const nlohmann::json &size : reply["sizes"])
    lengths.push_back(size["length"]);
  EXPECT_EQ(lengths, (std::vector{1, 2, 4, 8, 16}));
  EXPECT_EQ(reply["sizes"][4]["heads"], 8);
  EXPECT_EQ(reply["contenders"].size(), 1u);
  EXPECT_EQ(reply["contenders"][0]["config_source"], "default");
  EXPECT_TRUE(reply["contenders"][0]["config"]["causal_output"].contains("block_m")) << "whole";
  for (const char *name : {"copy_gb_s", "product_gflop_s", "vector_bits"})
    EXPECT_GT(reply["rates"][name], 0) << name;
  for (const nlohmann::json &size : reply["sizes"]) {
    EXPECT_FALSE(size.contains("verdict"));
    EXPECT_GT(size["contenders"][0]["ms"], 0);
    EXPECT_GT(size["contenders"][0]["flops"], 0);
  }
}

TEST_F(Bench, EitherFormOfAnOtherIsCompared) {
  NYSJIT_NEEDS_COMPILER();
  write("blocks.json", R"({"causal_output": {"block_m": 16, "block_n": 16}})");
  for (const char *other : {"exact.json", "defaults.json", "blocks.json"}) {
    const nlohmann::json reply =
        json({"bench", "causal.json", "--vs", other, "--sizes", "16,8,8", "--batch", "2", "--heads",
              "4", "--kv-heads", "2", "--threads", "1", "--quiet", "--seconds", "1"});
    ASSERT_EQ(reply["contenders"].size(), 2u) << other;
    EXPECT_EQ(reply["contenders"][1]["name"], other);
    ASSERT_EQ(reply["sizes"].size(), 2u) << other;
    EXPECT_EQ(reply["sizes"][0]["length"], 8);
    EXPECT_EQ(reply["sizes"][0]["batch"], 2);
    EXPECT_EQ(reply["sizes"][0]["kv_heads"], 2);
    EXPECT_EQ(reply["device"]["threads"], 1);
    for (const nlohmann::json &size : reply["sizes"]) {
      EXPECT_TRUE(size["verdict"].is_string());
      EXPECT_GT(size["ratio"], 0);
    }
  }
  const nlohmann::json blocks =
      json({"bench", "causal.json", "--vs", "blocks.json", "--sizes", "16", "--seconds", "1"});
  EXPECT_EQ(blocks["contenders"][1]["config"]["causal_output"]["block_m"], 16);
  EXPECT_EQ(blocks["contenders"][1]["config_source"], "given");
}

TEST_F(Bench, ASpecOfEachLayoutIsTimed) {
  NYSJIT_NEEDS_COMPILER();
  const char *specs[] = {
      R"({"layout": "bidirectional", "head_dim": 16, "landmarks": 4, "dtype": "float16"})",
      R"({"layout": "segment_causal", "head_dim": 16, "landmarks": 4, "dtype": "bfloat16"})",
      R"({"layout": "prefix_lm", "head_dim": 16, "landmarks": 4, "conv_kernel": 3})",
      R"({"layout": "scan", "head_dim": 16, "landmarks": 4, "landmark_source": "learned"})"};
  for (const char *spec : specs) {
    write("s.json", spec);
    const nlohmann::json reply = json(
        {"bench", "s.json", "--vs", "exact.json", "--sizes", "12,13", "--seconds", "1", "--quiet"});
    EXPECT_EQ(reply["sizes"].size(), 2u) << spec;
  }
}

TEST_F(Bench, ItTakesTheConfigThatRunTakes) {
  NYSJIT_NEEDS_COMPILER();
  write("t.json", R"({"specs": ["exact.json"], "shapes": [{"length": 12}],
      "parameters": {"exact_causal": {"block_m": [16], "block_n": [16]}},
      "measure": {"rounds": 4, "pairs": 10}})");
  EXPECT_EQ(nysjit({"tune", "t.json"}).exitCode, 0);
  const std::string path = (folder / "config/nysjit/configs.json").string();
  const nlohmann::json reply =
      json({"bench", "exact.json", "--vs", "defaults.json", "--sizes", "12", "--seconds", "1"});
  EXPECT_EQ(reply["contenders"][0]["config_source"], path);
  EXPECT_EQ(reply["contenders"][1]["config_source"], "given");
  const nlohmann::json given =
      json({"bench", "exact.json", "--config", "defaults.json", "--sizes", "12", "--seconds", "1"});
  EXPECT_EQ(given["contenders"][0]["config_source"], "given");
}

TEST_F(Bench, QuietIsSilentAndAPictureMayGoToStandardOutput) {
  NYSJIT_NEEDS_COMPILER();
  Outcome outcome = nysjit({"bench", "exact.json", "--sizes", "12", "--seconds", "1", "--quiet"});
  EXPECT_EQ(outcome.exitCode, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("n 12, 8 heads"), std::string::npos) << outcome.out;
  outcome =
      nysjit({"bench", "exact.json", "--sizes", "12", "--seconds", "1", "--quiet", "--svg", "-"});
  EXPECT_TRUE(outcome.out.starts_with("<svg ")) << outcome.out;
  EXPECT_TRUE(outcome.out.ends_with("</svg>\n")) << outcome.out;
  EXPECT_NE(outcome.err.find("n 12, 8 heads"), std::string::npos) << outcome.err;
}

TEST_F(Bench, TheExampleOfItsPage) {
  NYSJIT_NEEDS_COMPILER();
  std::filesystem::copy_file(std::filesystem::path(NYSJIT_SOURCE_DIR) / "examples/causal.json",
                             folder / "causal.json",
                             std::filesystem::copy_options::overwrite_existing);
  write("exact.json", R"({"layout": "exact_causal", "head_dim": 32})");
  const Outcome outcome =
      nysjit({"bench", "causal.json", "--vs", "exact.json", "--svg", "causal.svg"});
  EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("n 512, 8 heads"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("of the other's time"), std::string::npos) << outcome.out;
  EXPECT_NE(read("causal.svg").find("exact.json: exact_causal float32"), std::string::npos);
}

} // namespace

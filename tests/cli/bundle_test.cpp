// `nysjit bundle`, `bundle show`, `bundle verify` and `run --bundle`, with the compiler.
#include "runtime/bundle/bundle.h"
#include "runtime/configs/configs_file.h"
#include "runtime/configs/device_facts.h"
#include "runtime/device/threads.h"
#include "tests/cli/command.h"

#include <cstdlib>
#include <random>

namespace {

using nysjit::Bundle;

class BundleCommand : public CommandTest {
protected:
  void SetUp() override {
    NYSJIT_NEEDS_COMPILER();
    CommandTest::SetUp();
    write("specs.json", "[" + read("exact.json") + "," + read("causal.json") + "]");
  }
  nlohmann::json make(const std::string &output = "b", const std::string &targets = cpus) {
    return json({"bundle", "specs.json", "--target", targets, "-o", output});
  }
  Outcome runBundled(const std::string &spec, const std::vector<std::string> &more = {}) {
    std::vector<std::string> all = {"--bundle", "b", "--sealed"};
    all.insert(all.end(), more.begin(), more.end());
    return run(spec, all);
  }
  static constexpr const char *cpus = "cpu:x86-64-v3,cpu:x86-64-v4";
};

TEST_F(BundleCommand, HoldsEachSpecForEachTarget) {
  const nlohmann::json made = make("b", std::string(cpus) + ",cuda:sm_80");
  const nlohmann::json shown = json({"bundle", "show", "b"});
  EXPECT_EQ(made["entries"], shown["entries"]);
  std::vector<std::string> all;
  for (const nlohmann::json &entry : shown["entries"]) {
    const std::string target = entry["target"];
    all.push_back(entry["spec"]["layout"].get<std::string>() + " " + target);
    EXPECT_GT(entry["parts"]["plan"]["bytes"], 0);
    EXPECT_FALSE(entry["kernels"].empty());
    EXPECT_TRUE(entry["block_sizes"].contains(entry["kernels"][0]["name"]));
    EXPECT_EQ(entry["parts"]["ptx"]["bytes"] > 0, target == "cuda:sm_80");
    if (target != "cuda:sm_80")
      EXPECT_GT(entry["parts"]["object"]["bytes"], 0);
  }
  EXPECT_EQ(all,
            (std::vector<std::string>{"causal cpu:x86-64-v3", "causal cpu:x86-64-v4",
                                      "causal cuda:sm_80", "exact_causal cpu:x86-64-v3",
                                      "exact_causal cpu:x86-64-v4", "exact_causal cuda:sm_80"}));
  EXPECT_EQ(json({"bundle", "verify", "b"})["entries"], 6);
}

TEST_F(BundleCommand, TheSameSpecsGiveTheSameBytesAnywhere) {
  make("b", "cpu:x86-64-v3,cuda:sm_80");
  const std::string bytes = read("b");
  std::filesystem::remove_all(folder / "cache");
  std::filesystem::create_directory(folder / "other");
  write("other/specs.json", "[" + read("causal.json") + ", " + read("exact.json") + " ]");
  json({"bundle", "other/specs.json", "--target", "cuda:sm_80,cpu:x86-64-v3", "-o", "other/b"});
  EXPECT_TRUE(read("other/b") == bytes);
}

// What was tuned on the machine that makes it is for that machine.
TEST_F(BundleCommand, ConfigsThatAreFoundHereDoNotChangeIt) {
  write("specs.json", "[" + read("exact.json") + "]");
  make("b", "cpu:x86-64-v3");
  const nysjit::TunedConfig entry = {
      nysjit::canonicalJson(*nysjit::parseKernelSpec(std::string_view(read("exact.json")))),
      "cpu:x86-64-v3",
      nysjit::cpuFacts(nysjit::hostCpu(), nysjit::Threads(0).count()),
      json({"bundle", "show", "b"})["entries"][0]["compiler"],
      *nysjit::parseKernelConfig(std::string_view(R"({"exact_causal": {"block_m": 32}})")),
      nysjit::Json::object()};
  write("found.json", nysjit::configsText({{entry}}));
  setenv("NYSJIT_CONFIGS", (folder / "found.json").c_str(), 1);
  const std::string source =
      json({"compile", "exact.json", "--target", "cpu:x86-64-v3"})["config_source"];
  make("other", "cpu:x86-64-v3");
  unsetenv("NYSJIT_CONFIGS");
  EXPECT_EQ(source, folder / "found.json");
  EXPECT_TRUE(read("other") == read("b"));
}

TEST_F(BundleCommand, RunsWithTheSameBitsAsACompiledProgram) {
  make();
  for (const char *spec : {"exact.json", "causal.json"}) {
    ASSERT_EQ(run(spec, {"--target", "cpu:x86-64-v3"}).exitCode, 0);
    const std::string compiled = read("o.npy");
    const Outcome outcome = runBundled(spec, {"--target", "cpu:x86-64-v3", "--json"});
    ASSERT_EQ(outcome.exitCode, 0) << outcome.err;
    EXPECT_EQ(nlohmann::json::parse(outcome.out)["cache"], "bundle");
    EXPECT_TRUE(read("o.npy") == compiled);
    const Outcome best = runBundled(spec, {"--check"}); // v4 where it runs
    EXPECT_EQ(best.exitCode, 0) << best.err;
  }
}

TEST_F(BundleCommand, AnEmulatedGpuRunsItsPart) {
  make("b", "cpu:x86-64-v3,cuda:sm_90");
  const Outcome outcome =
      runBundled("causal.json", {"--device", "ptx-emulator", "--check", "--json"});
  ASSERT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["cache"], "bundle");
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["target"], "cuda:sm_90");
}

TEST_F(BundleCommand, AConfigIsTheBundlesDefault) {
  write("config.json", R"({"exact_causal": {"block_m": 32}})");
  write("specs.json", "[" + read("exact.json") + "]");
  json({"bundle", "specs.json", "--target", "cpu:x86-64-v3", "--config", "config.json", "-o", "b"});
  const Outcome outcome = runBundled("exact.json", {"--json"});
  ASSERT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["config"]["exact_causal"]["block_m"], 32);
  EXPECT_EQ(runBundled("exact.json", {"--config", "config.json"}).exitCode, 0);
  write("config.json", R"({"exact_causal": {"block_m": 16}})");
  std::filesystem::remove(folder / "o.npy");
  const nlohmann::json error = expectFailure(
      {"run", "exact.json", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "o.npy",
       "--bundle", "b", "--sealed", "--config", "config.json", "--target", "cpu:x86-64-v3"},
      1, "unavailable");
  EXPECT_NE(error["found"].get<std::string>().find("config.exact_causal.block_m: 32"),
            std::string::npos)
      << error;
}

TEST_F(BundleCommand, AConfigsFileGivesEachSpecAndTargetItsOwn) {
  write("configs.json", R"({"entries": [{"spec": )" + read("exact.json") +
                            R"(, "target": "cpu:x86-64-v3", "device": {"kind": "another"},
      "compiler": "another", "config": {"exact_causal": {"block_m": 32}}}]})");
  json({"bundle", "specs.json", "--target", cpus, "--config", "configs.json", "-o", "b"});
  const nlohmann::json shown = json({"bundle", "show", "b"});
  for (const nlohmann::json &entry : shown["entries"]) {
    const bool isIts =
        entry["spec"]["layout"] == "exact_causal" && entry["target"] == "cpu:x86-64-v3";
    EXPECT_EQ(entry["config"].empty(), !isIts) << entry;
  }
  // Here it is another machine's.
  const Outcome outcome = run("exact.json", {"--config", "configs.json", "--json"});
  ASSERT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["config_source"], "default");
  EXPECT_NE(outcome.err.find("no entry for this spec"), std::string::npos) << outcome.err;
  EXPECT_EQ(run("exact.json", {"--config", "configs.json", "--config-required"}).exitCode, 1);
}

// A real one, every byte of it, in the library; a few through the command.
TEST_F(BundleCommand, WithAnyByteChangedItIsRefused) {
  write("specs.json", "[" + read("exact.json") + "]");
  make("b", "cpu:x86-64-v3");
  const std::string bytes = read("b");
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::string changed = bytes;
  for (size_t at = 0; at < bytes.size(); ++at) {
    changed[at] = static_cast<char>(changed[at] ^ (1 << random() % 8));
    ASSERT_FALSE(Bundle::ofMemory(changed, "this")) << at;
    changed[at] = bytes[at];
  }
  ASSERT_TRUE(Bundle::ofMemory(changed, "this"));
  for (int i = 0; i < 8; ++i) {
    changed[random() % bytes.size()] ^= 4;
    write("b", changed);
    EXPECT_EQ(nysjit({"bundle", "verify", "b"}).exitCode, 2);
    const Outcome outcome = runBundled("exact.json");
    EXPECT_EQ(outcome.exitCode, 2);
    EXPECT_TRUE(outcome.err.starts_with("nysjit: bundle b: expected ")) << outcome.err;
    changed = bytes;
  }
}

TEST_F(BundleCommand, CSourceHoldsTheSameBytes) {
  make();
  json({"bundle", "specs.json", "--target", cpus, "--emit", "c", "-o", "b.c"});
  write("main.c", "#include <stdio.h>\n#include <stddef.h>\n"
                  "extern const unsigned char nysjit_bundle[];\n"
                  "extern const size_t nysjit_bundle_size;\n"
                  "int main(void) {\n"
                  "  return fwrite(nysjit_bundle, 1, nysjit_bundle_size, stdout) == 0;\n}\n");
  const std::string at = "cd " + folder.string() + " && ";
  ASSERT_EQ(std::system((at + "cc -Wall -Werror main.c b.c -o main && ./main >bytes").c_str()), 0);
  EXPECT_TRUE(read("bytes") == read("b"));
}

TEST_F(BundleCommand, WrongRequestsAreNamed) {
  const auto found = [&](const std::vector<std::string> &more) {
    std::vector<std::string> all = {"bundle", "specs.json"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = nysjit(all);
    EXPECT_EQ(outcome.exitCode, 2) << outcome.err;
    return outcome.err;
  };
  const auto says = [](const std::string &text, const std::string &words) {
    EXPECT_NE(text.find(words), std::string::npos) << text;
  };
  says(found({"-o", "b"}), "--target: expected names of targets");
  says(found({"--target", "cpu:x86-64-v3"}), "-o: expected a file");
  says(found({"--target", "cpu:x86-64-v3,cuda:sm_70", "-o", "b"}), "cuda:sm_70");
  says(found({"--target", "cpu:x86-64-v3,", "-o", "b"}), "--target: expected");
  says(found({"--target", "cpu:x86-64-v3", "-o", "b", "--emit", "d"}), "--emit: expected c");
  const std::vector<std::string> right = {"--target", "cpu:x86-64-v3", "-o", "b"};
  for (const auto &[text, words] :
       {std::pair(R"({"layout": "exact_causal"})", "a JSON array"), std::pair("[]", "an empty"),
        std::pair("[1]", "an array of specs"), std::pair("[", "a JSON array"),
        std::pair(R"([{"layout": "exact_causal", "head_dim": 20}])", "specs.json: [0]: head_dim"),
        std::pair("[{}] []", "a JSON array")}) {
    write("specs.json", text);
    says(found(right), words);
  }
  EXPECT_FALSE(exists("b"));
  EXPECT_EQ(nysjit({"bundle", "show", "specs.json"}).exitCode, 2);
  EXPECT_EQ(nysjit({"bundle", "show", "none"}).exitCode, 1);
}

} // namespace

// `nysjit tune --stale`: what another build won is said by runs, tuned again, and then taken.
#include "runtime/configs/configs_file.h"
#include "tests/cli/command.h"

#include <cstdlib>

namespace {

using nysjit::ConfigsFile;
using nysjit::Json;
using nysjit::TunedConfig;

class TuneStale : public TuningTest {
protected:
  ConfigsFile readConfigs(const std::string &name) {
    nysjit::Result<ConfigsFile> file = nysjit::parseConfigsFile(std::string_view(read(name)));
    EXPECT_TRUE(file.ok()) << read(name);
    return *file;
  }
  static constexpr const char *userFile = "config/nysjit/configs.json";
};

TEST_F(TuneStale, WhatAnotherBuildWonIsTunedAgainAndThenTaken) {
  NYSJIT_NEEDS_COMPILER();
  write("t.json", R"({"specs": ["exact.json"], "shapes": [{"length": 12, "heads": 2}],
      "parameters": {"exact_causal": {"block_m": [16, 32], "block_n": [64]}},
      "measure": {"rounds": 4, "pairs": 10}})");
  ASSERT_EQ(nysjit({"tune", "t.json", "--quiet"}).exitCode, 0);
  // As another build would have left it, beside an entry of another machine and one of an earlier
  // nysjit, for another spec.
  TunedConfig own = readConfigs(userFile).entries.at(0);
  const std::string compiler = own.compiler;
  own.compiler = "build-id 0";
  TunedConfig other = own;
  other.device["vendor"] = "Another";
  TunedConfig silent = own;
  silent.specJson = nysjit::canonicalJson(
      *nysjit::parseKernelSpec(R"({"layout": "exact_causal", "head_dim": 32})"));
  silent.tuned.erase("shapes");
  ConfigsFile stale;
  nysjit::mergeConfigs(stale, {{own, other, silent}});
  write(userFile, nysjit::configsText(stale));

  const Outcome before = run("exact.json", {"--json"});
  EXPECT_EQ(nlohmann::json::parse(before.out)["config_source"], "default");
  EXPECT_NE(before.err.find("`nysjit tune --stale`"), std::string::npos) << before.err;

  const nlohmann::json reply = json({"tune", "--stale", "--quiet"});
  EXPECT_EQ(reply["configs"], (folder / userFile).string());
  EXPECT_EQ(reply["journal"], (folder / "config/nysjit/configs.stale-cpu.jsonl").string());
  EXPECT_EQ(reply["stale"], 1);
  EXPECT_EQ(reply["current"], 0);
  EXPECT_EQ(reply["elsewhere"], 1);
  ASSERT_EQ(reply["left"].size(), 1u);
  EXPECT_EQ(reply["left"][0]["spec"]["head_dim"], 32);
  ASSERT_EQ(reply["specs"].size(), 1u);
  EXPECT_EQ(reply["specs"][0]["tuned"]["shapes"][0]["length"], 12);
  EXPECT_EQ(reply["specs"][0]["tuned"]["shapes"][0]["heads"], 2);
  EXPECT_TRUE(exists("config/nysjit/configs.stale-cpu.jsonl"));

  // The old ones are as they were, the new one is taken.
  const ConfigsFile after = readConfigs(userFile);
  EXPECT_EQ(after.entries.size(), 4u);
  for (const TunedConfig &entry : stale.entries)
    EXPECT_EQ(*after.findKey(entry.key()), entry);
  const Outcome taken = run("exact.json", {"--json"});
  EXPECT_EQ(nlohmann::json::parse(taken.out)["config_source"], (folder / userFile).string());
  EXPECT_EQ(taken.err.find("--stale"), std::string::npos) << taken.err;
  const nlohmann::json again = json({"tune", "--stale"});
  EXPECT_EQ(again["stale"], 0);
  EXPECT_EQ(again["current"], 1);
  EXPECT_FALSE(again.contains("journal"));
  // What the journal has is not measured again.
  write(userFile, nysjit::configsText(stale));
  const nlohmann::json resumed = json({"tune", "--stale", "--resume", "--quiet"});
  EXPECT_EQ(resumed["specs"][0]["from_journal"], true);
  EXPECT_EQ(nysjit::configsText(readConfigs(userFile)), nysjit::configsText(after));
}

TEST_F(TuneStale, AFileThatIsNamedIsTheOne) {
  NYSJIT_NEEDS_COMPILER();
  write("c.json", R"({"schema": 1, "entries": []})");
  const nlohmann::json reply = json({"tune", "--stale", "-o", "c.json"});
  EXPECT_EQ(reply["configs"], "c.json");
  EXPECT_EQ(reply["stale"], 0);
  EXPECT_EQ(read("c.json"), R"({"schema": 1, "entries": []})");
}

TEST_F(TuneStale, AWrongFileOrFlagIsNamed) {
  EXPECT_EQ(expectFailure({"tune", "--stale"}, 2, "invalid_file")["where"], "-o");
  write("c.json", R"({"schema": 1, "entries": [1]})");
  const nlohmann::json error = expectFailure({"tune", "--stale", "-o", "c.json"}, 2, "invalid_key");
  EXPECT_EQ(error["where"], "entries[0]");
  EXPECT_NE(error["message"].get<std::string>().find("c.json"), std::string::npos);
  const auto where = [&](const std::vector<std::string> &more, const char *kind) {
    std::vector<std::string> arguments = {"tune", "--stale"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return expectFailure(arguments, 2, kind)["where"].get<std::string>();
  };
  EXPECT_EQ(where({"exact.json"}, "invalid_argument"), "TUNE");
  EXPECT_EQ(where({"--resume", "--restart"}, "invalid_argument"), "--restart");
  EXPECT_EQ(where({"--merge", "c.json"}, "invalid_argument"), "--merge");
  EXPECT_EQ(where({"--export", "t4", "t.jsonl"}, "invalid_argument"), "--export");
  EXPECT_EQ(where({"--device", "gpu"}, "unknown_device"), "--device");
  EXPECT_EQ(where({"-o", ""}, "invalid_argument"), "-o");
}

} // namespace

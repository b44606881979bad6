// configs.json: read, written, merged; and found in the files of a machine.
#include "runtime/bundle/write_bundle.h"
#include "runtime/cache/disk_cache.h"
#include "runtime/configs/configs_places.h"
#include "runtime/configs/device_facts.h"
#include "runtime/configs/store_config.h"
#include "tests/runtime/fake_program.h"
#include "tests/runtime/sandbox.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <random>

namespace nysjit {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const Json machine = {{"kind", "cpu"}, {"threads", 2}};

std::string specOf(int headDim) {
  return canonicalJson(*parseKernelSpec(R"({"layout": "exact_causal", "head_dim": )" +
                                        std::to_string(headDim) + "}"));
}

TunedConfig tuned(int headDim, int blockM, const char *date = "2026-11-28T00:00:00Z") {
  TunedConfig entry{specOf(headDim), "cpu:native", machine, "build-id 1", {}, Json::object()};
  entry.config.kernels["exact_causal"].blockM = blockM;
  entry.tuned["date"] = date;
  return entry;
}

ConfigQuery queryOf(const TunedConfig &entry) {
  return {entry.specJson, entry.target, entry.device, entry.compiler};
}

int blockOf(const TunedConfig *entry) {
  return entry ? *entry->config.kernels.at("exact_causal").blockM : 0;
}

TEST(ConfigsFile, the_entry_of_a_machine_spec_target_and_build_fits) {
  const TunedConfig entry = tuned(64, 32);
  ConfigsFile file;
  mergeConfigs(file, {{entry, tuned(32, 16)}});
  ConfigMatch match;
  EXPECT_EQ(blockOf(file.find(queryOf(entry), match)), 32);
  EXPECT_EQ(match, ConfigMatch::Fits);
  ConfigQuery query = queryOf(entry);
  query.compiler = "build-id 2";
  EXPECT_EQ(blockOf(file.find(query, match)), 32);
  EXPECT_EQ(match, ConfigMatch::Stale);
  query.compiler = ""; // not known here
  (void)file.find(query, match);
  EXPECT_EQ(match, ConfigMatch::Fits);
  for (const auto change : {+[](ConfigQuery &q) { q.specJson = specOf(128); },
                            +[](ConfigQuery &q) { q.target = "cpu:x86-64-v3"; },
                            +[](ConfigQuery &q) { q.device["threads"] = 3; },
                            +[](ConfigQuery &q) { q.device["l2_bytes"] = 1; },
                            +[](ConfigQuery &q) { q.device = Json(); }}) {
    ConfigQuery other = queryOf(entry);
    change(other);
    EXPECT_EQ(file.find(other, match), nullptr);
    EXPECT_EQ(match, ConfigMatch::None);
  }
}

TEST(ConfigsFile, what_fits_goes_before_what_is_stale_and_newer) {
  TunedConfig stale = tuned(64, 16, "2027-01-01T00:00:00Z");
  stale.compiler = "build-id 0";
  TunedConfig newer = tuned(64, 64, "2028-01-01T00:00:00Z");
  newer.compiler = "build-id 2";
  ConfigsFile file;
  mergeConfigs(file, {{newer, stale, tuned(64, 32)}});
  ConfigMatch match;
  EXPECT_EQ(blockOf(file.find(queryOf(tuned(64, 0)), match)), 32);
  EXPECT_EQ(match, ConfigMatch::Fits);
  ConfigQuery query = queryOf(tuned(64, 0));
  query.compiler = "build-id 3";
  EXPECT_EQ(blockOf(file.find(query, match)), 64);
  EXPECT_EQ(match, ConfigMatch::Stale);
}

TEST(ConfigsFile, is_written_the_same_and_read_back) {
  ConfigsFile one;
  mergeConfigs(one, {{tuned(64, 32), tuned(32, 16)}});
  ConfigsFile other;
  mergeConfigs(other, {{tuned(32, 16), tuned(64, 32)}});
  EXPECT_EQ(configsText(one), configsText(other));
  const Result<ConfigsFile> read = parseConfigsFile(std::string_view(configsText(one)));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(configsText(*read), configsText(one));
}

TEST(ConfigsFile, the_later_of_equal_ones_stays_whichever_is_merged_into_which) {
  const TunedConfig older = tuned(64, 16, "2026-01-01T00:00:00Z");
  const TunedConfig later = tuned(64, 32, "2026-02-01T00:00:00Z");
  TunedConfig tied = later;
  tied.config.kernels["exact_causal"].blockM = 64;
  for (const auto &[into, from] : {std::pair(older, later), std::pair(later, older)}) {
    ConfigsFile file;
    mergeConfigs(file, {{into}});
    const MergeReport report = mergeConfigs(file, {{from}});
    ASSERT_EQ(file.entries.size(), 1u);
    EXPECT_EQ(blockOf(&file.entries[0]), 32);
    EXPECT_EQ(report.replaced, from.date() == later.date() ? 1u : 0u);
    EXPECT_EQ(report.kept, from.date() == later.date() ? 0u : 1u);
  }
  ConfigsFile one;
  mergeConfigs(one, {{later}});
  mergeConfigs(one, {{tied}});
  ConfigsFile other;
  mergeConfigs(other, {{tied}});
  mergeConfigs(other, {{later}});
  EXPECT_EQ(configsText(one), configsText(other));
}

// By the key of the document that is wrong.
TEST(ConfigsFile, wrong_ones_are_refused_by_the_key) {
  const nlohmann::json right = nlohmann::json::parse(configsText({{tuned(64, 32)}}));
  ASSERT_TRUE(parseConfigsFile(std::string_view(right.dump())));
  const auto where = [&](const char *pointer, const nlohmann::json &value) -> std::string {
    nlohmann::json changed = right;
    if (value.is_discarded())
      changed = changed.patch({{{"op", "remove"}, {"path", pointer}}});
    else
      changed[nlohmann::json::json_pointer(pointer)] = value;
    const Result<ConfigsFile> read = parseConfigsFile(std::string_view(changed.dump()));
    return read ? "" : read.error().where;
  };
  const nlohmann::json removed(nlohmann::json::value_t::discarded);
  EXPECT_EQ(where("/schema", 2), "schema");
  EXPECT_EQ(where("/entries", 1), "entries");
  EXPECT_EQ(where("/extra", 1), "extra");
  EXPECT_EQ(where("/entries/0", 1), "entries[0]");
  for (const char *name : {"spec", "target", "device", "compiler", "config"}) {
    EXPECT_EQ(where((std::string("/entries/0/") + name).c_str(), removed),
              std::string("entries[0].") + name);
    EXPECT_EQ(where((std::string("/entries/0/") + name).c_str(), 1),
              std::string("entries[0].") + name);
  }
  EXPECT_EQ(where("/entries/0/tuned", 1), "entries[0].tuned");
  EXPECT_EQ(where("/entries/0/other", 1), "entries[0].other");
  EXPECT_EQ(where("/entries/0/spec/head_dim", 20), "entries[0].spec.head_dim");
  EXPECT_EQ(where("/entries/0/target", "cuda:sm_70"), "entries[0].target");
  EXPECT_EQ(where("/entries/0/config/exact_causal/block_m", 20),
            "entries[0].config.exact_causal.block_m");
  EXPECT_EQ(parseConfigsFile(std::string_view("[1")).error().kind, ErrorKind::InvalidJson);
}

TEST(StoreConfigs, many_writers_lose_nothing) {
  const TemporaryFolder folder;
  const std::string path = folder / "deep/configs.json";
  std::vector<pid_t> writers;
  constexpr int each = 5;
  for (int writer = 0; writer < 6; ++writer) {
    const pid_t child = fork();
    if (child == 0) {
      bool isStored = true;
      for (int i = 0; i < each; ++i)
        isStored =
            storeConfigs(path, {{tuned(16 + 8 * (writer * each + i) % 240, 32)}}) && isStored;
      _exit(isStored ? 0 : 1);
    }
    writers.push_back(child);
  }
  for (const pid_t writer : writers) {
    int status = 0;
    waitpid(writer, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const Result<ConfigsFile> read = readConfigsFile(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->entries.size(), 30u);
}

TEST(StoreConfigs, what_is_no_configs_file_stays) {
  const TemporaryFolder folder;
  writeAll(folder / "configs.json", "{\"mine\": 1}");
  EXPECT_FALSE(storeConfigs(folder / "configs.json", {{tuned(64, 32)}}));
  EXPECT_EQ(readAll(folder / "configs.json"), "{\"mine\": 1}");
}

class FoundHere : public testing::Test {
protected:
  FoundHere() {
    unsetenv("NYSJIT_CONFIGS");
    setenv("XDG_CONFIG_HOME", (folder / "config").c_str(), 1);
    std::filesystem::create_directories(folder / "config/nysjit");
  }
  ~FoundHere() override {
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("NYSJIT_CONFIGS");
  }
  void write(const std::string &name, int blockM) {
    writeAll(folder / name, configsText({{tuned(64, blockM)}}));
  }
  static int blockIn(const std::optional<FoundConfig> &found) {
    return found ? *found->config.kernels.at("exact_causal").blockM : 0;
  }
  static void keep(void *lines, const char *line) {
    static_cast<std::vector<std::string> *>(lines)->push_back(line);
  }
  const TemporaryFolder folder;
  const ConfigQuery query = queryOf(tuned(64, 0));
  std::vector<std::string> lines;
  FoundConfigs found{Log{&FoundHere::keep, &lines}};
};

TEST_F(FoundHere, in_the_users_folder) {
  write("config/nysjit/configs.json", 16);
  EXPECT_FALSE(found.findSet(query));
  const std::optional<FoundConfig> entry = found.findInstalled(query);
  EXPECT_EQ(blockIn(entry), 16);
  EXPECT_EQ(entry->path, folder / "config/nysjit/configs.json");
  write("config/nysjit/configs.json", 32); // read once
  EXPECT_EQ(blockIn(found.findInstalled(query)), 16);
}

TEST_F(FoundHere, in_the_home_folder_without_a_folder_of_configs) {
  const char *set = getenv("HOME");
  const std::string before = set ? set : "";
  std::filesystem::create_directories(folder / "home/.config/nysjit");
  write("home/.config/nysjit/configs.json", 32);
  setenv("XDG_CONFIG_HOME", "relative", 1); // its specification: then it is ignored
  setenv("HOME", (folder / "home").c_str(), 1);
  EXPECT_EQ(blockIn(found.findInstalled(query)), 32);
  set ? setenv("HOME", before.c_str(), 1) : unsetenv("HOME");
}

TEST_F(FoundHere, in_the_environments_files_in_their_order) {
  write("config/nysjit/configs.json", 16);
  writeAll(folder / "first", configsText({{tuned(32, 64)}}));
  write("second", 128);
  write("third", 256);
  setenv("NYSJIT_CONFIGS",
         (folder / "first" + ":" + (folder / "second") + "::" + (folder / "third")).c_str(), 1);
  EXPECT_EQ(blockIn(found.findSet(query)), 128);
  EXPECT_EQ(blockIn(found.findInstalled(query)), 16);
}

TEST_F(FoundHere, nowhere_where_the_environment_says_so) {
  write("config/nysjit/configs.json", 16);
  setenv("NYSJIT_CONFIGS", "", 1);
  EXPECT_TRUE(found.isEmpty());
  EXPECT_FALSE(found.findInstalled(query));
  EXPECT_EQ(lines.size(), 0u);
}

TEST_F(FoundHere, wrong_files_are_a_line_and_nothing_else) {
  writeAll(folder / "config/nysjit/configs.json", "{\"entries\": 1}");
  setenv("NYSJIT_CONFIGS", (folder / "none").c_str(), 1);
  EXPECT_TRUE(found.isEmpty());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr(folder / "none"));
  EXPECT_THAT(lines[1], HasSubstr("configs.json: entries: expected an array"));
}

TEST_F(FoundHere, another_builds_entry_is_a_line_unless_it_is_wanted) {
  write("config/nysjit/configs.json", 16);
  ConfigQuery other = query;
  other.compiler = "build-id 2";
  EXPECT_FALSE(found.findInstalled(other));
  EXPECT_FALSE(found.findInstalled(other));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("another build"));
  EXPECT_THAT(lines[0], HasSubstr("`nysjit tune --stale`")); // the user's file
  other.takesStale = true;
  EXPECT_EQ(blockIn(found.findInstalled(other)), 16);
}

TEST_F(FoundHere, what_tunes_another_builds_entry_again_is_said_with_its_file_and_device) {
  TunedConfig entry = tuned(64, 16);
  entry.device = {{"kind", "cuda"}, {"multiprocessors", 132}};
  entry.target = "cuda:sm_90";
  writeAll(folder / "named", configsText({{entry}}));
  setenv("NYSJIT_CONFIGS", (folder / "named").c_str(), 1);
  EXPECT_FALSE(found.findSet({entry.specJson, entry.target, entry.device, "build-id 2"}));
  EXPECT_THAT(lines.at(0),
              HasSubstr("`nysjit tune --stale --device cuda -o " + folder / "named" + "`"));
}

// Through the C API: which config a program is prepared with, and what is said of it.
class Configured : public FakeRuntime {
protected:
  void SetUp() override {
    setenv("NYSJIT_CONFIGS", (folder / "configs.json").c_str(), 1);
    createContext(FAKE_WORKER, 2);
    ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
    const std::string text = keyText();
    TunedConfig entry = tuned(16, 128);
    entry.target = "cpu:x86-64-v3";
    entry.device = cpuFacts(hostCpu(), 2);
    entry.compiler = keyTextLine(text, "compiler");
    writeAll(folder / "configs.json", configsText({{entry}}));
    createContext(FAKE_WORKER, 2);
  }
  void TearDown() override {
    unsetenv("NYSJIT_CONFIGS");
    FakeRuntime::TearDown();
  }
  std::string keyText() { return DiskCache(folder / "cache").read(info().key).entry->keyText; }
  std::string configOf(const char *config) {
    nysjit_program_release(program);
    program = nullptr;
    const nysjit_status status =
        nysjit_prepare(context, fakeSpec(), config, "cpu:x86-64-v3", &program);
    if (status != NYSJIT_OK)
      return nysjit_last_error();
    return std::string(info().config_source) + " " + keyTextLine(keyText(), "config");
  }
};

TEST_F(Configured, none_is_what_is_found) {
  EXPECT_EQ(configOf(nullptr), folder / "configs.json" + R"( {"exact_causal":{"block_m":128}})");
}

TEST_F(Configured, an_empty_one_is_the_defaults_exactly) { EXPECT_EQ(configOf("{}"), "given {}"); }

TEST_F(Configured, one_that_is_given_is_taken) {
  EXPECT_EQ(configOf(R"({"exact_causal": {"block_m": 16}})"),
            R"(given {"exact_causal":{"block_m":16}})");
  const std::string document = readAll(folder / "configs.json");
  EXPECT_EQ(configOf(document.c_str()), R"(given {"exact_causal":{"block_m":128}})");
  EXPECT_EQ(configOf(R"({"entries": []})"), "default {}");
  EXPECT_THAT(configOf(R"({"entries": [1]})"), StartsWith("entries[0]: expected an object"));
}

TEST_F(Configured, one_that_is_found_and_that_the_compiler_refuses_is_none) {
  const ScopedSetting refuse("FAKE_WORKER_MODE", "refuse-config");
  createContext(FAKE_WORKER, 2);
  EXPECT_EQ(configOf(nullptr), "default {}");
  EXPECT_THAT(configOf(R"({"exact_causal": {"block_m": 16}})"), StartsWith("nonsense: expected"));
  EXPECT_THAT(configOf(readAll(folder / "configs.json").c_str()), StartsWith("nonsense: expected"));
}

TEST_F(Configured, one_that_is_found_is_the_environments_then_the_bundles_then_the_users) {
  ASSERT_THAT(configOf(R"({"exact_causal": {"block_m": 32}})"), StartsWith("given"));
  const std::string bundle = folder / "programs";
  writeAll(bundle, bundleToBytes({*DiskCache(folder / "cache").read(info().key).entry}, "0.0"));
  std::string document = readAll(folder / "configs.json");
  document.replace(document.find("128", document.find("block_m")), 3,
                   "64"); // a build-id may have it
  std::filesystem::create_directories(folder / "config/nysjit");
  writeAll(folder / "config/nysjit/configs.json", document);
  const ScopedSetting bundles("NYSJIT_BUNDLES", bundle);
  const ScopedSetting user("XDG_CONFIG_HOME", folder / "config");
  createContext(FAKE_WORKER, 2);
  EXPECT_THAT(configOf(nullptr), StartsWith(folder / "configs.json "));
  unsetenv("NYSJIT_CONFIGS");
  createContext(FAKE_WORKER, 2);
  EXPECT_EQ(configOf(nullptr), "bundle " + bundle + R"( {"exact_causal":{"block_m":32}})");
  unsetenv("NYSJIT_BUNDLES");
  createContext(FAKE_WORKER, 2);
  EXPECT_EQ(configOf(nullptr),
            folder / "config/nysjit/configs.json" + R"( {"exact_causal":{"block_m":64}})");
}

// Of a bundle the target that runs here, as with any other config.
TEST_F(Configured, one_that_is_given_is_looked_for_in_a_bundle_for_each_target) {
  ASSERT_THAT(configOf(nullptr), HasSubstr("128"));
  const CacheEntry entry = *DiskCache(folder / "cache").read(info().key).entry;
  writeAll(folder / "programs", bundleToBytes({entry}, "0.0"));
  const std::string document = readAll(folder / "configs.json");
  std::filesystem::remove_all(folder / "cache");
  const ScopedSetting bundles("NYSJIT_BUNDLES", folder / "programs");
  const ScopedSetting sealed("NYSJIT_SEALED", "1");
  createContext(FAKE_WORKER, 2);
  nysjit_program_release(program);
  program = nullptr;
  ASSERT_EQ(nysjit_prepare(context, fakeSpec(), document.c_str(), nullptr, &program), NYSJIT_OK)
      << nysjit_last_error();
  EXPECT_STREQ(info().cache, "bundle");
  EXPECT_STREQ(info().target, "cpu:x86-64-v3");
  EXPECT_STREQ(info().config_source, "given");
}

TEST_F(Configured, another_builds_is_taken_where_that_is_wanted) {
  std::string document = readAll(folder / "configs.json");
  document.replace(document.find("build-id "), 9, "build-id 0");
  writeAll(folder / "configs.json", document);
  createContext(FAKE_WORKER, 2);
  EXPECT_EQ(configOf(nullptr), "default {}");
  EXPECT_EQ(configOf(document.c_str()), "default {}");
  {
    const ScopedSetting taken("NYSJIT_STALE_CONFIGS", "1");
    EXPECT_EQ(configOf(nullptr), folder / "configs.json" + R"( {"exact_causal":{"block_m":128}})");
    EXPECT_EQ(configOf(document.c_str()), R"(given {"exact_causal":{"block_m":128}})");
  }
  const ScopedSetting wrong("NYSJIT_STALE_CONFIGS", "yes");
  EXPECT_THAT(configOf(nullptr), StartsWith("NYSJIT_STALE_CONFIGS: expected a whole number"));
}

TEST_F(Configured, another_number_of_threads_is_another_machine) {
  createContext(FAKE_WORKER, 1);
  EXPECT_EQ(configOf(nullptr), "default {}");
}

} // namespace
} // namespace nysjit

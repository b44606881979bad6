// `nysjit cache`: what it says of entries that are missing, damaged, not to be read or not trusted,
// and how it makes room.
#include "tests/cli/command.h"

#include <fstream>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

class CacheCommand : public CommandTest {
protected:
  void SetUp() override {
    setenv("NYSJIT_COMPILER", FAKE_WORKER, 1);
    CommandTest::SetUp();
    write("other.json", R"({"layout":"causal","head_dim":16,"landmarks":4,"segment_len":8})");
  }
  void TearDown() override {
    unsetenv("NYSJIT_COMPILER");
    CommandTest::TearDown();
  }
  nlohmann::json whyMiss(const std::string &spec, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"cache", "why-miss", spec});
    return json(std::move(more));
  }
  std::filesystem::path entryFile(const std::string &key) {
    return folder / "cache" / (key + ".nysjit");
  }
};

TEST_F(CacheCommand, WhyMissSaysHit) {
  const std::string key = json({"compile", "causal.json"})["key"];
  nlohmann::json reply = whyMiss("causal.json");
  EXPECT_EQ(reply["hit"], true);
  EXPECT_EQ(reply["key"], key);
  EXPECT_EQ(nysjit({"cache", "why-miss", "causal.json"}).out.substr(0, 4), "hit:");
}

TEST_F(CacheCommand, WhyMissNamesWhatDiffersFromTheNearest) {
  EXPECT_TRUE(whyMiss("causal.json")["nearest"].is_null()); // there is nothing yet
  json({"compile", "exact.json"});
  const std::string key = json({"compile", "causal.json"})["key"];
  nlohmann::json reply = whyMiss("other.json");
  EXPECT_EQ(reply["hit"], false);
  EXPECT_EQ(reply["nearest"], key);
  EXPECT_EQ(reply["differences"],
            nlohmann::json::parse(R"([{"field": "spec.segment_len", "entry": 4, "asked": 8}])"));
  EXPECT_NE(nysjit({"cache", "why-miss", "other.json"})
                .out.find("spec.segment_len: 4 in the entry, 8 asked"),
            std::string::npos);
}

TEST_F(CacheCommand, WhyMissNamesTargetConfigAndCompiler) {
  json({"compile", "exact.json", "--target", "cpu:x86-64-v3"});
  write("config.json", R"({"exact_causal": {"block_m": 32}})");
  const auto fields = [](const nlohmann::json &reply) {
    std::vector<std::string> names;
    for (const nlohmann::json &difference : reply["differences"])
      names.push_back(difference["field"]);
    return names;
  };
  EXPECT_EQ(fields(whyMiss("exact.json", {"--config", "config.json", "--target", "cpu:x86-64-v3"})),
            std::vector<std::string>{"config.exact_causal.block_m"});
  EXPECT_EQ(fields(whyMiss("exact.json")), (std::vector<std::string>{"target", "cpu"}));
  write("compiler", "#!/bin/sh\n");
  std::filesystem::permissions(folder / "compiler", std::filesystem::perms::owner_all);
  setenv("NYSJIT_COMPILER", (folder / "compiler").c_str(), 1);
  EXPECT_EQ(fields(whyMiss("exact.json", {"--target", "cpu:x86-64-v3"})),
            (std::vector<std::string>{"compiler", "llvm"}));
}

TEST_F(CacheCommand, WrongRequestsAreRefused) {
  expectFailure({"cache", "why-miss"}, 2, "invalid_argument");
  expectFailure({"cache", "why-miss", "absent.json"}, 2, "invalid_file");
  write("wrong.json", R"({"layout":"exact_causal"})");
  expectFailure({"cache", "why-miss", "wrong.json"}, 2, "invalid_key");
  for (const char *number : {"-1", "1G", "", "1.5"})
    EXPECT_EQ(expectFailure({"cache", "gc", "--max-bytes", number}, 2, "invalid_argument")["where"],
              "--max-bytes");
  setenv("NYSJIT_CACHE_MAX_ENTRIES", "many", 1);
  EXPECT_EQ(expectFailure({"cache", "gc"}, 2, "invalid_argument")["where"],
            "NYSJIT_CACHE_MAX_ENTRIES");
  EXPECT_EQ(expectFailure({"compile", "exact.json"}, 2, "invalid_argument")["where"],
            "NYSJIT_CACHE_MAX_ENTRIES");
  unsetenv("NYSJIT_CACHE_MAX_ENTRIES");
}

/// What each command says of an entry that cannot be used, by the words that must be there.
TEST_F(CacheCommand, AllSayWhyAnEntryCannotBeUsed) {
  const std::string key = json({"compile", "exact.json"})["key"];
  const auto expectWord = [&](const std::string &word) {
    for (const std::vector<std::string> &command : {std::vector<std::string>{"cache", "verify"},
                                                    {"cache", "show", key},
                                                    {"cache", "list"},
                                                    {"cache", "why-miss", "exact.json"}}) {
      const Outcome outcome = nysjit(command);
      EXPECT_NE((outcome.out + outcome.err).find(word), std::string::npos)
          << command[1] << ": " << outcome.out << outcome.err;
    }
    EXPECT_EQ(nysjit({"cache", "verify"}).exitCode, 1);
    const Outcome compiled = nysjit({"compile", "exact.json"});
    EXPECT_NE(compiled.err.find(word), std::string::npos) << compiled.err;
    EXPECT_EQ(compiled.exitCode, 0);
  };
  std::filesystem::resize_file(entryFile(key), 100);
  expectWord("damaged (its checksum does not agree)");
  chmod(entryFile(key).c_str(), 0666);
  expectWord("not trusted (writable by everyone)");
  EXPECT_EQ(nysjit({"cache", "verify"}).exitCode, 0); // compiled anew, it is whole again
}

TEST_F(CacheCommand, WhatIsNotReadableIsNotDamaged) {
  const std::string key = json({"compile", "exact.json"})["key"];
  chmod(entryFile(key).c_str(), 0);
  for (const auto &path : {folder, folder / "cache"})
    chmod(path.c_str(), 0755);
  const std::string user =
      geteuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
  if (std::system((user + "true").c_str()) != 0)
    GTEST_SKIP() << "this root cannot become another user";
  const std::string command = user + "env NYSJIT_CACHE_DIR=" + (folder / "cache").string() + " " +
                              NYSJIT_BINARY_DIR "/bin/nysjit cache verify 2>&1";
  FILE *const pipe = popen(command.c_str(), "r");
  char text[2000] = "";
  const size_t count = fread(text, 1, sizeof text - 1, pipe);
  EXPECT_EQ(WEXITSTATUS(pclose(pipe)), 1);
  const std::string said(text, count);
  EXPECT_NE(said.find("unreadable (Permission denied)"), std::string::npos) << said;
  EXPECT_EQ(said.find("damage"), std::string::npos) << said;
}

TEST_F(CacheCommand, AFolderThatIsNoneOrNotTrustedIsSaid) {
  write("cache", "a file");
  for (const char *action : {"list", "verify", "gc", "clear"})
    EXPECT_NE(expectFailure({"cache", action}, 1, "io")["found"].get<std::string>().find(
                  "Not a directory"),
              std::string::npos);
  EXPECT_EQ(whyMiss("exact.json")["reason"], "Not a directory");
  EXPECT_NE(nysjit({"compile", "exact.json"}).err.find("Not a directory"), std::string::npos);
  std::filesystem::remove(folder / "cache");
  json({"compile", "exact.json"});
  chmod((folder / "cache").c_str(), 0777);
  expectFailure({"cache", "verify"}, 1, "check_failed");
  EXPECT_EQ(whyMiss("other.json")["state"], "not_trusted");
  EXPECT_EQ(json({"cache", "list"})["entries"][0]["state"], "not_trusted");
  EXPECT_NE(nysjit({"compile", "exact.json"}).err.find("writable by everyone"), std::string::npos);
  EXPECT_EQ(json({"cache", "clear"})["removed"], 1); // removing runs nothing
}

TEST_F(CacheCommand, GcMakesRoomAndSaysHowMuch) {
  for (const char *spec : {"exact.json", "causal.json", "other.json"})
    json({"compile", spec});
  EXPECT_EQ(json({"cache", "gc"})["removed"], 0);
  EXPECT_EQ(json({"cache", "gc", "--max-entries", "0"})["removed"], 0); // no limit
  EXPECT_EQ(json({"cache", "gc", "--max-entries", "2"})["removed"], 1);
  setenv("NYSJIT_CACHE_MAX_ENTRIES", "1", 1);
  EXPECT_EQ(json({"cache", "gc", "--max-entries", "2"})["removed"], 0);
  EXPECT_EQ(json({"cache", "gc"})["removed"], 1);
  unsetenv("NYSJIT_CACHE_MAX_ENTRIES");
  EXPECT_EQ(json({"cache", "gc", "--max-bytes", "1"})["removed"], 1);
  EXPECT_TRUE(json({"cache", "list"})["entries"].empty());
}

TEST_F(CacheCommand, TheLimitsHoldAtEachStore) {
  setenv("NYSJIT_CACHE_MAX_ENTRIES", "1", 1);
  for (const char *spec : {"exact.json", "causal.json", "other.json"})
    json({"compile", spec});
  unsetenv("NYSJIT_CACHE_MAX_ENTRIES");
  EXPECT_EQ(json({"cache", "list"})["entries"].size(), 1u);
  EXPECT_EQ(whyMiss("other.json")["hit"], true); // the last
}

TEST_F(CacheCommand, ListCounts) {
  json({"compile", "exact.json"});
  json({"compile", "exact.json"});
  json({"compile", "exact.json"});
  const std::string key = json({"compile", "causal.json"})["key"];
  std::filesystem::resize_file(entryFile(key), 100);
  json({"compile", "causal.json"});
  nlohmann::json counters = json({"cache", "list"})["counters"];
  EXPECT_EQ(counters["hits"], 2);
  EXPECT_EQ(counters["misses"], 3);
  EXPECT_EQ(counters["stores"], 3);
  EXPECT_EQ(counters["refused"], 1);
  EXPECT_EQ(counters["evictions"], 0);
  EXPECT_EQ(counters["entries"], 2);
  EXPECT_GT(counters["bytes"], 0);
}

} // namespace

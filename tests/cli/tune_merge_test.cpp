// `nysjit tune --merge`: one file of many, in whichever order they come.
#include "runtime/configs/configs_file.h"
#include "tests/cli/command.h"

#include <algorithm>

using nysjit::ConfigsFile;
using nysjit::TunedConfig;

namespace {

/// `threads` and `headDim` are the entry's key, the rest what it says.
TunedConfig entryOf(int headDim, int threads, int blockM, const std::string &date) {
  const std::string spec =
      R"({"layout": "exact_causal", "head_dim": )" + std::to_string(headDim) + "}";
  TunedConfig entry{nysjit::canonicalJson(*nysjit::parseKernelSpec(std::string_view(spec))),
                    "cpu:native",
                    {{"kind", "cpu"}, {"threads", threads}},
                    "build-id 1",
                    {},
                    nysjit::Json::object()};
  entry.config.kernels["exact_causal"].blockM = blockM;
  if (!date.empty())
    entry.tuned["date"] = date;
  return entry;
}

class TuneMerge : public CommandTest {
protected:
  void writeConfigs(const std::string &name, const std::vector<TunedConfig> &entries) {
    ConfigsFile file;
    nysjit::mergeConfigs(file, {entries});
    write(name, nysjit::configsText(file));
  }
  /// block_m by "head_dim threads", of a file.
  std::map<std::string, int> blocksIn(const std::string &name) {
    std::map<std::string, int> blocks;
    const nysjit::Result<ConfigsFile> file = nysjit::parseConfigsFile(std::string_view(read(name)));
    EXPECT_TRUE(file.ok()) << read(name);
    for (const TunedConfig &entry : file->entries)
      blocks[nysjit::parseKernelSpec(std::string_view(entry.specJson))->headDim == 32
                 ? "32 " + entry.device["threads"].dump()
                 : "64 " + entry.device["threads"].dump()] =
          *entry.config.kernels.at("exact_causal").blockM;
    return blocks;
  }
};

TEST_F(TuneMerge, TheUnionHasOfEqualEntriesTheLaterThenTheSmallerText) {
  writeConfigs("a.json", {entryOf(64, 2, 16, "2026-01-01T00:00:00Z"),
                          entryOf(64, 8, 128, "2026-01-01T00:00:00Z"), entryOf(32, 2, 64, "")});
  writeConfigs("b.json",
               {entryOf(64, 2, 32, "2026-02-01T00:00:00Z"), entryOf(32, 2, 16, "2025-01-01")});
  writeConfigs("c.json",
               {entryOf(64, 2, 64, "2026-02-01T00:00:00Z"), entryOf(32, 4, 256, "2024-01-01")});
  std::vector<std::string> files = {"a.json", "b.json", "c.json"};
  std::string first;
  do {
    const nlohmann::json reply =
        json({"tune", "--merge", files[0], files[1], files[2], "-o", "o.json"});
    EXPECT_EQ(reply["configs"], "o.json");
    EXPECT_EQ(reply["entries"], 4);
    EXPECT_EQ(reply["added"], 4);
    EXPECT_EQ(reply["replaced"].size(), 0u);
    ASSERT_EQ(reply["left_out"].size(), 3u); // of a.json two, of c.json one
    for (const nlohmann::json &one : reply["left_out"])
      EXPECT_GE(one["kept_date"], one["date"]);
    const std::map<std::string, int> expected = {
        {"64 2", 32}, {"64 8", 128}, {"32 2", 16}, {"32 4", 256}};
    EXPECT_EQ(blocksIn("o.json"), expected);
    first = first.empty() ? read("o.json") : first;
    EXPECT_EQ(read("o.json"), first);
    std::filesystem::remove(folder / "o.json");
    // Two by two, each into what there is.
    for (const std::string &file : files)
      EXPECT_EQ(nysjit({"tune", "--merge", file, "-o", "o.json"}).exitCode, 0);
    EXPECT_EQ(read("o.json"), first);
    std::filesystem::remove(folder / "o.json");
  } while (std::ranges::next_permutation(files).found);
}

TEST_F(TuneMerge, TheFileThatIsThereTakesPart) {
  writeConfigs("a.json", {entryOf(64, 2, 16, "2026-01-01"), entryOf(64, 4, 16, "2026-03-01")});
  writeConfigs("c.json", {entryOf(64, 2, 32, "2026-02-01"), entryOf(64, 4, 32, "2026-02-01"),
                          entryOf(32, 2, 64, "2026-02-01")});
  const std::string before = read("c.json");
  const std::map<std::string, int> expected = {{"64 2", 32}, {"64 4", 16}, {"32 2", 64}};
  // Named among the inputs, too, it is the same.
  for (const std::vector<std::string> &inputs :
       {std::vector<std::string>{"a.json"}, {"a.json", "c.json"}, {"./c.json", "a.json"}}) {
    write("c.json", before);
    std::vector<std::string> arguments = {"tune", "--merge"};
    arguments.insert(arguments.end(), inputs.begin(), inputs.end());
    arguments.insert(arguments.end(), {"-o", "c.json"});
    const nlohmann::json reply = json(arguments);
    EXPECT_EQ(blocksIn("c.json"), expected);
    EXPECT_EQ(reply["added"], 0);
    ASSERT_EQ(reply["replaced"].size(), 1u);
    EXPECT_EQ(reply["replaced"][0]["device"]["threads"], 4);
    EXPECT_EQ(reply["replaced"][0]["date"], "2026-02-01");
    EXPECT_EQ(reply["replaced"][0]["kept_date"], "2026-03-01");
    ASSERT_EQ(reply["left_out"].size(), 1u);
    EXPECT_EQ(reply["left_out"][0]["file"], "a.json");
    EXPECT_EQ(reply["left_out"][0]["device"]["threads"], 2);
  }
  const std::string text = nysjit({"tune", "--merge", "a.json", "-o", "c.json"}).out;
  EXPECT_NE(text.find("left out of a.json: exact_causal float32 for cpu:native on "
                      R"({"kind":"cpu","threads":2}: 2026-01-01 gives way to 2026-02-01)"),
            std::string::npos)
      << text;
}

TEST_F(TuneMerge, AWrongFileIsNamedAndNothingIsWritten) {
  writeConfigs("a.json", {entryOf(64, 2, 16, "2026-01-01")});
  const std::string right = read("a.json");
  const auto changed = [&](const std::string &from, const std::string &to) {
    std::string text = right;
    return text.replace(text.find(from), from.size(), to);
  };
  struct {
    std::string text;
    const char *kind;
    const char *where;
  } const all[] = {
      {"{", "invalid_json", "JSON"},
      {"[]", "invalid_json", "JSON"},
      {changed("\"schema\": 1", "\"schema\": 2"), "invalid_key", "schema"},
      {changed("\"entries\"", "\"entry\""), "invalid_key", "entry"},
      {changed("\"head_dim\":64", "\"head_dim\":7"), "invalid_key", "entries[0].spec.head_dim"},
      {changed("\"block_m\":16", "\"block_m\":17"), "invalid_key",
       "entries[0].config.exact_causal.block_m"},
      {changed("cpu:native", "cpu:old"), "invalid_key", "entries[0].target"},
      {R"({"exact_causal": {"block_m": 16}})", "invalid_key", "exact_causal"},
  };
  for (const auto &[text, kind, where] : all) {
    write("wrong.json", text);
    for (const std::vector<std::string> &inputs :
         {std::vector<std::string>{"a.json", "wrong.json"}, {"wrong.json", "a.json"}}) {
      const nlohmann::json error =
          expectFailure({"tune", "--merge", inputs[0], inputs[1], "-o", "new.json"}, 2, kind);
      EXPECT_EQ(error["where"], where) << text;
      EXPECT_NE(error["message"].get<std::string>().find("wrong.json"), std::string::npos);
      EXPECT_FALSE(exists("new.json"));
    }
    // The one to be written, too.
    EXPECT_EQ(expectFailure({"tune", "--merge", "a.json", "-o", "wrong.json"}, 2,
                            "invalid_file")["where"],
              "-o");
    EXPECT_EQ(read("wrong.json"), text);
  }
  EXPECT_EQ(expectFailure({"tune", "--merge", "a.json", "absent.json", "-o", "new.json"}, 2,
                          "invalid_file")["where"],
            "--merge");
  EXPECT_FALSE(exists("new.json"));
}

TEST_F(TuneMerge, WrongFlagsAreNamed) {
  writeConfigs("a.json", {entryOf(64, 2, 16, "2026-01-01")});
  const auto where = [&](const std::vector<std::string> &more) {
    std::vector<std::string> arguments = {"tune", "--merge", "a.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return expectFailure(arguments, 2, "invalid_argument")["where"].get<std::string>();
  };
  EXPECT_EQ(where({}), "-o");
  EXPECT_EQ(where({"-o", ""}), "-o");
  EXPECT_EQ(where({"-o", "-"}), "-o");
  EXPECT_EQ(where({"-o", "c.json", "--svg", "s.svg"}), "--svg");
  EXPECT_EQ(where({"-o", "c.json", "--resume"}), "--resume");
  EXPECT_EQ(where({"-o", "c.json", "--restart"}), "--restart");
  EXPECT_EQ(where({"-o", "c.json", "--device", "cpu"}), "--device");
  EXPECT_EQ(where({"-o", "c.json", "t.json"}), "TUNE");
  EXPECT_EQ(where({"-o", "c.json", "--compile-only"}), "--compile-only");
  EXPECT_EQ(where({"-o", "c.json", "--bundle", "b"}), "--bundle");
  EXPECT_EQ(where({"-o", "c.json", "--target", "cpu:native"}), "--target");
  EXPECT_EQ(expectFailure({"tune", "-o", "c.json"}, 2, "invalid_argument")["where"], "TUNE");
  EXPECT_FALSE(exists("c.json"));
  EXPECT_FALSE(exists("-"));
}

} // namespace

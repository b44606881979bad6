// TUNE.json: every wrong one is an error that names its key.
#include "runtime/tune/tune_file.h"
#include "tests/runtime/temporary_folder.h"

#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

constexpr const char *causal =
    R"({"layout": "causal", "head_dim": 64, "landmarks": 8, "segment_len": 64})";

/// A file of one causal spec and one shape; `more` replaces or adds keys.
std::string fileWith(const std::string &more, const std::string &shape = R"({"length": 512})",
                     const std::string &spec = causal) {
  return R"({"specs": [)" + spec + R"(], "shapes": [)" + shape + "]" +
         (more.empty() ? "" : ", " + more) + "}";
}

TEST(TuneFile, SpecsAndLengthsAreEnough) {
  Result<TuneFile> file = parseTuneFile(fileWith(""), ".");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->specs.size(), 1u);
  EXPECT_EQ(file->shapes[0].length, 512);
  EXPECT_EQ(file->shapes[0].heads, 1);
  EXPECT_EQ(file->device, "cpu");
  EXPECT_EQ(file->threads, std::vector{0});
  EXPECT_EQ(file->seconds, 600);
  EXPECT_EQ(file->configurations, 0);
  EXPECT_EQ(file->compileSeconds, 30);
  EXPECT_EQ(file->clock, Clock::Auto);
  EXPECT_EQ(file->rounds, 16);
  EXPECT_EQ(file->pairs, 40);
  EXPECT_EQ(file->minGain, 0.02);
  EXPECT_TRUE(file->check);
  EXPECT_TRUE(file->parameters.empty());
}

TEST(TuneFile, EveryKeyIsRead) {
  Result<TuneFile> file = parseTuneFile(
      fileWith(R"("schema": 1, "device": "cpu", "target": "cpu:x86-64-v3", "threads": [2, 1],
        "parameters": {"causal_output": {"block_m": [16, 128], "block_n": [32]}, "a": {}},
        "search": {"strategy": "exhaustive", "seed": 7},
        "budget": {"seconds": 60.5, "configurations": 9, "compile_seconds": 3},
        "measure": {"clock": "wall", "cold": true, "rounds": 4, "pairs": 10, "min_gain": 0.5},
        "check": false)",
               R"({"length": 64, "batch": 2, "heads": 8, "kv_heads": 4, "weight": 2.5},
                  {"sequences": [3, 5], "heads": 2})"),
      ".");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(std::string(targetName(*file->target)), "cpu:x86-64-v3");
  EXPECT_EQ(file->threads, (std::vector{2, 1}));
  EXPECT_EQ(file->shapes[0], (TuneShape{64, 2, 8, 4, 0, {}, 2.5}));
  EXPECT_EQ(file->shapes[1], (TuneShape{8, 1, 2, 2, 0, {3, 5}, 1}));
  EXPECT_EQ(file->parameters.at("causal_output").at("block_m"), (std::vector{16, 128}));
  EXPECT_TRUE(file->parameters.at("a").empty());
  EXPECT_EQ(file->seed, 7u);
  EXPECT_EQ(file->seconds, 60.5);
  EXPECT_EQ(file->configurations, 9);
  EXPECT_EQ(file->compileSeconds, 3);
  EXPECT_EQ(file->clock, Clock::Wall);
  EXPECT_TRUE(file->isCold);
  EXPECT_EQ(file->rounds, 4);
  EXPECT_EQ(file->pairs, 10);
  EXPECT_EQ(file->minGain, 0.5);
  EXPECT_FALSE(file->check);
}

struct Wrong {
  std::string text;
  const char *where;
  ErrorKind kind = ErrorKind::InvalidKey;
};

const std::string prefixLm = R"({"layout": "prefix_lm", "head_dim": 16, "landmarks": 8})";
const std::string openEnded = R"({"layout": "exact_causal", "head_dim": 16})";
const std::vector<Wrong> wrongFiles = {
    {"nonsense", "JSON", ErrorKind::InvalidJson},
    {"[]", "JSON", ErrorKind::InvalidJson},
    {R"({"specs": [], "specs": []})", "specs"},
    {fileWith(R"("tune": 1)"), "tune"},
    {fileWith(R"("schema": 2)"), "schema"},
    {R"({"shapes": [{"length": 4}]})", "specs"},
    {R"({"specs": [], "shapes": [{"length": 4}]})", "specs"},
    {R"({"specs": "a", "shapes": [{"length": 4}]})", "specs"},
    {R"({"specs": [)" + std::string(causal) + "]}", "shapes"},
    {fileWith("", ""), "shapes"},
    {fileWith("", "7"), "shapes[0]"},
    {fileWith("", R"({"length": 512}, {"heads": 8})"), "shapes[1].length"},
    {fileWith("", R"({"length": 512}, {"length": "512"})"), "shapes[1].length"},
    {fileWith("", R"({"length": 0})"), "shapes[0].length"},
    {fileWith("", R"({"length": 4.5})"), "shapes[0].length"},
    {fileWith("", R"({"length": 18446744073709551615})"), "shapes[0].length"},
    {fileWith("", R"({"length": 513})"), "shapes[0].length"}, // landmarks * segment_len
    {fileWith("", R"({"sequences": [513]})"), "shapes[0].sequences"},
    {fileWith("", R"({"sequences": [5, 0]})"), "shapes[0].sequences[1]"},
    {fileWith("", R"({"sequences": []})"), "shapes[0].sequences"},
    {fileWith("", R"({"sequences": [1073741823, 2]})", openEnded), "shapes[0].sequences"},
    {fileWith("", R"({"length": 1073741824, "batch": 65536, "heads": 65536})", openEnded),
     "shapes[0]"},
    {fileWith("", R"({"sequences": [5, 6], "length": 12})"), "shapes[0].length"},
    {fileWith("", R"({"sequences": [5, 6], "batch": 2})"), "shapes[0].batch"},
    {fileWith("", R"({"length": 4, "batch": 0})"), "shapes[0].batch"},
    {fileWith("", R"({"length": 4, "heads": -1})"), "shapes[0].heads"},
    {fileWith("", R"({"length": 4, "heads": 8, "kv_heads": 3})"), "shapes[0].kv_heads"},
    {fileWith("", R"({"length": 4, "kv_heads": 2})"), "shapes[0].kv_heads"},
    {fileWith("", R"({"length": 4, "weight": 0})"), "shapes[0].weight"},
    {fileWith("", R"({"length": 4, "width": 1})"), "shapes[0].width"},
    {fileWith("", R"({"length": 4, "source_len": 2})"), "shapes[0].source_len"},
    {fileWith("", R"({"length": 4})", prefixLm), "shapes[0].source_len"},
    {fileWith("", R"({"length": 4, "source_len": 5})", prefixLm), "shapes[0].source_len"},
    {fileWith("", R"({"sequences": [2, 4], "source_len": 3})", prefixLm), "shapes[0].source_len"},
    {fileWith("", R"({"length": 4})", R"({"layout": "causal", "head_dim": 7, "landmarks": 2})"),
     "specs[0].head_dim"},
    {fileWith("", R"({"length": 4})", std::string(causal) + ", 7"), "specs[1]"},
    {fileWith("", R"({"length": 4})", std::string(causal) + ", " + causal), "specs[1]"},
    {fileWith("", R"({"length": 4})", R"("is_not_there.json")"), "specs[0]",
     ErrorKind::InvalidFile},
    {fileWith("", R"({"length": 4})", R"("/dev/zero")"), "specs[0]", ErrorKind::InvalidFile},
    {fileWith("", R"({"length": 4})", R"("/")"), "specs[0]", ErrorKind::InvalidFile},
    {fileWith(R"("device": "gpu")"), "device", ErrorKind::UnknownDevice},
    {fileWith(R"("device": 1)"), "device"},
    {fileWith(R"("target": "cpu:x86-64-v9")"), "target", ErrorKind::UnknownDevice},
    {fileWith(R"("target": "cuda:sm_80")"), "target", ErrorKind::InvalidArgument},
    {fileWith(R"("device": "cuda", "threads": [2])"), "threads"},
    {fileWith(R"("threads": [])"), "threads"},
    {fileWith(R"("threads": 2)"), "threads"},
    {fileWith(R"("threads": [1, 1025])"), "threads[1]"},
    {fileWith(R"("threads": [2, 2])"), "threads[1]"},
    {fileWith(R"("parameters": [])"), "parameters"},
    {fileWith(R"("parameters": {"a": 1})"), "parameters.a"},
    {fileWith(R"("parameters": {"a": {"block_m": []}})"), "parameters.a.block_m"},
    {fileWith(R"("parameters": {"a": {"block_m": 16}})"), "parameters.a.block_m"},
    {fileWith(R"("parameters": {"a": {"block_m": [16, 17]}})"), "parameters.a.block_m[1]"},
    {fileWith(R"("parameters": {"a": {"block_m": [16, 16]}})"), "parameters.a.block_m[1]"},
    {fileWith(R"("parameters": {"a": {"block_k": [16]}})"), "parameters.a.block_k"},
    {fileWith(R"("search": 1)"), "search"},
    {fileWith(R"("search": {"strategy": "random"})"), "search.strategy"},
    {fileWith(R"("search": {"seed": -1})"), "search.seed"},
    {fileWith(R"("search": {"speed": 1})"), "search.speed"},
    {fileWith(R"("budget": {"seconds": 0})"), "budget.seconds"},
    {fileWith(R"("budget": {"seconds": "60"})"), "budget.seconds"},
    {fileWith(R"("budget": {"configurations": 0})"), "budget.configurations"},
    {fileWith(R"("budget": {"compile_seconds": true})"), "budget.compile_seconds"},
    {fileWith(R"("budget": {"minutes": 1})"), "budget.minutes"},
    {fileWith(R"("measure": {"clock": "sun"})"), "measure.clock"},
    {fileWith(R"("measure": {"cold": 1})"), "measure.cold"},
    {fileWith(R"("measure": {"rounds": 3})"), "measure.rounds"},
    {fileWith(R"("measure": {"pairs": 1001})"), "measure.pairs"},
    {fileWith(R"("measure": {"min_gain": 0.51})"), "measure.min_gain"},
    {fileWith(R"("measure": {"warm": 1})"), "measure.warm"},
    {fileWith(R"("check": 1)"), "check"},
};

TEST(TuneFile, AWrongOneNamesItsKey) {
  for (const Wrong &wrong : wrongFiles) {
    Result<TuneFile> file = parseTuneFile(wrong.text, ".");
    ASSERT_FALSE(file.ok()) << wrong.text;
    EXPECT_EQ(file.error().where, wrong.where) << wrong.text << '\n' << file.error().message;
    EXPECT_EQ(file.error().kind, wrong.kind) << file.error().message;
    EXPECT_FALSE(file.error().message.empty());
    EXPECT_TRUE(isRequestError(file.error().kind)) << file.error().message;
  }
}

TEST(TuneFile, SpecsAreReadFromFilesBesideIt) {
  TemporaryFolder folder;
  writeAll(folder / "a.json", causal);
  writeAll(folder / "b.json", R"({"layout": "causal"})");
  Result<TuneFile> file =
      parseTuneFile(fileWith("", R"({"length": 4})", R"("a.json")"), folder.path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->specs[0].segmentLen, 64);
  file = parseTuneFile(fileWith("", R"({"length": 4})", R"("b.json")"), folder.path);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().where, "specs[0].head_dim");
  EXPECT_NE(file.error().message.find("b.json"), std::string::npos);
}

TEST(TuneFile, TheDeviceAskedForBesideItGoesFirst) {
  Result<TuneFile> file = parseTuneFile(fileWith(R"("device": "cpu")"), ".", {.device = "cuda"});
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->device, "cuda");
  EXPECT_FALSE(parseTuneFile(fileWith(R"("threads": [1])"), ".", {.device = "cuda"}).ok());
  // So does the target, which says the device where nothing else does.
  const Target gpu = *parseTarget("cuda:sm_90");
  file = parseTuneFile(fileWith(R"("target": "cuda:sm_80", "device": "ptx-emulator")"), ".",
                       {.target = gpu});
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->device, "ptx-emulator");
  EXPECT_EQ(file->target, gpu);
  EXPECT_EQ(parseTuneFile(fileWith(""), ".", {.target = gpu})->device, "cuda");
  EXPECT_FALSE(parseTuneFile(fileWith(R"("device": "cpu")"), ".", {.target = gpu}).ok());
  EXPECT_FALSE(parseTuneFile(fileWith(""), ".", {.device = "cpu", .target = gpu}).ok());
}

TEST(TuneFile, TheClockOfCpusIsOnlyTheirs) {
  const std::string text = fileWith(R"("measure": {"clock": "cpu"})");
  EXPECT_EQ(parseTuneFile(text, ".")->clock, Clock::Cpu);
  const Result<TuneFile> file = parseTuneFile(text, ".", {.device = "cuda"});
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().where, "measure.clock");
  EXPECT_EQ(parseTuneFile(fileWith(""), ".", {.device = "cuda"})->clock, Clock::Wall);
}

} // namespace

// `nysjit tune`: what it refuses before it begins, a small tune from its file to the run that takes
// what won, and its end from outside.
#include "runtime/tune/cpu_lab.h"
#include "runtime/tune/journal.h"
#include "runtime/tune/machine_lock.h"
#include "tests/cli/command.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <set>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

class Tune : public TuningTest {
protected:
  /// A tune of exact.json with two candidates, as few rounds and pairs as may be.
  void writeSmall(const std::string &more = "") {
    write("t.json", R"({"specs": ["exact.json"], "shapes": [{"length": 12, "heads": 2}],
      "parameters": {"exact_causal": {"block_m": [16, 32], "block_n": [64]}},
      "measure": {"rounds": 4, "pairs": 10})" +
                        more + "}");
  }
};

TEST_F(Tune, AWrongFileIsARequestErrorThatNamesTheKey) {
  struct {
    const char *text;
    const char *kind;
    const char *where;
  } const all[] = {
      {"{", "invalid_json", "JSON"},
      {R"({"specs": ["exact.json"], "shapes": [{"length": 12}, {"length": 0}]})", "invalid_key",
       "shapes[1].length"},
      {R"({"specs": [{"layout": "exact_causal", "head_dim": 7}], "shapes": [{"length": 12}]})",
       "invalid_key", "specs[0].head_dim"},
      {R"({"specs": ["absent.json"], "shapes": [{"length": 12}]})", "invalid_file", "specs[0]"},
      {R"({"specs": ["exact.json"], "shapes": [{"length": 12}], "budget": {"configurations": 0}})",
       "invalid_key", "budget.configurations"},
  };
  for (const auto &[text, kind, where] : all) {
    write("t.json", text);
    const nlohmann::json error = expectFailure({"tune", "t.json", "-o", "o.npy"}, 2, kind);
    EXPECT_EQ(error["where"], where);
    EXPECT_NE(error["message"].get<std::string>().find("t.json"), std::string::npos);
    EXPECT_FALSE(exists("t.jsonl"));
  }
  EXPECT_EQ(expectFailure({"tune", "absent.json"}, 2, "invalid_file")["where"], "TUNE");
}

TEST_F(Tune, WrongFlagsAreNamed) {
  writeSmall();
  EXPECT_EQ(
      expectFailure({"tune", "t.json", "--resume", "--restart"}, 2, "invalid_argument")["where"],
      "--restart");
  EXPECT_EQ(expectFailure({"tune", "t.json", "--device", "gpu"}, 2, "unknown_device")["where"],
            "--device");
  setenv("NYSJIT_CUDA_DRIVER", "/absent/libcuda.so.1", 1);
  const nlohmann::json absent =
      expectFailure({"tune", "t.json", "--device", "cuda"}, 1, "unavailable");
  EXPECT_EQ(absent["where"], "device cuda");
  EXPECT_EQ(absent["message"].get<std::string>().find("t.json"), std::string::npos)
      << "it is no fault of the file's";
  unsetenv("NYSJIT_CUDA_DRIVER");
  EXPECT_EQ(expectFailure({"tune", "t.json", "-o", "exact.json"}, 2, "invalid_file")["where"],
            "-o");
  EXPECT_EQ(read("exact.json"), R"({"layout":"exact_causal","head_dim":16})");
  EXPECT_EQ(expectFailure({"tune", "t.json", "--svg", ""}, 2, "invalid_argument")["where"],
            "--svg");
  EXPECT_EQ(expectFailure({"tune", "t.json", "--svg", "-"}, 2, "invalid_argument")["where"],
            "--svg"); // beside --json
  EXPECT_EQ(expectFailure({"tune", "t.json", "--svg", "absent/t.svg"}, 2, "invalid_file")["where"],
            "--svg");
  EXPECT_EQ(
      expectFailure({"tune", "t.json", "-o", "exact.json/c.json"}, 2, "invalid_file")["where"],
      "-o");
  EXPECT_FALSE(exists("t.jsonl"));
}

TEST_F(Tune, AFlagThatWouldDoNothingOrWriteBesideTheReplyIsNamed) {
  writeSmall();
  const auto where = [&](std::vector<std::string> more) {
    more.insert(more.begin(), "tune");
    return expectFailure(more, 2, "invalid_argument")["where"].get<std::string>();
  };
  EXPECT_EQ(where({"t.json", "-o", "-"}), "-o");
  EXPECT_EQ(where({"t.json", "--compile-only", "-o", "-"}), "-o"); // beside --json
  EXPECT_EQ(where({"t.json", "--compile-only", "-o", "b", "--svg", "t.svg"}), "--svg");
  EXPECT_EQ(where({"t.json", "--bundle", ""}), "--bundle");
  EXPECT_EQ(where({"--stale", "-o", "-"}), "-o");
  EXPECT_EQ(where({"--stale", "--svg", "t.svg"}), "--svg");
  write("t.jsonl", "");
  EXPECT_EQ(where({"--export", "t4", "t.jsonl", "-o", "-"}), "-o");
  EXPECT_EQ(where({"--export", "t4", "t.jsonl", "-o", "d", "--svg", "t.svg"}), "--svg");
  EXPECT_FALSE(exists("-"));
  EXPECT_FALSE(exists("d"));
}

TEST_F(Tune, CompilingOnlyReadsTheJournalAndNoMore) {
  NYSJIT_NEEDS_COMPILER();
  writeSmall();
  const std::string journal = "{\"kind\":\"session\",\"spec\":{},\"device\":{}}\n{\"kind\":\"ro";
  write("t.jsonl", journal);
  json({"tune", "t.json", "--compile-only", "-o", "p.nysjit"});
  EXPECT_EQ(read("t.jsonl"), journal);
}

TEST_F(Tune, AKernelThatTheLayoutHasNotIsNamed) {
  NYSJIT_NEEDS_COMPILER();
  write("t.json", R"({"specs": ["exact.json"], "shapes": [{"length": 12}],
                      "parameters": {"landmark_past": {"block_m": [16]}}})");
  EXPECT_EQ(expectFailure({"tune", "t.json"}, 2, "invalid_key")["where"],
            "parameters.landmark_past");
  write("t.json", R"({"specs": ["exact.json"], "shapes": [{"length": 12}],
                      "parameters": {"exact_causal": {"num_warps": [4]}}})");
  EXPECT_EQ(expectFailure({"tune", "t.json"}, 2, "invalid_key")["where"],
            "parameters.exact_causal.num_warps");
  EXPECT_FALSE(exists("t.jsonl"));
}

TEST_F(Tune, RunsTakeWhatItWroteDown) {
  NYSJIT_NEEDS_COMPILER();
  writeSmall();
  const nlohmann::json reply = json({"tune", "t.json"});
  ASSERT_EQ(reply["specs"].size(), 1u);
  const std::string path = (folder / "config/nysjit/configs.json").string();
  EXPECT_EQ(reply["configs"], path);
  EXPECT_EQ(reply["specs"][0]["groups"][0]["candidates"].size(), 2u);
  EXPECT_TRUE(exists("t.jsonl"));
  const nlohmann::json configs = nlohmann::json::parse(read("config/nysjit/configs.json"));
  EXPECT_EQ(configs["entries"][0]["config"], reply["specs"][0]["config"]);
  const nlohmann::json report = nlohmann::json::parse(run("exact.json", {"--json"}).out);
  EXPECT_EQ(report["config_source"], path);
  // Another file beside it, and again: what is finished is begun anew or taken from the journal.
  EXPECT_EQ(nysjit({"tune", "t.json", "-o", "c.json"}).exitCode, 0);
  EXPECT_TRUE(exists("c.json"));
  const std::string journal = read("t.jsonl");
  const nlohmann::json resumed = json({"tune", "t.json", "--resume", "--quiet"});
  EXPECT_EQ(resumed["specs"][0]["from_journal"], true);
  EXPECT_EQ(read("t.jsonl"), journal);
}

TEST_F(Tune, TheExampleEndsWithAConfigThatRunsTake) {
  NYSJIT_NEEDS_COMPILER();
  for (const char *name : {"tune.json", "causal.json"})
    std::filesystem::copy_file(std::filesystem::path(NYSJIT_SOURCE_DIR) / "examples" / name,
                               folder / name, std::filesystem::copy_options::overwrite_existing);
  const Outcome outcome = nysjit({"tune", "tune.json"});
  EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("landmark_target"), std::string::npos) << outcome.out;
  EXPECT_EQ(json({"compile", "causal.json"})["config_source"],
            (folder / "config/nysjit/configs.json").string());
}

TEST_F(Tune, ASpecOfEachLayoutIsTuned) {
  NYSJIT_NEEDS_COMPILER();
  const char *specs[] = {
      R"({"layout": "causal", "head_dim": 16, "landmarks": 4, "segment_len": 4, "conv_kernel": 3})",
      R"({"layout": "bidirectional", "head_dim": 16, "landmarks": 4, "dtype": "float16"})",
      R"({"layout": "segment_causal", "head_dim": 16, "landmarks": 4, "dtype": "bfloat16"})",
      R"({"layout": "scan", "head_dim": 16, "landmarks": 4, "landmark_source": "learned"})"};
  for (const char *spec : specs) {
    write("t.json", std::string(R"({"specs": [)") + spec +
                        R"(], "shapes": [{"length": 12, "heads": 2, "kv_heads": 1, "batch": 2},
                           {"sequences": [5, 7]}],
              "budget": {"configurations": 2}, "measure": {"rounds": 4, "pairs": 10}})");
    const nlohmann::json reply = json({"tune", "t.json", "-o", "c.json", "--quiet"});
    ASSERT_EQ(reply["specs"].size(), 1u) << spec;
    for (const nlohmann::json &group : reply["specs"][0]["groups"])
      for (const nlohmann::json &one : group["candidates"])
        EXPECT_EQ(one["invalidity"], "correct") << spec;
  }
  write("t.json", R"({"specs": [{"layout": "prefix_lm", "head_dim": 16, "landmarks": 4}],
      "shapes": [{"length": 12, "source_len": 5}], "budget": {"configurations": 1},
      "measure": {"rounds": 4, "pairs": 10}})");
  EXPECT_EQ(nysjit({"tune", "t.json", "-o", "c.json"}).exitCode, 0);
}

TEST_F(Tune, GradientsOfEachLayoutAreTuned) {
  NYSJIT_NEEDS_COMPILER();
  const std::pair<const char *, const char *> specs[] = {
      {R"("layout": "exact_causal", "pass": "saving")", "exact_causal"},
      {R"("layout": "exact_causal", "dtype": "bfloat16")", "position_gradient"},
      {R"("layout": "causal", "landmarks": 4, "segment_len": 4, "conv_kernel": 3)",
       "position_gradient"},
      {R"("layout": "causal", "landmarks": 4, "segment_len": 4, "landmark_source": "learned",
          "probes": 2, "landmark_spacing": "dyadic")",
       "block_rows"},
      {R"("layout": "segment_causal", "landmarks": 4, "dtype": "float16")", "far_gradient"},
      {R"("layout": "bidirectional", "landmarks": 4)", "source_position_gradient"},
      {R"("layout": "scan", "landmarks": 4, "landmark_source": "learned")", "scan_columns"}};
  for (const auto &[keys, kernel] : specs) {
    std::string spec = std::string(R"({"head_dim": 16, )") + keys + "}";
    if (spec.find("pass") == std::string::npos)
      spec.insert(1, R"("pass": "backward", )");
    write("t.json", std::string(R"({"specs": [)") + spec +
                        R"(], "shapes": [{"length": 12, "heads": 2, "kv_heads": 1, "batch": 2},
                           {"sequences": [5, 7]}],
              "budget": {"configurations": 1}, "measure": {"rounds": 4, "pairs": 10}})");
    const nlohmann::json reply = json({"tune", "t.json", "-o", "c.json", "--quiet"});
    std::set<std::string> timed; // kernels whose groups have a candidate that ran
    for (const nlohmann::json &group : reply["specs"][0]["groups"])
      for (const nlohmann::json &one : group["candidates"]) {
        EXPECT_TRUE(one["invalidity"] == "correct" ||
                    one["reason"] == "it is not launched at these shapes")
            << spec << one.dump(1);
        if (one.contains("ratio"))
          for (const auto &[name, block] : one["config"].items())
            timed.insert(name);
      }
    EXPECT_TRUE(timed.contains(kernel)) << spec;
    EXPECT_EQ(nlohmann::json::parse(read("c.json"))["entries"][0]["spec"]["pass"],
              nlohmann::json::parse(spec)["pass"]);
  }
}

TEST_F(Tune, ARunOfGradientsTakesTheirConfig) {
  NYSJIT_NEEDS_COMPILER();
  write("t.json", R"({"specs": [{"layout": "exact_causal", "head_dim": 16, "pass": "backward"}],
      "shapes": [{"length": 12}],
      "parameters": {"position_gradient": {"block_m": [16]}, "output_delta": {}},
      "measure": {"rounds": 4, "pairs": 10}})");
  EXPECT_EQ(nysjit({"tune", "t.json"}).exitCode, 0);
  const nlohmann::json report =
      nlohmann::json::parse(run("exact.json", {"--dout", "q.npy", "--dq", "dq.npy", "--json"}).out);
  EXPECT_EQ(report["config_source"], "default"); // of the forward
  EXPECT_EQ(report["backward"]["config_source"], (folder / "config/nysjit/configs.json").string());
}

TEST_F(Tune, ProgramsThatAreCompiledSideBySideAreTheSame) {
  NYSJIT_NEEDS_COMPILER();
  setenv("NYSJIT_COMPILER", NYSJIT_BINARY_DIR "/bin/nysjit-compiler", 1);
  nysjit::Result<nysjit::tune::TuneFile> file = nysjit::tune::parseTuneFile(
      R"({"specs": [{"layout": "exact_causal", "head_dim": 16}], "shapes": [{"length": 12}]})",
      ".");
  const std::atomic<int> isEnding = 0;
  const auto configOf = [](int rows) {
    return nysjit::KernelConfig{{{"exact_causal", {.blockM = rows, .blockN = 32}}}};
  };
  nysjit::KernelConfig wrong = configOf(16);
  wrong.kernels["no_such_kernel"].blockM = 16;
  {
    auto lab = nysjit::tune::CpuLab::create(file->specs[0], *file, 1, isEnding, {.jobs = 3});
    ASSERT_TRUE(lab.ok()) << lab.error().message;
    (*lab)->compileAhead({configOf(16), configOf(32), wrong, configOf(64), configOf(128)});
    nysjit::Result<nysjit::tune::Compiled> first = (*lab)->compile(configOf(128));
    ASSERT_TRUE(first.ok()) << first.error().message;
    for (const int rows : {16, 32, 64, 256}) { // the last was not asked for
      nysjit::Result<nysjit::tune::Compiled> other = (*lab)->compile(configOf(rows));
      ASSERT_TRUE(other.ok()) << other.error().message;
      EXPECT_GT(other->ms, 0);
      EXPECT_TRUE((*lab)->difference(other->number, first->number)->isWithin()) << rows;
    }
    EXPECT_EQ((*lab)->compile(wrong).error().where, "no_such_kernel");
  }
  unsetenv("NYSJIT_COMPILER");
}

TEST_F(Tune, WhatIsCompiledAheadIsFoundAndLeftNowhere) {
  NYSJIT_NEEDS_COMPILER();
  setenv("NYSJIT_COMPILER", NYSJIT_BINARY_DIR "/bin/nysjit-compiler", 1);
  const nysjit::KernelSpec spec = *nysjit::parseKernelSpec(std::string_view(read("exact.json")));
  std::vector<nysjit::ProgramRequest> requests;
  for (const int rows : {16, 32, 64})
    requests.emplace_back(spec,
                          nysjit::KernelConfig{{{"exact_causal", {.blockM = rows, .blockN = 32}}}},
                          nysjit::Target());
  std::string left;
  {
    nysjit::tune::CompileAhead ahead(2);
    left = ahead.folder();
    ASSERT_TRUE(std::filesystem::exists(left));
    ahead.compile(requests, nysjit::DeviceKind::Cpu, {}, nullptr, nullptr);
    nysjit::RuntimeContext context({.cacheFolder = left});
    for (const nysjit::ProgramRequest &request : requests) {
      EXPECT_TRUE(ahead.outcomeOf(request).has_value() && ahead.outcomeOf(request)->ok());
      EXPECT_EQ(context.prepare(request)->cache, nysjit::CacheState::Disk);
    }
  }
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_EQ(nysjit::tune::CompileAhead(1).folder(), "");
  unsetenv("NYSJIT_COMPILER");
}

TEST_F(Tune, ASecondOneSaysWhoTunes) {
  NYSJIT_NEEDS_COMPILER();
  writeSmall();
  const std::string own = "process " + std::to_string(getpid());
  {
    nysjit::Result<nysjit::tune::MachineLock> machine = nysjit::tune::MachineLock::take(lockName);
    ASSERT_TRUE(machine.ok()) << machine.error().message;
    EXPECT_EQ(expectFailure({"tune", "t.json", "-o", "c.json"}, 1, "unavailable")["found"], own);
  }
  nysjit::Result<std::unique_ptr<nysjit::tune::Journal>> journal =
      nysjit::tune::Journal::open((folder / "t.jsonl").string(), nysjit::tune::JournalStart::New);
  ASSERT_TRUE(journal.ok()) << journal.error().message;
  ASSERT_TRUE((*journal)
                  ->append({{{"kind", "session"}, {"session", "2026-11-28"}, {"pid", getpid()}}})
                  .ok());
  EXPECT_EQ(expectFailure({"tune", "t.json", "-o", "c.json"}, 1, "unavailable")["found"],
            own + " since 2026-11-28");
  EXPECT_FALSE(exists("c.json"));
}

TEST_F(Tune, AnEndWhileItCompilesIsTheTunesEnd) {
  NYSJIT_NEEDS_COMPILER();
  writeSmall();
  setenv("NYSJIT_COMPILER", NYSJIT_BINARY_DIR "/bin/nysjit-compiler", 1);
  const nysjit::Result<nysjit::tune::TuneFile> file =
      nysjit::tune::parseTuneFile(read("t.json"), folder.string());
  ASSERT_TRUE(file.ok()) << file.error().message;
  std::atomic<int> ending{0};
  auto lab = nysjit::tune::CpuLab::create(file->specs.front(), *file, 1, ending, {.jobs = 1});
  ASSERT_TRUE(lab.ok()) << lab.error().message;
  ending = SIGINT;
  const nysjit::Result<nysjit::tune::Compiled> ended = (*lab)->compile({});
  unsetenv("NYSJIT_COMPILER");
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().kind, nysjit::ErrorKind::Cancelled);
  EXPECT_EQ(ended.error().where, "tune");
  EXPECT_NE(ended.error().message.find("--resume"), std::string::npos) << ended.error().message;
}

TEST_F(Tune, ASignalEndsItAndLeavesTheJournal) {
  NYSJIT_NEEDS_COMPILER();
  // Long enough not to be over before the signal comes.
  write("t.json", R"({"specs": ["exact.json"], "shapes": [{"length": 16384, "heads": 4}],
                      "measure": {"rounds": 1000, "pairs": 1000}, "check": false})");
  for (const int signal : {SIGINT, SIGTERM}) {
    const pid_t child = fork();
    if (child == 0) {
      _exit(runCommand(folder, {"tune", "t.json", "-o", "c.json", "--restart"}).exitCode);
    }
    while (read("t.jsonl").find("\"session\"") == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    // The command is the child's child; the journal knows it.
    const std::string line = read("t.jsonl");
    const nlohmann::json session = nlohmann::json::parse(line.substr(0, line.find('\n')));
    ASSERT_EQ(kill(session["pid"].get<pid_t>(), signal), 0);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 128 + signal);
    EXPECT_FALSE(exists("c.json"));
    std::istringstream lines(read("t.jsonl"));
    for (std::string each; std::getline(lines, each);)
      EXPECT_TRUE(nlohmann::json::accept(each)) << each;
    EXPECT_TRUE(read("t.jsonl").ends_with("\n"));
    std::filesystem::remove(folder / "t.jsonl");
  }
}

} // namespace

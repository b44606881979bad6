// Wrong flags, specs and configs: exit 2 and a message that names the flag or key.
#include "tests/cli/command.h"

namespace {

using Arguments = CommandTest;

const std::vector<std::string> tensors = {"--q", "q.npy", "--k", "k.npy",
                                          "--v", "v.npy", "-o",  "o.npy"};

std::vector<std::string> runWith(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"run", "exact.json"};
  arguments.insert(arguments.end(), tensors.begin(), tensors.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST_F(Arguments, HelpAndVersionSucceed) {
  for (const std::vector<std::string> &arguments : {std::vector<std::string>{"--help"},
                                                    {"run", "--help"},
                                                    {"compile", "-h"},
                                                    {"cache", "--help"},
                                                    {"--version"}}) {
    Outcome outcome = nysjit(arguments);
    EXPECT_EQ(outcome.exitCode, 0);
    EXPECT_FALSE(outcome.out.empty());
  }
  EXPECT_NE(nysjit({"run", "--help"}).out.find("--threads"), std::string::npos);
}

TEST_F(Arguments, AnUnknownCommandNamesTheCommands) {
  EXPECT_EQ(expectFailure({"frobnicate"}, 2, "invalid_argument")["expected"],
            "compile, run, calibrate, tune, bench, bundle, devices or cache");
  EXPECT_EQ(expectFailure({}, 2, "invalid_argument")["where"], "command");
  EXPECT_EQ(nysjit({}).exitCode, 2);
}

TEST_F(Arguments, AnUnknownFlagIsNamed) {
  EXPECT_EQ(expectFailure(runWith({"--frobnicate"}), 2, "invalid_argument")["where"],
            "--frobnicate");
  EXPECT_EQ(expectFailure({"devices", "--cpu"}, 2, "invalid_argument")["where"], "--cpu");
  expectFailure({"compile", "exact.json", "second.json"}, 2, "invalid_argument");
}

TEST_F(Arguments, AFlagThatIsNearlyOneIsShownThatOne) {
  for (const auto &[given, meant] : {std::pair("--seqlen", "--seqlens"),
                                     {"--cu_seqlens", "--cu-seqlens"},
                                     {"--chekc", "--check"},
                                     {"--o-dtpe", "--o-dtype"}}) {
    const nlohmann::json error = expectFailure(runWith({given}), 2, "invalid_argument");
    EXPECT_EQ(error["where"], given);
    EXPECT_TRUE(error["found"].get<std::string>().ends_with("(" + std::string(meant) + "?)"))
        << error;
  }
  for (const char *other : {"--frobnicate", "--x"})
    EXPECT_EQ(
        expectFailure(runWith({other}), 2, "invalid_argument")["found"].get<std::string>().find(
            '?'),
        std::string::npos);
}

TEST_F(Arguments, AMissingOneIsNamed) {
  for (size_t i = 0; i < tensors.size(); i += 2) {
    std::vector<std::string> given = {"run", "exact.json"};
    for (size_t j = 0; j < tensors.size(); j += 2)
      if (j != i)
        given.insert(given.end(), {tensors[j], tensors[j + 1]});
    EXPECT_EQ(expectFailure(given, 2, "invalid_argument")["where"], tensors[i]);
  }
  expectFailure({"compile"}, 2, "invalid_argument");
  expectFailure({"cache"}, 2, "invalid_argument");
  expectFailure({"cache", "show"}, 2, "invalid_argument");
  expectFailure({"run", "exact.json", "--q"}, 2, "invalid_argument");
}

TEST_F(Arguments, AFlagGivenTwiceIsAnError) {
  EXPECT_EQ(expectFailure(runWith({"--q", "q.npy"}), 2, "invalid_argument")["where"], "--q");
}

TEST_F(Arguments, NumbersAreNumbersInRange) {
  for (const char *value : {"0", "-1", "1.5", "many", "", "99999999999999999999", "3x", "0x3"})
    for (const char *flag : {"--repeat", "--threads"})
      EXPECT_EQ(
          expectFailure(runWith({flag + std::string("=") + value}), 2, "invalid_argument")["where"],
          flag)
          << value;
  for (const char *value : {"0", "-1", "1.5", "many", "", "9223372036854775808", "3x"})
    EXPECT_EQ(expectFailure(runWith({"--seqlens", "q.npy", std::string("--max-length=") + value}),
                            2, "invalid_argument")["where"],
              "--max-length")
        << value;
  for (const char *value : {"nan", "inf", "-inf", "1e999", "-1e400", "wide", "0.1.2", "", " 1",
                            "1 ", "0x1", "3e38", "-2.36e38", "1e39"}) {
    nlohmann::json error =
        expectFailure(runWith({std::string("--scale=") + value}), 2, "invalid_argument");
    EXPECT_EQ(error["where"], "--scale") << value;
    EXPECT_EQ(error["expected"], "a finite number, at most 2.35e38 in size");
  }
}

TEST_F(Arguments, TheOutputsDtypeIsFloat32OrTheSpecs) {
  EXPECT_EQ(expectFailure(runWith({"--o-dtype", "float64"}), 2, "invalid_argument")["message"],
            "--o-dtype: expected float32, float16 or bfloat16, found \"float64\"");
  EXPECT_EQ(expectFailure(runWith({"--o-dtype", "float16"}), 2, "invalid_argument")["message"],
            "--o-dtype: expected float32 with dtype float32, found float16");
  write("exact.json", R"({"layout":"exact_causal","head_dim":16,"dtype":"bfloat16"})");
  EXPECT_EQ(expectFailure(runWith({"--o-dtype", "float16"}), 2, "invalid_argument")["message"],
            "--o-dtype: expected float32 or bfloat16 with dtype bfloat16, found float16");
}

TEST_F(Arguments, AFlagWithoutAValueTakesNone) {
  for (const char *flag : {"--check=3", "--check=false", "--json=no"})
    expectFailure(runWith({flag}), 2, "invalid_argument");
}

TEST_F(Arguments, UnknownDevicesAndTargetsNameThoseThereAre) {
  EXPECT_EQ(expectFailure(runWith({"--device", "tpu"}), 2, "unknown_device")["expected"],
            "cpu, cuda or ptx-emulator");
  for (const char *target : {"cpu", "cpu:x86-64-v2", "cuda:sm_70"}) {
    nlohmann::json error = expectFailure(runWith({"--target", target}), 2, "unknown_device");
    EXPECT_EQ(error["where"], "--target");
    EXPECT_EQ(error["expected"],
              "cpu:native, cpu:x86-64-v3, cpu:x86-64-v4, cuda:sm_80, cuda:sm_86, cuda:sm_89, "
              "cuda:sm_90, cuda:sm_100 or cuda:sm_120");
  }
}

TEST_F(Arguments, ATargetMustFitTheDevice) {
  for (const char *device : {"cpu", "cuda", "ptx-emulator"}) {
    const char *other = device == std::string("cpu") ? "cuda:sm_80" : "cpu:x86-64-v3";
    nlohmann::json error =
        expectFailure(runWith({"--device", device, "--target", other}), 2, "invalid_argument");
    EXPECT_EQ(error["where"], "--target");
    EXPECT_EQ(error["found"], other);
  }
  // Without --device it is the CPU.
  EXPECT_EQ(expectFailure(runWith({"--target", "cuda:sm_80"}), 2, "invalid_argument")["where"],
            "--target");
}

TEST_F(Arguments, TheEmulatorsFlagsAreTheEmulators) {
  for (const char *device : {"cpu", "cuda"}) {
    EXPECT_EQ(
        expectFailure(runWith({"--device", device, "--seed", "1"}), 2, "invalid_argument")["where"],
        "--seed");
    EXPECT_EQ(expectFailure(runWith({"--device", device, "--async", "lazy"}), 2,
                            "invalid_argument")["where"],
              "--async");
  }
  for (const char *seed : {"-1", "x", "", "1.5", "18446744073709551616"})
    EXPECT_EQ(expectFailure(runWith({"--device", "ptx-emulator", std::string("--seed=") + seed}), 2,
                            "invalid_argument")["where"],
              "--seed");
  EXPECT_EQ(expectFailure(runWith({"--device", "ptx-emulator", "--async", "later"}), 2,
                          "invalid_argument")["expected"],
            "eager or lazy");
}

TEST_F(Arguments, AnUnknownStageNamesTheStages) {
  for (const std::vector<std::string> &flag :
       {std::vector<std::string>{"--emit", "ptx"}, {"--from", "ast", "q.npy"}}) {
    std::vector<std::string> arguments = {"compile", "exact.json", "-o", "o.npy"};
    arguments.insert(arguments.end(), flag.begin(), flag.end());
    nlohmann::json error = expectFailure(arguments, 2, "invalid_argument");
    EXPECT_EQ(error["where"], flag[0]);
    EXPECT_EQ(error["expected"], std::string("tile, lowered, llvm, asm, object or plan") +
                                     (flag[0] == "--emit" ? " without a --target cuda:..." : ""));
  }
  for (const std::vector<std::string> &flag : {std::vector<std::string>{"--emit", "asm"},
                                               {"--emit", "object"},
                                               {"--from", "sass", "q.npy"}}) {
    std::vector<std::string> arguments = {"compile",    "exact.json", "--target",
                                          "cuda:sm_90", "-o",         "o.npy"};
    arguments.insert(arguments.end(), flag.begin(), flag.end());
    nlohmann::json error = expectFailure(arguments, 2, "invalid_argument");
    EXPECT_EQ(error["where"], flag[0]);
    EXPECT_TRUE(error["expected"].get<std::string>().starts_with("tile, lowered, llvm, ptx, cubin"))
        << error;
  }
}

TEST_F(Arguments, AStageOnStandardOutputCannotShareItWithJson) {
  EXPECT_EQ(
      expectFailure({"compile", "exact.json", "--emit", "tile"}, 2, "invalid_argument")["where"],
      "--json");
  for (const char *path : {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
    EXPECT_EQ(expectFailure({"compile", "exact.json", "--emit", "tile", "-o", path}, 2,
                            "invalid_argument")["where"],
              "-o");
}

TEST_F(Arguments, ASpecFileThatCannotBeReadIsNamed) {
  for (const char *path : {"absent.json", ".", "exact.json/under"}) {
    nlohmann::json error = expectFailure({"compile", path}, 2, "invalid_file");
    EXPECT_EQ(error["where"], "SPEC");
    EXPECT_NE(error["message"].get<std::string>().find(path), std::string::npos);
  }
  write("empty.json", "");
  expectFailure({"compile", "empty.json"}, 2, "invalid_json");
}

TEST_F(Arguments, AWrongKeyIsNamedWithItsFile) {
  write("bad.json", R"({"layout":"exact_causal","head_dim":20})");
  for (const std::vector<std::string> &command :
       {std::vector<std::string>{"compile", "bad.json"},
        {"run", "bad.json", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "o.npy"}}) {
    nlohmann::json error = expectFailure(command, 2, "invalid_key");
    EXPECT_EQ(error["where"], "head_dim");
    EXPECT_EQ(error["found"], "20");
    EXPECT_EQ(error["message"],
              "bad.json: head_dim: expected an integer, 16 to 256, multiple of 8, found 20");
  }
}

TEST_F(Arguments, AWrongConfigIsNamed) {
  write("config.json", R"({"causal_output":{"block_m":63}})");
  EXPECT_EQ(expectFailure({"compile", "exact.json", "--config", "config.json"}, 2,
                          "invalid_key")["where"],
            "causal_output.block_m");
  EXPECT_EQ(expectFailure(runWith({"--config", "absent.json"}), 2, "invalid_file")["where"],
            "--config");
}

TEST_F(Arguments, InvalidUtf8StaysOneJsonObject) {
  expectFailure({"compile", "\xff\xfe.json"}, 2, "invalid_file");
  expectFailure(runWith({"--\xff"}), 2, "invalid_argument");
  expectFailure({"\xff"}, 2, "invalid_argument");
}

TEST_F(Arguments, DevicesListsTheDevicesAndTheirTargets) {
  Outcome outcome = nysjit({"devices", "--json"});
  EXPECT_EQ(outcome.exitCode, 0);
  nlohmann::json devices = nlohmann::json::parse(outcome.out)["devices"];
  ASSERT_EQ(devices.size(), 3u);
  EXPECT_EQ(devices[0]["name"], "cpu");
  EXPECT_EQ(devices[0]["targets"].size(), 3u);
  EXPECT_EQ(devices[0]["targets"][0]["name"], "cpu:native");
  EXPECT_NE(nysjit({"devices"}).out.find("cpu:x86-64-v4"), std::string::npos);
  for (int i : {1, 2}) {
    EXPECT_EQ(devices[i]["name"], i == 1 ? "cuda" : "ptx-emulator");
    EXPECT_EQ(devices[i]["targets"].size(), 6u);
    EXPECT_EQ(devices[i].contains("reason"), !devices[i]["available"].get<bool>());
    EXPECT_EQ(devices[i].contains("gpus"), devices[i]["available"].get<bool>());
  }
}

} // namespace

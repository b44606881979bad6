// Device cuda and cuda targets on the command line, where there is neither GPU nor compiler: a fake
// driver and a fake worker, whose program computes o = scale q + row sums of q.
#include "tests/cli/command.h"

#include <cstring>
#include <sys/stat.h>

namespace {

class Gpu : public CommandTest {
protected:
  void SetUp() override {
    CommandTest::SetUp();
    setenv("NYSJIT_CUDA_DRIVER", FAKE_DRIVER, 1);
    setenv("NYSJIT_COMPILER", FAKE_WORKER, 1);
    setenv("NYSJIT_PTXAS", "none", 1);
  }
  void TearDown() override {
    for (const char *name :
         {"NYSJIT_CUDA_DRIVER", "NYSJIT_COMPILER", "NYSJIT_PTXAS", "NYSJIT_PTX_EMULATOR",
          "CUDA_HOME", "FAKE_WORKER_PTX", "FAKE_WORKER_MODE"})
      unsetenv(name);
    setenv("PATH", path.c_str(), 1);
    CommandTest::TearDown();
  }
  nlohmann::json runOn(const std::string &device, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"run", "exact.json", "--device", device,  "--q", "q.npy",
                                          "--k", "k.npy",      "--v",      "v.npy", "-o",  "o.npy"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json(arguments);
  }
  /// The elements of a float32 file of 384.
  std::vector<float> elements(const std::string &name) {
    std::vector<float> values(384);
    const std::string bytes = read(name);
    std::memcpy(values.data(), bytes.data() + bytes.size() - 4 * values.size(), 4 * values.size());
    return values;
  }
  void program(const std::string &name, const std::string &text) {
    std::filesystem::create_directories((folder / name).parent_path());
    write(name, text);
    chmod((folder / name).c_str(), 0700);
  }
  /// No program of the machine's own is found.
  void emptyPath() { setenv("PATH", "/absent", 1), setenv("HOME", "/absent", 1); }
  std::string path = getenv("PATH");
};

TEST_F(Gpu, ARunGoesThroughDeviceMemory) {
  nlohmann::json reply = runOn("cuda", {"--scale", "2", "--repeat", "3"});
  EXPECT_EQ(reply["device"], "cuda");
  EXPECT_EQ(reply["target"], "cuda:sm_90");
  EXPECT_EQ(reply["scratch_bytes_per_thread"], 0);
  EXPECT_EQ(reply["workspace_bytes"], 256);
  EXPECT_EQ(reply["kernel_ms"], 1);
  EXPECT_FALSE(reply.contains("counts"));
  ASSERT_EQ(reply["launches"].size(), 2u);
  EXPECT_EQ(reply["launches"][1],
            nlohmann::json::parse(R"({"kernel":"scaled_copy","grid":2,"block":32,"ms":0.5})"));
  std::vector<float> q = elements("q.npy");
  std::vector<float> o = elements("o.npy");
  float sum = 0;
  for (size_t i = 16; i < 32; ++i)
    sum += q[i];
  EXPECT_EQ(o[17], 2 * q[17] + sum);
}

TEST_F(Gpu, ATargetCanBeNamed) {
  EXPECT_EQ(runOn("cuda", {"--target", "cuda:sm_80"})["target"], "cuda:sm_80");
}

TEST_F(Gpu, TheEmulatorCountsEachLaunch) {
  setenv("FAKE_WORKER_PTX", NYSJIT_SOURCE_DIR "/tests/runtime/fake_kernels.ptx", 1);
  nlohmann::json reply =
      runOn("ptx-emulator", {"--scale", "2", "--seed", "7", "--async", "lazy", "--repeat", "2"});
  unsetenv("FAKE_WORKER_PTX");
  EXPECT_EQ(reply["device"], "ptx-emulator");
  EXPECT_EQ(reply["target"], "cuda:sm_80");
  std::vector<float> q = elements("q.npy");
  std::vector<float> o = elements("o.npy");
  float sum = 0;
  for (size_t i = 16; i < 32; ++i)
    sum += q[i];
  EXPECT_EQ(o[17], 2 * q[17] + sum);
  ASSERT_EQ(reply["launches"].size(), 2u);
  // row_sum reads q once and writes 12 sums a head; scaled_copy reads q and for each element a sum,
  // and writes o.
  const std::pair<int64_t, int64_t> bytes[] = {{384 * 4, 24 * 4}, {2 * 384 * 4, 384 * 4}};
  for (int i : {0, 1}) {
    EXPECT_EQ(reply["launches"][i]["counts"]["global_read_bytes"], bytes[i].first);
    EXPECT_EQ(reply["launches"][i]["counts"]["global_write_bytes"], bytes[i].second);
  }
  for (const char *count : {"instructions", "mma_flops", "global_read_bytes", "global_write_bytes",
                            "global_sectors", "bank_conflicts", "barriers", "races"})
    EXPECT_EQ(reply["counts"][count], reply["launches"][0]["counts"][count].get<int64_t>() +
                                          reply["launches"][1]["counts"][count].get<int64_t>())
        << count;
  EXPECT_GT(reply["counts"]["instructions"], 100);
}

TEST_F(Gpu, WhatTheEmulatorFindsIsExit1) {
  setenv("FAKE_WORKER_PTX", NYSJIT_SOURCE_DIR "/tests/runtime/racing_kernels.ptx", 1);
  const std::vector<std::string> arguments = {"run", "exact.json", "--device", "ptx-emulator",
                                              "--q", "q.npy",      "--k",      "k.npy",
                                              "--v", "v.npy",      "-o",       "o.npy"};
  nlohmann::json error = expectFailure(arguments, 1, "check_failed");
  EXPECT_NE(error["message"].get<std::string>().find("race: "), std::string::npos) << error;
  EXPECT_NE(error["message"].get<std::string>().find("row_sum"), std::string::npos) << error;
  for (const char *name : {"q.npy", "k.npy", "v.npy"})
    writeTensor(name, {1, 1, 7, 16}, 1); // 7: reads outside q
  error = expectFailure(arguments, 1, "io");
  EXPECT_NE(error["message"].get<std::string>().find("CUDA_ERROR_ILLEGAL_ADDRESS"),
            std::string::npos)
      << error;
  unsetenv("FAKE_WORKER_PTX");
}

TEST_F(Gpu, AnAbsentDeviceIsExit1) {
  setenv("NYSJIT_CUDA_DRIVER", "/absent/libcuda.so.1", 1);
  setenv("NYSJIT_PTX_EMULATOR", "/absent/emulator.so", 1);
  for (const auto &[device, place] :
       {std::pair("cuda", "/absent/libcuda.so.1"), {"ptx-emulator", "/absent/emulator.so"}}) {
    nlohmann::json error = expectFailure({"run", "exact.json", "--device", device, "--q", "q.npy",
                                          "--k", "k.npy", "--v", "v.npy", "-o", "o.npy"},
                                         1, "unavailable");
    EXPECT_EQ(error["where"], std::string("device ") + device);
    EXPECT_NE(error["message"].get<std::string>().find(place), std::string::npos) << error;
    // What is wrong with the request comes first.
    expectFailure({"run", "exact.json", "--device", device, "--q", "absent.npy", "--k", "k.npy",
                   "--v", "v.npy", "-o", "o.npy"},
                  2, "invalid_file");
  }
  nlohmann::json devices = json({"devices"})["devices"];
  EXPECT_EQ(devices[1]["available"], false);
  EXPECT_NE(devices[1]["reason"].get<std::string>().find("/absent/libcuda.so.1"),
            std::string::npos);
  unsetenv("NYSJIT_PTX_EMULATOR");
}

TEST_F(Gpu, DevicesNamesEachGpuAndWhatItRuns) {
  nlohmann::json cuda = json({"devices"})["devices"][1];
  EXPECT_EQ(cuda["available"], true);
  ASSERT_EQ(cuda["gpus"].size(), 2u);
  EXPECT_EQ(cuda["gpus"][0],
            nlohmann::json::parse(R"({"name":"Fake GPU","compute_capability":"9.0"})"));
  for (const nlohmann::json &target : cuda["targets"])
    EXPECT_EQ(target["available"], target["name"] < "cuda:sm_91" && target["name"] >= "cuda:sm_80")
        << target;
  EXPECT_NE(nysjit({"devices"}).out.find("Fake GPU, compute capability 9.0"), std::string::npos);
}

TEST_F(Gpu, CompilingNeedsNoDevice) {
  setenv("NYSJIT_CUDA_DRIVER", "/absent/libcuda.so.1", 1);
  nlohmann::json reply =
      json({"compile", "exact.json", "--target", "cuda:sm_120", "-o", "program"});
  EXPECT_EQ(reply["target"], "cuda:sm_120");
  EXPECT_EQ(reply["cache"], "compiled");
  EXPECT_TRUE(read("program").starts_with(".version")); // without a cubin
  EXPECT_EQ(json({"compile", "exact.json", "--target", "cuda:sm_120"})["cache"], "disk");
  EXPECT_EQ(json({"cache", "show", reply["key"]})["ptx_bytes"], read("program").size());
  EXPECT_EQ(nysjit({"compile", "exact.json", "--target", "cuda:sm_80", "--emit", "ptx"}).out,
            "stage ptx");
}

TEST_F(Gpu, ACubinTakesPtxas) {
  for (const char *stage : {"cubin", "sass"}) {
    program("bin/nvdisasm", "#!/bin/sh\n");
    setenv("CUDA_HOME", folder.c_str(), 1);
    nlohmann::json error = expectFailure(
        {"compile", "exact.json", "--target", "cuda:sm_80", "--emit", stage, "-o", "o.npy"}, 1,
        "unavailable");
    EXPECT_NE(error["message"].get<std::string>().find("none, as NYSJIT_PTXAS says"),
              std::string::npos)
        << error;
  }
  program("ptxas", "#!/bin/sh\n");
  setenv("NYSJIT_PTXAS", (folder / "ptxas").c_str(), 1);
  EXPECT_EQ(nysjit({"compile", "exact.json", "--target", "cuda:sm_80", "--emit", "cubin"}).out,
            "stage cubin");
  json({"compile", "exact.json", "--target", "cuda:sm_80", "-o", "program"});
  EXPECT_TRUE(read("program").starts_with("\x7f"
                                          "ELF"));
}

TEST_F(Gpu, APtxasThatIsNamedAndWrongIsNamed) {
  program("text", "no program");
  chmod((folder / "text").c_str(), 0600);
  std::filesystem::create_directories(folder / "under");
  for (const auto &[name, reason] : {std::pair("absent", "No such file or directory"),
                                     {"under", "a folder"},
                                     {"text", "a file that may not be executed"}}) {
    setenv("NYSJIT_PTXAS", (folder / name).c_str(), 1);
    for (const char *command : {"compile", "run", "cubin"}) {
      std::vector<std::string> arguments = {"compile", "exact.json", "--target", "cuda:sm_80"};
      if (command == std::string("run"))
        arguments = {"run", "exact.json", "--device", "cuda",  "--q", "q.npy",
                     "--k", "k.npy",      "--v",      "v.npy", "-o",  "o.npy"};
      else if (command == std::string("cubin"))
        arguments.insert(arguments.end(), {"--emit", "cubin", "-o", "o.npy"});
      const nlohmann::json error = expectFailure(arguments, 2, "invalid_argument");
      EXPECT_EQ(error["message"],
                "NYSJIT_PTXAS: expected the path of a ptxas that can be executed, "
                "or none, found \"" +
                    (folder / name).string() + "\", " + reason);
    }
    // Of no concern to the CPU and the emulator.
    json({"compile", "exact.json"});
  }
}

TEST_F(Gpu, WhatTheCompilerDidWithoutIsALineOnStandardErrorAndInTheJson) {
  setenv("FAKE_WORKER_MODE", "note", 1);
  const std::string note = "no cubin, and why";
  for (int round : {1, 2}) { // said each time that something is compiled: it is not kept
    const nlohmann::json reply = json({"compile", "exact.json", "--target", "cuda:sm_80"});
    EXPECT_EQ(reply["note"], note) << round;
    EXPECT_EQ(reply["cache"], "compiled");
  }
  EXPECT_EQ(nysjit({"compile", "exact.json", "--target", "cuda:sm_80"}).err,
            "nysjit: " + note + "\n");
  EXPECT_EQ(runOn("cuda")["note"], note);
  setenv("FAKE_WORKER_MODE", "lasting-note", 1);
  EXPECT_EQ(json({"compile", "exact.json", "--target", "cuda:sm_80"})["note"], note);
  const nlohmann::json again = json({"compile", "exact.json", "--target", "cuda:sm_80"});
  EXPECT_EQ(again["cache"], "disk");
  EXPECT_FALSE(again.contains("note"));
}

TEST_F(Gpu, SassTakesADisassembler) {
  program("ptxas", "#!/bin/sh\n");
  setenv("NYSJIT_PTXAS", (folder / "ptxas").c_str(), 1);
  std::vector<std::string> arguments = {"compile",    "exact.json", "--target",
                                        "cuda:sm_80", "--emit",     "sass"};
  emptyPath();
  std::vector<std::string> toFile = arguments;
  toFile.insert(toFile.end(), {"-o", "o.npy"});
  nlohmann::json error = expectFailure(toFile, 1, "unavailable");
  EXPECT_NE(error["message"].get<std::string>().find("nvdisasm or cuobjdump"), std::string::npos)
      << error;
  program("bin/nvdisasm", "#!/bin/sh\necho $1\nread line < $2\necho \"$line\"\n");
  setenv("CUDA_HOME", folder.c_str(), 1);
  EXPECT_EQ(nysjit(arguments).out, "-c\nstage cubin\n");
  program("bin/nvdisasm", "#!/bin/sh\necho not a cubin >&2; exit 3\n");
  error = expectFailure(toFile, 1, "compile_failed");
  EXPECT_NE(error["message"].get<std::string>().find("exited with status 3: not a cubin"),
            std::string::npos)
      << error;
}

TEST_F(Gpu, ADriversFailureIsExit1) {
  setenv("FAKE_WORKER_MODE", "bad-ptx", 1);
  nlohmann::json error = expectFailure({"run", "exact.json", "--device", "cuda", "--q", "q.npy",
                                        "--k", "k.npy", "--v", "v.npy", "-o", "o.npy"},
                                       1, "compile_failed");
  unsetenv("FAKE_WORKER_MODE");
  EXPECT_NE(error["message"].get<std::string>().find("CUDA_ERROR_INVALID_PTX"), std::string::npos)
      << error;
}

} // namespace

// fork, exec and two files that catch the output.
#include "tests/cli/command.h"

#include <fcntl.h>
#include <fstream>
#include <random>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace {

std::string readWhole(const fs::path &path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

} // namespace

Outcome runCommand(const fs::path &folder, const std::vector<std::string> &arguments) {
  fs::path out = folder.string() + ".out";
  fs::path err = folder.string() + ".err";
  pid_t child = fork();
  if (child == 0) {
    bool isReady = chdir(folder.c_str()) == 0 &&
                   setenv("NYSJIT_CACHE_DIR", (folder / "cache").c_str(), 1) == 0;
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
    std::vector<char *> argv = {const_cast<char *>("nysjit")};
    for (const std::string &argument : arguments)
      argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    if (isReady)
      execv(NYSJIT_BINARY_DIR "/bin/nysjit", argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), readWhole(out),
                  readWhole(err)};
  fs::remove(out);
  fs::remove(err);
  return outcome;
}

std::string npyBytes(const std::string &dictionary, const std::string &payload) {
  std::string header = dictionary;
  while ((10 + header.size() + 1) % 64 != 0)
    header += ' ';
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += char(header.size() & 0xff);
  bytes += char(header.size() >> 8);
  return bytes + header + payload;
}

void CommandTest::SetUp() {
  std::string name = (fs::temp_directory_path() / "nysjit-cli-XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  folder = name;
  write("exact.json", R"({"layout":"exact_causal","head_dim":16})");
  write("causal.json", R"({"layout":"causal","head_dim":16,"landmarks":4,"segment_len":4})");
  writeTensor("q.npy", {1, 2, 12, 16}, 1);
  writeTensor("k.npy", {1, 2, 12, 16}, 2);
  writeTensor("v.npy", {1, 2, 12, 16}, 3);
}

void CommandTest::TearDown() { fs::remove_all(folder); }

nlohmann::json CommandTest::json(std::vector<std::string> arguments) {
  arguments.push_back("--json");
  Outcome outcome = nysjit(arguments);
  EXPECT_EQ(outcome.exitCode, 0) << outcome.err;
  return nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
}

void TuningTest::SetUp() {
  CommandTest::SetUp();
  lockName = "test-" + std::to_string(getpid());
  setenv("NYSJIT_TUNE_LOCK", lockName.c_str(), 1);
  setenv("XDG_CONFIG_HOME", (folder / "config").c_str(), 1);
  unsetenv("NYSJIT_CONFIGS");
}

void TuningTest::TearDown() {
  unsetenv("NYSJIT_TUNE_LOCK");
  unsetenv("XDG_CONFIG_HOME");
  CommandTest::TearDown();
}

Outcome CommandTest::run(const std::string &spec, const std::vector<std::string> &more) {
  std::vector<std::string> arguments = {"run",   spec,  "--q",   "q.npy", "--k",
                                        "k.npy", "--v", "v.npy", "-o",    "o.npy"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return nysjit(arguments);
}

void CommandTest::write(const std::string &name, const std::string &bytes) {
  std::ofstream(folder / name, std::ios::binary) << bytes;
}

std::string CommandTest::read(const std::string &name) { return readWhole(folder / name); }

void CommandTest::writeTensor(const std::string &name, const std::vector<int64_t> &shape,
                              unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  int64_t count = 1;
  std::string text;
  for (int64_t size : shape) {
    count *= size;
    text += std::to_string(size) + ", ";
  }
  std::vector<float> values(static_cast<size_t>(count));
  for (float &value : values)
    value = normal(random);
  std::string payload(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float));
  write(name,
        npyBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (" + text + "), }", payload));
}

void CommandTest::writeIntegers(const std::string &name, const std::vector<int64_t> &values) {
  const std::string payload(reinterpret_cast<const char *>(values.data()),
                            values.size() * sizeof(int64_t));
  const std::string shape = "(" + std::to_string(values.size()) + ",)";
  write(name,
        npyBytes("{'descr': '<i8', 'fortran_order': False, 'shape': " + shape + ", }", payload));
}

nlohmann::json CommandTest::expectFailure(std::vector<std::string> arguments, int exitCode,
                                          const std::string &kind) {
  auto count = [this] {
    return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  };
  bool hadCache = exists("cache");
  auto before = count();
  arguments.push_back("--json");
  Outcome outcome = nysjit(arguments);
  EXPECT_EQ(outcome.exitCode, exitCode) << outcome.err;
  EXPECT_FALSE(outcome.err.empty());
  EXPECT_EQ(count(), before + (exists("cache") && !hadCache)) << "a file was left behind";
  EXPECT_FALSE(exists("o.npy"));
  nlohmann::json reply = nlohmann::json::parse(outcome.out, nullptr, false);
  if (!reply.is_object() || reply.size() != 1 || !reply.contains("error")) {
    ADD_FAILURE() << "expected one error object, found: " << outcome.out;
    return {};
  }
  nlohmann::json error = reply["error"];
  for (const char *key : {"kind", "where", "expected", "found", "message"})
    EXPECT_TRUE(error.value(key, nlohmann::json()).is_string()) << key;
  EXPECT_EQ(error["kind"], kind) << error;
  EXPECT_NE(outcome.err.find(error["message"].get<std::string>()), std::string::npos)
      << outcome.err;
  return error;
}

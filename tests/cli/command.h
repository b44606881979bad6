// Runs the real binary in a process of its own, in a folder of its own with a cache of its own.
#pragma once
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

/// What a process did.
struct Outcome {
  int exitCode = -1; // 128 + the signal if it was killed
  std::string out;
  std::string err;
};

/// Runs build/bin/nysjit with these arguments in `folder`, NYSJIT_CACHE_DIR being `folder`/cache.
Outcome runCommand(const std::filesystem::path &folder, const std::vector<std::string> &arguments);

/// A test in a fresh folder that holds exact.json, causal.json (landmarks 4, segment_len 4; both
/// head_dim 16) and q.npy, k.npy, v.npy of shape [1, 2, 12, 16], float32, and that is removed at
/// the end.
class CommandTest : public testing::Test {
protected:
  void SetUp() override;
  void TearDown() override;
  Outcome nysjit(const std::vector<std::string> &arguments) {
    return runCommand(folder, arguments);
  }
  /// Runs with --json, expects success and returns the reply.
  nlohmann::json json(std::vector<std::string> arguments);
  /// "run SPEC --q q.npy --k k.npy --v v.npy -o o.npy" and more.
  Outcome run(const std::string &spec, const std::vector<std::string> &more = {});
  void write(const std::string &name, const std::string &bytes);
  std::string read(const std::string &name);
  bool exists(const std::string &name) { return std::filesystem::exists(folder / name); }
  /// Writes a .npy file of normal numbers.
  void writeTensor(const std::string &name, const std::vector<int64_t> &shape, unsigned seed);
  /// Writes a .npy file of int64 numbers, [values.size()].
  void writeIntegers(const std::string &name, const std::vector<int64_t> &values);
  /// Runs with --json and expects the contract's failure: the exit code, one error object, a
  /// message on stderr, and no file `o.npy` nor anything beside it. Returns the object under
  /// "error".
  nlohmann::json expectFailure(std::vector<std::string> arguments, int exitCode,
                               const std::string &kind);

  std::filesystem::path folder;
};

/// The same for commands that tune: with a lock of its own, since tests run side by side and beside
/// whoever tunes here, and configs.json of the user's in `folder`/config alone.
class TuningTest : public CommandTest {
protected:
  void SetUp() override;
  void TearDown() override;
  std::string lockName;
};

/// The bytes of a version 1 .npy file: the header's dictionary as given, then the data.
std::string npyBytes(const std::string &dictionary, const std::string &payload);

/// Skips a test that must compile, in a build without the compiler.
#ifdef NYSJIT_HAS_COMPILER
#define NYSJIT_NEEDS_COMPILER()
#else
#define NYSJIT_NEEDS_COMPILER()                                                                    \
  GTEST_SKIP() << "this build has no compiler (NYSJIT_BUILD_COMPILER=OFF)"
#endif

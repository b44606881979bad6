// replay FILE-OR-FOLDER...: runs a target over inputs without libFuzzer, so that what a fuzzer once
// found is tested in every build.
#include "tests/fuzz/property.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
#define REPLAY_BOUNDS_MEMORY
#include <sys/resource.h>
#endif
#endif

namespace {

std::vector<std::filesystem::path> inputs(int count, char **paths) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < count; ++i) {
    if (!std::filesystem::is_directory(paths[i])) {
      files.emplace_back(paths[i]);
      continue;
    }
    for (const auto &entry : std::filesystem::recursive_directory_iterator(paths[i]))
      if (entry.is_regular_file())
        files.push_back(entry.path());
  }
  return files;
}

} // namespace

int main(int count, char **paths) {
#ifdef REPLAY_BOUNDS_MEMORY
  const rlimit bound = {size_t(4) << 30, size_t(4) << 30}; // an input is a few kilobytes
  setrlimit(RLIMIT_AS, &bound);
#endif
  const std::vector<std::filesystem::path> files = inputs(count, paths);
  if (files.empty()) {
    std::fprintf(stderr, "expected files or folders with inputs, found none\n");
    return 2;
  }
  for (const std::filesystem::path &path : files) {
    std::fprintf(stderr, "%s\n", path.c_str()); // the last line is the input that failed
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
  }
  std::printf("%zu inputs\n", files.size());
  return 0;
}

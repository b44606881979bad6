// TUNE.json, schema 1: what is to be tuned. Read and checked whole before anything else is done,
// but for the names of kernels and their keys, which the compiler knows (space.h).
#pragma once
#include "runtime/spec/spec.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit::tune {

/// Sizes of the tensors of a run.
struct TuneShape {
  int64_t length = 0; // positions; of packed sequences together
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t kvHeads = 1;
  int64_t sourceLen = 0;          // prefix_lm: positions of each source
  std::vector<int64_t> sequences; // packed: the length of each; empty: not packed
  double weight = 1;
  bool operator==(const TuneShape &) const = default;
};
Json shapeObject(const TuneShape &shape);
/// "n 2048, 8 heads"
std::string shapeText(const TuneShape &shape);

/// Values to try, by kernel and key. A kernel that is not there: all that make sense. One without
/// keys stays as it is; so does a key that a kernel's object has not.
using ParameterLists = std::map<std::string, std::map<std::string, std::vector<int>>>;

enum class Clock { Auto, Wall, Cpu };
const char *clockName(Clock clock); // "auto", "wall", "cpu"

struct TuneFile {
  std::vector<KernelSpec> specs;
  std::string device = "cpu"; // its name
  std::optional<Target> target;
  std::vector<int> threads = {0}; // 0: all
  std::vector<TuneShape> shapes;
  ParameterLists parameters;
  uint64_t seed = 1;
  // budget
  double seconds = 600;
  int configurations = 0; // 0: no limit
  double compileSeconds = 30;
  // measure
  Clock clock = Clock::Auto;
  bool isCold = false;
  int rounds = 16;
  int pairs = 40;
  double minGain = 0.02;
  bool check = true;
};

/// What was asked for beside the file, and goes before it.
struct AskedPlace {
  std::string device = ""; // "": what the file says; else, of a target of CUDA's alone, cuda
  std::optional<Target> target = std::nullopt;
};

/// An error names the key: `shapes[1].length`, `specs[0].head_dim`. Paths of specs are relative to
/// `folder`.
Result<TuneFile> parseTuneFile(std::string_view text, const std::string &folder,
                               const AskedPlace &asked = {});

} // namespace nysjit::tune

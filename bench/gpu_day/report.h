// The report's parts: what the records come to, and tables of them. Times on the emulator say
// nothing, and the report says so.
#pragma once
#include "runtime/base/result.h"

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <vector>

namespace nysjit::gpu_day {

using Lines = std::vector<std::string>;
using RecordList = std::vector<nlohmann::json>;

/// How one step ended, and in which case if it did not end by itself.
struct StepEnd {
  std::string step;
  std::string status; // "ended", "failed", "timed out", "crashed", "skipped"
  double seconds = 0;
  double limit = 0;
  std::string during; // the case that was begun last, of steps that did not end
};

/// A kernel of a timed run beside the most that copy and mma allow.
struct KernelShare {
  std::string name; // of the case
  std::string kernel;
  double ms = 0;
  double share = 0;     // of its run's kernels
  double tbPerS = 0;    // of the bytes it must move
  double tflopPerS = 0; // of the pairs under the mask
  double roofline = 0;  // the least time that the rates allow over its time; 0: not known
  bool isByMatrix = false;
};

/// One kernel with blocks that were tried.
struct SweptKernel {
  std::string name; // of the case
  std::string kernel;
  std::string blocks;
  double ms = 0;
  double overDefault = 0; // its time over that with the compiler's blocks; 0: not known
  std::string refused;    // why it did not run
};

struct Summary {
  nlohmann::json device = nlohmann::json::object();
  std::vector<StepEnd> steps;
  RecordList checks;
  RecordList failures; // of checks
  RecordList times;
  RecordList sdpa;
  RecordList launches;
  RecordList notes;
  std::map<std::string, nlohmann::json> rates;
  std::vector<KernelShare> kernels;
  std::vector<SweptKernel> swept; // the fastest of each kernel first

  bool isEmulator() const { return device.value("is_emulator", false); }
  double rate(const std::string &name, const char *unit) const;
  /// The fastest of PyTorch's on this shape and dtype; null if there is none.
  const nlohmann::json *fastestSdpa(const nlohmann::json &time) const;
};

Summary summarize(const RecordList &records);
/// A few sentences: what is wrong, fast, slow.
Lines verdict(const Summary &summary);
/// All tables.
Lines tables(const Summary &summary);
/// Three significant digits.
std::string text(double value);

} // namespace nysjit::gpu_day

// What is run on the day: the cases of conformance, the shapes that are timed and the block sizes
// that are tried. The bundle is made of the same tables, so nothing is asked that it has not.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace nysjit::gpu_day {

/// One program on one form of sequences.
struct ConformanceCase {
  std::string name;   // "causal bfloat16 d128 packed"
  std::string layout; // a layout or a variant of one: "streaming", "scan_first_k"
  nlohmann::json spec;
  std::string form; // "dense", "packed", "padded"
  std::vector<int64_t> lengths;
  int64_t queryHeads = 2;
  int64_t keyHeads = 1;
  // Rows before `unchanged` keep their bits when positions from `changed` on are others (dense);
  // 0: no such promise, or not asked.
  int64_t changed = 0;
  int64_t unchanged = 0;
};

/// Layouts and variants, in the order in which they are run.
std::vector<std::string> conformanceLayouts();
/// `small`: what the emulator runs in a few seconds.
std::vector<ConformanceCase> conformanceCases(bool isSmall);
/// Long sequences against the reference, one head: seconds of the CPU each.
std::vector<ConformanceCase> longCases(bool isSmall);

struct TimedCase {
  std::string name; // "causal bfloat16 B4 H16 n16384 d128"
  nlohmann::json spec;
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t length = 0;
};
std::vector<TimedCase> timedCases(bool isSmall);
/// Short enough that launches count; programs of timedCases.
std::vector<TimedCase> launchCases(bool isSmall);

/// A program with block sizes that are tried. Those of kernels that it has not are left out.
struct SweepCase {
  TimedCase timed;
  nlohmann::json config;
};
std::vector<SweepCase> sweepCases(bool isSmall);

/// The specs of all cases, each once.
nlohmann::json allSpecs(bool isSmall);
/// [{"specs": [...], "config": {...}}, ...]: what the sweep's bundles are made of.
nlohmann::json sweepBundles(bool isSmall);

} // namespace nysjit::gpu_day

// What a step is told: one process runs one step (bench/gpu_day.sh), so that none stops another.
#pragma once
#include <string>
#include <vector>

namespace nysjit::gpu_day {

struct Options {
  std::string step;                 // the subcommand
  std::string device = "cuda";      // or "ptx-emulator"
  std::string target;               // "cuda:sm_90"; "": the device's own
  std::vector<std::string> bundles; // files of compiled programs
  std::string results;              // JSON lines: where records are appended, or read by `report`
  std::string output;               // folder of the report
  std::string layout;               // conformance: only this one, "" for all
  // "KIND:CASE" each: goes wrong on purpose in that case
  std::vector<std::string> breaks;
  bool isSmall = false;    // shapes that the emulator runs in seconds
  double caseSeconds = 20; // a case that takes longer is killed
  double seconds = 0.4;    // a measurement repeats for about this long
};

} // namespace nysjit::gpu_day

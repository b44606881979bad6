// The report's two files.
#include "bench/gpu_day/report.h"
#include "bench/gpu_day/records.h"
#include "bench/gpu_day/steps.h"

#include <cctype>
#include <ctime>
#include <fstream>

namespace nysjit::gpu_day {

using nlohmann::json;

namespace {

/// "NVIDIA H100 80GB HBM3" as a file's name: nvidia_h100_80gb_hbm3.
std::string fileName(const std::string &name) {
  std::string file;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)))
      file += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!file.empty() && file.back() != '_')
      file += '_';
  while (!file.empty() && file.back() == '_')
    file.pop_back();
  return file.empty() ? "unknown" : file;
}

std::string today() {
  char date[32] = "";
  const time_t now = time(nullptr);
  tm parts = {};
  if (gmtime_r(&now, &parts))
    strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &parts);
  return date;
}

Lines heading(const Summary &summary) {
  const json &device = summary.device;
  Lines lines = {"# nysjit on " + device.value("name", "a device that did not answer"), ""};
  if (summary.isEmulator())
    lines.insert(lines.end(), {"**A rehearsal on the PTX emulator: what is said of correctness "
                               "counts; times, rates and shares of them mean nothing.**",
                               ""});
  if (device.contains("name"))
    lines.push_back("Compute capability " + std::to_string(device.value("capability", 0) / 10) +
                    "." + std::to_string(device.value("capability", 0) % 10) + ", " +
                    std::to_string(device.value("processors", 0)) + " multiprocessors, " +
                    text(device.value("memory_bytes", 0.0) / 1e9) + " GB, driver for CUDA " +
                    std::to_string(device.value("driver", 0) / 1000) + "." +
                    std::to_string(device.value("driver", 0) % 1000 / 10) + "; programs for " +
                    device.value("target", "") + ".");
  for (const json &note : summary.notes)
    lines.push_back(note.value("text", ""));
  lines.push_back("Made " + today() + ".");
  lines.insert(
      lines.end(),
      {"",
       "Names: `exact_causal` is exact attention; the other layouts see what is far through "
       "landmarks, `causal 64x256` through 64 of them, each of a segment of 256 positions. B "
       "batch, "
       "H heads, n positions, d head dimension.",
       "", "## At a glance", ""});
  return lines;
}

json summaryJson(const Summary &summary, const RecordList &records) {
  json steps = json::array();
  for (const StepEnd &step : summary.steps)
    steps.push_back({{"step", step.step}, {"status", step.status}, {"during", step.during}});
  return {{"device", summary.device},
          {"checks", summary.checks.size()},
          {"failed_checks", summary.failures},
          {"steps", steps},
          {"records", records}};
}

Status writeFile(const std::string &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::trunc);
  file << bytes;
  file.flush();
  return file ? Status()
              : Error::mismatch(ErrorKind::Io, path, "a file that can be written", "none");
}

} // namespace

Status writeReport(const Options &options) {
  Result<RecordList> records = readRecords(options.results);
  NYSJIT_RETURN_IF_ERROR(records);
  const Summary summary = summarize(*records);
  std::string markdown;
  for (const Lines &part : {heading(summary), verdict(summary), tables(summary)})
    for (const std::string &one : part)
      markdown += one + "\n";
  const std::string base =
      options.output + "/gpu_day_" + fileName(summary.device.value("name", ""));
  NYSJIT_RETURN_IF_ERROR(writeFile(base + ".md", markdown));
  NYSJIT_RETURN_IF_ERROR(writeFile(base + ".json", summaryJson(summary, *records).dump(1) + "\n"));
  printf("%s.md\n", base.c_str());
  return {};
}

} // namespace nysjit::gpu_day

// gpu_day STEP [options]: one step of the day a GPU comes; bench/gpu_day.sh runs them in order.
#include "bench/gpu_day/archive.h"
#include "bench/gpu_day/kernels.h"
#include "bench/gpu_day/steps.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

using namespace nysjit;
using namespace nysjit::gpu_day;

namespace {

constexpr const char *usage =
    "usage: gpu_day STEP [--device cuda|ptx-emulator] [--target NAME] [--bundle FILE]...\n"
    "                    [--out RESULTS.jsonl] [--small] [--seconds S] [--layout NAME]\n"
    "                    [--case-seconds S] [--break KIND:CASE]...\n"
    "       gpu_day report --out RESULTS.jsonl --folder FOLDER\n"
    "       gpu_day specs|sweeps|layouts|kernels [--small]\n"
    "       gpu_day pack ARCHIVE FILE... | unpack ARCHIVE FOLDER\n"
    "steps: device conformance long emulator rates times launches sweep\n";

struct Step {
  const char *name;
  Status (*run)(const Options &, const Records &);
};
constexpr Step steps[] = {{"device", describeDevice},    {"conformance", checkConformance},
                          {"long", checkLong},           {"emulator", compareWithEmulator},
                          {"rates", measureRates},       {"times", measureTimes},
                          {"launches", measureLaunches}, {"sweep", measureSweep}};

/// False for words that are no options.
bool readOptions(int count, char **words, Options &options) {
  if (count < 2)
    return false;
  options.step = words[1];
  const std::pair<const char *, std::string *> texts[] = {{"--device", &options.device},
                                                          {"--target", &options.target},
                                                          {"--out", &options.results},
                                                          {"--folder", &options.output},
                                                          {"--layout", &options.layout}};
  for (int i = 2; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--small") {
      options.isSmall = true;
      options.seconds = 0;
      continue;
    }
    if (++i == count)
      return false;
    bool isKnown =
        word == "--bundle" || word == "--seconds" || word == "--case-seconds" || word == "--break";
    for (const auto &[name, text] : texts)
      if (word == name) {
        *text = words[i];
        isKnown = true;
      }
    if (!isKnown)
      return false;
    if (word == "--bundle")
      options.bundles.push_back(words[i]);
    else if (word == "--break")
      options.breaks.push_back(words[i]);
    else if (word == "--seconds")
      options.seconds = std::strtod(words[i], nullptr);
    else if (word == "--case-seconds")
      options.caseSeconds = std::strtod(words[i], nullptr);
  }
  return true;
}

/// What the bundles are made of, for bench/gpu_day.sh prepare; the kernels' PTX.
bool printLists(const Options &options) {
  if (options.step == "specs")
    printf("%s\n", allSpecs(options.isSmall).dump().c_str());
  else if (options.step == "sweeps")
    for (const nlohmann::json &one : sweepBundles(options.isSmall))
      printf("%s\n%s\n", one["specs"].dump().c_str(), one["config"].dump().c_str());
  else if (options.step == "layouts")
    for (const std::string &layout : conformanceLayouts())
      printf("%s\n", layout.c_str());
  else if (options.step == "kernels")
    for (const std::string &ptx : ownKernels())
      printf("%s", ptx.c_str());
  else
    return false;
  return true;
}

int exitCode(const Status &status) {
  if (!status)
    fprintf(stderr, "gpu_day: %s\n", status.error().message.c_str());
  return status ? 0 : 1;
}

int run(int count, char **words) {
  const std::string command = count > 3 ? words[1] : "";
  if (command == "pack")
    return exitCode(packFiles(words[2], {words + 3, words + count}));
  if (command == "unpack")
    return exitCode(unpackFiles(words[2], words[3]));
  Options options;
  if (!readOptions(count, words, options)) {
    fputs(usage, stderr);
    return 2;
  }
  if (printLists(options))
    return 0;
  Status status = Error::mismatch(ErrorKind::InvalidArgument, "STEP", "a step", options.step);
  if (options.step == "report")
    status = writeReport(options);
  for (const Step &step : steps)
    if (options.step == step.name) {
      const Records records(options.results, options.step);
      status = step.run(options, records);
      if (!status)
        records.failed("step " + options.step, status.error());
    }
  return exitCode(status);
}

} // namespace

int main(int count, char **words) {
  try {
    return run(count, words);
  } catch (const std::exception &caught) {
    fprintf(stderr, "gpu_day: %s\n", caught.what());
    return 1;
  }
}

// From records to what they come to.
#include "bench/gpu_day/report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>

namespace nysjit::gpu_day {

using nlohmann::json;

std::string text(double value) {
  char buffer[32];
  snprintf(buffer, sizeof buffer, std::abs(value) >= 100 ? "%.0f" : "%.3g", value);
  return buffer;
}

double Summary::rate(const std::string &name, const char *unit) const {
  const auto found = rates.find(name);
  return found == rates.end() ? 0 : found->second.value(unit, 0.0);
}

const json *Summary::fastestSdpa(const json &time) const {
  const json *best = nullptr;
  for (const json &one : sdpa) {
    bool isSame = one.contains("ms");
    for (const char *key : {"dtype", "batch", "heads", "length", "head_dim"})
      isSame = isSame && one.value(key, json()) == time.value(key, json());
    if (isSame && (!best || one["ms"] < (*best)["ms"]))
      best = &one;
  }
  return best;
}

namespace {

/// tf32 has half of bfloat16's rate, and float32 takes three such products.
double matrixCost(const json &time) { return time.value("dtype", "") == "float32" ? 6 : 1; }

void addKernels(Summary &summary, const json &time) {
  const double copy = summary.rate("copy", "tb_s") * 1e9; // a millisecond
  const double matrix = summary.rate("mma", "tflop_s") * 1e9;
  double total = 0;
  for (const json &one : time["kernels"])
    total += one.value("ms", 0.0);
  for (const json &one : time["kernels"]) {
    KernelShare kernel;
    kernel.name = time.value("case", "");
    kernel.kernel = one.value("kernel", "");
    kernel.ms = one.value("ms", 0.0);
    kernel.share = total > 0 ? kernel.ms / total : 0;
    const double flops = one.value("flops", 0.0);
    const double bytes = one.value("bytes", 0.0);
    if (kernel.ms > 0) {
      kernel.tbPerS = bytes / kernel.ms / 1e9;
      kernel.tflopPerS = flops / kernel.ms / 1e9;
    }
    if (copy > 0 && matrix > 0 && kernel.ms > 0 && bytes > 0) {
      const double byCopy = bytes / copy;
      const double byMatrix = flops * matrixCost(time) / matrix;
      kernel.isByMatrix = byMatrix > byCopy;
      kernel.roofline = std::max(byCopy, byMatrix) / kernel.ms;
    }
    summary.kernels.push_back(kernel);
  }
}

void addSwept(Summary &summary, const json &sweep) {
  const std::string name = sweep.value("case", "");
  const json config = sweep.value("config", json::object());
  for (const auto &[kernel, blocks] : config.items()) {
    SweptKernel one = {name, kernel, blocks.dump(), 0, 0, sweep.value("refused", "")};
    for (const json &timed : sweep.value("kernels", json::array()))
      if (timed.value("kernel", "") == kernel)
        one.ms = timed.value("ms", 0.0);
    for (const KernelShare &usual : summary.kernels)
      if (usual.name == name && usual.kernel == kernel && usual.ms > 0)
        one.overDefault = one.ms / usual.ms;
    if (one.ms > 0 || !one.refused.empty())
      summary.swept.push_back(one);
  }
}

} // namespace

Summary summarize(const RecordList &records) {
  Summary summary;
  std::string begun;
  const std::map<std::string, RecordList *> lists = {{"check", &summary.checks},
                                                     {"time", &summary.times},
                                                     {"sdpa", &summary.sdpa},
                                                     {"launch", &summary.launches},
                                                     {"note", &summary.notes}};
  for (const json &record : records) {
    const std::string kind = record.value("kind", "");
    if (const auto list = lists.find(kind); list != lists.end())
      list->second->push_back(record);
    if (kind == "check" && !record.value("passed", false))
      summary.failures.push_back(record);
    if (kind == "device")
      summary.device = record;
    if (kind == "rate")
      summary.rates[record.value("rate", "")] = record;
    if (kind == "begin")
      begun = record.value("case", "");
    if (kind == "step") {
      StepEnd end = {record.value("step", ""), record.value("status", ""),
                     record.value("seconds", 0.0), record.value("limit", 0.0), ""};
      if (end.status == "timed out" || end.status == "crashed" || end.status == "interrupted")
        end.during = begun;
      begun.clear();
      summary.steps.push_back(end);
    }
  }
  for (const json &time : summary.times)
    addKernels(summary, time);
  for (const json &record : records)
    if (record.value("kind", "") == "sweep")
      addSwept(summary, record);
  std::sort(summary.swept.begin(), summary.swept.end(),
            [](const SweptKernel &a, const SweptKernel &b) {
              const auto place = [](const SweptKernel &one) {
                return std::tuple(one.name, one.kernel, !one.refused.empty(), one.ms, one.blocks);
              };
              return place(a) < place(b);
            });
  return summary;
}

} // namespace nysjit::gpu_day

// The report's first paragraph, for who reads no further.
#include "bench/gpu_day/report.h"

#include <algorithm>

namespace nysjit::gpu_day {

using nlohmann::json;

namespace {

std::string percent(double share) { return text(100 * share) + " %"; }

std::string found(const json &check) {
  std::string words =
      check["found"].is_number() ? text(check["found"].get<double>()) : check["found"].dump();
  if (words.size() > 200)
    words = words.substr(0, 200) + "…";
  std::replace(words.begin(), words.end(), '|', '/');
  return words + (check.contains("bound") ? ", at most " + text(check["bound"].get<double>()) : "");
}

Lines correctness(const Summary &summary) {
  Lines lines;
  const size_t all = summary.checks.size();
  const size_t bad = summary.failures.size();
  const bool isCut = std::any_of(summary.steps.begin(), summary.steps.end(), [](const StepEnd &s) {
    return s.step.starts_with("conformance") && s.status != "ended" && s.status != "failed";
  });
  if (all == 0)
    lines.push_back("- **Correct?** Not known: no check was made.");
  else if (bad == 0)
    lines.push_back("- **Correct: all " + std::to_string(all) + " checks passed**" +
                    (isCut ? ", but not all were made (see the steps below)." : "."));
  else
    lines.push_back("- **WRONG: " + std::to_string(bad) + " of " + std::to_string(all) +
                    " checks failed:**");
  for (size_t i = 0; i < std::min<size_t>(bad, 8); ++i)
    lines.push_back("  - " + summary.failures[i].value("case", "") + ": " +
                    summary.failures[i].value("check", "") + ": " + found(summary.failures[i]));
  if (bad > 8)
    lines.push_back("  - … the others stand in the table of failed checks");
  const json *worst = nullptr;
  const auto share = [](const json &check) {
    return check["found"].get<double>() / check["bound"].get<double>();
  };
  for (const json &check : summary.checks)
    if (check.value("check", "") == "float64 reference" && check["found"].is_number() &&
        (!worst || share(check) > share(*worst)))
      worst = &check;
  if (worst)
    lines.push_back("  - nearest to its bound of error: " + worst->value("case", "") + ", " +
                    text((*worst)["found"].get<double>()) + " of " +
                    text((*worst)["bound"].get<double>()) + " allowed");
  return lines;
}

Lines incomplete(const Summary &summary) {
  Lines lines;
  for (const StepEnd &step : summary.steps)
    if (step.status != "ended" && step.status != "failed")
      lines.push_back("- **Step \"" + step.step + "\" " + step.status + "** after " +
                      text(step.seconds) + " s" +
                      (step.during.empty() ? "" : ", during \"" + step.during + "\"") +
                      "; what it had found until then is below.");
  return lines;
}

Lines fast(const Summary &summary) {
  Lines lines;
  for (const json &time : summary.times) {
    const json *sdpa = summary.fastestSdpa(time);
    if (!sdpa)
      continue;
    const double ratio = (*sdpa)["ms"].get<double>() / time["ms"].get<double>();
    lines.push_back(
        "  - " + time.value("case", "") + ": " + text(time["ms"].get<double>()) + " ms, **" +
        (ratio >= 1 ? text(ratio) + " times as fast as" : text(1 / ratio) + " times the time of") +
        "** PyTorch's exact attention (" + sdpa->value("backend", "") + ", " +
        text((*sdpa)["ms"].get<double>()) + " ms)");
  }
  if (!lines.empty())
    lines.insert(lines.begin(),
                 "- **Beside PyTorch's fastest exact attention of the same shape:**");
  else if (!summary.times.empty())
    lines.push_back("- **Beside PyTorch:** not measured here.");
  return lines;
}

Lines slow(const Summary &summary) {
  std::vector<KernelShare> kernels;
  for (const KernelShare &kernel : summary.kernels)
    if (kernel.share >= 0.1 && kernel.roofline > 0)
      kernels.push_back(kernel);
  std::sort(kernels.begin(), kernels.end(),
            [](const auto &a, const auto &b) { return a.roofline < b.roofline; });
  if (kernels.empty())
    return {};
  Lines lines = {"- **Slowest kernels beside what this GPU's copy and mma rates allow** (of those "
                 "that take a tenth of their run):"};
  for (size_t i = 0; i < std::min<size_t>(kernels.size(), 5); ++i)
    lines.push_back("  - " + kernels[i].kernel + " in " + kernels[i].name + ": " +
                    percent(kernels[i].roofline) + " of the " +
                    (kernels[i].isByMatrix ? "mma" : "copy") + " rate, " +
                    percent(kernels[i].share) + " of its run");
  lines.push_back("  - the best one: " + kernels.back().kernel + " in " + kernels.back().name +
                  ": " + percent(kernels.back().roofline) + " of the " +
                  (kernels.back().isByMatrix ? "mma" : "copy") + " rate");
  return lines;
}

Lines launches(const Summary &summary) {
  Lines lines;
  for (const json &one : summary.launches) {
    const std::string kind = one.value("launch", "");
    const std::string name = " (" + one.value("case", "") + ")";
    if (kind == "host")
      lines.push_back("- **A call** takes " + text(one["us"].get<double>()) +
                      " us of the host for " + std::to_string(one["launches"].get<int>()) +
                      " launches; an empty kernel's launch by itself " +
                      text(one["bare_us"].get<double>()) + " us" + name + ".");
    if (kind == "overlap")
      lines.push_back("- **Overlapped launches** (griddepcontrol, " +
                      std::to_string(one["kernels"].get<int>()) +
                      " kernels): " + text(one["on_ms"].get<double>()) + " ms, without " +
                      text(one["off_ms"].get<double>()) + " ms" + name + ".");
    if (kind == "graph")
      lines.push_back("- **CUDA graph**: " + text(one["graph_ms"].get<double>()) +
                      " ms a replay, direct " + text(one["direct_ms"].get<double>()) + " ms" +
                      name + ".");
  }
  return lines;
}

} // namespace

Lines verdict(const Summary &summary) {
  Lines lines;
  const auto append = [&](Lines more) { lines.insert(lines.end(), more.begin(), more.end()); };
  append(correctness(summary));
  append(incomplete(summary));
  append(fast(summary));
  append(slow(summary));
  append(launches(summary));
  return lines;
}

} // namespace nysjit::gpu_day

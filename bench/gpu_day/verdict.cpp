// The report's first paragraph, for who reads no further.
#include "bench/gpu_day/report.h"

#include <algorithm>
#include <set>

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

/// At most eight of the checks, a line each.
Lines listed(const RecordList &checks) {
  Lines lines;
  for (size_t i = 0; i < std::min<size_t>(checks.size(), 8); ++i)
    lines.push_back("  - " + checks[i].value("case", "") + ": " + checks[i].value("check", "") +
                    ": " + found(checks[i]));
  if (checks.size() > 8)
    lines.push_back("  - … the others stand in the table of failed checks");
  return lines;
}

/// The comparison that came nearest to what is allowed, or passed it by most.
Lines worstError(const Summary &summary) {
  const json *worst = nullptr;
  const auto share = [](const json &check) {
    return check["found"].get<double>() / check["bound"].get<double>();
  };
  for (const json &check : summary.checks)
    if (check.value("check", "") == "float64 reference" && check["found"].is_number() &&
        (!worst || share(check) > share(*worst)))
      worst = &check;
  if (!worst)
    return {};
  return {"  - largest error beside its bound: " + worst->value("case", "") + ", " +
          text((*worst)["found"].get<double>()) + " of " + text((*worst)["bound"].get<double>()) +
          " allowed"};
}

/// What was compared and is wrong, and what could not be run, are told apart.
Lines correctness(const Summary &summary) {
  RecordList wrong;
  RecordList notRun;
  for (const json &check : summary.failures)
    (check.value("check", "") == "runs" ? notRun : wrong).push_back(check);
  const size_t made = summary.checks.size() - notRun.size();
  const bool isCut = std::any_of(summary.steps.begin(), summary.steps.end(), [](const StepEnd &s) {
    return s.step.starts_with("conformance") && s.status != "ended";
  });
  const auto isMissing = isCut || !notRun.empty();
  Lines lines;
  const auto append = [&](Lines more) { lines.insert(lines.end(), more.begin(), more.end()); };
  if (made == 0)
    append({"- **Correct?** Not known: no check was made."});
  else if (wrong.empty())
    append({"- **Correct: all " + std::to_string(made) + " checks that were made passed**" +
            (isMissing ? ", but not all were made." : ".")});
  else
    append({"- **WRONG: " + std::to_string(wrong.size()) + " of " + std::to_string(made) +
            " checks failed:**"});
  append(listed(wrong));
  append(worstError(summary));
  if (!notRun.empty())
    append({"- **DID NOT RUN: " + std::to_string(notRun.size()) + " cases:**"});
  append(listed(notRun));
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

/// Of each kernel the blocks that were fastest, if they beat the compiler's.
Lines blocks(const Summary &summary) {
  Lines lines;
  std::set<std::pair<std::string, std::string>> seen;
  for (const SweptKernel &one : summary.swept)
    if (one.overDefault > 0 && seen.insert({one.name, one.kernel}).second) // the fastest is first
      lines.push_back("  - " + one.kernel + " in " + one.name + ": the best tried, " + one.blocks +
                      ", takes " + text(one.overDefault) + " of the default's time");
  if (!lines.empty())
    lines.insert(lines.begin(), "- **Block sizes** beside those that the compiler chose (under 1: "
                                "the choice can be improved):");
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
  append(blocks(summary));
  append(launches(summary));
  return lines;
}

} // namespace nysjit::gpu_day

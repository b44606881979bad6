// The report's first paragraph, for who reads no further.
#include "bench/gpu_day/report.h"

#include <algorithm>
#include <map>
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
    lines.push_back(
        "  - " + checks[i].value("case", "") + ": " +
        (checks[i].value("check", "") == "runs" ? "" : checks[i].value("check", "") + ": ") +
        found(checks[i]));
  if (checks.size() > 8)
    lines.push_back("  - … the others stand in the table of failed checks");
  return lines;
}

/// Of those that passed, the comparison that came nearest to what is allowed.
Lines worstError(const Summary &summary) {
  const json *worst = nullptr;
  const auto share = [](const json &check) {
    return check["found"].get<double>() / check["bound"].get<double>();
  };
  for (const json &check : summary.checks)
    if (check.value("check", "") == "float64 reference" && check.value("passed", false) &&
        (!worst || share(check) > share(*worst)))
      worst = &check;
  if (!worst)
    return {};
  return {"  - largest error of those that passed: " + worst->value("case", "") + ", " +
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
    append({"- **DID NOT RUN: " + std::to_string(notRun.size()) +
            (notRun.size() == 1 ? " case:**" : " cases:**")});
  append(listed(notRun));
  return lines;
}

Lines incomplete(const Summary &summary) {
  Lines lines;
  for (const StepEnd &step : summary.steps) {
    if (step.status == "skipped")
      lines.push_back("- **Step \"" + step.step + "\" was not made**: the time was up.");
    else if (step.status != "ended" && step.status != "failed")
      lines.push_back("- **Step \"" + step.step + "\" " + step.status + "** after " +
                      text(step.seconds) + " s" +
                      (step.during.empty() ? "" : ", during \"" + step.during + "\""));
  }
  return lines;
}

Lines rates(const Summary &summary) {
  const double copy = summary.rate("copy", "tb_s");
  const double mma = summary.rate("mma", "tflop_s");
  if (copy <= 0 || mma <= 0)
    return {"- **What this GPU gives at most** was not measured, so no kernel is held against it."};
  const double matmul = summary.rate("matmul", "tflop_s");
  return {"- **What this GPU gave at most in this run:** " + text(copy) + " TB/s copying, " +
          text(mma) + " TFLOP/s in mma.sync" +
          (matmul > 0 ? " (PyTorch's matrix product: " + text(matmul) + ")" : "") + "."};
}

/// In the first dtype that was measured; the table has the others.
Lines fast(const Summary &summary) {
  Lines same;
  Lines other;
  for (const json &time : summary.times) {
    const json *sdpa = summary.fastestSdpa(time);
    if (!sdpa || time["dtype"] != summary.times[0]["dtype"])
      continue;
    const double ratio = (*sdpa)["ms"].get<double>() / time["ms"].get<double>();
    (time["layout"] == "exact_causal" ? same : other)
        .push_back("  - **" + text(ratio) + " x its speed**: " + time.value("case", "") + ", " +
                   text(time["ms"].get<double>()) + " ms; PyTorch " +
                   text((*sdpa)["ms"].get<double>()) + " ms (" + sdpa->value("backend", "") + ")");
  }
  Lines lines;
  if (!same.empty())
    lines.push_back("- **exact_causal beside PyTorch's fastest exact attention** (the same "
                    "mathematics; over 1: ours is faster):");
  lines.insert(lines.end(), same.begin(), same.end());
  if (!other.empty())
    lines.push_back("- **Layouts with landmarks beside the same exact attention** (they compute "
                    "less):");
  lines.insert(lines.end(), other.begin(), other.end());
  if (lines.empty() && !summary.times.empty())
    lines.push_back("- **Beside PyTorch:** not measured here.");
  return lines;
}

/// A kernel in all the runs in which it takes a tenth or more.
struct KernelRange {
  const KernelShare *worst = nullptr;
  const KernelShare *best = nullptr;
  double share = 0; // of its run, at most
};

/// A line a kernel, the slowest beside its roofline first; then those that have none.
Lines slow(const Summary &summary) {
  std::map<std::string, KernelRange> ranges;
  for (const KernelShare &one : summary.kernels) {
    if (one.share < 0.1)
      continue;
    KernelRange &range = ranges[one.kernel];
    if (!range.worst || one.roofline < range.worst->roofline)
      range.worst = &one;
    if (!range.best || one.roofline > range.best->roofline)
      range.best = &one;
    range.share = std::max(range.share, one.share);
  }
  std::vector<KernelRange> sorted;
  for (const auto &[kernel, range] : ranges)
    sorted.push_back(range);
  std::sort(sorted.begin(), sorted.end(), [](const KernelRange &a, const KernelRange &b) {
    return std::pair(a.worst->roofline == 0, a.worst->roofline) <
           std::pair(b.worst->roofline == 0, b.worst->roofline);
  });
  Lines lines;
  for (const KernelRange &range : sorted) {
    const auto reached = [](const KernelShare &one) {
      return percent(one.roofline) + " of the " + (one.isByMatrix ? "mma" : "copy") + " rate in " +
             one.name;
    };
    const std::string share = " (up to " + percent(range.share) + " of a run)";
    lines.push_back("  - **" + range.worst->kernel + "**" + share + ": " +
                    (range.worst->roofline == 0 ? "of landmarks alone, held against no rate"
                     : range.worst == range.best
                         ? reached(*range.worst)
                         : "from " + reached(*range.worst) + " to " + reached(*range.best)));
  }
  if (!lines.empty())
    lines.insert(lines.begin(), "- **Kernels that take a tenth of a run or more, slowest first**, "
                                "by what they reach of the rate that bounds them:");
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
  append(rates(summary));
  append(fast(summary));
  append(slow(summary));
  append(blocks(summary));
  append(launches(summary));
  return lines;
}

} // namespace nysjit::gpu_day

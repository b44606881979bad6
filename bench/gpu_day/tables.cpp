// The report's tables.
#include "bench/gpu_day/report.h"

#include <algorithm>
#include <map>

namespace nysjit::gpu_day {

using nlohmann::json;

namespace {

using Row = std::vector<std::string>;

std::string line(const Row &cells) {
  std::string text = "|";
  for (std::string cell : cells) {
    std::replace(cell.begin(), cell.end(), '|', '/');
    std::replace(cell.begin(), cell.end(), '\n', ' ');
    text += " " + cell + " |";
  }
  return text;
}

/// Nothing without rows.
Lines table(const std::string &title, const std::string &meaning, const Row &header,
            const std::vector<Row> &rows) {
  if (rows.empty())
    return {};
  Lines lines = {"", "## " + title, ""};
  if (!meaning.empty())
    lines.insert(lines.end(), {meaning, ""});
  lines.push_back(line(header));
  lines.push_back(line(Row(header.size(), "---")));
  for (const Row &row : rows)
    lines.push_back(line(row));
  return lines;
}

std::string milliseconds(const json &record, const char *key) {
  return record.contains(key) ? text(record[key].get<double>()) : "";
}

Lines timesTable(const Summary &summary) {
  std::vector<Row> rows;
  for (const json &time : summary.times) {
    const double ms = time["ms"].get<double>();
    double kernels = 0;
    for (const json &kernel : time["kernels"])
      kernels += kernel["ms"].get<double>();
    const json *sdpa = summary.fastestSdpa(time);
    rows.push_back(
        {time.value("case", ""), text(ms), text(kernels),
         text(time["bytes"].get<double>() / ms / 1e9), text(time["flops"].get<double>() / ms / 1e9),
         sdpa ? text((*sdpa)["ms"].get<double>()) + " (" + sdpa->value("backend", "") + ")" : "",
         sdpa ? text((*sdpa)["ms"].get<double>() / ms) : ""});
  }
  return table("Times",
               "Medians of runs one behind the other. Bytes and flops are those that the "
               "mathematics asks for, each tensor once a kernel, 4 d flops a pair under "
               "the mask (bench/gpu_day/counts.h).",
               {"run", "ms", "ms, sum of its kernels alone", "TB/s", "TFLOP/s",
                "PyTorch's fastest exact attention, ms", "speed beside it (over 1: faster)"},
               rows);
}

Lines kernelsTable(const Summary &summary) {
  std::vector<Row> rows;
  for (const KernelShare &one : summary.kernels)
    rows.push_back(
        {one.name, one.kernel, text(one.ms), text(100 * one.share) + " %",
         one.tbPerS > 0 ? text(one.tbPerS) : "", one.tflopPerS > 0 ? text(one.tflopPerS) : "",
         one.roofline > 0 ? text(100 * one.roofline) + " % of " + (one.isByMatrix ? "mma" : "copy")
                          : ""});
  return table("Kernels",
               "By events around each launch. \"Of what the GPU allows\": the least time by this "
               "run's copy and mma rates (float32: a sixth of the mma rate) over its time.",
               {"run", "kernel", "ms", "of the run", "TB/s", "TFLOP/s", "of what the GPU allows"},
               rows);
}

Lines ratesTable(const Summary &summary) {
  std::vector<Row> rows;
  for (const auto &[name, rate] : summary.rates)
    rows.push_back({name, rate.value("meaning", ""),
                    rate.contains("tb_s") ? text(rate["tb_s"].get<double>()) + " TB/s"
                                          : text(rate["tflop_s"].get<double>()) + " TFLOP/s"});
  return table("Rates of the same run", "", {"rate", "what it is", ""}, rows);
}

/// A row a layout, a column a check.
Lines checksTable(const Summary &summary) {
  struct Tally {
    int passed = 0;
    int all = 0;
  };
  std::map<std::string, std::map<std::string, Tally>> rows;
  std::map<std::string, double> worst;
  std::vector<std::string> checks;
  for (const json &check : summary.checks) {
    const std::string layout = check.value("layout", "(did not run)");
    const std::string name = check.value("check", "");
    if (std::find(checks.begin(), checks.end(), name) == checks.end())
      checks.push_back(name);
    Tally &tally = rows[layout][name];
    ++tally.all;
    tally.passed += check.value("passed", false);
    if (name == "float64 reference" && check["found"].is_number())
      worst[layout] =
          std::max(worst[layout], check["found"].get<double>() / check["bound"].get<double>());
  }
  Row header = {"layout", "largest error over its bound"};
  header.insert(header.end(), checks.begin(), checks.end());
  std::vector<Row> cells;
  for (const auto &[layout, tallies] : rows) {
    Row row = {layout, worst.contains(layout) ? text(worst[layout]) : ""};
    for (const std::string &name : checks) {
      const auto found = tallies.find(name);
      const Tally tally = found == tallies.end() ? Tally{} : found->second;
      const std::string cell = std::to_string(tally.passed) + " of " + std::to_string(tally.all);
      row.push_back(tally.all == 0 ? "" : tally.passed == tally.all ? cell : "**" + cell + "**");
    }
    cells.push_back(row);
  }
  return table("Checks", "How many passed; bold where some did not.", header, cells);
}

Lines failuresTable(const Summary &summary) {
  std::vector<Row> rows;
  for (const json &check : summary.failures)
    rows.push_back(
        {check.value("case", ""), check.value("check", ""),
         check["found"].is_string() ? check["found"].get<std::string>() : check["found"].dump(),
         check.contains("bound") ? check["bound"].dump() : ""});
  return table("Failed checks", "", {"case", "check", "found", "at most"}, rows);
}

Lines emulatorTable(const Summary &summary) {
  std::vector<Row> rows;
  for (const json &check : summary.checks)
    if (check.contains("equal_bits"))
      rows.push_back(
          {check.value("case", ""),
           text(100 * check["equal_bits"].get<double>() / check["numbers"].get<double>()) + " %",
           text(check["largest_difference"].get<double>()),
           text(check["largest_number"].get<double>()),
           check.value("passed", false) ? "yes" : "**NO**"});
  return table("Beside the emulator",
               "The same PTX, target and numbers. A GPU's tensor cores add in an order of their "
               "own, so bits may differ; the relative difference may be at most twice the bound of "
               "the float64 reference.",
               {"case", "numbers of equal bits", "largest difference", "largest number", "passed"},
               rows);
}

Lines sweepTable(const Summary &summary) {
  std::vector<Row> rows;
  for (const SweptKernel &one : summary.swept)
    rows.push_back({one.name, one.kernel, one.blocks,
                    one.refused.empty() ? text(one.ms) : "did not run: " + one.refused,
                    one.overDefault > 0 ? text(one.overDefault) : ""});
  return table("Block sizes", "Under 1 in the last column: faster than what the compiler chose.",
               {"run", "kernel", "blocks", "ms", "over the default's time"}, rows);
}

Lines sdpaTable(const Summary &summary) {
  std::vector<Row> rows;
  for (const json &one : summary.sdpa) {
    const double n = one.value("length", 0.0);
    const double flops = 4 * one.value("head_dim", 0.0) * one.value("batch", 0.0) *
                         one.value("heads", 0.0) * n * (n + 1) / 2;
    const bool hasRun = one.contains("ms");
    rows.push_back({one.value("case", ""), one.value("backend", ""),
                    hasRun ? milliseconds(one, "ms") : one.value("refused", ""),
                    hasRun ? text(flops / one["ms"].get<double>() / 1e9) : ""});
  }
  return table("PyTorch's scaled_dot_product_attention, causal", "",
               {"shape", "backend", "ms", "TFLOP/s"}, rows);
}

Lines stepsTable(const Summary &summary) {
  std::vector<Row> rows;
  for (const StepEnd &step : summary.steps)
    rows.push_back({step.step, step.status, text(step.seconds), text(step.limit), step.during});
  return table("Steps", "In the order they ran.",
               {"step", "how it ended", "s", "limit, s", "during"}, rows);
}

} // namespace

Lines tables(const Summary &summary) {
  Lines lines;
  for (const Lines &part : {failuresTable(summary), checksTable(summary), timesTable(summary),
                            kernelsTable(summary), ratesTable(summary), emulatorTable(summary),
                            sweepTable(summary), sdpaTable(summary), stepsTable(summary)})
    lines.insert(lines.end(), part.begin(), part.end());
  return lines;
}

} // namespace nysjit::gpu_day

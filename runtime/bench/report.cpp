// Lines of a table, members of objects.
#include "runtime/bench/report.h"
#include "runtime/base/format.h"

namespace nysjit::bench {

namespace {

std::string contenderText(const Contender &contender) {
  return contender.name + ": " + specTitle(contender.spec) + ", config " + contender.configSource +
         "\n";
}

std::string msText(double ms) {
  return format(ms < 100 ? "%.3f" : ms < 1000 ? "%.1f" : "%.0f", ms);
}

std::string measuredText(const Measured &measured, const std::optional<Rates> &rates) {
  std::string text =
      format("%10s %16s %9.1f %7.3g", msText(measured.ms).c_str(),
             (msText(measured.quartiles.low) + "-" + msText(measured.quartiles.high)).c_str(),
             measured.gflopS(), measured.gbS());
  if (rates) {
    const Roof roof = roofOf(measured.work, *rates);
    text += format(" %5.0f %% of %s", 100 * roof.ms / measured.ms,
                   roof.isByProducts ? "products" : "copies  ");
  }
  return text;
}

Json intervalObject(const std::optional<Interval> &interval) {
  return interval ? Json::array({interval->low, interval->high}) : Json();
}

Json measuredObject(const Measured &measured, const std::optional<Rates> &rates) {
  Json object = {{"ms", measured.ms},
                 {"ms_quartiles", intervalObject(measured.quartiles)},
                 {"flops", measured.work.flops},
                 {"bytes", measured.work.bytes},
                 {"gflop_s", measured.gflopS()},
                 {"gb_s", measured.gbS()}};
  object["roofline"] = Json();
  if (rates) {
    const Roof roof = roofOf(measured.work, *rates);
    object["roofline"] = {{"ms", roof.ms},
                          {"share", roof.ms / measured.ms},
                          {"bound", roof.isByProducts ? "products" : "copies"}};
  }
  return object;
}

Json contenderObject(const Contender &contender) {
  return {{"name", contender.name},
          {"spec", canonicalObject(contender.spec)},
          {"config", canonicalObject(contender.config)},
          {"config_source", contender.configSource}};
}

} // namespace

std::string reportText(const BenchReport &report) {
  std::string text;
  for (const Contender &contender : report.contenders)
    text += contenderText(contender);
  text += report.place.target;
  if (const Json *threads = report.place.device.find("threads"))
    text += ", " + threads->dump() + " threads";
  if (report.rates)
    text += format("; copies %.1f GB/s, products %.0f GFLOP/s (", report.rates->copyGbS,
                   report.rates->productGflopS) +
            (report.rates->vectorBits ? std::to_string(report.rates->vectorBits) + " bits)"
                                      : "mma.sync)");
  text += "\n\n" + format("%-34s%10s %16s %9s %7s%s\n", "", "median ms", "quartiles", "GFLOP/s",
                          "GB/s", report.rates ? "  of the roofline" : "");
  const bool isCompared = report.contenders.size() > 1;
  for (const SizeReport &size : report.sizes) {
    const std::string name = shapeText(size.shape);
    for (size_t i = 0; i < size.contenders.size(); ++i)
      text += format("%-34s", i == 0 ? name.c_str() : "  the other") +
              measuredText(size.contenders[i], report.rates) + "\n";
    if (!isCompared)
      continue;
    text += format("  %s: %.3f of the other's time", verdictName(size.comparison->verdict),
                   size.comparison->ratio);
    if (const std::optional<Interval> &interval = size.comparison->interval)
      text += format(" (%.3f to %.3f)", interval->low, interval->high);
    text += format(", faster in %d of %d pairs\n", size.comparison->wins, size.comparison->pairs);
  }
  for (const std::string &note : report.notes)
    text += "note: " + note + "\n";
  return text;
}

Json reportObject(const BenchReport &report) {
  Json contenders = Json::array();
  for (const Contender &contender : report.contenders)
    contenders.push_back(contenderObject(contender));
  Json sizes = Json::array();
  for (const SizeReport &size : report.sizes) {
    Json object = shapeObject(size.shape);
    object.erase("weight");
    object["rounds"] = size.rounds;
    Json measured = Json::array();
    for (const Measured &one : size.contenders)
      measured.push_back(measuredObject(one, report.rates));
    object["contenders"] = std::move(measured);
    if (size.comparison) {
      object["ratio"] = size.comparison->ratio;
      object["ratio_interval"] = intervalObject(size.comparison->interval);
      object["wins"] = size.comparison->wins;
      object["verdict"] = verdictName(size.comparison->verdict);
    }
    sizes.push_back(std::move(object));
  }
  Json notes = Json::array();
  for (const std::string &note : report.notes)
    notes.push_back(note);
  Json rates;
  if (report.rates)
    rates = {{"copy_gb_s", report.rates->copyGbS},
             {"product_gflop_s", report.rates->productGflopS},
             {"vector_bits", report.rates->vectorBits}};
  return {{"target", report.place.target},
          {"device", report.place.device},
          {"compiler", report.place.compiler},
          {"contenders", std::move(contenders)},
          {"rates", std::move(rates)},
          {"sizes", std::move(sizes)},
          {"conditions", report.conditions},
          {"others_share", report.othersShare ? Json(*report.othersShare) : Json()},
          {"notes", std::move(notes)},
          {"seconds", report.seconds}};
}

} // namespace nysjit::bench

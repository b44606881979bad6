// Pairs: whole runs, in the order of a coin.
#include "runtime/tune/verification.h"

#include <algorithm>
#include <random>

namespace nysjit::tune {

namespace {

Result<double> timeOnce(const Measuring &measuring, size_t program, size_t shape) {
  NYSJIT_RETURN_IF_ERROR(goOn(measuring));
  Result<RunTime> time = measuring.lab.run(program, shape);
  NYSJIT_RETURN_IF_ERROR(time);
  return time->whole.wallMs;
}

/// Times by pair.
struct Pairs {
  std::vector<double> defaults;
  std::vector<double> choices;
};

Status runPair(const Measuring &measuring, size_t program, size_t shape, bool isChoiceFirst,
               Pairs &pairs) {
  const size_t order[] = {isChoiceFirst ? program : measuring.defaultProgram,
                          isChoiceFirst ? measuring.defaultProgram : program};
  double times[2];
  for (int i = 0; i < 2; ++i) {
    Result<double> time = timeOnce(measuring, order[i], shape);
    NYSJIT_RETURN_IF_ERROR(time);
    times[i] = *time;
  }
  pairs.defaults.push_back(times[isChoiceFirst]);
  pairs.choices.push_back(times[!isChoiceFirst]);
  return {};
}

/// After so many pairs at a shape.
std::string progressText(const Measuring &measuring, size_t shape, int pairs, double start) {
  const double now = measuring.lab.seconds();
  std::string text = "[pair " + std::to_string(pairs + 1) + "/" +
                     std::to_string(measuring.file.pairs) + "] " + measuring.name + " " +
                     shapeText(measuring.file.shapes[shape]) + ", " + minutes(now);
  if (pairs > 0)
    text += ", at most " + minutes((now - start) / pairs * (measuring.file.pairs - pairs)) +
            " left at this shape";
  return text;
}

Result<ShapeVerdict> verifyShape(const Measuring &measuring, size_t program, size_t shape,
                                 int attempt) {
  const std::vector<Look> looks = looksOf(measuring.file.pairs);
  std::mt19937_64 coin(measuring.file.seed * 7919 + uint64_t(attempt) * 64 + shape);
  // Once each, unmeasured.
  for (const size_t each : {measuring.defaultProgram, program})
    NYSJIT_RETURN_IF_ERROR(timeOnce(measuring, each, shape));
  const double start = measuring.lab.seconds();
  Pairs pairs;
  ShapeVerdict verdict;
  int losses = 0;
  while (verdict.pairs < measuring.file.pairs && verdict.judgement == Judgement::Open) {
    measuring.progress.update(progressText(measuring, shape, verdict.pairs, start),
                              measuring.lab.seconds());
    NYSJIT_RETURN_IF_ERROR(runPair(measuring, program, shape, coin() & 1, pairs));
    ++verdict.pairs;
    verdict.wins += pairs.choices.back() < pairs.defaults.back();
    losses += pairs.choices.back() > pairs.defaults.back();
    verdict.judgement = judge(looks, verdict.pairs, verdict.wins, losses);
  }
  std::vector<double> ratios;
  for (size_t i = 0; i < pairs.defaults.size(); ++i)
    ratios.push_back(pairs.choices[i] / pairs.defaults[i]);
  verdict.ratio = median(std::move(ratios));
  verdict.defaultMs = median(std::move(pairs.defaults));
  verdict.ms = median(std::move(pairs.choices));
  return verdict;
}

constexpr const char *judgementNames[] = {"same", "faster", "slower"};

} // namespace

Verdict verdictOf(std::vector<ShapeVerdict> shapes, const TuneFile &file) {
  std::vector<double> ratios;
  std::vector<double> weights;
  for (size_t i = 0; i < shapes.size(); ++i) {
    ratios.push_back(shapes[i].ratio);
    weights.push_back(file.shapes[i].weight);
  }
  Verdict verdict;
  verdict.ratio = weightedRatio(ratios, weights);
  const auto count = [&](Judgement judgement) {
    return std::ranges::count(shapes, judgement, &ShapeVerdict::judgement);
  };
  verdict.isFaster = count(Judgement::Faster) > 0 && count(Judgement::Slower) == 0 &&
                     verdict.ratio <= 1 - file.minGain;
  verdict.shapes = std::move(shapes);
  return verdict;
}

Refusal refusalOf(const Verdict &verdict, const TuneFile &file) {
  if (std::ranges::count(verdict.shapes, Judgement::Slower, &ShapeVerdict::judgement) > 0)
    return Refusal::Slower;
  return verdict.ratio <= 1 - file.minGain ? Refusal::Noise : Refusal::NoGain;
}

Result<Verdict> verify(const Measuring &measuring, size_t program, int attempt) {
  measuring.lab.beginSeries("verify " + std::to_string(attempt));
  std::vector<ShapeVerdict> shapes;
  for (size_t shape = 0; shape < measuring.file.shapes.size(); ++shape) {
    Result<ShapeVerdict> one = verifyShape(measuring, program, shape, attempt);
    NYSJIT_RETURN_IF_ERROR(one);
    shapes.push_back(*one);
  }
  return verdictOf(std::move(shapes), measuring.file);
}

Json verdictObject(const Verdict &verdict, const TuneFile &file) {
  Json list = Json::array();
  for (size_t i = 0; i < verdict.shapes.size(); ++i) {
    const ShapeVerdict &shape = verdict.shapes[i];
    Json object = shapeObject(file.shapes[i]);
    object["pairs"] = shape.pairs;
    object["wins"] = shape.wins;
    object["ratio"] = shape.ratio;
    object["default_ms"] = shape.defaultMs;
    object["ms"] = shape.ms;
    object["verdict"] = judgementNames[size_t(shape.judgement)];
    list.push_back(std::move(object));
  }
  return list;
}

std::optional<Verdict> verdictFrom(const Json &list, const TuneFile &file) {
  if (!list.is_array() || list.size() != file.shapes.size())
    return std::nullopt;
  std::vector<ShapeVerdict> shapes;
  for (const Json &object : list.elements()) {
    for (const char *name : {"pairs", "wins", "ratio", "default_ms", "ms"})
      if (!object[name].is_number())
        return std::nullopt;
    const auto named = std::ranges::find(judgementNames, object["verdict"].text(),
                                         [](const char *name) { return std::string(name); });
    if (named == std::end(judgementNames))
      return std::nullopt;
    shapes.push_back({object["pairs"].get<int>(), object["wins"].get<int>(),
                      object["ratio"].get<double>(), object["default_ms"].get<double>(),
                      object["ms"].get<double>(), Judgement(named - judgementNames)});
  }
  return verdictOf(std::move(shapes), file);
}

} // namespace nysjit::tune

// Compile, try each size once, share the time out, then rounds.
#include "runtime/bench/bench.h"
#include "runtime/base/format.h"
#include "runtime/bench/rounds.h"
#include "runtime/tune/statistics.h"

#include <algorithm>
#include <random>

namespace nysjit::bench {

namespace {

// At a size that is timed, whatever that takes: enough to say how times spread, or to tell two
// programs apart.
constexpr int leastRounds = 3;
constexpr int leastPairs = 10;
// Rounds at one size before the next: each visit begins with an unmeasured run, that brings the
// size's tensors into the caches.
constexpr int roundsOfVisit = 5;

class Bench {
public:
  Bench(const BenchRequest &request, const tune::LabMaker &labFor, tune::ProgressLine &progress)
      : request(request), contenders(request.contenders), labFor(labFor), progress(progress),
        random(request.seed) {}
  Result<BenchReport> run();

private:
  struct Program {
    tune::Lab *lab;
    size_t number;
  };
  struct Size {
    size_t shape;
    double roundSeconds = 0;             // lately
    std::vector<std::vector<double>> ms; // by contender
    int done() const { return int(ms.front().size()); }
  };

  Status compileAll();
  Status checkOutputs();
  Status tryOnce();
  bool fits(size_t shape) const;
  std::vector<int> roundsToCome();
  Status timeAll();
  Status visit(Size &size, int rounds);
  Result<double> timeOnce(size_t contender, size_t shape);
  Result<double> timeEach(const std::vector<size_t> &order, Size &size, bool isMeasured);
  std::vector<size_t> shuffled(size_t count);
  void takeRates();
  std::optional<double> othersNow() const;
  Status timeAllBesideOthers();
  void showProgress(const Size &size);
  BenchReport report();
  int leastOf() const { return contenders.size() > 1 ? leastPairs : leastRounds; }
  double seconds() const { return programs.front().lab->seconds(); }
  double passed() const { return seconds() - start; }

  const BenchRequest &request;
  const std::vector<Contender> &contenders;
  const tune::LabMaker &labFor;
  tune::ProgressLine &progress;
  std::mt19937_64 random;
  std::vector<std::unique_ptr<tune::Lab>> labs;
  std::vector<Program> programs; // by contender
  std::vector<Size> sizes;
  std::optional<Rates> rates;
  std::optional<double> othersShare;
  std::vector<std::string> notes;
  double start = 0;           // of timing
  double secondsOfRounds = 0; // what the trials left
};

std::string secondsText(double seconds) { return format("%.3g s", seconds); }

Status Bench::compileAll() {
  for (const Contender &contender : contenders) {
    const bool isShared =
        !labs.empty() && canonicalJson(contender.spec) == canonicalJson(contenders.front().spec);
    if (!isShared) {
      Result<std::unique_ptr<tune::Lab>> lab = labFor(contender.spec, request.threads);
      NYSJIT_RETURN_IF_ERROR(lab);
      labs.push_back(std::move(*lab));
    }
    progress.beginPhase("compiling " + contender.name);
    Result<tune::Compiled> compiled = labs.back()->compile(contender.config);
    NYSJIT_RETURN_IF_ERROR(compiled);
    programs.push_back({labs.back().get(), compiled->number});
  }
  return checkOutputs();
}

Status Bench::checkOutputs() {
  if (programs.size() < 2 || labs.size() > 1)
    return {};
  Result<tune::Difference> difference =
      labs.front()->difference(programs[1].number, programs[0].number);
  NYSJIT_RETURN_IF_ERROR(difference);
  if (difference->isWithin())
    return {};
  return Error::plain(ErrorKind::CheckFailed, "--vs",
                      "--vs: the two configs compute different outputs, which is a bug of nysjit");
}

Result<double> Bench::timeOnce(size_t contender, size_t shape) {
  const Program &program = programs[contender];
  if (program.lab->isEnding())
    return Error::plain(ErrorKind::Cancelled, "bench", "bench: its end was asked for");
  Result<tune::RunTime> time = program.lab->run(program.number, shape);
  NYSJIT_RETURN_IF_ERROR(time);
  constexpr double least = 1e-6; // a clock has its steps
  return std::max(time->whole.wallMs, least);
}

std::vector<size_t> Bench::shuffled(size_t count) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i)
    order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

/// Milliseconds of all.
Result<double> Bench::timeEach(const std::vector<size_t> &order, Size &size, bool isMeasured) {
  double sum = 0;
  for (const size_t contender : order) {
    Result<double> ms = timeOnce(contender, size.shape);
    NYSJIT_RETURN_IF_ERROR(ms);
    sum += *ms;
    if (isMeasured)
      size.ms[contender].push_back(*ms);
  }
  return sum;
}

/// Whether the time is enough for a longer size, which takes more by its work.
bool Bench::fits(size_t shape) const {
  if (sizes.empty())
    return true;
  double growth = 1;
  for (const Contender &contender : contenders) {
    const Work before = workOf(contender.spec, request.shapes[sizes.back().shape]);
    const Work now = workOf(contender.spec, request.shapes[shape]);
    growth = std::max({growth, now.flops / before.flops, now.bytes / before.bytes});
  }
  const int unmeasured = 2 + leastOf() / roundsOfVisit; // the trial, and one a visit
  return passed() + (leastOf() + unmeasured) * growth * sizes.back().roundSeconds <=
         request.seconds;
}

Status Bench::tryOnce() {
  for (size_t shape = 0; shape < request.shapes.size(); ++shape) {
    if (!fits(shape)) {
      for (; shape < request.shapes.size(); ++shape)
        notes.push_back(shapeText(request.shapes[shape]) + " was left out: " +
                        secondsText(request.seconds) + " (--seconds) are too few for it");
      break;
    }
    Size size{.shape = shape, .ms = std::vector<std::vector<double>>(contenders.size())};
    Result<double> ms = timeEach(shuffled(contenders.size()), size, /*isMeasured=*/false);
    NYSJIT_RETURN_IF_ERROR(ms);
    size.roundSeconds = *ms / 1e3;
    sizes.push_back(std::move(size));
    showProgress(sizes.back());
  }
  return {};
}

/// More rounds for each size, by what a round took lately. Nothing is left for any: all are done.
std::vector<int> Bench::roundsToCome() {
  std::vector<Wanted> wanted;
  for (const Size &size : sizes)
    wanted.push_back({size.roundSeconds * (roundsOfVisit + 1) / roundsOfVisit, request.rounds});
  std::vector<int> rounds = shareRounds(wanted, secondsOfRounds);
  for (size_t i = 0; i < sizes.size(); ++i)
    rounds[i] = std::max(rounds[i], std::min(leastOf(), request.rounds)) - sizes[i].done();
  return rounds;
}

void Bench::showProgress(const Size &size) {
  std::string text = "[round " + std::to_string(size.done() + 1) + "/" +
                     std::to_string(request.rounds) + "] " + shapeText(request.shapes[size.shape]);
  if (contenders.size() > 1 && size.done() > 0)
    text += format(", %.3f of the other's time",
                   compare(size.ms[0], size.ms[1], request.leastEffect).ratio);
  const double left = std::max(request.seconds - passed(), 0.0);
  progress.update(text + ", " + tune::timesText(passed(), left), seconds());
}

Status Bench::visit(Size &size, int rounds) {
  double sum = 0;
  for (int i = 0; i <= rounds; ++i) {
    showProgress(size);
    Result<double> ms = timeEach(shuffled(contenders.size()), size, /*isMeasured=*/i > 0);
    NYSJIT_RETURN_IF_ERROR(ms);
    sum += *ms;
  }
  size.roundSeconds = sum / 1e3 / (rounds + 1);
  return {};
}

Status Bench::timeAll() {
  progress.beginPhase("timing " + std::to_string(sizes.size()) +
                      (sizes.size() == 1 ? " size, up to " : " sizes, up to ") +
                      secondsText(request.seconds));
  while (true) {
    const std::vector<int> rounds = roundsToCome();
    if (std::ranges::all_of(rounds, [](int more) { return more <= 0; }))
      break;
    for (const size_t i : shuffled(sizes.size()))
      if (rounds[i] > 0)
        NYSJIT_RETURN_IF_ERROR(visit(sizes[i], std::min(rounds[i], roundsOfVisit)));
  }
  for (const Size &size : sizes)
    if (size.done() < request.rounds)
      notes.push_back(shapeText(request.shapes[size.shape]) + ": " + std::to_string(size.done()) +
                      " of " + std::to_string(request.rounds) + " rounds in " +
                      secondsText(request.seconds) + " (--seconds)");
  return {};
}

void Bench::takeRates() {
  if (!request.takeRates)
    return;
  progress.beginPhase("measuring how fast the machine copies and multiplies");
  Result<Rates> taken = request.takeRates();
  if (!taken)
    notes.push_back("no roofline: " + taken.error().message);
  else
    rates = rates ? best(*rates, *taken) : *taken;
}

std::optional<double> Bench::othersNow() const {
  return request.takenByOthers ? request.takenByOthers() : std::nullopt;
}

/// Says how busy the machine was with other things, where it was.
Status Bench::timeAllBesideOthers() {
  const double began = seconds();
  const std::optional<double> before = othersNow();
  NYSJIT_RETURN_IF_ERROR(timeAll());
  const std::optional<double> after = othersNow();
  const double spent = (seconds() - began) * double(request.cpus);
  if (!before || !after || spent <= 0)
    return {};
  othersShare = std::clamp((*after - *before) / spent, 0.0, 1.0);
  constexpr double tolerable = 0.05;
  if (*othersShare > tolerable)
    notes.push_back(
        format("other processes took %.0f %% of the machine's CPUs meanwhile", 100 * *othersShare));
  return {};
}

BenchReport Bench::report() {
  BenchReport report{.contenders = contenders,
                     .place = labs.front()->place(),
                     .sizes = {},
                     .rates = rates,
                     .conditions = labs.front()->conditions(),
                     .othersShare = othersShare,
                     .notes = notes,
                     .seconds = seconds()};
  for (const Size &size : sizes) {
    SizeReport &one = report.sizes.emplace_back();
    one.shape = request.shapes[size.shape];
    one.rounds = size.done();
    for (size_t i = 0; i < contenders.size(); ++i)
      one.contenders.push_back(
          {tune::median(size.ms[i]), quartiles(size.ms[i]), workOf(contenders[i].spec, one.shape)});
    if (contenders.size() > 1)
      one.comparison = compare(size.ms[0], size.ms[1], request.leastEffect);
  }
  return report;
}

Result<BenchReport> Bench::run() {
  NYSJIT_RETURN_IF_ERROR(compileAll());
  takeRates();
  for (const std::unique_ptr<tune::Lab> &lab : labs)
    lab->beginSeries("bench");
  start = seconds();
  NYSJIT_RETURN_IF_ERROR(tryOnce());
  secondsOfRounds = request.seconds - passed();
  NYSJIT_RETURN_IF_ERROR(timeAllBesideOthers());
  if (rates) // what could not be measured before is not tried again
    takeRates();
  return report();
}

} // namespace

Roof roofOf(const Work &work, const Rates &rates) {
  const double products = work.flops / rates.productGflopS / 1e6;
  const double copies = work.bytes / rates.copyGbS / 1e6;
  return {std::max(products, copies), products >= copies};
}

Result<BenchReport> bench(const BenchRequest &request, const tune::LabMaker &labFor,
                          tune::ProgressLine &progress) {
  return Bench(request, labFor, progress).run();
}

} // namespace nysjit::bench

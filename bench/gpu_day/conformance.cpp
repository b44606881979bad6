// Conformance: every layout against the float64 reference, bits that must not move, and the
// emulator.
#include "bench/gpu_day/apart.h"
#include "bench/gpu_day/arguments.h"
#include "bench/gpu_day/steps.h"
#include "runtime/reference/accuracy.h"
#include "tests/conformance/reference_input.h"

#include <cstring>
#include <future>
#include <random>

namespace nysjit::gpu_day {

using conformance::Inputs;
using nlohmann::json;

namespace {

constexpr unsigned seed = 20240607; // of all cases: two machines see the same numbers

bool isSameBits(const std::vector<double> &x, const std::vector<double> &y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]) == 0;
}

struct Expected {
  Result<std::vector<double>> o;
  double bound = 0;
};

Expected computeReference(const KernelSpec &spec, const Inputs &in) {
  const reference::ReferenceInput input = conformance::referenceInput(spec, in);
  return {reference::compute(input), reference::errorBound(input, /*isGpu=*/true)};
}

/// Other numbers up to 100 from position `first` on, in all sequences of dense inputs.
Inputs changedFrom(const Inputs &in, int64_t first, const std::string &dtype) {
  Inputs other = in;
  std::mt19937 random(seed + 1);
  std::uniform_real_distribution<double> large(-100, 100);
  for (auto [x, heads] :
       {std::pair(&other.q, in.queryHeads), {&other.k, in.keyHeads}, {&other.v, in.keyHeads}})
    for (int64_t b = 0; b < in.batch; ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t t = first; t < in.length; ++t)
          for (int64_t e = 0; e < in.headDim; ++e)
            (*x)[in.index(b, h, t, e, heads)] = conformance::rounded(large(random), dtype);
  return other;
}

/// The numbers of dense rows before `end` that differ.
int64_t differencesBefore(const Inputs &in, int64_t end, const std::vector<double> &x,
                          const std::vector<double> &y) {
  int64_t count = 0;
  for (int64_t row = 0; row < in.batch * in.queryHeads; ++row)
    for (int64_t at = row * in.length * in.headDim; at < (row * in.length + end) * in.headDim; ++at)
      if (std::memcmp(&x[size_t(at)], &y[size_t(at)], sizeof x[0]) != 0)
        ++count;
  return count;
}

class CaseCheck {
public:
  CaseCheck(const Options &options, const Records &records, const Session &session,
            const ConformanceCase &one)
      : options(options), records(records), session(session), one(one),
        dtype(one.spec.value("dtype", "float32")), in(inputsOf(one, seed)) {}

  Status run() {
    const bool isWrong = isBrokenHere(options, session, one.name);
    Result<KernelSpec> spec = parseKernelSpec(one.spec.dump());
    NYSJIT_RETURN_IF_ERROR(spec);
    // The reference on another thread, while the device does its part.
    std::future<Expected> reference =
        std::async(std::launch::async, [&] { return computeReference(*spec, in); });
    Result<Program> program = session.prepare(one.spec.dump());
    NYSJIT_RETURN_IF_ERROR(program);
    Result<std::unique_ptr<Arguments>> arguments = Arguments::create(session, in, dtype);
    NYSJIT_RETURN_IF_ERROR(arguments);
    Result<std::vector<double>> o = (*arguments)->run(program->get());
    NYSJIT_RETURN_IF_ERROR(o);
    Result<std::vector<double>> again = (*arguments)->run(program->get());
    NYSJIT_RETURN_IF_ERROR(again);
    check("determinism", isSameBits(*o, *again),
          isSameBits(*o, *again) ? json(0) : json("two runs differ"));
    if (one.changed > 0)
      NYSJIT_RETURN_IF_ERROR(checkCausality(program->get(), *o));
    if (one.form != "dense")
      check("zeros outside the sequences", in.largestOutside(*o) == 0, in.largestOutside(*o));
    const Expected expected = reference.get();
    NYSJIT_RETURN_IF_ERROR(expected.o.ok() ? Status() : Status(expected.o.error()));
    if (isWrong)
      (*o)[o->size() / 2] += 1;
    const double error = conformance::relativeError(*o, *expected.o);
    check("float64 reference", error <= expected.bound, error, expected.bound);
    return {};
  }

private:
  Status checkCausality(const nysjit_program *program, const std::vector<double> &before) {
    Result<std::unique_ptr<Arguments>> arguments =
        Arguments::create(session, changedFrom(in, one.changed, dtype), dtype);
    NYSJIT_RETURN_IF_ERROR(arguments);
    Result<std::vector<double>> after = (*arguments)->run(program);
    NYSJIT_RETURN_IF_ERROR(after);
    const int64_t changed = differencesBefore(in, one.unchanged, before, *after);
    check("causality", changed == 0, changed);
    // Else nothing was changed at all, and the check says nothing.
    if (differencesBefore(in, in.length, before, *after) == 0)
      check("later rows change", false, 0);
    return {};
  }

  void check(const char *what, bool hasPassed, json found, double bound = 0) const {
    json fields = {{"check", what}, {"case", one.name}, {"passed", hasPassed}, {"found", found}};
    fields["layout"] = one.layout;
    if (bound > 0)
      fields["bound"] = bound;
    records.add("check", std::move(fields));
  }

  const Options &options;
  const Records &records;
  const Session &session;
  const ConformanceCase &one;
  const std::string dtype;
  const Inputs in;
};

Status checkAll(const Options &options, const Records &records,
                std::vector<ConformanceCase> cases) {
  if (!options.layout.empty())
    std::erase_if(cases, [&](const ConformanceCase &one) { return one.layout != options.layout; });
  return runApart(options, records,
                  {cases.size(), [&](size_t i) { return cases[i].name; },
                   [&](const Session &session, size_t i) {
                     return CaseCheck(options, records, session, cases[i]).run();
                   }});
}

} // namespace

Status checkConformance(const Options &options, const Records &records) {
  return checkAll(options, records, conformanceCases(options.isSmall));
}

Status checkLong(const Options &options, const Records &records) {
  return checkAll(options, records, longCases(options.isSmall));
}

namespace {

/// How near two outputs are: numbers of equal bits, and the largest difference beside the largest
/// number.
json nearness(const std::vector<double> &x, const std::vector<double> &y) {
  size_t equal = 0;
  double difference = 0;
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    equal += std::memcmp(&x[i], &y[i], sizeof x[i]) == 0;
    difference = std::max(difference, std::fabs(x[i] - y[i]));
    largest = std::max(largest, std::fabs(y[i]));
  }
  return {{"numbers", x.size()},
          {"equal_bits", equal},
          {"largest_difference", difference},
          {"largest_number", largest}};
}

Result<std::vector<double>> outputOn(const Session &session, const ConformanceCase &one,
                                     const Inputs &in) {
  Result<Program> program = session.prepare(one.spec.dump());
  NYSJIT_RETURN_IF_ERROR(program);
  Result<std::unique_ptr<Arguments>> arguments =
      Arguments::create(session, in, one.spec.value("dtype", "float32"));
  NYSJIT_RETURN_IF_ERROR(arguments);
  return (*arguments)->run(program->get());
}

Status compareOne(const Options &options, const Records &records, const Session &session,
                  const ConformanceCase &one) {
  const Inputs in = inputsOf(one, seed);
  Result<std::vector<double>> real = outputOn(session, one, in);
  NYSJIT_RETURN_IF_ERROR(real);
  Options emulated = options;
  emulated.device = "ptx-emulator";
  Result<std::unique_ptr<Session>> emulator = Session::open(emulated);
  NYSJIT_RETURN_IF_ERROR(emulator);
  Result<std::vector<double>> same = outputOn(**emulator, one, in);
  NYSJIT_RETURN_IF_ERROR(same);
  Result<KernelSpec> spec = parseKernelSpec(one.spec.dump());
  NYSJIT_RETURN_IF_ERROR(spec);
  const double bound = 2 * reference::errorBound(conformance::referenceInput(*spec, in), true);
  const double error = conformance::relativeError(*real, *same);
  json fields = nearness(*real, *same);
  fields.update({{"check", "emulator"},
                 {"case", one.name},
                 {"layout", one.layout},
                 {"passed", error <= bound},
                 {"found", error},
                 {"bound", bound}});
  records.add("check", std::move(fields));
  return {};
}

} // namespace

Status compareWithEmulator(const Options &options, const Records &records) {
  std::vector<ConformanceCase> cases = conformanceCases(options.isSmall);
  std::erase_if(cases, [](const ConformanceCase &one) { return one.form != "dense"; });
  return runApart(options, records,
                  {cases.size(), [&](size_t i) { return cases[i].name; },
                   [&](const Session &session, size_t i) {
                     return compareOne(options, records, session, cases[i]);
                   }});
}

} // namespace nysjit::gpu_day

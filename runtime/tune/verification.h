// The verdict: the choice against the default in fresh pairs, by a sign test at each shape.
#pragma once
#include "runtime/tune/screening.h"

#include <vector>

namespace nysjit::tune {

struct ShapeVerdict {
  int pairs = 0;
  int wins = 0;     // of the choice
  double ratio = 1; // median of the pairs' ratios, the choice's time over the default's
  double defaultMs = 0;
  double ms = 0; // medians
  Judgement judgement = Judgement::Open;
};

struct Verdict {
  std::vector<ShapeVerdict> shapes;
  double ratio = 1; // weighted
  /// Faster at some shape, slower at none, and all in all by the least gain.
  bool isFaster = false;
};

/// Why a verdict is not "faster": it gains less than the least gain; is slower at some shape; or
/// seems to gain, and no test was sure at any shape: the noise is too high for so many pairs.
enum class Refusal { NoGain, Slower, Noise };
Refusal refusalOf(const Verdict &verdict, const TuneFile &file);

/// From what is known of the shapes.
Verdict verdictOf(std::vector<ShapeVerdict> shapes, const TuneFile &file);

/// Runs the pairs. `attempt`: for the order's random numbers.
Result<Verdict> verify(const Measuring &measuring, size_t program, int attempt);

/// The shapes, each with its pairs.
Json verdictObject(const Verdict &verdict, const TuneFile &file);
/// The reverse; nothing where the object is not one of so many shapes.
std::optional<Verdict> verdictFrom(const Json &shapes, const TuneFile &file);

} // namespace nysjit::tune

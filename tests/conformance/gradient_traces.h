// What gradients must not notice, to the bit: rows whose output has no gradient.
#pragma once
#include "tests/conformance/gradient_run.h"

#include <functional>

namespace nysjit::conformance {

/// Positions [begin, end) of all heads of one sequence's tensor, [1, heads, length, d].
inline std::vector<double> rowsOf(const std::vector<double> &numbers, const Inputs &in,
                                  int64_t begin, int64_t end) {
  std::vector<double> rows;
  for (int64_t first = 0; first < int64_t(numbers.size()); first += in.length * in.headDim)
    rows.insert(rows.end(), numbers.begin() + first + begin * in.headDim,
                numbers.begin() + first + end * in.headDim);
  return rows;
}

/// Sets positions from `begin` on of all heads.
inline void setRows(std::vector<double> &numbers, const Inputs &in, int64_t begin,
                    const std::function<double()> &value) {
  for (int64_t first = 0; first < int64_t(numbers.size()); first += in.length * in.headDim)
    for (int64_t i = first + begin * in.headDim; i < first + in.length * in.headDim; ++i)
      numbers[size_t(i)] = value();
}

/// With dO 0 from position `cut` on, gradients of those positions are 0, and the others do not
/// depend on what stands there, other numbers or none at all; nor do gradients that are `sums` over
/// positions.
inline void expectNoTrace(Device &device, const std::string &spec, Inputs in, int64_t cut,
                          Seeded &random, const GradientOptions &options = {},
                          const std::vector<const char *> &sums = {}) {
  SCOPED_TRACE(spec + " " + options.config + " " + std::to_string(cut) + " of " +
               std::to_string(in.length) + " positions have a gradient");
  setRows(in.dout, in, cut, [] { return 0.0; });
  const Written first = runGradients(device, spec, in, options);
  std::uniform_real_distribution<double> large(-1e4, 1e4);
  for (auto member : {&Inputs::q, &Inputs::k, &Inputs::v})
    setRows(in.*member, in, cut, [&] { return double(float(large(random.generator))); });
  const Written other = runGradients(device, spec, in, options);
  Inputs shorter = in;
  shorter.length = cut;
  for (auto member : {&Inputs::q, &Inputs::k, &Inputs::v, &Inputs::dout})
    shorter.*member = rowsOf(in.*member, in, 0, cut);
  const Written alone = runGradients(device, spec, shorter, options);
  for (const char *name : {"dq", "dk", "dv"}) {
    for (const double x : rowsOf(first.at(name), in, cut, in.length))
      ASSERT_EQ(x, 0) << name;
    const std::vector<double> before = rowsOf(first.at(name), in, 0, cut);
    EXPECT_EQ(rowsOf(other.at(name), in, 0, cut), before) << name << ", other numbers after it";
    EXPECT_EQ(alone.at(name), before) << name << ", nothing after it";
  }
  for (const char *name : sums) {
    EXPECT_EQ(other.at(name), first.at(name)) << name;
    EXPECT_EQ(alone.at(name), first.at(name)) << name;
  }
}

} // namespace nysjit::conformance

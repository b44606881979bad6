// Every golden case through `nysjit run --check`: its tensors by their flags, its own dtype. On the
// CPU, and those whose sequences have lengths of their own on the emulator, too.
#include "runtime/spec/tensor_table.h"
#include "tests/cli/command.h"
#include "tests/reference/golden.h"

using namespace nysjit;

namespace {

/// Every case, and its devices.
std::vector<std::tuple<std::string, std::string>> cases() {
  std::vector<std::tuple<std::string, std::string>> found;
  for (const std::string &name : golden::names()) {
    found.emplace_back(name, "cpu");
    if (name.find("packed") != std::string::npos || name.find("padded") != std::string::npos)
      found.emplace_back(name, "ptx-emulator");
  }
  return found;
}

class GoldenRun : public CommandTest,
                  public testing::WithParamInterface<std::tuple<std::string, std::string>> {};

TEST_P(GoldenRun, PassesTheCheckAndIsTheCasesOwnOutput) {
  NYSJIT_NEEDS_COMPILER();
  const auto &[name, device] = GetParam();
  const std::string source = golden::root() + name + "/";
  const golden::Case c = golden::load(name);
  std::vector<std::string> arguments = {
      "run", source + "spec.json", "--device", device, "-o", "o.npy", "--check"};
  // With its gradients, where it has some.
  for (const TensorRow &row : tensorTable()) {
    const std::string file = std::string(row.name) + ".npy";
    const bool isGradient = row.role == TensorRole::OptionalOutput;
    if (c.has(row.name) && (isGradient || !isOutput(row)) &&
        (row.name != std::string_view("dout") || c.has("dq")))
      arguments.insert(arguments.end(), {row.flag, isGradient ? file : source + file});
  }
  if (const auto run = nlohmann::json::parse(golden::textOf(source + "run.json"));
      run.contains("scale"))
    arguments.insert(arguments.end(), {"--scale", run["scale"].dump()});
  Outcome outcome = nysjit(arguments);
  ASSERT_EQ(outcome.exitCode, 0) << outcome.err;
  Result<NpyArray> o = readNpy(folder / "o.npy");
  ASSERT_TRUE(o.ok()) << o.error().message;
  EXPECT_EQ(o->shape, c.shape("q"));
  const double bound = name == "causal-huge-scores" ? 1e-4 : 1e-5; // |scores| up to 1e4
  EXPECT_LE(golden::relativeError(o->toDouble(), c.arrays.at("o").toDouble()), bound);
  std::vector<double> dout = c.has("dout") ? c.arrays.at("dout").toDouble() : std::vector<double>();
  std::erase_if(dout, [](double x) { return std::isnan(x); }); // outside the sequences
  for (const char *gradient : {"dq", "dk", "dv", "dlandmark_q", "dlandmark_k", "dconv"}) {
    if (!c.has(gradient))
      continue;
    Result<NpyArray> found = readNpy(folder / (std::string(gradient) + ".npy"));
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_LE(reference::gradientError(found->toDouble(), c.arrays.at(gradient).toDouble(),
                                       reference::norm(dout)),
              1e-5)
        << gradient;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenRun, testing::ValuesIn(cases()), [](const auto &info) {
  std::string text = std::get<0>(info.param) + "_" + std::get<1>(info.param);
  std::ranges::replace(text, '-', '_');
  return text;
});

} // namespace

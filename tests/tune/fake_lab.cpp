// Kernels of a causal program, and their times.
#include "tests/tune/fake_lab.h"
#include "tests/runtime/temporary_folder.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <functional>
#include <random>

#include <gtest/gtest.h>

namespace nysjit::tune {

Place FakeLab::place() {
  return {"cpu:native",
          {{"kind", "cpu"}, {"vendor", "Fake"}, {"threads", threads}},
          world.compiler,
          Json::object(),
          "",
          world.l2Bytes,
          world.isModel};
}

Result<Plan> FakeLab::plan(const KernelConfig &config) {
  const std::map<std::string, BlockConfig> defaults = {
      {"segment_summary", {}},
      {"landmark_target", {.blockM = 64, .blockN = 64, .split = 0}},
      {"landmark_solve", {.blockM = 64}},
      {"causal_output", {.blockM = 64, .blockN = 64}}};
  Plan plan;
  for (const auto &[name, block] : defaults) {
    PlanKernel kernel;
    kernel.name = name;
    kernel.config = block;
    if (const auto given = config.kernels.find(name); given != config.kernels.end())
      for (const auto member : {&BlockConfig::blockM, &BlockConfig::blockN, &BlockConfig::split})
        if (given->second.*member)
          kernel.config.*member = given->second.*member;
    plan.kernels.push_back(std::move(kernel));
  }
  if (const auto target = config.kernels.find("landmark_target");
      target != config.kernels.end() && target->second.split.value_or(0)) {
    PlanKernel past;
    past.name = "landmark_past";
    past.config = {.blockM = 64, .blockN = 64};
    if (const auto given = config.kernels.find(past.name); given != config.kernels.end())
      past.config = given->second;
    plan.kernels.push_back(past);
  }
  return plan;
}

Result<Compiled> FakeLab::compile(const KernelConfig &config) {
  world.clock += 0.2;
  if (!world.offered.empty() && !std::ranges::count(world.offered, config))
    return Error::plain(ErrorKind::Unavailable, "program", "program: not offered");
  if (world.failsToCompile(config))
    return Error::plain(ErrorKind::CompileFailed, "compiler", "compiler: planted");
  world.compiled.push_back(canonicalJson(config));
  programs.push_back(config);
  Compiled compiled{programs.size() - 1, 200, {}};
  for (const auto &[kernel, block] : config.kernels)
    if (const auto bytes = world.scratchBytes.find(kernel + " " + blocksText({{kernel, block}}));
        bytes != world.scratchBytes.end())
      compiled.kernels[kernel].scratchBytes = bytes->second;
  return compiled;
}

void FakeLab::beginSeries(const std::string &name) {
  world.series = name;
  counts.clear();
  inSeries = 0;
}

Result<RunTime> FakeLab::run(size_t program, size_t shape) {
  if (++world.runs == world.killAtRun)
    raise(SIGKILL);
  const KernelConfig &config = programs[program];
  const std::string text = canonicalJson(config);
  const std::string key = text + " " + std::to_string(shape);
  const int count = counts[key]++;
  if (world.series == "screening")
    ++world.timings[text];
  std::mt19937_64 random(std::hash<std::string>()(key + " " + world.series) +
                         uint64_t(count) * 7919 + world.seed * 104729);
  std::normal_distribution<double> normal(0, world.noise);
  const double slowness = world.slowness(inSeries++);
  RunTime time;
  Result<Plan> made = plan(config);
  const auto target = std::ranges::find(made->kernels, "landmark_target", &PlanKernel::name);
  for (const PlanKernel &kernel : made->kernels) {
    if (world.idle.contains(kernel.name))
      continue;
    const auto factor = world.factors.find(kernel.name);
    double ms = shape == 0 ? 1 : 4;
    if (factor != world.factors.end())
      ms *= factor->second(kernel.name == "segment_summary" ? target->config : kernel.config, shape,
                           count);
    ms *= world.isModel ? 1 : slowness * std::exp(normal(random));
    time.kernels[kernel.name] = {ms, ms};
    time.whole.wallMs += ms;
    time.whole.cpuMs += ms;
  }
  constexpr double modelSeconds = 60;
  if (!world.isModel)
    world.clock += time.whole.wallMs / 1e3;
  else if (world.modelled.insert(key).second)
    world.clock += modelSeconds;
  return time;
}

Status FakeLab::usable() {
  return world.isLost ? Error::plain(ErrorKind::Io, "device", "device: lost") : Status();
}

Result<Difference> FakeLab::difference(size_t program, size_t) {
  world.isLost = world.isLost || world.breaksTheDevice(programs[program]);
  if (Status usable = this->usable(); !usable)
    return usable.takeError();
  return Difference{world.isWrong(programs[program]) ? 0.5 : 1e-7, 2e-5};
}

LabMaker fakeLabs(FakeWorld &world) {
  return [&world](const KernelSpec &, int threads) -> Result<std::unique_ptr<Lab>> {
    return std::unique_ptr<Lab>(std::make_unique<FakeLab>(world, threads ? threads : 2));
  };
}

Result<TuneReport> tuned(FakeWorld &world, const TuneFile &file) {
  TemporaryFolder folder;
  Result<std::unique_ptr<Journal>> journal = Journal::open(folder / "t.jsonl", JournalStart::New);
  EXPECT_TRUE(journal.ok());
  ProgressLine silent(nullptr);
  return tuneSpecs({file, "t.json", "0", "0.1.0"}, fakeLabs(world), **journal, silent);
}

TuneFile fakeTune(const std::string &more) {
  Result<TuneFile> file = parseTuneFile(
      R"({"specs": [{"layout": "causal", "head_dim": 64, "landmarks": 256, "segment_len": 64}],
          "shapes": [{"length": 512, "heads": 8}, {"length": 2048, "heads": 8}])" +
          more + "}",
      ".");
  EXPECT_TRUE(file.ok()) << (file ? "" : file.error().message);
  return *file;
}

} // namespace nysjit::tune

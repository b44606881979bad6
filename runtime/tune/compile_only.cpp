// Spec after spec; the packing is the tuner's.
#include "runtime/tune/compile_only.h"
#include "runtime/spec/json_text.h"
#include "runtime/tune/history.h"
#include "runtime/tune/runtime_lab.h"

#include <chrono>
#include <deque>
#include <set>

namespace nysjit::tune {

namespace {

using Clock = std::chrono::steady_clock;

/// The compiles of one spec.
class SpecCompiler {
public:
  SpecCompiler(const TuneFile &file, const KernelSpec &spec, const std::atomic<int> &isEnding,
               Log log, ProgressLine &progress)
      : file(file), spec(spec), ending(isEnding), log(log), progress(progress),
        name(specTitle(spec)),
        context({.device = file.target->isCuda() ? DeviceKind::Cuda : DeviceKind::Cpu,
                 .isForCompiling = true,
                 .log = log,
                 .progress = &report,
                 .progressContext = this}) {}

  Status run(const std::vector<Json> &journal, std::vector<CacheEntry> &entries);

private:
  static int32_t report(void *self, const char *, double elapsedMs) {
    const SpecCompiler &own = *static_cast<SpecCompiler *>(self);
    return own.ending != 0 || elapsedMs > own.file.compileSeconds * 1e3;
  }
  ProgramRequest requestOf(const KernelConfig &config) const {
    return ProgramRequest(spec, config, *file.target);
  }
  Result<Plan> plan(const KernelConfig &config);
  std::vector<size_t> fitting();
  std::vector<KernelConfig> choicesOf(const std::vector<Json> &journal);
  Status compileSaving(std::vector<CacheEntry> &entries);
  Status compileAll(std::deque<Packed> open, std::vector<CacheEntry> &entries);
  Status goOn() const;

  const TuneFile &file;
  const KernelSpec &spec;
  const std::atomic<int> &ending;
  const Log log;
  ProgressLine &progress;
  const std::string name;
  RuntimeContext context;
  std::vector<KernelConfig> asked; // whose plans a lab asks for
  Space space;
};

Status SpecCompiler::goOn() const {
  return ending == 0 ? Status()
                     : Error::plain(ErrorKind::Cancelled, "tune",
                                    "tune: ended from outside; what is compiled is in the cache");
}

Result<Plan> SpecCompiler::plan(const KernelConfig &config) {
  Result<StageReply> reply = context.compileStage({.program = requestOf(config), .emit = "plan"});
  NYSJIT_RETURN_IF_ERROR(reply);
  return planFromJson(reply->blobs.front());
}

/// Candidates whose plan the target has the memory for.
std::vector<size_t> SpecCompiler::fitting() {
  std::vector<size_t> all;
  for (size_t i = 0; i < space.candidates.size() && ending == 0; ++i)
    if (!file.target->isCuda() || plan(configWith(space, {&space.candidates[i]})))
      all.push_back(i);
  return all;
}

/// What a tune somewhere else has chosen, whichever of the attempts it comes to.
std::vector<KernelConfig> SpecCompiler::choicesOf(const std::vector<Json> &journal) {
  std::vector<KernelConfig> configs;
  std::set<std::string> seen; // each device's session tells of its own
  for (const Json &line : journal) {
    const Json *kind = line.find("kind");
    if (!kind || !(*kind == Json("session")) || !(line["spec"] == canonicalObject(spec)) ||
        !seen.insert(line["device"].dump()).second)
      continue;
    const History history = History::of(journal, line);
    const std::vector<GroupScores> scores = recall(history, space);
    for (const std::vector<Chosen> &attempt :
         attemptsOf(chooseAll(space, scores, file.shapes), scores))
      configs.push_back(configOf(space, attempt));
  }
  return configs;
}

/// A program that fails is taken apart: each of its candidates gets one of its own.
Status SpecCompiler::compileAll(std::deque<Packed> open, std::vector<CacheEntry> &entries) {
  const Clock::time_point start = Clock::now();
  for (size_t number = 1; !open.empty(); ++number) {
    NYSJIT_RETURN_IF_ERROR(goOn());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    progress.update("[compile " + std::to_string(number) + "/" +
                        std::to_string(number + open.size() - 1) + "] " + name,
                    seconds);
    const Packed packed = std::move(open.front());
    open.pop_front();
    Result<PreparedProgram> prepared = context.prepare(requestOf(packed.config));
    if (prepared) {
      entries.push_back(prepared->program->cacheEntry());
      continue;
    }
    NYSJIT_RETURN_IF_ERROR(goOn());
    if (packed.candidates.empty()) // the default or a choice
      return prepared.takeError();
    if (packed.candidates.size() == 1) {
      const Candidate &candidate = space.candidates[packed.candidates.front()];
      progress.say(space.groups[candidate.group].name + " " + blocksText(candidate.blocks) +
                   " is left out: " + prepared.error().message);
      continue;
    }
    for (const size_t index : packed.candidates)
      open.push_back({configWith(space, {&space.candidates[index]}), {index}});
  }
  return {};
}

/// What a lab runs before a program of this spec.
Status SpecCompiler::compileSaving(std::vector<CacheEntry> &entries) {
  if (spec.pass == Pass::Forward)
    return {};
  Result<PreparedProgram> prepared =
      context.prepare(ProgramRequest(savingSpec(spec), {}, *file.target));
  NYSJIT_RETURN_IF_ERROR(prepared);
  entries.push_back(prepared->program->cacheEntry());
  return {};
}

Status SpecCompiler::run(const std::vector<Json> &journal, std::vector<CacheEntry> &entries) {
  Result<Kernels> kernels = kernelsOf(file.parameters, [&](const KernelConfig &config) {
    asked.push_back(config);
    return plan(config);
  });
  NYSJIT_RETURN_IF_ERROR(kernels);
  Result<Space> made = spaceOf(file.parameters, *kernels);
  NYSJIT_RETURN_IF_ERROR(made);
  space = std::move(*made);

  std::deque<Packed> open;
  for (const KernelConfig &config : asked)
    open.push_back({config, {}});
  open.push_back({space.defaults, {}});
  for (KernelConfig &config : choicesOf(journal))
    open.push_back({std::move(config), {}});
  const std::vector<size_t> candidates = fitting();
  NYSJIT_RETURN_IF_ERROR(goOn());
  for (Packed &packed : pack(space, candidates))
    open.push_back(std::move(packed));
  progress.beginPhase("compiling " + name + " for " + targetName(*file.target) + ", " +
                      std::to_string(candidates.size()) + " candidates in " +
                      std::to_string(open.size()) + " programs");

  std::vector<ProgramRequest> requests;
  for (const Packed &packed : open)
    requests.push_back(requestOf(packed.config));
  NYSJIT_RETURN_IF_ERROR(compileSaving(entries));
  CompileAhead(CompileAhead::usualJobs(), context.cache().folder())
      .compile(requests, file.target->isCuda() ? DeviceKind::Cuda : DeviceKind::Cpu, log, &report,
               this);
  return compileAll(std::move(open), entries);
}

} // namespace

Result<std::vector<CacheEntry>> compileCandidates(const TuneFile &file,
                                                  const std::vector<Json> &journal,
                                                  const std::atomic<int> &isEnding, Log log,
                                                  ProgressLine &progress) {
  std::vector<CacheEntry> entries;
  for (const KernelSpec &spec : file.specs)
    NYSJIT_RETURN_IF_ERROR(SpecCompiler(file, spec, isEnding, log, progress).run(journal, entries));
  return entries;
}

} // namespace nysjit::tune

// Compiling and comparing through RuntimeContext.
#include "runtime/tune/runtime_lab.h"
#include "runtime/api/stopwatch.h"
#include "runtime/cache/key.h"
#include "runtime/spec/json_text.h"

#include <algorithm>
#include <ctime>

namespace nysjit::tune {

namespace {

/// Positions of a shape's tensors, all heads.
int64_t sizeOf(const TuneShape &shape) { return shape.length * shape.batch * shape.heads; }

/// By kernel, as far as the plan and the assembler say.
std::map<std::string, KernelResources> resourcesOf(const LoadedProgram &program) {
  std::map<std::string, KernelResources> all;
  for (const PlanKernel &kernel : program.plan().kernels) {
    all[kernel.name].scratchBytes = kernel.scratchBytes;
    all[kernel.name].sharedBytes = kernel.sharedBytes;
  }
  if (const Result<Json> list = parseJsonArray(program.kernelsJson()))
    for (const Json &kernel : list->elements())
      if (const Json *name = kernel.find("name"); name && name->is_string()) {
        const KernelResources said = resourcesFrom(kernel);
        all[name->text()] = most(all[name->text()], said);
      }
  return all;
}

} // namespace

KernelSpec savingSpec(KernelSpec spec) {
  spec.pass = Pass::Saving;
  return spec;
}

RuntimeLab::RuntimeLab(const KernelSpec &given, const TuneFile &file, DeviceKind device,
                       size_t threads, const std::atomic<int> &isEnding, const LabOptions &chosen)
    : options(chosen), ahead(options.jobs ? options.jobs : CompileAhead::usualJobs()), spec(given),
      file(file), context({.cacheFolder = ahead.folder(),
                           .threads = threads,
                           .device = device,
                           .bundles = GivenBundles{options.bundles, {}},
                           .log = options.log,
                           .progress = &report,
                           .progressContext = this}),
      kind(device), ending(isEnding) {
  inputs.resize(file.shapes.size());
  smallest = size_t(std::ranges::min_element(file.shapes, {}, sizeOf) - file.shapes.begin());
}

Status RuntimeLab::open(const Target &given, Json device, Json about) {
  target = given;
  Result<ProgramKey> key = context.keyOf(requestOf({}));
  NYSJIT_RETURN_IF_ERROR(key);
  own.target = targetName(target);
  own.device = std::move(device);
  own.about = std::move(about);
  own.compiler = keyTextLine(key->text, "compiler");
  return openBundles();
}

/// The complete configs of which the bundles have programs of this spec and target, all of one
/// build.
Status RuntimeLab::openBundles() {
  const auto wrong = [&](std::string expected, std::string found) {
    return Error::mismatch(ErrorKind::Unavailable, "--bundle", std::move(expected),
                           std::move(found));
  };
  for (const std::string &path : options.bundles) {
    Result<std::shared_ptr<Bundle>> bundle = Bundle::open(path);
    NYSJIT_RETURN_IF_ERROR(bundle);
    for (const std::string &text : (*bundle)->keyTexts()) {
      if (keyTextLine(text, "spec") != canonicalJson(spec) ||
          keyTextLine(text, "target") != own.target)
        continue;
      const std::string compiler = keyTextLine(text, "compiler");
      if (own.compiler.empty())
        own.compiler = compiler;
      if (compiler != own.compiler)
        return wrong("programs of compiler " + own.compiler, path + ", with some of " + compiler);
      const std::string config = keyTextLine(text, "config");
      Result<KernelConfig> read = parseKernelConfig(std::string_view(config));
      if (!read)
        return Error::mismatch(ErrorKind::InvalidFile, "bundle " + path,
                               "a config in each program's key", read.error().message);
      if (!read->kernels.empty())
        bundled.push_back(std::move(*read));
    }
  }
  if (bundled.empty() && !options.bundles.empty())
    return wrong("programs of " + canonicalJson(spec) + " for " + own.target +
                     ", as `nysjit tune --compile-only` makes them",
                 "none in " + options.bundles.front());
  return {};
}

/// Not 0 where a compile is to end.
int32_t RuntimeLab::report(void *self, const char *, double elapsedMs) {
  const RuntimeLab &lab = *static_cast<RuntimeLab *>(self);
  return lab.ending != 0 || elapsedMs > lab.file.compileSeconds * 1e3;
}

/// A compile's error, by its reason where this lab cancelled it.
Error RuntimeLab::inTime(Error error) const {
  if (error.kind != ErrorKind::Cancelled)
    return error;
  if (ending != 0)
    return endedFromOutside();
  return Error::plain(ErrorKind::Cancelled, "budget.compile_seconds",
                      "the compile took longer than budget.compile_seconds");
}

Result<Plan> RuntimeLab::plan(const KernelConfig &config) {
  Result<StageReply> reply = context.compileStage({.program = requestOf(config), .emit = "plan"});
  if (reply)
    return planFromJson(reply->blobs.front());
  if (bundled.empty() || reply.error().kind != ErrorKind::Unavailable)
    return inTime(reply.takeError());
  // Without a compiler the bundle's programs have theirs.
  Result<PreparedProgram> prepared = context.prepare(requestOf(config));
  NYSJIT_RETURN_IF_ERROR(prepared);
  return prepared->program->plan();
}

void RuntimeLab::compileAhead(const std::vector<KernelConfig> &configs) {
  if (!bundled.empty())
    return;
  std::vector<ProgramRequest> requests;
  for (const KernelConfig &config : configs)
    requests.push_back(requestOf(config));
  ahead.compile(requests, kind, options.log, &report, this);
}

Result<Compiled> RuntimeLab::compile(const KernelConfig &config) {
  const ProgramRequest request = requestOf(config);
  const std::optional<Result<double>> known = ahead.outcomeOf(request);
  if (known && !*known)
    return inTime(known->error());
  const Stopwatch watch;
  Result<PreparedProgram> prepared = context.prepare(request);
  if (!prepared)
    return inTime(prepared.takeError());
  if (ending != 0) // since report was last asked
    return endedFromOutside();
  Compiled compiled{programs.size(), known ? known->value() : watch.ms(),
                    resourcesOf(*prepared->program)};
  programs.push_back(std::move(prepared->program));
  return compiled;
}

RunInputs &RuntimeLab::inputsOf(size_t shape) {
  if (!inputs[shape])
    inputs[shape] = std::make_unique<RunInputs>(spec, file.shapes[shape], file.seed);
  return *inputs[shape];
}

Status RuntimeLab::addSaved(nysjit_run_args &args, SavedMemory &saved, const GpuSession *gpu,
                            void *stream) {
  if (spec.pass == Pass::Forward)
    return {};
  const KernelSpec before = savingSpec(spec);
  if (!saving) {
    Result<PreparedProgram> prepared = context.prepare(ProgramRequest(before, {}, target));
    if (!prepared)
      return inTime(prepared.takeError());
    saving = std::move(prepared->program);
  }
  nysjit_run_args own = argsOf(args, before);
  Result<MemorySizes> sizes = saving->sizes(own);
  NYSJIT_RETURN_IF_ERROR(sizes);
  NYSJIT_RETURN_IF_ERROR(saved.allocate(sizes->saved, gpu));
  own.saved = saved.get();
  own.saved_size = saved.bytes();
  if (spec.pass == Pass::Backward)
    NYSJIT_RETURN_IF_ERROR(saving->run(own, stream));
  args.saved = own.saved;
  args.saved_size = own.saved_size;
  return {};
}

Result<Difference> RuntimeLab::difference(size_t program, size_t reference) {
  if (!referenceOutputs || referenceOutputs->first != reference) {
    Result<std::vector<RunOutput>> outputs = outputsOf(reference);
    NYSJIT_RETURN_IF_ERROR(outputs);
    referenceOutputs.emplace(reference, std::move(*outputs));
  }
  Result<std::vector<RunOutput>> outputs = outputsOf(program);
  NYSJIT_RETURN_IF_ERROR(outputs);
  return inputsOf(smallest).difference(*outputs, referenceOutputs->second, kind != DeviceKind::Cpu);
}

double RuntimeLab::seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string RuntimeLab::date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

} // namespace nysjit::tune

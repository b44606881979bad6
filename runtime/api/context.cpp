// prepare: key, then memory, then the sources (bundles, the disk), the compile lock, disk again,
// compile (compile.cpp).
#include "runtime/api/context.h"
#include "runtime/api/stopwatch.h"
#include "runtime/base/environment.h"
#include "runtime/cache/key.h"
#include "runtime/device/cpu_identity.h"

#include <chrono>

namespace nysjit {

const char *cacheStateName(CacheState state) {
  switch (state) {
  case CacheState::Memory: return "memory";
  case CacheState::Bundle: return "bundle";
  case CacheState::Disk: return "disk";
  case CacheState::Compiled: return "compiled";
  }
  return "unknown";
}

RuntimeContext::RuntimeContext(ContextOptions given)
    : options(std::move(given)),
      disk(options.cacheFolder ? CacheFolder(*options.cacheFolder) : defaultCacheFolder()),
      threads(std::make_shared<Threads>(options.threads, options.parallelFor,
                                        options.parallelForContext)),
      bundles(options.isForCompiling ? GivenBundles()
              : options.bundles      ? *options.bundles
                                     : GivenBundles{bundlePathsSet(), {}}),
      configs(options.log) {}

Result<std::shared_ptr<CudaDevice>> RuntimeContext::cudaDevice() {
  if (options.device == DeviceKind::Cpu || options.isForCompiling)
    return std::shared_ptr<CudaDevice>();
  const std::lock_guard lock(mutex);
  if (!gpu) {
    Result<std::shared_ptr<CudaDevice>> opened = CudaDevice::open(options.device);
    NYSJIT_RETURN_IF_ERROR(opened);
    gpu = std::move(*opened);
  }
  return gpu;
}

Result<Target> RuntimeContext::defaultTarget() {
  if (options.device == DeviceKind::Cpu)
    return Target();
  Result<std::shared_ptr<CudaDevice>> device = cudaDevice();
  NYSJIT_RETURN_IF_ERROR(device);
  return *device ? (*device)->defaultTarget() : parseTarget("cuda:sm_80");
}

/// Whether the device is of the target's kind, is there and has what the target's code needs.
Status RuntimeContext::checkRuns(const Target &target) {
  NYSJIT_RETURN_IF_ERROR(checkTargetFits(target, options.device));
  if (options.isForCompiling)
    return {};
  if (!target.isCuda())
    return checkTargetRunsOn(target, hostCpu());
  Result<std::shared_ptr<CudaDevice>> device = cudaDevice();
  NYSJIT_RETURN_IF_ERROR(device);
  return *device ? (*device)->checkRuns(target) : Status();
}

Result<bool> RuntimeContext::isSealed() const {
  Result<std::optional<int64_t>> set = environmentNumber("NYSJIT_SEALED", 0, 1);
  NYSJIT_RETURN_IF_ERROR(set);
  return options.isSealed || set->value_or(0) == 1;
}

/// Bundles, then the disk.
Result<std::vector<RuntimeContext::Source>> RuntimeContext::sources() {
  Result<std::vector<std::shared_ptr<Bundle>>> opened = bundles.open();
  NYSJIT_RETURN_IF_ERROR(opened);
  std::vector<Source> all;
  for (const std::shared_ptr<Bundle> &bundle : *opened)
    all.push_back({bundle.get(), CacheState::Bundle, "bundle " + bundle->name()});
  all.push_back({&disk, CacheState::Disk, "cache " + disk.folder()});
  return all;
}

/// An error where a program that no source has is not to be compiled, or cannot be though there are
/// bundles: what is missing, and what there is.
std::optional<Error> RuntimeContext::whyNotCompiled(const ProgramRequest &request) {
  const Result<bool> sealed = isSealed();
  if (!sealed)
    return sealed.error();
  const Status compiler = *sealed ? Status() : findCompiler();
  if (!*sealed && (compiler || bundles.isEmpty()))
    return std::nullopt;
  const Result<std::vector<Source>> all = sources();
  const Result<std::vector<Target>> targets = runnableTargets();
  std::string places;
  std::vector<std::string> texts;
  for (const Source &source : all ? *all : std::vector<Source>()) {
    if (source.source == &disk && disk.folder().empty())
      continue;
    places += (places.empty() ? "" : ", ") + source.name;
    const std::vector<std::string> more = source.source->keyTexts();
    texts.insert(texts.end(), more.begin(), more.end());
  }
  // Where no target was asked for, that of a bundle would have done.
  std::vector<std::string> requests = {programKey(request, hostCpu(), {}).request};
  if (targets && request.target == targets->front())
    for (const Target &target : *targets)
      requests.push_back(
          programKey(ProgramRequest(request.spec, request.config, target), hostCpu(), {}).request);
  return Error::mismatch(ErrorKind::Unavailable, "program",
                         request.specJson + " with config " + request.configJson + " for " +
                             targetName(request.target) + " in " +
                             (places.empty() ? "a bundle" : places) + ", since " +
                             (*sealed ? "this context is sealed and compiles nothing"
                                      : "there is no compiler: " + compiler.error().message),
                         nearestInWords(texts, requests));
}

LoadedProgram::Resources RuntimeContext::resources() {
  const std::lock_guard lock(mutex);
  return {threads, gpu, disk.trustedFolder(), options.memory};
}

Result<ProgramKey> RuntimeContext::keyOf(const ProgramRequest &request) {
  NYSJIT_RETURN_IF_ERROR(checkRuns(request.target));
  Result<ProgramMaker> by = maker(request.target);
  NYSJIT_RETURN_IF_ERROR(by);
  return programKey(request, hostCpu(), *by);
}

/// Looks into one source. With Whole the preparation has its program; otherwise the note says what
/// is wrong with an entry that is there.
EntryState RuntimeContext::findIn(const Source &from, const ProgramKey &key,
                                  const ProgramRequest &request, Preparation &preparation,
                                  std::string &note) {
  EntryRead read = from.source->find(key);
  if (read.state == EntryState::Absent)
    return read.state;
  note = entryStateText(read.state, read.reason);
  if (!read.entry)
    return read.state;
  std::string name = hashHex(read.entry->keyText); // a bundle's may be another maker's
  Result<std::shared_ptr<const LoadedProgram>> loaded =
      LoadedProgram::load(std::move(name), std::move(*read.entry), resources(), &request);
  if (!loaded) { // a miss like a damaged one
    note = entryStateText(EntryState::Damaged, loaded.error().message);
    return EntryState::Damaged;
  }
  preparation.program = std::move(*loaded);
  preparation.entry = std::move(read.inUse);
  return EntryState::Whole;
}

Result<PreparedProgram> RuntimeContext::prepare(const ProgramRequest &request) {
  Result<PreparedProgram> prepared = find(request);
  NYSJIT_RETURN_IF_ERROR(prepared);
  const Stopwatch load;
  NYSJIT_RETURN_IF_ERROR(prepared->program->loadIntoCurrent());
  prepared->loadMs += load.ms();
  if (prepared->cache == CacheState::Compiled)
    prepared->compileMs += load.ms();
  return prepared;
}

/// Into the sources, one after the other. A bundle is of the host's choice: one that has the
/// program, but damaged, is an error; of the cache that is a miss.
Status RuntimeContext::findInAll(const ProgramKey &key, const ProgramRequest &request,
                                 Preparation &preparation, Found &found) {
  Result<std::vector<Source>> all = sources();
  NYSJIT_RETURN_IF_ERROR(all);
  for (const Source &source : *all) {
    found.state = findIn(source, key, request, preparation, found.note);
    if (found.state == EntryState::Whole) {
      found.where = source.state;
      return {};
    }
    if (source.state == CacheState::Bundle && found.state != EntryState::Absent)
      return Error::plain(found.state == EntryState::Unreadable ? ErrorKind::Io
                                                                : ErrorKind::InvalidFile,
                          source.name, source.name + ": " + found.note);
  }
  return {};
}

/// One of all processes goes on, the others find its entry when it is done, which may be before
/// their turn. One that takes longer than a compile may is not waited for.
Result<PreparedProgram> RuntimeContext::compileOnce(const ProgramKey &key,
                                                    const ProgramRequest &request,
                                                    Preparation &preparation, Found &found,
                                                    const Progress &progress) {
  Result<CacheLimits> limits = cacheLimits();
  NYSJIT_RETURN_IF_ERROR(limits);
  Result<int> timeout = compileTimeoutMs();
  NYSJIT_RETURN_IF_ERROR(timeout);
  const auto isMissing = [&] {
    found.state = findIn({&disk, CacheState::Disk, ""}, key, request, preparation, found.note);
    return found.state != EntryState::Whole;
  };
  Status wanted;
  const auto lookAgain = [&] {
    wanted = progress.go("wait");
    return wanted.ok() && isMissing();
  };
  const std::unique_ptr<FileLock> fileLock = disk.lock(key.hash, *timeout, lookAgain);
  NYSJIT_RETURN_IF_ERROR(wanted);
  if (preparation.program || (fileLock && !isMissing()))
    return PreparedProgram{preparation.program, CacheState::Disk};
  disk.countMiss(found.state);
  Result<PreparedProgram> prepared = compile(key, request, *limits, progress);
  NYSJIT_RETURN_IF_ERROR(prepared);
  preparation.program = prepared->program;
  preparation.entry = disk.use(key.hash);
  if (!found.note.empty())
    options.log.line(key.hash + " in the cache is " + found.note + ": compiled anew");
  return prepared;
}

Result<PreparedProgram> RuntimeContext::find(const ProgramRequest &request) {
  const Stopwatch whole;
  const Progress progress = newProgress();
  NYSJIT_RETURN_IF_ERROR(compileTimeoutMs());
  Result<ProgramKey> key = keyOf(request);
  NYSJIT_RETURN_IF_ERROR(key);
  std::shared_ptr<Preparation> preparation;
  {
    const std::lock_guard lock(mutex);
    std::shared_ptr<Preparation> &named = preparations[key->hash];
    if (!named)
      named = std::make_shared<Preparation>();
    preparation = named;
  }
  // One of this process's threads goes on, the others find its program when it is done.
  std::unique_lock lock(preparation->mutex, std::defer_lock);
  while (!lock.try_lock_for(std::chrono::milliseconds(Progress::stepMs)))
    NYSJIT_RETURN_IF_ERROR(progress.go("wait"));
  Found found;
  if (preparation->program)
    found.where = CacheState::Memory;
  else
    NYSJIT_RETURN_IF_ERROR(findInAll(*key, request, *preparation, found));
  if (found.where)
    return PreparedProgram{preparation->program, *found.where, whole.ms()};
  if (std::optional<Error> cannot = whyNotCompiled(request))
    return std::move(*cannot);
  Result<PreparedProgram> prepared = compileOnce(*key, request, *preparation, found, progress);
  NYSJIT_RETURN_IF_ERROR(prepared);
  (prepared->cache == CacheState::Compiled ? prepared->compileMs : prepared->loadMs) = whole.ms();
  return prepared;
}

} // namespace nysjit

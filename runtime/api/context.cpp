// prepare: key, then memory, then the sources (the disk), the compile lock, disk again, compile.
#include "runtime/api/context.h"
#include "runtime/base/environment.h"
#include "runtime/cache/identity.h"
#include "runtime/cache/key.h"
#include "runtime/cuda/find_ptxas.h"
#include "runtime/device/cpu_identity.h"
#include "runtime/worker/idle.h"

#include <algorithm>
#include <chrono>

namespace nysjit {

namespace {

class Stopwatch {
public:
  double ms() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
        .count();
  }

private:
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

/// What a worker's report says under a name; an empty object where it says nothing.
Json reported(const Json &header, const char *name) {
  const Json *found = header.find(name);
  return found ? *found : Json::object();
}

/// The worker's line of what it did without; "" if it says none.
std::string noteOf(const Json &header) {
  const Json *note = header.find("note");
  return note && note->is_string() ? note->text() : "";
}

} // namespace

const char *cacheStateName(CacheState state) {
  switch (state) {
  case CacheState::Memory: return "memory";
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
      sources{{&disk, CacheState::Disk}} {}

Status RuntimeContext::findCompiler() {
  const std::lock_guard lock(mutex);
  if (worker)
    return {};
  Result<std::string> path = findWorker(options.compiler);
  if (!path)
    return path.takeError();
  Result<std::string> id = buildId(*path);
  if (!id)
    return id.takeError();
  Result<int> timeout = compileTimeoutMs();
  NYSJIT_RETURN_IF_ERROR(timeout);
  NYSJIT_RETURN_IF_ERROR(workerIdleMs()); // the worker's to heed, and here to be refused
  compiler.compiler = std::move(*id);
  compiler.llvm = llvmIdentity(*path);
  worker = std::make_unique<WorkerClient>(std::move(*path), *timeout, options.log);
  return {};
}

Result<RuntimeContext::Ptxas> RuntimeContext::ptxas() {
  const std::lock_guard lock(mutex);
  if (foundPtxas)
    return *foundPtxas;
  Ptxas found;
  // The emulator runs PTX, whoever else could.
  if (options.device != DeviceKind::PtxEmulator) {
    Result<std::vector<std::string>> paths = findAssemblers();
    NYSJIT_RETURN_IF_ERROR(paths);
    for (const std::string &path : *paths)
      if (Result<std::string> identity = toolIdentity(path, OpenFolder(disk.folder()))) {
        found.identity = found.paths.empty() ? *identity : found.identity + " " + *identity;
        found.paths += (found.paths.empty() ? "" : "\n") + path;
      }
  }
  foundPtxas = std::move(found);
  return *foundPtxas;
}

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
  if (!target.isCuda())
    return checkTargetRunsOn(target, hostCpu());
  Result<std::shared_ptr<CudaDevice>> device = cudaDevice();
  NYSJIT_RETURN_IF_ERROR(device);
  return *device ? (*device)->checkRuns(target) : Status();
}

LoadedProgram::Resources RuntimeContext::resources() {
  const std::lock_guard lock(mutex);
  return {threads, gpu, disk.trustedFolder(), options.memory};
}

/// Without a compiler the programs of the one that filled the cache are as good, and so are those
/// of its assembler where there is none here either.
Result<ProgramMaker> RuntimeContext::maker(const Target &target) {
  const bool isHere = findCompiler().ok();
  ProgramMaker maker = isHere ? compiler : disk.lastMaker();
  if (!target.isCuda())
    return maker;
  Result<Ptxas> assembler = ptxas();
  NYSJIT_RETURN_IF_ERROR(assembler);
  const bool isEmulated = options.device == DeviceKind::PtxEmulator;
  if (isHere || isEmulated || !assembler->paths.empty())
    maker.assembler = assembler->identity;
  return maker;
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
  Result<std::shared_ptr<const LoadedProgram>> loaded =
      LoadedProgram::load(key.hash, std::move(*read.entry), resources(), &request);
  if (!loaded) { // a miss like a damaged one
    note = entryStateText(EntryState::Damaged, loaded.error().message);
    return EntryState::Damaged;
  }
  preparation.program = std::move(*loaded);
  preparation.entry = std::move(read.inUse);
  return EntryState::Whole;
}

/// The worker tries them in order, and leaves of the compile's time what the rest takes.
Status RuntimeContext::addAssemblers(Message &message) {
  Result<Ptxas> found = ptxas();
  NYSJIT_RETURN_IF_ERROR(found);
  Result<int> timeout = compileTimeoutMs();
  NYSJIT_RETURN_IF_ERROR(timeout);
  if (found->paths.empty())
    return {};
  message.header["assembler"] = found->paths;
  message.header["assembler_limit_ms"] = std::max(*timeout - *timeout / 4, 1);
  if (!environmentSetting(ptxasVariable).empty())
    message.header["assembler_variable"] = ptxasVariable;
  return {};
}

Result<Message> RuntimeContext::ask(const StageRequest &request, const Progress &progress) {
  NYSJIT_RETURN_IF_ERROR(findCompiler());
  Message message;
  const bool isCuda = request.program.target.isCuda();
  message.header = {{"request", "compile"},
                    {"spec", request.program.specObject},
                    {"config", request.program.configObject},
                    {"target", targetName(request.program.target)}};
  if (isCuda)
    NYSJIT_RETURN_IF_ERROR(addAssemblers(message));
  if (!request.emit.empty())
    message.header["emit"] = request.emit;
  if (!request.from.empty()) {
    message.header["from"] = request.from;
    message.blobs.push_back(request.fromBytes);
  }
  Result<Message> reply = worker->request(message, progress);
  if (reply && !noteOf(reply->header).empty())
    options.log.line(noteOf(reply->header));
  const size_t expected = !request.emit.empty() ? 1 : isCuda ? 3 : 2;
  if (reply && reply->blobs.size() != expected)
    return Error::mismatch(ErrorKind::CompileFailed, "compiler worker",
                           std::to_string(expected) + " blobs in its answer",
                           std::to_string(reply->blobs.size()));
  return reply;
}

Result<StageReply> RuntimeContext::compileStage(const StageRequest &request) {
  Result<Message> reply = ask(request, newProgress());
  if (!reply)
    return reply.takeError();
  reply->header.erase("status");
  return StageReply{std::move(reply->header), std::move(reply->blobs)};
}

/// A program that cannot be kept is compiled again the next time: no error, but worth a line. The
/// maker is remembered for machines without a compiler; a CPU's program says nothing of the
/// assembler: the last stays.
void RuntimeContext::keep(const ProgramKey &key, const CacheEntry &entry, const CacheLimits &limits,
                          const Target &target) {
  if (disk.folder().empty()) // as was asked for
    return;
  if (const Status stored = disk.store(key.hash, entry, limits); !stored) {
    options.log.line(stored.error().message);
    return;
  }
  ProgramMaker made = compiler;
  Result<Ptxas> assembler = ptxas();
  made.assembler = target.isCuda() && assembler ? assembler->identity : disk.lastMaker().assembler;
  disk.rememberMaker(made);
}

Result<PreparedProgram> RuntimeContext::compile(const ProgramKey &key,
                                                const ProgramRequest &request,
                                                const CacheLimits &limits,
                                                const Progress &progress) {
  Result<Message> reply = ask({.program = request}, progress);
  if (!reply)
    return reply.takeError();
  CacheEntry entry;
  entry.keyText = key.text;
  entry.planJson = std::move(reply->blobs[0]);
  entry.object = std::move(reply->blobs[1]);
  if (request.target.isCuda())
    entry.ptx = std::move(reply->blobs[2]);
  // Times are left out: the same program gives the same entry.
  entry.infoJson = Json{{"config", reported(reply->header, "config")},
                        {"kernels", reported(reply->header, "kernels")}}
                       .dump();

  const Stopwatch load;
  Result<std::shared_ptr<const LoadedProgram>> loaded =
      LoadedProgram::load(key.hash, entry, resources(), &request);
  if (!loaded) {
    const Error &error = loaded.error();
    return Error::plain(ErrorKind::CompileFailed, "compiler worker",
                        "the compiler's program cannot be loaded: " + error.message);
  }
  PreparedProgram prepared{*loaded, CacheState::Compiled, load.ms(), 0,
                           reported(reply->header, "stages_ms").dump()};
  // What another time may not fail is not kept.
  prepared.note = noteOf(reply->header);
  const Json *isLasting = reply->header.find("is_note_lasting");
  if (prepared.note.empty() || !isLasting || !isLasting->is_boolean() || isLasting->get<bool>())
    keep(key, entry, limits, request.target);
  return prepared;
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

Result<PreparedProgram> RuntimeContext::find(const ProgramRequest &request) {
  const Stopwatch whole;
  const Progress progress = newProgress();
  Result<int> timeout = compileTimeoutMs();
  NYSJIT_RETURN_IF_ERROR(timeout);
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
  const auto found = [&](CacheState state) {
    return PreparedProgram{preparation->program, state, whole.ms(), 0};
  };
  if (preparation->program)
    return found(CacheState::Memory);
  Result<CacheLimits> limits = cacheLimits();
  NYSJIT_RETURN_IF_ERROR(limits);
  std::string note;
  EntryState state = EntryState::Absent;
  for (const Source &source : sources)
    if ((state = findIn(source, *key, request, *preparation, note)) == EntryState::Whole)
      return found(source.state);

  // One of all processes goes on, the others find its entry when it is done, which may be before
  // their turn. One that takes longer than a compile may is not waited for.
  const auto isMissing = [&] {
    state = findIn(sources.back(), *key, request, *preparation, note);
    return state != EntryState::Whole;
  };
  Status wanted;
  const auto lookAgain = [&] {
    wanted = progress.go("wait");
    return wanted.ok() && isMissing();
  };
  const std::unique_ptr<FileLock> fileLock = disk.lock(key->hash, *timeout, lookAgain);
  NYSJIT_RETURN_IF_ERROR(wanted);
  if (preparation->program || (fileLock && !isMissing()))
    return found(CacheState::Disk);
  disk.countMiss(state);
  Result<PreparedProgram> prepared = compile(*key, request, *limits, progress);
  if (prepared) {
    preparation->program = prepared->program;
    preparation->entry = disk.use(key->hash);
    prepared->compileMs = whole.ms();
    if (!note.empty())
      options.log.line(key->hash + " in the cache is " + note + ": compiled anew");
  }
  return prepared;
}

} // namespace nysjit

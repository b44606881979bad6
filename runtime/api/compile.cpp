// What a context does with the compiler: finds it and its ptxas, asks it, keeps what it made.
#include "runtime/api/context.h"
#include "runtime/api/stopwatch.h"
#include "runtime/base/environment.h"
#include "runtime/cache/identity.h"
#include "runtime/cuda/find_ptxas.h"
#include "runtime/worker/idle.h"

#include <algorithm>

namespace nysjit {

namespace {

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
  Result<bool> sealed = isSealed();
  NYSJIT_RETURN_IF_ERROR(sealed);
  if (*sealed)
    return Error::mismatch(ErrorKind::Unavailable, "compile", "a context that may compile",
                           "a sealed one");
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

} // namespace nysjit

// nysjit-compiler: the compiler worker. It serves the requests of runtime/worker/wire.h on the
// socket it is started with (file descriptor 3) until that closes. An abort in LLVM ends this
// process, never the one that asked.
#include "compiler/worker/compile.h"
#include "runtime/worker/supervisor.h"
#include "runtime/worker/wire.h"

#include "llvm/Config/llvm-config.h"

#include <cstdio>
#include <sstream>
#include <sys/stat.h>

using namespace nysjit;

namespace {

Message errorReply(const Error &error) {
  return {{{"status", "error"}, {"error", errorToJson(error)}}, {}};
}

/// A member's text; "" if there is none.
std::string textOf(const Json &header, const char *name) {
  const Json *found = header.find(name);
  return found && found->is_string() ? found->text() : "";
}

/// The request's JSON and blobs as a CompileRequest.
Result<CompileRequest> readRequest(const Message &message) {
  CompileRequest request;
  const Json &header = message.header;
  auto spec = parseKernelSpec(header["spec"]);
  NYSJIT_RETURN_IF_ERROR(spec);
  request.spec = *spec;
  if (header.contains("config")) {
    auto config = parseKernelConfig(header["config"]);
    NYSJIT_RETURN_IF_ERROR(config);
    request.config = *config;
  }
  auto target = parseTarget(header.contains("target") ? textOf(header, "target") : "cpu:native");
  NYSJIT_RETURN_IF_ERROR(target);
  request.target = *target;
  for (const char *key : {"emit", "from"}) {
    if (!header.contains(key))
      continue;
    const std::string name = textOf(header, key);
    auto stage = stageFromName(name);
    if (!stage)
      return Error::mismatch(ErrorKind::InvalidArgument, std::string("--") + key,
                             "tile, lowered, llvm, asm, object, ptx, cubin or plan",
                             "'" + name + "'");
    (std::string(key) == "emit" ? request.emit : request.from) = *stage;
  }
  std::istringstream assemblers(textOf(header, "assembler"));
  for (std::string path; std::getline(assemblers, path);)
    request.assemblers.paths.push_back(path);
  request.assemblers.variable = textOf(header, "assembler_variable");
  if (const Json *limit = header.find("assembler_limit_ms"); limit && limit->is_number_integer())
    request.assemblers.limitMs = limit->get<int>();
  if (request.from) {
    if (message.blobs.empty())
      return Error::plain(ErrorKind::InvalidArgument, "--from",
                          "--from: expected the stage's text, found none");
    request.fromText = message.blobs[0];
  }
  return request;
}

Message serveCompile(const Message &message) {
  auto request = readRequest(message);
  if (!request)
    return errorReply(request.error());
  auto output = compile(*request);
  if (!output)
    return errorReply(output.error());
  Json stages = Json::object();
  Json config = Json::object();
  for (const auto &[name, ms] : output->stageMs)
    stages[name] = ms;
  for (const PlanKernel &kernel : output->plan.kernels)
    if (!kernel.name.ends_with("_unaligned")) // the same as the kernel's it stands in for
      config[kernel.name] = canonicalObject(kernel.config);
  Message reply{
      {{"status", "ok"}, {"stages_ms", stages}, {"kernels", output->kernels}, {"config", config}},
      {}};
  if (!output->note.empty()) {
    reply.header["note"] = output->note;
    reply.header["is_note_lasting"] = output->isNoteLasting;
  }
  if (request->emit)
    reply.blobs = {std::move(output->emitted)};
  else
    reply.blobs = {planToJson(output->plan), std::move(output->binary)};
  if (!request->emit && request->target.isCuda())
    reply.blobs.push_back(std::move(output->ptx));
  return reply;
}

Message serve(const Message &message) {
  const std::string kind = textOf(message.header, "request");
  if (kind == "hello")
    return {{{"status", "ok"}, {"llvm", LLVM_VERSION_STRING}}, {}};
  if (kind == "compile")
    return serveCompile(message);
  return errorReply(
      Error::mismatch(ErrorKind::InvalidArgument, "request", "hello or compile", "'" + kind + "'"));
}

} // namespace

int main() {
  constexpr int socket = 3;
  struct stat status;
  if (fstat(socket, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    std::fputs("nysjit-compiler: expected a socket as file descriptor 3; it is started by the "
               "nysjit runtime\n",
               stderr);
    return 2;
  }
  superviseWorker(socket);
  for (bool isFirst = true; awaitRequest(socket, isFirst); isFirst = false) {
    auto message = receiveMessage(socket, -1);
    if (!message)
      return 0;
    Message reply;
    try {
      reply = serve(*message);
    } catch (const std::exception &error) {
      reply = errorReply(Error::plain(ErrorKind::CompileFailed, "compiler",
                                      std::string("compiler: ") + error.what()));
    }
    if (!sendMessage(socket, reply).ok())
      return 0;
  }
  return 0;
}

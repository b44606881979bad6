// `nysjit compile`: a spec into the cache, its binary into a file, or one stage of the compiler
// shown or started from. Stages go straight to the compiler worker and past the cache.
#include "runtime/base/format.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/disassembler.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"
#include "runtime/cuda/find_ptxas.h"

namespace nysjit::cli {

using nlohmann::json;

namespace {

std::string milliseconds(double ms) { return format("%.1f ms", ms); }

/// " causal_output 12345 bytes" for each kernel, on GPUs "96 registers, 0 spill_bytes, ..."; from
/// either source's JSON.
std::string kernelLines(const json &kernels) {
  std::string text;
  for (const json &kernel : kernels) {
    text += "  " + kernel.value("name", std::string());
    std::string facts;
    for (const auto &[name, value] : kernel.items())
      if (name != "name" && value.is_number_integer())
        facts += (facts.empty() ? "  " : ", ") + value.dump() + " " +
                 (name == "object_bytes" ? "bytes" : name);
    text += facts + "\n";
  }
  return text;
}

/// What a stage takes beside the compiler, before anything is compiled.
Status checkTools(const CompileOptions &options) {
  const bool isSass = options.emit == "sass";
  if (isSass)
    NYSJIT_RETURN_IF_ERROR(checkDisassembler());
  if ((isSass || options.emit == "cubin") && options.from != "cubin")
    NYSJIT_RETURN_IF_ERROR(findPtxas());
  return {};
}

/// The program by the cache or the compiler, as `run` would get it.
Result<Reply> compileProgram(RuntimeContext &context, const Resolved &resolved,
                             const std::optional<OutputFile> &output) {
  Result<PreparedProgram> prepared = prepare(context, resolved);
  NYSJIT_RETURN_IF_ERROR(prepared);
  const LoadedProgram &program = *prepared->program;
  if (output)
    NYSJIT_RETURN_IF_ERROR(
        output->write(program.object().empty() ? program.ptx() : program.object()));
  const json kernels = parsed(program.kernelsJson());
  const std::string cache = cacheStateName(prepared->cache);
  Reply reply;
  reply.json = {{"target", program.plan().target},
                {"config", parsed(program.configJson())},
                {"config_source", prepared->configSource},
                {"cache", cache},
                {"key", program.key()},
                {"load_ms", prepared->loadMs},
                {"compile_ms", prepared->compileMs},
                {"stages_ms", parsed(prepared->stagesMsJson)},
                {"kernels", kernels}};
  if (!prepared->note.empty())
    reply.json["note"] = prepared->note;
  const bool isCompiled = prepared->cache == CacheState::Compiled;
  reply.text = std::string(layoutName(resolved.request.spec.layout)) + " for " +
               program.plan().target + ": " + cache + " in " +
               milliseconds(isCompiled ? prepared->compileMs : prepared->loadMs) + ", key " +
               program.key() + "\n" + kernelLines(kernels);
  reply.isOutputTaken = output && output->isStandardOutput();
  return reply;
}

/// --emit or --from: the worker's answer goes to the file or to standard output, and nowhere else.
Result<Reply> compileStage(RuntimeContext &context, const ProgramRequest &request,
                           const CompileOptions &options, const std::optional<OutputFile> &output) {
  const bool isSass = options.emit == "sass";
  NYSJIT_RETURN_IF_ERROR(checkTools(options));
  StageRequest stage{
      .program = request, .emit = isSass ? "cubin" : options.emit, .from = options.from};
  if (!options.from.empty()) {
    Result<std::string> bytes = readFile("--from", options.fromFile);
    NYSJIT_RETURN_IF_ERROR(bytes);
    stage.fromBytes = std::move(*bytes);
  }
  Progress progress(compilingText(request));
  Result<StageReply> answer = context.compileStage(stage);
  NYSJIT_RETURN_IF_ERROR(answer);

  // With --emit the stage is the only blob; without it the binary follows the plan, and for a GPU
  // the PTX the cubin.
  size_t wanted = options.emit.empty() ? 1 : 0;
  if (options.emit.empty() && request.target.isCuda() && answer->blobs[1].empty())
    wanted = 2;
  if (isSass) {
    Result<std::string> text = disassemble(answer->blobs[0]);
    NYSJIT_RETURN_IF_ERROR(text);
    answer->blobs[0] = std::move(*text);
  }
  Reply reply;
  reply.json["target"] = targetName(request.target);
  for (const char *key : {"config", "stages_ms", "kernels", "note"})
    if (answer->report.contains(key))
      reply.json[key] = parsed(answer->report[key].dump());
  const std::string &bytes = answer->blobs[wanted];
  if (output) {
    NYSJIT_RETURN_IF_ERROR(output->write(bytes));
  } else {
    reply.text =
        options.emit.empty() ? kernelLines(reply.json.value("kernels", json::array())) : bytes;
  }
  return reply;
}

} // namespace

Result<Reply> runCompile(const CompileOptions &options) {
  Result<RequestFiles> files = readRequest(options.spec, options.config);
  NYSJIT_RETURN_IF_ERROR(files);
  std::optional<OutputFile> output;
  if (options.output) {
    Result<OutputFile> file = OutputFile::create("-o", *options.output);
    NYSJIT_RETURN_IF_ERROR(file);
    output = std::move(*file);
  }
  RuntimeContext context(contextForCompiling(options.target));
  Result<Resolved> resolved = resolve(context, *files, options.target, options.isConfigRequired);
  NYSJIT_RETURN_IF_ERROR(resolved);
  if (options.emit.empty() && options.from.empty())
    return compileProgram(context, *resolved, output);
  return compileStage(context, resolved->request, options, output);
}

} // namespace nysjit::cli

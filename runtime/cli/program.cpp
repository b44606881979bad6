// Reading the request's JSON files and preparing the program.
#include "runtime/cli/program.h"
#include "runtime/cli/files.h"
#include "runtime/cli/progress.h"
#include "runtime/worker/wire.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

namespace nysjit::cli {

namespace {

/// The file's name before the sentence: a key's name alone does not say which file it stands in.
Error inFile(const std::string &path, Error error) {
  error.message = path + ": " + error.message;
  return error;
}

} // namespace

Status checkStatus(nysjit_status status) {
  if (status == NYSJIT_OK)
    return {};
  return errorFromJson(
      nlohmann::json::parse(nysjit_last_error_json(), nullptr, /*allow_exceptions=*/false));
}

Result<Request> readRequest(const std::string &specPath,
                            const std::optional<std::string> &configPath, Target target) {
  Result<std::string> text = readFile("SPEC", specPath);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<KernelSpec> spec = parseKernelSpec(*text);
  if (!spec)
    return inFile(specPath, spec.takeError());
  Request request{*spec, {}, target};
  if (!configPath)
    return request;
  Result<std::string> configText = readFile("--config", *configPath);
  NYSJIT_RETURN_IF_ERROR(configText);
  Result<KernelConfig> config = parseKernelConfig(*configText);
  if (!config)
    return inFile(*configPath, config.takeError());
  request.config = *config;
  return request;
}

Error namedByFlag(Error error) {
  for (const char *name : {"q", "k", "v", "o", "landmark_q", "landmark_k", "conv", "cu_seqlens",
                           "seqlens", "source_len"}) {
    // "conv", "conv.shape[1]", "seqlens[2]"
    const size_t end = error.where.find_first_of(".[");
    if (error.where.substr(0, end) != name)
      continue;
    std::string flag = (std::strcmp(name, "o") == 0 ? "-" : "--") + std::string(name);
    std::ranges::replace(flag, '_', '-');
    if (error.message.starts_with(error.where + ":"))
      error.message.replace(0, std::strlen(name), flag);
    error.where.replace(0, std::strlen(name), flag);
    break;
  }
  return error;
}

Result<Host> Host::create(ContextOptions options) {
  Host host;
  host.context.reset(new nysjit_context{RuntimeContext(std::move(options))});
  return host;
}

Result<Program> Program::prepare(const Host &host, const Request &request) {
  Program result;
  std::string spec = canonicalJson(request.spec);
  std::string config = canonicalJson(request.config);
  const char *target = targetName(request.target);
  Progress progress(std::string("compiling ") + layoutName(request.spec.layout) + " for " + target);
  nysjit_program *program = nullptr;
  NYSJIT_RETURN_IF_ERROR(
      checkStatus(nysjit_prepare(host.get(), spec.c_str(), config.c_str(), target, &program)));
  result.program.reset(program);
  result.facts.size = sizeof result.facts;
  NYSJIT_RETURN_IF_ERROR(checkStatus(nysjit_program_get_info(program, &result.facts)));
  return result;
}

} // namespace nysjit::cli

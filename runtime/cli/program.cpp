// Reading the request's JSON files and preparing the program.
#include "runtime/cli/program.h"
#include "runtime/cli/files.h"
#include "runtime/cli/progress.h"
#include "runtime/spec/tensor_table.h"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace nysjit::cli {

Error inFile(const std::string &path, Error error) {
  error.message = path + ": " + error.message;
  return error;
}

Result<RequestFiles> readRequest(const std::string &specPath,
                                 const std::optional<std::string> &configPath) {
  Result<std::string> text = readFile("SPEC", specPath);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<KernelSpec> spec = parseKernelSpec(*text);
  if (!spec)
    return inFile(specPath, spec.takeError());
  Result<ConfigChoice> config = readConfig(configPath);
  NYSJIT_RETURN_IF_ERROR(config);
  return RequestFiles{*spec, std::move(*config)};
}

Result<ConfigChoice> readConfig(const std::optional<std::string> &path) {
  if (!path)
    return ConfigChoice();
  Result<std::string> text = readFile("--config", *path);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<ConfigChoice> config = parseConfigChoice(*text);
  return config ? std::move(config) : inFile(*path, config.takeError());
}

Error namedByFlag(Error error) {
  // "conv", "conv.shape[1]", "seqlens[2]"
  const std::string name = error.where.substr(0, error.where.find_first_of(".["));
  const TensorRow *row = findTensor(name);
  const char *flag = row                    ? row->flag
                     : name == "scale"      ? "--scale"
                     : name == "max_length" ? "--max-length"
                                            : nullptr;
  if (!flag)
    return error;
  if (error.message.starts_with(error.where + ":"))
    error.message.replace(0, name.size(), flag);
  error.where.replace(0, name.size(), flag);
  return error;
}

ContextOptions contextForCompiling(const Target &target) {
  return {.device = target.isCuda() ? DeviceKind::Cuda : DeviceKind::Cpu,
          .isForCompiling = true,
          .log = standardErrorLog()};
}

std::string compilingText(const ProgramRequest &request) {
  return std::string("compiling ") + layoutName(request.spec.layout) + " for " +
         targetName(request.target);
}

Result<PreparedProgram> prepare(RuntimeContext &context, const Resolved &resolved) {
  Progress progress(compilingText(resolved.request));
  return context.prepare(resolved);
}

Result<Resolved> resolve(RuntimeContext &context, const RequestFiles &files,
                         const std::optional<Target> &target, bool isConfigRequired) {
  Result<Resolved> resolved = context.resolve(files.spec, files.config, target);
  NYSJIT_RETURN_IF_ERROR(resolved);
  if (isConfigRequired && resolved->configSource == "default")
    return Error::mismatch(ErrorKind::Unavailable, "--config-required",
                           "a config for " + resolved->request.specJson + " on " +
                               targetName(resolved->request.target),
                           "none for this device and compiler");
  return resolved;
}

nlohmann::json keyFacts(const std::string &key, const std::string &keyText) {
  nlohmann::json facts = {{"key", key}};
  for (const auto &[word, rest] : keyTextLines(keyText))
    facts[word] = word == "spec" || word == "config" ? parsed(rest) : nlohmann::json(rest);
  return facts;
}

nlohmann::json parsed(const std::string &text) {
  return nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
}

} // namespace nysjit::cli

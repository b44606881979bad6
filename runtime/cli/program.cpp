// Reading the request's JSON files and preparing the program.
#include "runtime/cli/program.h"
#include "runtime/cli/files.h"
#include "runtime/cli/progress.h"
#include "runtime/spec/tensor_table.h"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace nysjit::cli {

namespace {

/// The file's name before the sentence: a key's name alone does not say which file it stands in.
Error inFile(const std::string &path, Error error) {
  error.message = path + ": " + error.message;
  return error;
}

} // namespace

Result<RequestFiles> readRequest(const std::string &specPath,
                                 const std::optional<std::string> &configPath) {
  Result<std::string> text = readFile("SPEC", specPath);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<KernelSpec> spec = parseKernelSpec(*text);
  if (!spec)
    return inFile(specPath, spec.takeError());
  RequestFiles request{*spec, {}};
  if (!configPath)
    return request;
  Result<std::string> configText = readFile("--config", *configPath);
  NYSJIT_RETURN_IF_ERROR(configText);
  Result<KernelConfig> config = parseKernelConfig(*configText);
  if (!config)
    return inFile(*configPath, config.takeError());
  request.config = std::move(*config);
  return request;
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
  return {.threads = 1,
          .device = target.isCuda() ? DeviceKind::Cuda : DeviceKind::Cpu,
          .isForCompiling = true,
          .log = standardErrorLog()};
}

std::string compilingText(const ProgramRequest &request) {
  return std::string("compiling ") + layoutName(request.spec.layout) + " for " +
         targetName(request.target);
}

Result<PreparedProgram> prepare(RuntimeContext &context, const ProgramRequest &request) {
  Progress progress(compilingText(request));
  return context.prepare(request);
}

nlohmann::json parsed(const std::string &text) {
  return nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
}

} // namespace nysjit::cli

// The request that `compile` and `run` share, read from its files, and its program prepared.
#pragma once
#include "runtime/api/context.h"
#include "runtime/base/result.h"
#include "runtime/spec/request.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace nysjit::cli {

/// An error of the library under the name of the flag that its argument came from: "q.shape[2]" is
/// "--q.shape[2]".
Error namedByFlag(Error error);

/// The files SPEC and --config, parsed; where the program is to run may be known later.
struct RequestFiles {
  KernelSpec spec;
  ConfigChoice config;
};
Result<RequestFiles> readRequest(const std::string &specPath,
                                 const std::optional<std::string> &configPath);
/// The file of --config, a KernelConfig or a configs.json; without one what is found.
Result<ConfigChoice> readConfig(const std::optional<std::string> &path);
/// The file's name before the sentence: a key's name alone does not say which file it stands in.
Error inFile(const std::string &path, Error error);

/// Where programs are compiled or looked for, not run: no device is opened.
ContextOptions contextForCompiling(const Target &target);

/// "compiling causal for cpu:native": what Progress says of it.
std::string compilingText(const ProgramRequest &request);
/// Loads or compiles the program; shows progress, and why the cache was of no use where it was not.
Result<PreparedProgram> prepare(RuntimeContext &context, const Resolved &resolved);

/// What is left open in a request, by the context. With `isConfigRequired` it is an error that a
/// configs.json that was given has no entry for it.
Result<Resolved> resolve(RuntimeContext &context, const RequestFiles &files,
                         const std::optional<Target> &target, bool isConfigRequired = false);

/// What a program was made from: {"key", "spec", "target", ...} of its key text.
nlohmann::json keyFacts(const std::string &key, const std::string &keyText);

/// A text of the library's own as JSON.
nlohmann::json parsed(const std::string &text);

} // namespace nysjit::cli

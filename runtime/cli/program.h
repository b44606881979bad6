// The runtime as the command uses it: a context and one program of the C API, owned, with statuses
// as Errors.
#pragma once
#include "runtime/api/handles.h"
#include "runtime/base/result.h"
#include "runtime/include/nysjit.h"
#include "runtime/spec/spec.h"

#include <memory>
#include <string>

namespace nysjit::cli {

/// A failed status as an Error, from the calling thread's last error.
Status checkStatus(nysjit_status status);

/// An error of the API under the name of the flag that its argument came from: "q.shape[2]" is
/// "--q.shape[2]".
Error namedByFlag(Error error);

/// The request that `compile` and `run` share, read from its files.
struct Request {
  KernelSpec spec;
  KernelConfig config;
  Target target;
};
Result<Request> readRequest(const std::string &specPath,
                            const std::optional<std::string> &configPath, Target target);

/// A context of the API.
class Host {
public:
  static Result<Host> create(ContextOptions options);
  nysjit_context *get() const { return context.get(); }
  /// The same past the API.
  RuntimeContext &runtime() const { return context->context; }

private:
  struct Release {
    void operator()(nysjit_context *context) const { nysjit_context_destroy(context); }
  };
  std::unique_ptr<nysjit_context, Release> context;
};

class Program {
public:
  /// Loads or compiles the program; shows progress.
  static Result<Program> prepare(const Host &host, const Request &request);
  nysjit_program *get() const { return program.get(); }
  /// The same past the API.
  const LoadedProgram &loaded() const { return *program->prepared.program; }
  /// Its strings live as long as this object.
  const nysjit_program_info &info() const { return facts; }

private:
  struct Release {
    void operator()(nysjit_program *program) const { nysjit_program_release(program); }
  };
  std::unique_ptr<nysjit_program, Release> program;
  nysjit_program_info facts{};
};

} // namespace nysjit::cli

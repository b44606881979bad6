/// nysjit for C++17: the C API of nysjit.h and nysjit_calibrate.h with owners and exceptions. A
/// header alone, over libnysjit.so; what those say of shapes, units, threads and CUDA holds here
/// word for word.
///
///   nysjit::Context context;
///   nysjit::Program program =
///       context.prepare(R"({"layout": "causal", "head_dim": 64, "landmarks": 64})");
///   nysjit::RunArgs args;
///   args.q = &q; // DLTensor, as k, v and o
///   ...
///   program.run(args);
///
/// Errors. A call that fails throws nysjit::Error, or std::bad_alloc where there is no memory for
///   its message; what it was called on is as it was before, and a run's outputs are as nysjit.h
///   says. Destructors and moves do not throw. A callback of the host's must not throw.
///
/// Lifetimes. A Context may go before its programs; a host's parallel_for and allocate must be
///   callable until the last of them is gone. Pointers of Program::info live as long as the
///   program.
///
/// Threads. One Context and one Program may be used by any number of threads at once, but not
///   while one of them is moved, assigned or destroyed. An Error belongs to whoever caught it.
#ifndef NYSJIT_HPP
#define NYSJIT_HPP

#include "nysjit.h"
#include "nysjit_calibrate.h"

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

namespace nysjit {

/// Why a call failed. what() names what was expected, what was found and where.
class Error : public std::runtime_error {
public:
  /// Of the calling thread's last failed call, which returned `status`.
  explicit Error(nysjit_status status)
      : std::runtime_error(nysjit_last_error()), code(status), object(nysjit_last_error_json()) {}

  /// One of NYSJIT_INVALID_JSON … NYSJIT_CANCELLED, never NYSJIT_OK.
  nysjit_status status() const noexcept { return code; }
  /// {"kind", "where", "expected", "found", "message"}, all strings.
  const std::string &json() const noexcept { return object; }

private:
  nysjit_status code;
  std::string object;
};

/// Throws the Error of a status that is not NYSJIT_OK; for calls of the C API, too.
inline void check(nysjit_status status) {
  if (status != NYSJIT_OK)
    throw Error(status);
}

/// nysjit_context_options with `size` set and all else zero: the defaults.
struct ContextOptions : nysjit_context_options {
  ContextOptions() : nysjit_context_options{} { size = sizeof(nysjit_context_options); }
};

/// nysjit_run_args with `size` set and all else zero: q, k, v and o are always to be given.
struct RunArgs : nysjit_run_args {
  RunArgs() : nysjit_run_args{} { size = sizeof(nysjit_run_args); }
};

/// nysjit_calibrate_args with `size` set and all else zero: runs, run_count and probes are always
/// to be given.
struct CalibrateArgs : nysjit_calibrate_args {
  CalibrateArgs() : nysjit_calibrate_args{} { size = sizeof(nysjit_calibrate_args); }
};

/// One spec compiled for one target. Owns a nysjit_program; moves, does not copy.
class Program {
public:
  /// Takes over what nysjit_prepare gave.
  explicit Program(nysjit_program *owned) noexcept : handle(owned) {}

  /// Runs it, as nysjit_run does: on the CPU o is written on return, and `stream` is nullptr; on a
  /// GPU the launches are enqueued on `stream`, a CUstream.
  void run(const nysjit_run_args &args, void *stream = nullptr) const {
    check(nysjit_run(handle.get(), &args, stream));
  }

  /// The bytes of workspace that a run with these tensors takes.
  std::size_t workspaceSize(const nysjit_run_args &args) const {
    std::size_t bytes = 0;
    check(nysjit_workspace_size(handle.get(), &args, &bytes));
    return bytes;
  }

  /// What it is and where it was found.
  nysjit_program_info info() const {
    nysjit_program_info filled = {};
    filled.size = sizeof filled;
    check(nysjit_program_get_info(handle.get(), &filled));
    return filled;
  }

  /// For calls of the C API; stays this object's. nullptr after it was moved from.
  nysjit_program *get() const noexcept { return handle.get(); }

private:
  struct Release {
    void operator()(nysjit_program *program) const noexcept { nysjit_program_release(program); }
  };
  std::unique_ptr<nysjit_program, Release> handle;
};

/// The cache folder, the threads and the compiler worker: make one and keep it. Owns a
/// nysjit_context; moves, does not copy.
class Context {
public:
  /// Starts no thread and no process and touches no file.
  explicit Context(const nysjit_context_options &options = ContextOptions()) {
    nysjit_context *made = nullptr;
    check(nysjit_context_create(&options, &made));
    handle.reset(made);
  }

  /// Finds or makes the program for a spec, as nysjit_prepare does: in memory, in a bundle, on
  /// disk, or by compiling it, which may take seconds. `config`: a KernelConfig in JSON, "{}" the
  /// defaults, nullptr what is found. `target`: "cpu:x86-64-v3", …; nullptr: the device's default.
  Program prepare(const std::string &spec, const char *config = nullptr,
                  const char *target = nullptr) const {
    nysjit_program *made = nullptr;
    check(nysjit_prepare(handle.get(), spec.c_str(), config, target, &made));
    return Program(made);
  }

  /// Finds the probes of a spec with landmark_source learned, as nysjit_calibrate does, into
  /// args.probes.
  void calibrate(const std::string &spec, const nysjit_calibrate_args &args) const {
    check(nysjit_calibrate(handle.get(), spec.c_str(), &args));
  }

  /// For calls of the C API; stays this object's. nullptr after it was moved from.
  nysjit_context *get() const noexcept { return handle.get(); }

private:
  struct Destroy {
    void operator()(nysjit_context *context) const noexcept { nysjit_context_destroy(context); }
  };
  std::unique_ptr<nysjit_context, Destroy> handle;
};

} // namespace nysjit
#endif // NYSJIT_HPP

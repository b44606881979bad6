// nysjit: the command. Parse, run, print; exit 0 done, 1 it could not be done here, 2 the request
// is wrong.
#include "runtime/cli/commands.h"
#include "runtime/cli/files.h"
#include "runtime/worker/wire.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <unistd.h>

using namespace nysjit;
using namespace nysjit::cli;
using nlohmann::json;

namespace {

template <typename... F> struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F> Overloaded(F...) -> Overloaded<F...>;

Result<Reply> runCommand(const Options &options) {
  return std::visit(Overloaded{[](const CompileOptions &given) { return runCompile(given); },
                               [](const RunOptions &given) { return runTensors(given); },
                               [](const CalibrateOptions &given) { return runCalibrate(given); },
                               [](const TuneOptions &given) { return runTune(given); },
                               [](const TuneMergeOptions &given) { return runTuneMerge(given); },
                               [](const TuneExportOptions &given) { return runTuneExport(given); },
                               [](const TuneStaleOptions &given) { return runTuneStale(given); },
                               [](const BenchOptions &given) { return runBench(given); },
                               [](const BundleOptions &given) { return runBundle(given); },
                               [](const DevicesOptions &given) { return runDevices(given); },
                               [](const CacheOptions &given) { return runCache(given); },
                               [](const TextOptions &given) -> Result<Reply> {
                                 return Reply{{{"text", given.text}}, given.text};
                               }},
                    options.command);
}

/// The whole command; what is thrown below (memory, mostly) ends here.
Result<Reply> parseAndRun(int argc, char **argv) {
  try {
    Result<Options> options = parseCommandLine(argc, argv);
    NYSJIT_RETURN_IF_ERROR(options);
    return runCommand(*options);
  } catch (const std::bad_alloc &) {
    return Error::plain(ErrorKind::Io, "memory",
                        "memory: the system has not enough for this request");
  } catch (const std::exception &error) {
    return Error::plain(ErrorKind::Io, "nysjit",
                        std::string("nysjit: unexpected failure: ") + error.what());
  }
}

std::string line(const json &object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

/// Ends as the system ends a process whose reader went away: without a word, where the host's
/// settings let it.
int endWithoutReader() {
  signal(SIGPIPE, SIG_DFL);
  raise(SIGPIPE);
  return 1;
}

int fail(const Error &error, bool isJson) {
  if (isReaderGone(error))
    return endWithoutReader();
  // Through JSON and back, so that a file name that is no UTF-8 reads the same on both streams.
  json object = json::parse(errorToJson(error).dump());
  std::fprintf(stderr, "nysjit: %s\n", object["message"].get_ref<const std::string &>().c_str());
  if (isJson)
    (void)writeStandardOutput(line({{"error", object}}));
  if (error.kind == ErrorKind::Cancelled && endingSignal())
    return 128 + endingSignal();
  return isRequestError(error.kind) ? 2 : 1;
}

/// nlohmann's destructors need memory (the library's own JSON does not): without any the command
/// ends here, as it would with an error.
[[noreturn]] void endWithoutMemory() {
  try {
    if (const std::exception_ptr thrown = std::current_exception())
      std::rethrow_exception(thrown);
  } catch (const std::bad_alloc &) {
    constexpr std::string_view text =
        "nysjit: memory: the system has not enough for this request\n";
    (void)!write(2, text.data(), text.size());
    _exit(1);
  } catch (...) { // a bug
  }
  std::abort();
}

} // namespace

int main(int argc, char **argv) {
  // A reader that went away is an error like any other while files are written.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); // so is a file that may not grow
  std::set_terminate(&endWithoutMemory);
  bool isJson = wantsJson(argc, argv);
  Result<Reply> reply = parseAndRun(argc, argv);
  if (!reply)
    return fail(reply.error(), isJson);
  if (!isJson && reply->isOutputTaken)
    return std::fputs(reply->text.c_str(), stderr) < 0;
  Status written = writeStandardOutput(isJson ? line(reply->json) : reply->text);
  return written ? 0 : fail(written.error(), false);
}

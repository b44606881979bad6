// Signals set a flag that a tune looks at.
#include "runtime/cli/tune_request.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/configs_output.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"

namespace nysjit::cli {

static std::atomic<int> ending{0};

const std::atomic<int> &endingFlag() { return ending; }
int endingSignal() { return ending; }

EndingSignals::EndingSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { ending = signal; };
  action.sa_flags = int(SA_RESETHAND) | SA_RESTART;
  sigaction(SIGINT, &action, &interrupt);
  sigaction(SIGTERM, &action, &terminate);
}

EndingSignals::~EndingSignals() {
  sigaction(SIGINT, &interrupt, nullptr);
  sigaction(SIGTERM, &terminate, nullptr);
}

std::string journalOf(const std::string &file) {
  return (file.ends_with(".json") ? file.substr(0, file.size() - 5) : file) + ".jsonl";
}

Result<tune::TuneFile> readTuneFile(const TuneOptions &options, const std::string &text) {
  Result<tune::TuneFile> file =
      tune::parseTuneFile(text, folderOf(options.file), {options.device, options.target});
  if (!file)
    return inFile(options.file, file.takeError());
  return file;
}

Error inTune(const std::string &file, Error error) {
  return error.kind == ErrorKind::InvalidKey ? inFile(file, std::move(error)) : error;
}

} // namespace nysjit::cli

// What the commands about a TUNE.json share: the file, its journal, the wish to end.
#pragma once
#include "runtime/cli/options.h"
#include "runtime/tune/tune_file.h"

#include <atomic>
#include <csignal>
#include <string>

namespace nysjit::cli {

/// 0, or the signal that asked for the end.
const std::atomic<int> &endingFlag();

/// While it lives SIGINT and SIGTERM ask for the end; a second one ends at once.
class EndingSignals {
public:
  EndingSignals();
  ~EndingSignals();
  EndingSignals(const EndingSignals &) = delete;
  EndingSignals &operator=(const EndingSignals &) = delete;

private:
  struct sigaction interrupt = {};
  struct sigaction terminate = {};
};

/// Beside TUNE.json: TUNE.jsonl.
std::string journalOf(const std::string &file);

/// The file whose text this is, with what the flags say in its keys' place; an error names it.
Result<tune::TuneFile> readTuneFile(const TuneOptions &options, const std::string &text);

/// An error of a tune: of the file where a key of it is wrong; not of what flags or this machine
/// lack.
Error inTune(const std::string &file, Error error);

} // namespace nysjit::cli

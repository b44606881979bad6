// `nysjit tune TUNE --compile-only`: a tune's programs as a bundle, for another machine.
#include "runtime/bundle/write_bundle.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/tune_request.h"
#include "runtime/cli/version.h"
#include "runtime/tune/compile_only.h"
#include "runtime/tune/journal.h"

#include <cstdio>
#include <unistd.h>

namespace nysjit::cli {

/// What a journal has, if there is one. It may be another's, who writes it.
static Result<std::vector<Json>> linesOf(const std::string &path) {
  if (access(path.c_str(), F_OK) != 0)
    return std::vector<Json>();
  Result<std::string> text = readFile("TUNE", path);
  NYSJIT_RETURN_IF_ERROR(text);
  return tune::readJournal(*text, path);
}

Result<Reply> runTuneCompile(const TuneOptions &options) {
  Result<std::string> text = readFile("TUNE", options.file);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<tune::TuneFile> file = readTuneFile(options, *text);
  NYSJIT_RETURN_IF_ERROR(file);
  if (!file->target && file->device != deviceName(DeviceKind::Cpu))
    return Error::mismatch(ErrorKind::InvalidArgument, "--target",
                           "a target, as there is no device here to ask", "no such flag");
  if (!file->target)
    file->target = Target();
  Result<std::vector<Json>> journal = linesOf(journalOf(options.file));
  NYSJIT_RETURN_IF_ERROR(journal);
  Result<OutputFile> output = OutputFile::create("-o", *options.output);
  NYSJIT_RETURN_IF_ERROR(output);

  const EndingSignals signals;
  tune::ProgressLine progress(options.isQuiet ? nullptr : stderr);
  Result<std::vector<CacheEntry>> entries =
      tune::compileCandidates(*file, *journal, endingFlag(), standardErrorLog(), progress);
  if (!entries)
    return inTune(options.file, entries.takeError());
  const size_t count = entries->size();
  const std::string bytes = bundleToBytes(std::move(*entries), version);
  NYSJIT_RETURN_IF_ERROR(output->write(bytes));
  Reply reply{{{"bundle", *options.output},
               {"target", targetName(*file->target)},
               {"programs", count},
               {"bytes", bytes.size()}},
              *options.output + ": " + std::to_string(count) + " programs for " +
                  targetName(*file->target) + ", " + std::to_string(bytes.size()) + " bytes\n"};
  reply.isOutputTaken = output->isStandardOutput();
  return reply;
}

} // namespace nysjit::cli

// `nysjit tune`: reads the file, takes the locks, tunes, and merges what won into configs.json.
#include "runtime/cache/key.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/configs_output.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/tune_request.h"
#include "runtime/cli/tune_steps.h"
#include "runtime/cli/version.h"
#include "runtime/tune/gpu_lab.h"
#include "runtime/tune/picture.h"
#include "runtime/tune/report.h"

#include <cstdio>

namespace nysjit::cli {

namespace {

Reply replyOf(const tune::TuneReport &report, const tune::TuneFile &file, const std::string &output,
              const std::string &journal) {
  Reply reply{parsed(tune::reportObject(report).dump()), tune::reportText(report, file)};
  reply.json["configs"] = output;
  reply.json["journal"] = journal;
  reply.text += "written to " + output + "\n";
  return reply;
}

} // namespace

Result<Reply> runTune(const TuneOptions &options) {
  if (options.isCompileOnly)
    return runTuneCompile(options);
  // The file, whole; then what only the compiler knows of it.
  Result<std::string> text = readFile("TUNE", options.file);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<tune::TuneFile> file = readTuneFile(options, *text);
  NYSJIT_RETURN_IF_ERROR(file);
  Result<std::string> output = configsOutput(options.output);
  NYSJIT_RETURN_IF_ERROR(output);
  NYSJIT_RETURN_IF_ERROR(checkConfigsOutput(*output));
  Result<std::optional<OutputFile>> picture = pictureFile(options.svg);
  NYSJIT_RETURN_IF_ERROR(picture);
  const tune::LabMaker labFor = [&](const KernelSpec &spec, int threads) {
    return tune::createLab(spec, *file, threads, endingFlag(),
                           {.bundles = options.bundles, .log = standardErrorLog()});
  };
  const EndingSignals signals;
  if (Status fits = tune::checkAgainstCompiler(*file, labFor); !fits)
    return inTune(options.file, fits.takeError());

  // One tune a machine, and one a journal.
  Result<std::optional<tune::MachineLock>> machine = lockDevice(labFor, *file);
  NYSJIT_RETURN_IF_ERROR(machine);
  const std::string journalPath = journalOf(options.file);
  Result<std::unique_ptr<tune::Journal>> journal =
      tune::Journal::open(journalPath, startOf(options.isResumed, options.isRestarted));
  NYSJIT_RETURN_IF_ERROR(journal);

  // The tune, and what came of it where runs find it.
  tune::ProgressLine progress(options.isQuiet ? nullptr : stderr);
  Result<tune::TuneReport> report =
      tune::tuneSpecs({*file, options.file, hashHex(*text), version}, labFor, **journal, progress);
  NYSJIT_RETURN_IF_ERROR(report);
  Status stored = storeResults(*output, {*report});
  if (*picture)
    NYSJIT_RETURN_IF_ERROR((*picture)->write(tune::pictureOf(*report)));
  NYSJIT_RETURN_IF_ERROR(stored);
  Reply reply = replyOf(*report, *file, *output, journalPath);
  reply.isOutputTaken = *picture && (*picture)->isStandardOutput();
  return reply;
}

} // namespace nysjit::cli

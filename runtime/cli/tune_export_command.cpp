// `nysjit tune --export`: a journal's results as files that other tools read.
#include "runtime/cache/publish.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/files.h"
#include "runtime/cli/given.h"
#include "runtime/cli/version.h"
#include "runtime/tune/journal.h"
#include "runtime/tune/t4.h"

#include <cstring>

namespace nysjit::cli {

Result<Reply> runTuneExport(const TuneExportOptions &options) {
  Result<std::string> text = readFile("--export", options.journal);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<std::vector<Json>> lines = tune::readJournal(*text, options.journal);
  NYSJIT_RETURN_IF_ERROR(lines);
  const std::vector<tune::T4Document> documents = tune::t4Documents(*lines, version);

  const auto failed = [&](const char *expected, int failure) {
    return Error::mismatch(ErrorKind::InvalidFile, "-o", expected,
                           inQuotes(options.output) + ": " + std::strerror(failure));
  };
  if (const int failure = makeFolders(options.output, 0777); failure != 0)
    return failed("a folder, or none yet", failure);
  const OpenFolder folder(options.output);
  if (!folder.isOpen())
    return failed("a folder", folder.errorNumber());
  Reply reply{{{"folder", options.output}, {"files", nlohmann::json::array()}},
              options.output + ": " + std::to_string(documents.size()) +
                  (documents.size() == 1 ? " document\n" : " documents\n")};
  for (const tune::T4Document &document : documents) {
    if (const int failure = publishFile(folder, document.name, document.object.dump() + "\n");
        failure != 0)
      return failed("a folder that can be written", failure);
    reply.json["files"].push_back(document.name);
    reply.text += "  " + document.name + "\n";
  }
  return reply;
}

} // namespace nysjit::cli

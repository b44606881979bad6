// What tune does with files alone, from its flags.
#include "runtime/cli/given.h"

namespace nysjit::cli {

namespace {

/// Of a tune's own arguments none beside one that says to do something else.
Status checkAlone(const Given &given, const char *flag) {
  const auto refuse = [&](const char *other) {
    return argumentError(other, std::string("no such argument beside ") + flag, "both");
  };
  if (!given.spec.empty())
    return refuse("TUNE");
  if (given.device)
    return refuse("--device");
  if (given.resume)
    return refuse("--resume");
  if (given.restart)
    return refuse("--restart");
  return {};
}

Result<Options> mergeOptions(const Given &given) {
  NYSJIT_RETURN_IF_ERROR(checkAlone(given, "--merge"));
  for (const std::string &path : given.merge)
    if (path.empty())
      return argumentError("--merge", "files of configs", "an empty text");
  if (!given.output || given.output->empty())
    return argumentError("-o", "a file to write", given.output ? "an empty text" : "no such flag");
  return Options{TuneMergeOptions{given.merge, *given.output}};
}

Result<Options> exportOptions(const Given &given) {
  NYSJIT_RETURN_IF_ERROR(checkAlone(given, "--export"));
  if (!given.merge.empty())
    return argumentError("--merge", "no such argument beside --export", "both");
  if (given.exported[0] != "t4")
    return argumentError("--export", "t4", inQuotes(given.exported[0]));
  if (!given.output || given.output->empty())
    return argumentError("-o", "a folder", given.output ? "an empty text" : "no such flag");
  return Options{TuneExportOptions{given.exported[1], *given.output}};
}

} // namespace

std::optional<Result<Options>> tuneFileOptions(const Given &given) {
  if (!given.exported.empty())
    return exportOptions(given);
  if (!given.merge.empty())
    return mergeOptions(given);
  return std::nullopt;
}

} // namespace nysjit::cli

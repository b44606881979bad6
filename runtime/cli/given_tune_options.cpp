// What tune does beside tuning a TUNE.json, from its flags.
#include "runtime/cli/given.h"
#include "runtime/cli/values.h"

namespace nysjit::cli {

namespace {

Error bothError(const char *other, const char *flag) {
  return argumentError(other, std::string("no such argument beside ") + flag, "both");
}

/// Of the arguments that say which programs are tuned where, none beside another action.
Status checkNoFile(const Given &given, const char *flag) {
  for (const auto &[isGiven, other] : {std::pair(!given.spec.empty(), "TUNE"),
                                       {given.target.has_value(), "--target"},
                                       {!given.bundles.empty(), "--bundle"},
                                       {given.svg.has_value(), "--svg"},
                                       {given.compileOnly, "--compile-only"}})
    if (isGiven)
      return bothError(other, flag);
  return {};
}

/// Nor of those that say how.
Status checkAlone(const Given &given, const char *flag) {
  NYSJIT_RETURN_IF_ERROR(checkNoFile(given, flag));
  for (const auto &[isGiven, other] : {std::pair(given.device.has_value(), "--device"),
                                       {given.resume, "--resume"},
                                       {given.restart, "--restart"}})
    if (isGiven)
      return bothError(other, flag);
  return {};
}

Result<Options> mergeOptions(const Given &given) {
  NYSJIT_RETURN_IF_ERROR(checkAlone(given, "--merge"));
  for (const std::string &path : given.merge)
    if (path.empty())
      return argumentError("--merge", "files of configs", "an empty text");
  if (!given.output || given.output->empty())
    return argumentError("-o", "a file to write", given.output ? "an empty text" : "no such flag");
  NYSJIT_RETURN_IF_ERROR(checkNamed("-o", given.output));
  return Options{TuneMergeOptions{given.merge, *given.output}};
}

Result<Options> exportOptions(const Given &given) {
  NYSJIT_RETURN_IF_ERROR(checkAlone(given, "--export"));
  if (!given.merge.empty())
    return bothError("--merge", "--export");
  if (given.exported[0] != "t4")
    return argumentError("--export", "t4", inQuotes(given.exported[0]));
  if (!given.output || given.output->empty())
    return argumentError("-o", "a folder", given.output ? "an empty text" : "no such flag");
  NYSJIT_RETURN_IF_ERROR(checkNamed("-o", given.output));
  return Options{TuneExportOptions{given.exported[1], *given.output}};
}

Result<Options> staleOptions(const Given &given) {
  NYSJIT_RETURN_IF_ERROR(checkNoFile(given, "--stale"));
  if (!given.merge.empty())
    return bothError("--merge", "--stale");
  if (!given.exported.empty())
    return bothError("--export", "--stale");
  if (given.resume && given.restart)
    return bothError("--restart", "--resume");
  if (given.output && given.output->empty())
    return argumentError("-o", "a file of configs", "an empty text");
  NYSJIT_RETURN_IF_ERROR(checkNamed("-o", given.output));
  TuneStaleOptions options{.output = given.output,
                           .isResumed = given.resume,
                           .isRestarted = given.restart,
                           .isQuiet = given.quiet};
  if (given.device) {
    Result<DeviceKind> device = parseDevice(*given.device);
    if (!device)
      return Error::mismatch(device.error().kind, "--device", device.error().expected,
                             device.error().found);
    options.device = *given.device;
  }
  return Options{options};
}

} // namespace

std::optional<Result<Options>> otherTuneOptions(const Given &given) {
  if (given.stale)
    return staleOptions(given);
  if (!given.exported.empty())
    return exportOptions(given);
  if (!given.merge.empty())
    return mergeOptions(given);
  return std::nullopt;
}

} // namespace nysjit::cli

// Every message has one form.
#include "runtime/cli/values.h"
#include "runtime/cli/files.h"
#include "runtime/spec/json_text.h"

namespace nysjit::cli {

Error argumentError(const std::string &flag, std::string expected, std::string found) {
  return Error::mismatch(ErrorKind::InvalidArgument, flag, std::move(expected), std::move(found));
}
std::string inQuotes(const std::string &text) { return '"' + describeName(text) + '"'; }

Error under(const char *flag, const Error &error) {
  return Error::mismatch(error.kind, flag, error.expected, error.found);
}

Result<Target> target(const Text &name) {
  Result<Target> parsed = name ? parseTarget(*name) : Target();
  return parsed ? parsed : under("--target", parsed.error());
}

Status readPlace(const Given &given, DeviceKind &device, std::optional<Target> &own) {
  Result<DeviceKind> kind = given.device ? parseDevice(*given.device) : DeviceKind::Cpu;
  if (!kind)
    return under("--device", kind.error());
  device = *kind;
  if (!given.target)
    return {};
  Result<Target> named = target(given.target);
  NYSJIT_RETURN_IF_ERROR(named);
  if (Status fits = checkTargetFits(*named, device); !fits)
    return under("--target", fits.error());
  own = *named;
  return {};
}

Status checkStandardOutput(const Given &given, const char *flag, const Text &path) {
  if (given.json && path && isStandardOutput(*path))
    return argumentError(flag, "a file other than standard output, which --json takes",
                         inQuotes(*path));
  return {};
}

Status checkNamed(const char *flag, const Text &path) {
  if (path && isStandardOutput(*path))
    return argumentError(flag, "a name other than that of standard output", inQuotes(*path));
  return {};
}

Status checkBundles(const Given &given) {
  for (const std::string &path : given.bundles)
    if (path.empty())
      return argumentError("--bundle", "a file", "an empty text");
  return {};
}

Status checkPicture(const Given &given) {
  if (given.svg && given.svg->empty())
    return argumentError("--svg", "a file to write", "an empty text");
  return checkStandardOutput(given, "--svg", given.svg);
}

} // namespace nysjit::cli

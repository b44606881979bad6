// Error construction and the names of its kinds.
#include "runtime/base/result.h"

#include <array>

namespace nysjit {

namespace {
struct KindRow {
  ErrorKind kind;
  const char *name;
  bool isRequest;
};
constexpr std::array<KindRow, 11> kinds = {{
    {ErrorKind::InvalidJson, "invalid_json", true},
    {ErrorKind::InvalidKey, "invalid_key", true},
    {ErrorKind::InvalidArgument, "invalid_argument", true},
    {ErrorKind::InvalidFile, "invalid_file", true},
    {ErrorKind::InvalidShape, "invalid_shape", true},
    {ErrorKind::UnknownDevice, "unknown_device", true},
    {ErrorKind::Unavailable, "unavailable", false},
    {ErrorKind::CompileFailed, "compile_failed", false},
    {ErrorKind::CheckFailed, "check_failed", false},
    {ErrorKind::Io, "io", false},
    {ErrorKind::Cancelled, "cancelled", false},
}};
} // namespace

Error Error::mismatch(ErrorKind kind, std::string where, std::string expected, std::string found) {
  std::string message = where + ": expected " + expected + ", found " + found;
  return Error{kind, std::move(where), std::move(expected), std::move(found), std::move(message)};
}

Error Error::plain(ErrorKind kind, std::string where, std::string message) {
  return Error{kind, std::move(where), "", "", std::move(message)};
}

const char *kindName(ErrorKind kind) {
  for (const KindRow &row : kinds)
    if (row.kind == kind)
      return row.name;
  return "unknown";
}

std::optional<ErrorKind> kindFromName(const std::string &name) {
  for (const KindRow &row : kinds)
    if (name == row.name)
      return row.kind;
  return std::nullopt;
}

bool isRequestError(ErrorKind kind) {
  for (const KindRow &row : kinds)
    if (row.kind == kind)
      return row.isRequest;
  return false;
}

} // namespace nysjit

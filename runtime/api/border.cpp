// The calling thread's last error. Out of memory must be sayable without memory: then a fixed text
// stands in.
#include "runtime/api/border.h"
#include "runtime/worker/wire.h"

#include <cstdio>
#include <string>

namespace nysjit {

namespace {

struct LastError {
  std::string message;
  std::string json = "{}";
  char fixedMessage[256] = "";
  char fixedJson[512] = "";
  bool isFixed = false;
};
thread_local LastError lastError;

struct StatusRow {
  ErrorKind kind;
  nysjit_status status;
};
constexpr StatusRow statusTable[] = {
    {ErrorKind::InvalidJson, NYSJIT_INVALID_JSON},
    {ErrorKind::InvalidKey, NYSJIT_INVALID_KEY},
    {ErrorKind::InvalidArgument, NYSJIT_INVALID_ARGUMENT},
    {ErrorKind::InvalidFile, NYSJIT_INVALID_FILE},
    {ErrorKind::InvalidShape, NYSJIT_INVALID_SHAPE},
    {ErrorKind::UnknownDevice, NYSJIT_UNKNOWN_DEVICE},
    {ErrorKind::Unavailable, NYSJIT_UNAVAILABLE},
    {ErrorKind::CompileFailed, NYSJIT_COMPILE_FAILED},
    {ErrorKind::CheckFailed, NYSJIT_CHECK_FAILED},
    {ErrorKind::Io, NYSJIT_IO},
};

const char *statusName(nysjit_status status) {
  if (status == NYSJIT_OK)
    return "ok";
  if (status == NYSJIT_INTERNAL)
    return "internal";
  for (const StatusRow &row : statusTable)
    if (row.status == status)
      return kindName(row.kind);
  return "unknown";
}

} // namespace

nysjit_status keepFailure(nysjit_status status, const char *message) noexcept {
  lastError.isFixed = true;
  std::snprintf(lastError.fixedMessage, sizeof lastError.fixedMessage, "%s", message);
  // Not escaped: what cannot stand in a JSON string is left out.
  char plain[256];
  size_t length = 0;
  for (const char *c = lastError.fixedMessage; *c; ++c)
    if (static_cast<unsigned char>(*c) >= ' ' && *c != '"' && *c != '\\')
      plain[length++] = *c;
  plain[length] = '\0';
  std::snprintf(lastError.fixedJson, sizeof lastError.fixedJson,
                R"({"kind":"%s","where":"","expected":"","found":"","message":"%s"})",
                statusName(status), plain);
  return status;
}

nysjit_status keepError(const Error &error) noexcept {
  nysjit_status status = NYSJIT_INTERNAL;
  for (const StatusRow &row : statusTable)
    if (row.kind == error.kind)
      status = row.status;
  try {
    std::string json =
        errorToJson(error).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::string message = error.message;
    lastError.json.swap(json);
    lastError.message.swap(message);
    lastError.isFixed = false;
    return status;
  } catch (...) {
    return keepFailure(status, error.message.c_str());
  }
}

} // namespace nysjit

using namespace nysjit;

extern "C" {

const char *nysjit_last_error(void) {
  return lastError.isFixed ? lastError.fixedMessage : lastError.message.c_str();
}
const char *nysjit_last_error_json(void) {
  return lastError.isFixed ? lastError.fixedJson : lastError.json.c_str();
}
const char *nysjit_status_name(nysjit_status status) { return statusName(status); }

} // extern "C"

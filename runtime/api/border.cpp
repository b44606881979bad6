// The calling thread's last error. Out of memory must be sayable without memory: then a fixed text
// stands in.
#include "runtime/api/border.h"
#include "runtime/base/per_thread.h"
#include "runtime/worker/wire.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
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

/// The thread's last error is that there was no memory, not even for a LastError.
[[gnu::tls_model("initial-exec")]] thread_local bool lastWasMemory = false;
constexpr const char *memoryMessage = "out of memory";
constexpr const char *memoryJson =
    R"({"kind":"io","where":"memory","expected":"","found":"","message":"out of memory"})";

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
    {ErrorKind::Cancelled, NYSJIT_CANCELLED},
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

nysjit_status keepMemoryFailure() noexcept {
  lastWasMemory = true;
  return NYSJIT_IO;
}

nysjit_status keepFailure(nysjit_status status, const char *message) noexcept {
  LastError *kept = PerThread<LastError>::get();
  lastWasMemory = !kept;
  if (!kept)
    return status;
  LastError &lastError = *kept;
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
  LastError *kept = PerThread<LastError>::get();
  lastWasMemory = !kept;
  if (!kept)
    return status;
  LastError &lastError = *kept;
  try {
    std::string json = errorToJson(error).dump();
    std::string message = error.message;
    lastError.json.swap(json);
    lastError.message.swap(message);
    lastError.isFixed = false;
    return status;
  } catch (...) {
    return keepFailure(status, error.message.c_str());
  }
}

Status readStructBytes(const void *from, const char *name, size_t least, void *to, size_t known) {
  if (!from)
    return Error::mismatch(ErrorKind::InvalidArgument, name, "a struct", "NULL");
  size_t size = 0;
  std::memcpy(&size, from, sizeof size);
  if (size < least || size > 1 << 16)
    return Error::mismatch(ErrorKind::InvalidArgument, std::string(name) + ".size",
                           "the struct's size, " + std::to_string(known) + " in this version",
                           std::to_string(size));
  const char *bytes = static_cast<const char *>(from);
  for (size_t i = known; i < size; ++i)
    if (bytes[i] != 0)
      return Error::mismatch(ErrorKind::InvalidArgument, name,
                             "fields that this version of the library knows",
                             "a later version's field that is not zero");
  std::memcpy(to, from, std::min(size, known));
  std::memcpy(to, &known, sizeof known);
  return {};
}

} // namespace nysjit

using namespace nysjit;

extern "C" {

const char *nysjit_last_error(void) {
  const LastError *kept = PerThread<LastError>::existing();
  if (lastWasMemory || !kept)
    return lastWasMemory ? memoryMessage : "";
  return kept->isFixed ? kept->fixedMessage : kept->message.c_str();
}
const char *nysjit_last_error_json(void) {
  const LastError *kept = PerThread<LastError>::existing();
  if (lastWasMemory || !kept)
    return lastWasMemory ? memoryJson : "{}";
  return kept->isFixed ? kept->fixedJson : kept->json.c_str();
}
const char *nysjit_status_name(nysjit_status status) { return statusName(status); }

} // extern "C"

// Every question is asked of the open file: whatever its name means a moment later, these are the
// bytes that were checked.
#include "runtime/cache/read_entry.h"
#include "runtime/cache/folder_files.h"
#include "runtime/cache/key.h"
#include "runtime/cache/trust.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>

namespace nysjit {

namespace {

constexpr uint64_t maxEntryBytes = uint64_t(1) << 30;
constexpr time_t touchSeconds = 3600;

EntryRead without(EntryState state, std::string reason) {
  return {state, std::move(reason), std::nullopt, {}};
}

/// Why the open file is not to be read, if it is not.
std::optional<EntryRead> refuse(const OpenFolder &folder, const OpenFile &file,
                                struct stat &status) {
  if (!file.isOpen() && file.errorNumber() == ENOENT)
    return without(EntryState::Absent, "");
  if (!file.isOpen() && file.errorNumber() == ELOOP)
    return without(EntryState::NotTrusted, "a symbolic link");
  if (!file.isOpen())
    return without(EntryState::Unreadable, file.failure());
  if (fstat(file.descriptor(), &status) != 0)
    return without(EntryState::Unreadable, file.failure());
  if (!folder.distrust().empty())
    return without(EntryState::NotTrusted, "its folder is " + folder.distrust());
  if (!S_ISREG(status.st_mode))
    return without(EntryState::Damaged, S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
  if (std::string reason = whyNotTrusted(status); !reason.empty())
    return without(EntryState::NotTrusted, std::move(reason));
  return std::nullopt;
}

EntryRead readOnce(const OpenFolder &folder, const std::string &key, EntryUse use, int &error) {
  OpenFile file(folder.descriptor(), key + entrySuffix);
  struct stat status = {};
  if (std::optional<EntryRead> refused = refuse(folder, file, status))
    return std::move(*refused);
  const std::optional<std::string> bytes = file.readAll(maxEntryBytes);
  error = file.errorNumber();
  if (!bytes && error != 0 && error != EINVAL)
    return without(EntryState::Unreadable, file.failure());
  if (!bytes)
    return without(EntryState::Damaged, "cut off");
  std::optional<CacheEntry> entry = entryFromBytes(*bytes);
  if (const uint32_t format = claimedFormat(*bytes); !entry && format != 0 && format != entryFormat)
    return without(EntryState::OtherFormat,
                   "of format " + std::to_string(format) + ", not " + std::to_string(entryFormat));
  if (!entry)
    return without(EntryState::Damaged, "its checksum does not agree");
  if (hashHex(entry->keyText) != key)
    return without(EntryState::Damaged, "another key's");
  EntryRead read{EntryState::Whole, "", std::move(entry), {}};
  if (use == EntryUse::Look)
    return read;
  // The last use, for `collect`, to the hour, so that a hit seldom writes; by the file system's
  // clock. Where the folder cannot be written it does not.
  if (const time_t now = time(nullptr); now - status.st_mtime > touchSeconds)
    (void)futimens(file.descriptor(), nullptr);
  read.inUse = InUse(file.release());
  return read;
}

} // namespace

const char *entryStateName(EntryState state) {
  switch (state) {
  case EntryState::Whole: return "whole";
  case EntryState::Absent: return "absent";
  case EntryState::Damaged: return "damaged";
  case EntryState::OtherFormat: return "other_format";
  case EntryState::Unreadable: return "unreadable";
  case EntryState::NotTrusted: return "not_trusted";
  }
  return "unknown";
}

std::string entryStateText(EntryState state, const std::string &reason) {
  std::string text = entryStateName(state);
  std::replace(text.begin(), text.end(), '_', ' ');
  return reason.empty() ? text : text + " (" + reason + ")";
}

EntryRead readEntry(const OpenFolder &folder, const std::string &key, EntryUse use) {
  int error = 0;
  EntryRead read = readOnce(folder, key, use, error);
  // A file that another machine replaced meanwhile: its successor is there.
  for (int tries = 0; error == ESTALE && tries < 3; ++tries) {
    error = 0;
    read = readOnce(folder, key, use, error);
  }
  return read;
}

std::optional<std::string> readKeyText(const OpenFolder &folder, const std::string &key) {
  OpenFile file(folder.descriptor(), key + entrySuffix);
  struct stat status = {};
  std::string header(entryHeaderBytes, '\0');
  if (refuse(folder, file, status) || !file.readAt(0, header.data(), header.size()))
    return std::nullopt;
  const std::optional<uint64_t> count = keyTextBytes(header);
  if (!count || *count > static_cast<uint64_t>(status.st_size))
    return std::nullopt;
  std::string text(*count, '\0');
  if (!file.readAt(entryHeaderBytes, text.data(), text.size()) || hashHex(text) != key)
    return std::nullopt;
  return text;
}

std::string readTrusted(const OpenFolder &folder, const std::string &name) {
  OpenFile file(folder.descriptor(), name);
  struct stat status = {};
  return refuse(folder, file, status) ? "" : file.readAll(4096).value_or("");
}

} // namespace nysjit

// The cache's lock and its way to publish a file.
#include "runtime/configs/store_config.h"
#include "runtime/cache/file.h"
#include "runtime/cache/lock.h"
#include "runtime/cache/publish.h"

#include <cerrno>
#include <cstring>

namespace nysjit {

namespace {

constexpr uint64_t mostBytes = uint64_t(64) << 20;

Error named(const std::string &path, Error error) {
  error.message = path + ": " + error.message;
  return error;
}

} // namespace

Result<ConfigsFile> readConfigsFile(const std::string &path) {
  OpenFile file(path);
  const std::optional<std::string> text = file.isOpen() ? file.readAll(mostBytes) : std::nullopt;
  if (!text)
    return Error::mismatch(ErrorKind::Io, path, "a file that can be read", file.failure());
  Result<ConfigsFile> read = parseConfigsFile(std::string_view(*text));
  return read ? std::move(read) : named(path, read.takeError());
}

Result<StoredConfigs> storeConfigs(const std::string &path, const ConfigsFile &entries) {
  const size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty())
    return Error::mismatch(ErrorKind::InvalidArgument, path, "a file", "a folder");
  if (const int failure = makeFolders(folder, 0755); failure != 0)
    return Error::mismatch(ErrorKind::Io, folder, "a folder", std::strerror(failure));
  const OpenFolder open(folder);
  if (!open.isOpen())
    return Error::mismatch(ErrorKind::Io, folder, "a folder", std::strerror(open.errorNumber()));
  constexpr int lockMs = 60000;
  const FileLock lock(open, name + ".lock", lockMs);
  StoredConfigs stored;
  OpenFile there(path);
  if (there.isOpen() || there.errorNumber() != ENOENT) {
    Result<ConfigsFile> read = readConfigsFile(path);
    NYSJIT_RETURN_IF_ERROR(read);
    stored.before = std::move(*read);
  }
  stored.after = stored.before;
  mergeConfigs(stored.after, entries);
  if (const int failure = publishFile(open, name, configsText(stored.after)); failure != 0)
    return Error::mismatch(ErrorKind::Io, path, "a file that can be written",
                           std::strerror(failure));
  return stored;
}

} // namespace nysjit

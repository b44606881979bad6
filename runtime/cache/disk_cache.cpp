// The folder: KEY.nysjit entries, KEY.lock while one compiles, *.tmp while one writes, `compiler`
// with its build id.
#include "runtime/cache/disk_cache.h"
#include "runtime/base/environment.h"
#include "runtime/cache/key.h"

#include <algorithm>
#include <cstdio>
#include <dirent.h>
#include <sys/stat.h>

namespace nysjit {

namespace {

constexpr uint64_t maxEntryBytes = uint64_t(1) << 30;
constexpr const char *entrySuffix = ".nysjit";
constexpr size_t keyLength = 32;

bool endsWith(const std::string &name, const std::string &suffix) {
  return name.size() >= suffix.size() &&
         name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

bool isKey(const std::string &text) {
  return text.size() == keyLength &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::vector<std::string> filesIn(const std::string &folder) {
  std::vector<std::string> names;
  if (DIR *open = opendir(folder.c_str())) {
    while (const dirent *file = readdir(open))
      names.push_back(file->d_name);
    closedir(open);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<std::string> readFile(const std::string &path, uint64_t atMost) {
  OpenFile file(path);
  return file.isOpen() ? file.readAll(atMost) : std::nullopt;
}

} // namespace

std::string defaultCacheFolder() {
  if (std::string folder = environmentSetting("NYSJIT_CACHE_DIR"); !folder.empty())
    return folder;
  if (std::string folder = environmentSetting("XDG_CACHE_HOME"); !folder.empty())
    return folder + "/nysjit";
  if (std::string home = environmentSetting("HOME"); !home.empty())
    return home + "/.cache/nysjit";
  return "";
}

std::string keyTextLine(const std::string &keyText, const std::string &word) {
  const std::string start = word + " ";
  for (size_t line = 0; line < keyText.size();) {
    const size_t end = std::min(keyText.find('\n', line), keyText.size());
    if (keyText.compare(line, start.size(), start) == 0)
      return keyText.substr(line + start.size(), end - line - start.size());
    line = end + 1;
  }
  return "";
}

DiskCache::DiskCache(std::string folder) : path(std::move(folder)) {
  while (path.size() > 1 && path.back() == '/')
    path.pop_back();
}

std::string DiskCache::entryPath(const std::string &key) const {
  return path + "/" + key + entrySuffix;
}

std::optional<CacheEntry> DiskCache::show(const std::string &key) const {
  if (path.empty() || !isKey(key))
    return std::nullopt;
  const std::optional<std::string> bytes = readFile(entryPath(key), maxEntryBytes);
  std::optional<CacheEntry> entry = bytes ? entryFromBytes(*bytes) : std::nullopt;
  return entry && hashHex(entry->keyText) == key ? std::move(entry) : std::nullopt;
}

std::optional<CacheEntry> DiskCache::load(const std::string &key,
                                          const std::string &keyText) const {
  std::optional<CacheEntry> entry = show(key);
  return entry && entry->keyText == keyText ? std::move(entry) : std::nullopt;
}

bool DiskCache::store(const std::string &key, const CacheEntry &entry) const {
  return !path.empty() && makeFolders(path) && replaceFile(entryPath(key), entryToBytes(entry));
}

std::unique_ptr<FileLock> DiskCache::lock(const std::string &key, int timeoutMs) const {
  if (path.empty() || !makeFolders(path))
    return nullptr;
  return std::make_unique<FileLock>(path + "/" + key + ".lock", timeoutMs);
}

std::string DiskCache::lastCompilerId() const {
  return path.empty() ? "" : readFile(path + "/compiler", 4096).value_or("");
}

void DiskCache::rememberCompilerId(const std::string &id) const {
  if (!path.empty() && lastCompilerId() != id)
    // without it a machine that has no compiler misses: no harm
    (void)replaceFile(path + "/compiler", id);
}

std::vector<CacheListing> DiskCache::list() const {
  std::vector<CacheListing> listings;
  if (path.empty())
    return listings;
  for (const std::string &name : filesIn(path)) {
    const std::string key = name.substr(0, std::min(keyLength, name.size()));
    struct stat status;
    if (!isKey(key) || name != key + entrySuffix || stat((path + "/" + name).c_str(), &status) != 0)
      continue;
    CacheListing listing;
    listing.key = key;
    listing.bytes = static_cast<uint64_t>(status.st_size);
    listing.modifiedTime = status.st_mtime;
    if (const std::optional<CacheEntry> entry = show(key)) {
      listing.isValid = true;
      listing.specJson = keyTextLine(entry->keyText, "spec");
      listing.configJson = keyTextLine(entry->keyText, "config");
      listing.target = keyTextLine(entry->keyText, "target");
      listing.compilerId = keyTextLine(entry->keyText, "compiler");
    }
    listings.push_back(std::move(listing));
  }
  return listings;
}

CacheCleared DiskCache::clear() const {
  CacheCleared cleared;
  if (path.empty())
    return cleared;
  for (const std::string &name : filesIn(path)) {
    const bool isOurs =
        isKey(name.substr(0, std::min(keyLength, name.size()))) || name.rfind("compiler", 0) == 0;
    const bool isEntry = endsWith(name, entrySuffix);
    if (!isOurs ||
        !(isEntry || endsWith(name, ".lock") || endsWith(name, ".tmp") || name == "compiler"))
      continue;
    struct stat status;
    const std::string file = path + "/" + name;
    const uint64_t bytes =
        stat(file.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
    if (std::remove(file.c_str()) == 0 && isEntry) { // an empty folder in an entry's place goes too
      ++cleared.entries;
      cleared.bytes += bytes;
    }
  }
  return cleared;
}

} // namespace nysjit

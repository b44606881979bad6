// Finding, storing and telling of it. The folder is opened anew each time, which takes microseconds
// and holds nothing of the host's.
#include "runtime/cache/disk_cache.h"
#include "runtime/base/environment.h"
#include "runtime/cache/folder_files.h"
#include "runtime/cache/publish.h"
#include "runtime/cache/read_entry.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <unistd.h>

namespace nysjit {

namespace {

constexpr const char *makerFile = "maker";
constexpr std::chrono::seconds tellEvery(60);

/// From the root of the file system, wherever the process goes later.
std::string absolute(std::string path) {
  while (path.size() > 1 && path.back() == '/')
    path.pop_back();
  if (path.empty() || path.front() == '/')
    return path;
  char *const here = getcwd(nullptr, 0);
  if (here)
    path = std::string(here) + "/" + path;
  std::free(here);
  return path;
}

} // namespace

CacheFolder defaultCacheFolder() {
  if (std::string folder = environmentSetting("NYSJIT_CACHE_DIR"); !folder.empty())
    return CacheFolder(std::move(folder));
  if (std::string folder = environmentSetting("XDG_CACHE_HOME"); folder.starts_with('/'))
    return CacheFolder(folder + "/nysjit", 0700);
  if (std::string home = environmentSetting("HOME"); !home.empty())
    return CacheFolder(home + "/.cache/nysjit", 0700);
  return CacheFolder("");
}

DiskCache::DiskCache(CacheFolder folder)
    : path(absolute(std::move(folder.path))), mode(folder.mode), owner(getpid()),
      toldAt(std::chrono::steady_clock::now()) {}

DiskCache::~DiskCache() {
  const bool isAny = untold.hits + untold.misses + untold.refused != 0;
  if (!isAny || owner != getpid()) // fork() made a copy of the parent's
    return;
  try {
    if (const OpenFolder open(path); open.isOpen())
      tell(open, {});
  } catch (const std::bad_alloc &) {
    // They are lost.
  }
}

std::string DiskCache::trustedFolder() const {
  const OpenFolder open(path);
  return open.isOpen() && open.distrust().empty() ? path : "";
}

EntryRead DiskCache::folderState() const {
  OpenFolder open(path);
  if (open.isOpen() && !open.distrust().empty())
    return {EntryState::NotTrusted, open.distrust(), std::nullopt, {}};
  if (open.isOpen())
    (void)open.names();
  if (open.errorNumber() == 0 || open.errorNumber() == ENOENT)
    return {};
  return {EntryState::Unreadable, std::strerror(open.errorNumber()), std::nullopt, {}};
}

EntryRead DiskCache::read(const std::string &key) const {
  const OpenFolder open(path);
  if (!open.isOpen() || !isKey(key))
    return {};
  return readEntry(open, key, EntryUse::Look);
}

EntryRead DiskCache::find(const ProgramKey &key) {
  const OpenFolder open(path);
  EntryRead read;
  if (open.isOpen())
    read = readEntry(open, key.hash, EntryUse::Run);
  if (read.entry && read.entry->keyText != key.text)
    read = {EntryState::Damaged, "another key's", std::nullopt, {}};
  if (read.state == EntryState::Whole)
    count({.hits = 1});
  return read;
}

InUse DiskCache::use(const std::string &key) const {
  const OpenFolder open(path);
  if (!open.isOpen())
    return {};
  OpenFile file(open.descriptor(), key + entrySuffix);
  return file.isOpen() ? InUse(file.release()) : InUse();
}

std::vector<std::string> DiskCache::keyTexts() const {
  std::vector<std::string> texts;
  if (OpenFolder open(path); open.isOpen())
    for (const EntryFile &file : entryFiles(open))
      if (std::optional<std::string> text = readKeyText(open, file.key))
        texts.push_back(std::move(*text));
  return texts;
}

Status DiskCache::store(const std::string &key, const CacheEntry &entry,
                        const CacheLimits &limits) {
  const auto failed = [this](const std::string &reason) {
    return Error::mismatch(ErrorKind::Io, path, "a cache folder that can be written", reason);
  };
  if (path.empty())
    return failed("none");
  if (const int error = makeFolders(path, mode))
    return failed(std::strerror(error));
  OpenFolder open(path);
  if (!open.isOpen())
    return failed(std::strerror(open.errorNumber()));
  if (!open.distrust().empty())
    return failed(open.distrust());
  const std::string bytes = entryToBytes(entry);
  if (const int error = publishFile(open, key + entrySuffix, bytes))
    return failed(std::strerror(error));
  tell(open, {.entries = 1, .bytes = bytes.size(), .stores = 1});
  // A scan of the folder only where the counters say that it is too large, or say nothing.
  const std::optional<CacheCounters> now = readCounters(open);
  if (!now || isOver(*now, limits))
    (void)collect(open, limits, key);
  return {};
}

std::unique_ptr<FileLock> DiskCache::lock(const std::string &key, int timeoutMs,
                                          const std::function<bool()> &isStillWanted) const {
  if (path.empty() || makeFolders(path, mode) != 0)
    return nullptr;
  const OpenFolder open(path);
  if (!open.isOpen() || !open.distrust().empty())
    return nullptr;
  return std::make_unique<FileLock>(open, key + lockSuffix, timeoutMs, isStillWanted);
}

ProgramMaker DiskCache::lastMaker() const {
  ProgramMaker maker;
  const OpenFolder open(path);
  const std::string text = open.isOpen() ? readTrusted(open, makerFile) : "";
  maker.compiler = keyTextLine(text, "compiler");
  maker.llvm = keyTextLine(text, "llvm");
  if (std::string assembler = keyTextLine(text, "assembler"); !assembler.empty())
    maker.assembler = std::move(assembler);
  return maker;
}

void DiskCache::rememberMaker(const ProgramMaker &maker) const {
  const std::string text = "compiler " + maker.compiler + "\nllvm " + maker.llvm + "\nassembler " +
                           maker.assembler + "\n";
  const OpenFolder open(path);
  if (open.isOpen() && open.distrust().empty() && readTrusted(open, makerFile) != text)
    // without it a machine that has no compiler misses: no harm
    (void)publishFile(open, makerFile, text);
}

std::vector<CacheListing> DiskCache::list() const {
  std::vector<CacheListing> listings;
  OpenFolder open(path);
  if (!open.isOpen())
    return listings;
  for (const EntryFile &file : entryFiles(open)) {
    CacheListing listing;
    listing.key = file.key;
    listing.bytes = static_cast<uint64_t>(file.status.st_size);
    listing.modifiedTime = file.status.st_mtime;
    EntryRead read = readEntry(open, file.key, EntryUse::Look);
    if (read.state == EntryState::Absent) // removed meanwhile
      continue;
    listing.state = read.state;
    listing.reason = std::move(read.reason);
    if (read.entry)
      listing.keyText = std::move(read.entry->keyText);
    listings.push_back(std::move(listing));
  }
  return listings;
}

CacheCounters DiskCache::counters() {
  OpenFolder open(path);
  if (!open.isOpen())
    return {};
  CacheCounters now = readCounters(open).value_or(CacheCounters());
  const CacheCounters size = sizeOf(entryFiles(open));
  now.entries = size.entries;
  now.bytes = size.bytes;
  return now;
}

void DiskCache::countMiss(EntryState found) {
  count({.misses = 1, .refused = found == EntryState::Absent ? 0u : 1u});
}

void DiskCache::count(const CacheCounters &more) {
  {
    const std::lock_guard lock(mutex);
    untold.hits += more.hits;
    untold.misses += more.misses;
    untold.refused += more.refused;
    if (std::chrono::steady_clock::now() - toldAt < tellEvery)
      return;
  }
  if (const OpenFolder open(path); open.isOpen())
    tell(open, {});
}

/// Adds what happened to the folder's counters. A folder that has none yet is counted first.
void DiskCache::tell(const OpenFolder &open, const CacheCounters &more) {
  if (!open.distrust().empty())
    return;
  CacheCounters added = more;
  {
    const std::lock_guard lock(mutex);
    added.hits += untold.hits;
    added.misses += untold.misses;
    added.refused += untold.refused;
    untold = {};
    toldAt = std::chrono::steady_clock::now();
  }
  const bool isNew = !readCounters(open);
  CacheCounters there;
  if (isNew) {
    added.entries = added.bytes = 0; // what was stored is among what is there
    there = counters();
  }
  (void)changeCounters(open, [&](CacheCounters &now) {
    now.entries += added.entries + there.entries;
    now.bytes += added.bytes + there.bytes;
    now.hits += added.hits;
    now.misses += added.misses;
    now.stores += added.stores;
    now.evictions += added.evictions;
    now.refused += added.refused;
  });
}

} // namespace nysjit

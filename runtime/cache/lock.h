// Locks by file, between processes, threads and, where the file system can, machines.
#pragma once
#include "runtime/base/descriptor.h"
#include "runtime/cache/file.h"

#include <functional>
#include <string>

namespace nysjit {

/// An exclusive lock by name in a folder. Given up when its process ends, however it ends, and when
/// the host closes its files. The file goes when it is given up.
class FileLock {
public:
  /// Waits for the lock, at most `timeoutMs`: its holder may be stopped or out of reach. While it
  /// waits it asks `isStillWanted`, at least each 100 ms, and goes without the lock at the first
  /// no. Without the lock, and where files cannot be locked, isHeld is false.
  FileLock(const OpenFolder &folder, const std::string &name, int timeoutMs,
           const std::function<bool()> &isStillWanted = {});
  ~FileLock();
  FileLock(const FileLock &) = delete;
  FileLock &operator=(const FileLock &) = delete;
  bool isHeld() const { return file.isOpen(); }
  /// Whether another held it to the last.
  bool isAnothers() const { return anothers; }

private:
  FileLock(const OpenFolder &folder, const std::string &name);
  bool tryOnce(int &error);
  bool anothers = false;
  std::string path;
  Descriptor folder;
  Descriptor file;
};

/// Says to `nysjit cache gc` in any process that an entry is in use, while it lives: its file open
/// and locked shared.
class InUse {
public:
  InUse() = default;
  /// Takes the open file over. Nothing is held where files cannot be locked, nor where descriptors
  /// are scarce: the host needs them more.
  explicit InUse(int file);

private:
  Descriptor file;
};

} // namespace nysjit

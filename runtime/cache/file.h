// Files of the cache: read whole, written aside and renamed, locked. Every open file closes on
// exec.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nysjit {

/// A file open for reading.
class OpenFile {
public:
  explicit OpenFile(const std::string &path);
  ~OpenFile();
  OpenFile(const OpenFile &) = delete;
  OpenFile &operator=(const OpenFile &) = delete;

  bool isOpen() const { return file >= 0; }
  std::string failure() const; // the last failure in words
  bool readAt(uint64_t offset, void *bytes, size_t count);
  std::optional<std::string> readAll(uint64_t atMost);

private:
  int file = -1;
  int error = 0;
};

/// Makes the folder and those above it, private to the user. True if it is there afterwards.
bool makeFolders(const std::string &path);
/// Readers see the old file or the whole new one. False if it could not be written; nothing is left
/// behind then.
bool replaceFile(const std::string &path, std::string_view bytes);

/// An exclusive lock by file, between processes and between threads. Given up when its process
/// ends, however it ends.
class FileLock {
public:
  /// Waits for the lock, at most `timeoutMs`: its holder may be stopped or out of reach. Then, and
  /// where files cannot be locked, isHeld is false.
  FileLock(const std::string &path, int timeoutMs);
  ~FileLock();
  FileLock(const FileLock &) = delete;
  FileLock &operator=(const FileLock &) = delete;
  bool isHeld() const { return file >= 0; }

private:
  std::string path;
  int file = -1;
};

} // namespace nysjit

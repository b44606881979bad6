// Files of the cache, read whole, and the folder they lie in. Whatever is opened is looked at
// through its descriptor, never again by its name, and closes on exec.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace nysjit {

/// A file for the length of a call: closed in the end, also where memory runs out in between. What
/// stays open longer in the host is a Descriptor (runtime/base).
class ScopedFile {
public:
  explicit ScopedFile(int opened) : file(opened) {}
  ~ScopedFile();
  ScopedFile(const ScopedFile &) = delete;
  ScopedFile &operator=(const ScopedFile &) = delete;
  int number() const { return file; } // -1: none
  /// Closes it now. 0 or the number of the error.
  int closeNow();

private:
  int file;
};

/// A file open for reading. What is no regular file opens too, without waiting for anyone, and
/// cannot be read.
class OpenFile {
public:
  explicit OpenFile(const std::string &path);
  /// In an open folder; a symbolic link is not followed and does not open (ELOOP).
  OpenFile(int folder, const std::string &name);
  ~OpenFile();
  OpenFile(const OpenFile &) = delete;
  OpenFile &operator=(const OpenFile &) = delete;

  bool isOpen() const { return file >= 0; }
  int descriptor() const { return file; }
  /// The descriptor, from now on the caller's to close.
  int release();
  int errorNumber() const { return error; } // of the last failure; 0: the file was shorter
  std::string failure() const;              // the same in words
  bool readAt(uint64_t offset, void *bytes, size_t count);
  std::optional<std::string> readAll(uint64_t atMost);

private:
  void open(int folder, const std::string &name, int flags);
  int file = -1;
  int error = 0;
};

/// A folder held open: its name may come to mean another while it is used.
class OpenFolder {
public:
  explicit OpenFolder(const std::string &path);
  ~OpenFolder();
  OpenFolder(const OpenFolder &) = delete;
  OpenFolder &operator=(const OpenFolder &) = delete;

  bool isOpen() const { return folder >= 0; }
  int descriptor() const { return folder; } // for openat and its like only (O_PATH)
  int errorNumber() const { return error; } // why it is not open, or its names could not be read
  /// Why nothing in it is believed; "" if it is.
  const std::string &distrust() const { return reason; }
  /// The names in it, sorted, without "." and "..".
  std::vector<std::string> names();
  /// Its names are on disk when this returns, as far as the file system can promise that.
  void flush() const;

private:
  int folder = -1;
  int error = 0;
  std::string reason;
};

/// Makes the folder with this mode (less the umask), and those above it. 0 if it is there
/// afterwards, else the number of the error.
int makeFolders(const std::string &path, mode_t mode);

} // namespace nysjit

// Reading whole files, and writing aside then renaming.
#include "runtime/cli/files.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nysjit::cli {

namespace {

/// A path that is wrong is the request's fault; a machine that fails is not.
ErrorKind kindOf(int number) {
  bool isMachine = number == ENOSPC || number == EIO || number == ENOMEM || number == EMFILE || number == ENFILE ||
                   number == EDQUOT || number == EFBIG || number == EPIPE;
  return isMachine ? ErrorKind::Io : ErrorKind::InvalidFile;
}

Error fileError(const std::string &flag, const std::string &path, std::string expected, int number) {
  std::string found = "\"" + path + "\": " + std::strerror(number);
  return Error::mismatch(kindOf(number), flag, std::move(expected), std::move(found));
}

/// Writes all; 0 or an errno.
int writeAll(int descriptor, const std::string &bytes) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t wrote = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno != EINTR)
      return errno;
    done += size_t(wrote < 0 ? 0 : wrote);
  }
  return 0;
}

} // namespace

Result<std::string> readFile(const std::string &flag, const std::string &path) {
  constexpr size_t largest = size_t(1) << 30;
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fileError(flag, path, "a file that can be read", errno);
  std::string bytes;
  int failure = 0;
  while (bytes.size() <= largest) {
    char chunk[65536];
    ssize_t got = read(descriptor, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      failure = got < 0 ? errno : 0;
      break;
    }
    bytes.append(chunk, size_t(got));
  }
  close(descriptor);
  if (failure != 0)
    return fileError(flag, path, "a file that can be read", failure);
  if (bytes.size() > largest)
    return Error::mismatch(ErrorKind::InvalidFile, flag, "a file of at most 1 GiB",
                           "\"" + path + "\", which is larger");
  return bytes;
}

OutputFile::OutputFile(std::string path, std::string aside, int descriptor)
    : path(std::move(path)), aside(std::move(aside)), descriptor(descriptor) {}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : path(std::move(other.path)), aside(std::move(other.aside)), descriptor(other.descriptor) {
  other.descriptor = -1;
  other.aside.clear();
}

OutputFile::~OutputFile() {
  if (descriptor >= 0)
    close(descriptor);
  if (!aside.empty())
    unlink(aside.c_str());
}

Result<OutputFile> OutputFile::create(const std::string &flag, const std::string &path) {
  struct stat status;
  std::string resolved = path;
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      return fileError(flag, path, "a file to write", EISDIR);
    if (!S_ISREG(status.st_mode)) {
      int descriptor = open(path.c_str(), O_WRONLY | O_CLOEXEC);
      if (descriptor < 0)
        return fileError(flag, path, "a file to write", errno);
      return OutputFile(path, "", descriptor);
    }
    // What a symbolic link points to is replaced, not the link.
    if (char *real = realpath(path.c_str(), nullptr)) {
      resolved = real;
      free(real);
    }
  }
  std::string aside = resolved + ".XXXXXX";
  int descriptor = mkostemp(aside.data(), O_CLOEXEC);
  if (descriptor < 0)
    return fileError(flag, path, "a file to write", errno);
  mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask);
  return OutputFile(resolved, aside, descriptor);
}

Status OutputFile::write(const std::string &bytes) {
  if (int failure = writeAll(descriptor, bytes))
    return fileError("-o", path, "room for " + std::to_string(bytes.size()) + " bytes", failure);
  return {};
}

Status OutputFile::commit() {
  int closed = close(descriptor);
  descriptor = -1;
  if (closed != 0 || (!aside.empty() && rename(aside.c_str(), path.c_str()) != 0))
    return fileError("-o", path, "a file that can be written", errno);
  aside.clear();
  return {};
}

Status writeStandardOutput(const std::string &text) {
  if (int failure = writeAll(STDOUT_FILENO, text))
    return Error::mismatch(ErrorKind::Io, "standard output", "a place that takes the result", std::strerror(failure));
  return {};
}

} // namespace nysjit::cli

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
  bool isMachine = number == ENOSPC || number == EIO || number == ENOMEM || number == EMFILE ||
                   number == ENFILE || number == EDQUOT || number == EFBIG || number == EPIPE;
  return isMachine ? ErrorKind::Io : ErrorKind::InvalidFile;
}

Error fileError(const std::string &flag, const std::string &path, std::string expected,
                int number) {
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

Result<OutputFile> OutputFile::create(const std::string &flag, const std::string &path) {
  OutputFile file;
  file.flag = flag;
  file.path = path;
  struct stat status;
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      return fileError(flag, path, "a file to write", EISDIR);
    file.isInPlace = !S_ISREG(status.st_mode);
    // What a symbolic link points to is replaced, not the link.
    if (char *real = file.isInPlace ? nullptr : realpath(path.c_str(), nullptr)) {
      file.path = real;
      free(real);
    }
  }
  size_t slash = file.path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : file.path.substr(0, slash + 1);
  if (file.path.empty() || slash + 1 == file.path.size())
    return fileError(flag, path, "a file to write", EISDIR);
  if (file.isInPlace ? access(path.c_str(), W_OK) != 0 : access(folder.c_str(), W_OK | X_OK) != 0)
    return fileError(flag, path, "a file to write", errno);
  return file;
}

Status OutputFile::write(const std::string &bytes) const {
  std::string aside = path + ".XXXXXX";
  int descriptor =
      isInPlace ? open(path.c_str(), O_WRONLY | O_CLOEXEC) : mkostemp(aside.data(), O_CLOEXEC);
  if (descriptor < 0)
    return fileError(flag, path, "a file to write", errno);
  int failure = writeAll(descriptor, bytes);
  if (!isInPlace) {
    mode_t mask = umask(0);
    umask(mask);
    fchmod(descriptor, 0666 & ~mask);
  }
  if (close(descriptor) != 0 && failure == 0)
    failure = errno;
  if (!isInPlace && failure == 0 && rename(aside.c_str(), path.c_str()) != 0)
    failure = errno;
  if (!isInPlace && failure != 0)
    unlink(aside.c_str());
  if (failure != 0)
    return fileError(flag, path, "a file that takes " + std::to_string(bytes.size()) + " bytes",
                     failure);
  return {};
}

Status writeStandardOutput(const std::string &text) {
  if (int failure = writeAll(STDOUT_FILENO, text))
    return Error::mismatch(ErrorKind::Io, "standard output", "a place that takes the result",
                           std::strerror(failure));
  return {};
}

} // namespace nysjit::cli

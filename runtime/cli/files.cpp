// Reading whole files, and writing aside then renaming, or in place.
#include "runtime/cli/files.h"
#include "runtime/base/quiet_write.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
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
  return writeQuietly(descriptor, bytes) ? 0 : errno;
}

/// The file's folder, with the slash; "" for the current one.
std::string folderOf(const std::string &path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

/// A descriptor of this process by its name: what it is open on is written, not replaced.
bool isDescriptor(const std::string &path) {
  return path.starts_with("/dev/fd/") || path.starts_with("/proc/self/fd/") ||
         path == "/dev/stderr";
}

/// Where the symbolic links end, if there is a file or could be one; 0 or an errno.
int followLinks(std::string &path) {
  constexpr int most = 40; // as the system does
  for (int i = 0; i < most; ++i) {
    char target[PATH_MAX];
    const ssize_t length = readlink(path.c_str(), target, sizeof target);
    if (length < 0) // no link, or nothing yet
      return errno == EINVAL || errno == ENOENT ? 0 : errno;
    if (length == sizeof target)
      return ENAMETOOLONG;
    const std::string text(target, size_t(length));
    path = text.starts_with('/') ? text : folderOf(path) + text;
  }
  return ELOOP;
}

} // namespace

Result<std::string> readFile(const std::string &flag, const std::string &path) {
  constexpr size_t largest = size_t(1) << 30;
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fileError(flag, path, "a file that can be read", errno);
  std::string bytes;
  std::string chunk(1 << 16, '\0'); // more than some stacks
  int failure = 0;
  while (bytes.size() <= largest) {
    ssize_t got = read(descriptor, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      failure = got < 0 ? errno : 0;
      break;
    }
    bytes.append(chunk, 0, size_t(got));
  }
  close(descriptor);
  if (failure != 0)
    return fileError(flag, path, "a file that can be read", failure);
  if (bytes.size() > largest)
    return Error::mismatch(ErrorKind::InvalidFile, flag, "a file of at most 1 GiB",
                           "\"" + path + "\", which is larger");
  return bytes;
}

bool isStandardOutput(const std::string &path) {
  return path == "-" || path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1";
}

Result<OutputFile> OutputFile::create(const std::string &flag, const std::string &path) {
  OutputFile file;
  file.flag = flag;
  file.given = file.path = path;
  if (cli::isStandardOutput(path)) {
    file.place = Place::StandardOutput;
    return file;
  }
  struct stat status;
  file.isNew = stat(path.c_str(), &status) != 0;
  if (!file.isNew && S_ISDIR(status.st_mode))
    return fileError(flag, path, "a file to write", EISDIR);
  if (!file.isNew && access(path.c_str(), W_OK) != 0)
    return fileError(flag, path, "a file to write", errno);
  if (!file.isNew && !S_ISREG(status.st_mode)) {
    file.place = Place::Stream;
    return file;
  }
  if (!file.isNew && isDescriptor(path)) {
    file.place = Place::File;
    return file;
  }
  if (const int failure = followLinks(file.path))
    return fileError(flag, path, "a file to write", failure);
  if (file.path.empty() || file.path.ends_with('/'))
    return fileError(flag, path, "a file to write", EISDIR);
  if (!file.isNew) {
    file.mode = status.st_mode & 0777;
    file.owner = status.st_uid;
    file.group = status.st_gid;
  }
  const std::string folder = folderOf(file.path);
  const bool isOpen = access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0;
  if (file.isNew && !isOpen)
    return fileError(flag, path, "a file to write", errno);
  if (!isOpen || (!file.isNew && status.st_nlink > 1))
    file.place = Place::File;
  return file;
}

bool OutputFile::replaces(const OutputFile &other) const {
  const auto isKept = [](Place of) { return of == Place::Aside || of == Place::File; };
  if (!isKept(place) || !isKept(other.place))
    return false;
  std::error_code failure;
  if (!isNew && !other.isNew)
    return std::filesystem::equivalent(path, other.path, failure);
  const auto whole = [&](const std::string &of) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(of, failure), failure);
  };
  return whole(path) == whole(other.path) && !failure;
}

/// False: nothing was written, and the file itself may be tried. `failure`: 0 or an errno.
bool OutputFile::writeAside(const std::string &bytes, int &failure) const {
  std::string aside = folderOf(path) + ".nysjit-XXXXXX";
  const int descriptor = mkostemp(aside.data(), O_CLOEXEC);
  if (descriptor < 0) {
    failure = errno;
    return false;
  }
  struct stat status;
  const bool isOwned = isNew || (fstat(descriptor, &status) == 0 &&
                                 ((status.st_uid == owner && status.st_gid == group) ||
                                  fchown(descriptor, owner, group) == 0));
  if (isOwned) {
    failure = writeAll(descriptor, bytes);
    const mode_t mask = isNew ? umask(0) : 0;
    if (isNew)
      umask(mask);
    if (fchmod(descriptor, isNew ? 0666 & ~mask : mode) != 0 && failure == 0)
      failure = errno;
  }
  if (close(descriptor) != 0 && failure == 0)
    failure = errno;
  bool isDone = isOwned;
  if (isOwned && failure == 0 && rename(aside.c_str(), path.c_str()) != 0) {
    failure = errno;
    isDone = false; // a mount point, or a folder whose files are their owners'
  }
  if (!isDone || failure != 0)
    unlink(aside.c_str());
  return isDone;
}

int OutputFile::writeInPlace(const std::string &bytes) const {
  const int flags = place == Place::Stream ? 0 : O_TRUNC;
  const int descriptor = open(path.c_str(), O_WRONLY | O_CLOEXEC | flags);
  if (descriptor < 0)
    return errno;
  const int failure = writeAll(descriptor, bytes);
  return close(descriptor) != 0 && failure == 0 ? errno : failure;
}

Status OutputFile::write(const std::string &bytes) const {
  if (place == Place::StandardOutput)
    return writeStandardOutput(bytes);
  int failure = 0;
  const bool isDone = place == Place::Aside && writeAside(bytes, failure);
  if (!isDone && (place != Place::Aside || !isNew))
    failure = writeInPlace(bytes);
  if (failure != 0)
    return fileError(flag, given, "a file that takes " + std::to_string(bytes.size()) + " bytes",
                     failure);
  return {};
}

Result<std::optional<OutputFile>> pictureFile(const std::optional<std::string> &path) {
  if (!path)
    return std::optional<OutputFile>();
  Result<OutputFile> file = OutputFile::create("--svg", *path);
  NYSJIT_RETURN_IF_ERROR(file);
  return std::optional(std::move(*file));
}

Status writeStandardOutput(const std::string &text) {
  if (int failure = writeAll(STDOUT_FILENO, text))
    return Error::mismatch(ErrorKind::Io, "standard output", "a place that takes the result",
                           std::strerror(failure));
  return {};
}

bool isReaderGone(const Error &error) {
  return error.where == "standard output" && error.found == std::strerror(EPIPE);
}

} // namespace nysjit::cli

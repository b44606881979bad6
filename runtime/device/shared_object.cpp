// memfd_create, write, dlopen("/proc/self/fd/N").
//
// The loader knows libraries by the path they were opened with: opening a path a second time gives
// the library that was there first, whatever the path means now. So N must not be reused while the
// library is loaded (the file stays open), and, since a host may close files that it does not know,
// each load also spells its path in a way never used before: the number of the load, in binary, as
// "/" and "/." between the folder and N.
#include "runtime/device/shared_object.h"
#include "runtime/base/environment.h"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace nysjit {

namespace {

bool writeAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

std::string unusedSpelling(int file) {
  static std::atomic<uint32_t> loads{0};
  std::string path = "/proc/self/fd";
  for (uint32_t number = ++loads; number != 0; number >>= 1)
    path += number & 1 ? "/." : "/";
  return path + "/" + std::to_string(file);
}

const char *loaderMessage() {
  const char *message = dlerror();
  return message ? message : "unknown reason";
}

/// The library and the open file, or the reason in `reason`.
void *openFromMemory(std::string_view bytes, int &file, std::string &reason) {
  file = memfd_create("nysjit", MFD_CLOEXEC | MFD_EXEC);
  if (file < 0 && errno == EINVAL) // before Linux 6.3 all are executable and the flag is unknown
    file = memfd_create("nysjit", MFD_CLOEXEC);
  if (file < 0 || !writeAll(file, bytes)) {
    reason = std::string("anonymous memory: ") + std::strerror(errno);
  } else if (void *handle = dlopen(unusedSpelling(file).c_str(), RTLD_NOW | RTLD_LOCAL)) {
    return handle;
  } else {
    reason = std::string("anonymous memory: ") + loaderMessage();
  }
  if (file >= 0)
    close(file);
  file = -1;
  return nullptr;
}

/// The same through a file that only this user can open; its name is gone before this returns.
void *openFromFolder(std::string_view bytes, const std::string &folder, std::string &reason) {
  std::string path = folder + "/nysjit-XXXXXX";
  const int file = mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) {
    reason += "; " + folder + ": " + std::strerror(errno);
    return nullptr;
  }
  void *handle = nullptr;
  if (fchmod(file, 0700) == 0 && writeAll(file, bytes)) {
    handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle)
      reason += std::string("; ") + loaderMessage();
  } else {
    reason += "; " + folder + ": " + std::strerror(errno);
  }
  unlink(path.c_str());
  close(file);
  return handle;
}

} // namespace

Result<SharedObject> SharedObject::load(std::string_view bytes, const std::string &privateFolder,
                                        LoadVia via) {
  std::string reason;
  int file = -1;
  if (via == LoadVia::MemoryThenFile)
    if (void *handle = openFromMemory(bytes, file, reason))
      return SharedObject(handle, file);
  std::vector<std::string> folders;
  if (std::string temporary = environmentSetting("TMPDIR"); temporary.starts_with('/'))
    folders.push_back(std::move(temporary));
  folders.push_back("/tmp");
  if (!privateFolder.empty())
    folders.push_back(privateFolder);
  for (const std::string &folder : folders)
    if (void *handle = openFromFolder(bytes, folder, reason))
      return SharedObject(handle, -1);
  return Error::plain(ErrorKind::Io, "program",
                      "the program's binary could not be loaded: " + reason);
}

SharedObject::SharedObject(SharedObject &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)), file(std::exchange(other.file, -1)) {}

SharedObject &SharedObject::operator=(SharedObject &&other) noexcept {
  std::swap(handle, other.handle);
  std::swap(file, other.file);
  return *this;
}

SharedObject::~SharedObject() {
  if (handle)
    dlclose(handle);
  if (file >= 0)
    close(file);
}

void *SharedObject::symbol(const std::string &name) const { return dlsym(handle, name.c_str()); }

} // namespace nysjit

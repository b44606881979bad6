// memfd_create, write, dlopen("/proc/self/fd/N").
//
// The loader knows libraries by the path they were opened with: opening a path a second time gives
// the library that was there first, whatever the path means now. So N must not be reused while the
// library is loaded (the file stays open), and, since a host may close files that it does not know,
// each load also spells its path in a way never used before: the number of the load, in binary, as
// "/" and "/." between the folder and N.
#include "runtime/device/shared_object.h"
#include "runtime/base/quiet_write.h"
#include "runtime/base/temporary_places.h"

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
void *openFromMemory(std::string_view bytes, Descriptor &file, std::string &reason) {
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  file = Descriptor(memfd_create("nysjit", flags | MFD_EXEC));
  if (!file.isOpen() && errno == EINVAL) // before Linux 6.3 all are executable, the flag is unknown
    file = Descriptor(memfd_create("nysjit", flags));
  if (!file.isOpen() || !writeQuietly(file.get(), bytes)) {
    const int failure = errno;
    reason = std::string("anonymous memory: ") + std::strerror(failure);
    return nullptr;
  }
  // Nobody writes to what runs, by whatever mistake.
  fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  void *handle = dlopen(unusedSpelling(file.get()).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    reason = std::string("anonymous memory: ") + loaderMessage();
  return handle;
}

/// A file that loses its name when this goes.
struct NamedFile {
  std::string path;
  Descriptor file;
  explicit NamedFile(const std::string &folder)
      : path(folder + "/nysjit-XXXXXX"), file(mkostemp(path.data(), O_CLOEXEC)) {}
  ~NamedFile() {
    if (file.isOpen())
      unlink(path.c_str());
  }
};

/// The same through a file that only this user can open; its name is gone before this returns.
void *openFromFolder(std::string_view bytes, const std::string &folder, std::string &reason) {
  const NamedFile named(folder);
  if (!named.file.isOpen() || fchmod(named.file.get(), 0700) != 0 ||
      !writeQuietly(named.file.get(), bytes)) {
    const int failure = errno;
    reason += "; " + folder + ": " + std::strerror(failure);
    return nullptr;
  }
  void *handle = dlopen(named.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    reason += std::string("; ") + loaderMessage();
  return handle;
}

} // namespace

Result<SharedObject> SharedObject::load(std::string_view bytes, const std::string &privateFolder,
                                        LoadVia via) {
  std::string reason;
  Descriptor file;
  if (via == LoadVia::MemoryThenFile)
    if (void *handle = openFromMemory(bytes, file, reason))
      return SharedObject(handle, std::move(file));
  std::vector<std::string> folders;
  for (const char *place : temporaryPlaces())
    if (folders.empty() || folders.back() != place)
      folders.push_back(place);
  if (!privateFolder.empty())
    folders.push_back(privateFolder);
  for (const std::string &folder : folders)
    if (void *handle = openFromFolder(bytes, folder, reason))
      return SharedObject(handle, Descriptor());
  return Error::plain(ErrorKind::Io, "program",
                      "the program's binary could not be loaded: " + reason);
}

SharedObject::SharedObject(SharedObject &&other) noexcept
    : handle(std::exchange(other.handle, nullptr)), file(std::move(other.file)) {}

SharedObject &SharedObject::operator=(SharedObject &&other) noexcept {
  std::swap(handle, other.handle);
  std::swap(file, other.file);
  return *this;
}

SharedObject::~SharedObject() {
  if (handle)
    dlclose(handle);
}

void *SharedObject::symbol(const std::string &name) const { return dlsym(handle, name.c_str()); }

} // namespace nysjit

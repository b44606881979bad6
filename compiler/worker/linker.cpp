// LLD as a library.
#include "compiler/worker/linker.h"

#include "lld/Common/Driver.h"
#include "llvm/Support/raw_ostream.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

namespace nysjit {

namespace {
/// A file descriptor that closes itself.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0)
      close(fd);
  }
};
/// A fresh private folder that is removed, with the one file in it, at the end.
struct ScratchFolder {
  std::string path;
  std::string file;
  ~ScratchFolder() {
    if (path.empty())
      return;
    unlink(file.c_str());
    rmdir(path.c_str());
  }
};
} // namespace

/// Runs LLD on the objects. Serialised: LLD's state is global, two links at once crash.
static Result<std::string> link(const std::vector<std::string> &objects,
                                std::initializer_list<const char *> options) {
  static std::mutex oneAtATime;
  std::lock_guard lock(oneAtATime);
  std::vector<Descriptor> inputs(objects.size());
  std::vector<std::string> paths;
  for (size_t i = 0; i < objects.size(); ++i) {
    inputs[i].fd = memfd_create("nysjit-object", MFD_CLOEXEC);
    if (inputs[i].fd < 0 || write(inputs[i].fd, objects[i].data(), objects[i].size()) !=
                                static_cast<ssize_t>(objects[i].size()))
      return Error::plain(ErrorKind::Io, "linker",
                          std::string("linker: cannot hold the object in memory: ") +
                              std::strerror(errno));
    paths.push_back("/proc/self/fd/" + std::to_string(inputs[i].fd));
  }
  const char *temporary = std::getenv("TMPDIR");
  std::string pattern =
      std::string(temporary && *temporary ? temporary : "/tmp") + "/nysjit-link-XXXXXX";
  if (!mkdtemp(pattern.data()))
    return Error::plain(ErrorKind::Io, pattern,
                        pattern + ": cannot make a folder: " + std::strerror(errno));
  ScratchFolder folder{pattern, pattern + "/linked"};
  std::vector<const char *> arguments = {"ld.lld", "-o", folder.file.c_str(), "--threads=1",
                                         "--build-id=none"};
  arguments.insert(arguments.end(), options);
  for (const std::string &path : paths)
    arguments.push_back(path.c_str());
  std::string output;
  std::string errors;
  llvm::raw_string_ostream outputStream(output);
  llvm::raw_string_ostream errorStream(errors);
  const lld::Result result =
      lld::lldMain(arguments, outputStream, errorStream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0 || !result.canRunAgain)
    return Error::mismatch(ErrorKind::InvalidFile, "linker", "an x86-64 object", errors);
  std::ifstream file(folder.file, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (bytes.empty())
    return Error::plain(ErrorKind::Io, folder.file,
                        folder.file + ": what was linked cannot be read");
  return bytes;
}

Result<std::string> joinObjects(std::vector<std::string> objects) {
  if (objects.size() == 1)
    return std::move(objects.front());
  return link(objects, {"-r"});
}

Result<std::string> linkSharedObject(const std::string &object) {
  return link({object}, {"-shared", "-z", "now", "--hash-style=gnu", "-soname", "nysjit-program"});
}

} // namespace nysjit

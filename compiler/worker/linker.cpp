// LLD as a library.
#include "compiler/worker/linker.h"
#include "runtime/base/tool.h"

#include "lld/Common/Driver.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

namespace nysjit {

/// Room for LLD's output: it maps that, and where the file system is full a map ends the process
/// with a signal.
static Status takeRoom(const ScratchFolder &folder, const std::string &file,
                       const std::vector<std::string> &objects) {
  size_t bytes = size_t(8) << 12; // headers, symbols and the pages that segments begin at
  for (const std::string &object : objects)
    bytes += object.size();
  NYSJIT_RETURN_IF_ERROR(folder.write(file, std::string(bytes, '\0')));
  return folder.write(file, "");
}

/// Runs LLD on the objects. Serialised: LLD's state is global, two links at once crash.
static Result<std::string> link(const std::vector<std::string> &objects,
                                std::initializer_list<const char *> options) {
  static std::mutex oneAtATime;
  std::lock_guard lock(oneAtATime);
  Result<ScratchFolder> folder = ScratchFolder::create();
  NYSJIT_RETURN_IF_ERROR(folder);
  std::vector<std::string> paths;
  for (const std::string &object : objects) {
    const std::string name = "object" + std::to_string(paths.size());
    NYSJIT_RETURN_IF_ERROR(folder->write(name, object));
    paths.push_back(folder->name() + "/" + name);
  }
  NYSJIT_RETURN_IF_ERROR(takeRoom(*folder, "linked", objects));
  const std::string linked = folder->name() + "/linked";
  std::vector<const char *> arguments = {"ld.lld", "-o", linked.c_str(), "--threads=1",
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
  errors.erase(errors.find_last_not_of('\n') + 1);
  const bool isOfOutput = errors.find("output") != std::string::npos ||
                          errors.find("/linked") != std::string::npos; // it could not be written
  if (result.retCode != 0 && isOfOutput)
    return Error::plain(ErrorKind::Io, "linker", "linker: " + errors);
  if (result.retCode != 0 || !result.canRunAgain)
    return Error::mismatch(ErrorKind::InvalidFile, "linker", "an x86-64 object", errors);
  return folder->read("linked");
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

// SharedObject: a program's binary, loaded from bytes in memory. The caller has checked the bytes;
// exactly those are what gets mapped, never a file that someone could change in between.
#pragma once
#include "runtime/base/descriptor.h"
#include "runtime/base/result.h"

#include <string>
#include <string_view>

namespace nysjit {

/// Where the bytes are put to be opened: anonymous memory, or a private file for systems that bar
/// running from it.
enum class LoadVia { MemoryThenFile, FileOnly };

class SharedObject {
public:
  /// `privateFolder`: tried for the file after temporaryPlaces(); may be "".
  static Result<SharedObject> load(std::string_view bytes, const std::string &privateFolder,
                                   LoadVia via = LoadVia::MemoryThenFile);
  SharedObject(SharedObject &&other) noexcept;
  SharedObject &operator=(SharedObject &&other) noexcept;
  ~SharedObject();

  /// The address of a symbol, null if there is none.
  void *symbol(const std::string &name) const;

private:
  SharedObject(void *libraryHandle, Descriptor openFile)
      : handle(libraryHandle), file(std::move(openFile)) {}
  void *handle = nullptr;
  Descriptor file; // the anonymous memory, kept open while loaded
};

} // namespace nysjit

// One tune a machine: two at once would measure each other.
#pragma once
#include "runtime/base/descriptor.h"
#include "runtime/base/result.h"

#include <string>

namespace nysjit::tune {

/// Held while it lives, by its process, which may end in any way. No file: a name of the system's
/// for sockets, so that users and their folders do not matter.
class MachineLock {
public:
  /// Unavailable where another process has it; the message says which.
  static Result<MachineLock> take(const std::string &name);

private:
  explicit MachineLock(Descriptor held) : held(std::move(held)) {}
  Descriptor held;
};

} // namespace nysjit::tune

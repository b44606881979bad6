// Objects to one object or a shared object. Serialised inside: LLD keeps global state.
#pragma once
#include "runtime/base/result.h"

#include <string>
#include <vector>

namespace nysjit {

/// One relocatable object of several; of one, that.
Result<std::string> joinObjects(std::vector<std::string> objects);
/// A shared object's bytes from an object's.
Result<std::string> linkSharedObject(const std::string &object);

} // namespace nysjit

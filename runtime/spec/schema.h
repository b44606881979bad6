// "schema": the version number any JSON file may carry.
#pragma once
#include "runtime/base/result.h"

#include <nlohmann/json_fwd.hpp>

namespace nysjit {

/// An object's "schema" is absent or the integer 1.
Status checkSchema(const nlohmann::json &object);

} // namespace nysjit

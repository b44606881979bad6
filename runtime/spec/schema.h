// "schema": the version number any JSON file may carry.
#pragma once
#include "runtime/base/json.h"
#include "runtime/base/result.h"

namespace nysjit {

/// An object's "schema" is absent or the integer 1.
Status checkSchema(const Json &object);

} // namespace nysjit

// Text to JSON for everything a person or another process hands in: one object, no key twice,
// nesting bounded (so that nothing recursive over it can overflow the stack), numbers
// representable. Nothing here throws but std::bad_alloc.
#pragma once
#include "runtime/base/json.h"
#include "runtime/base/result.h"

#include <string>
#include <string_view>

namespace nysjit {

/// Deepest nesting that is read, unless another is given.
inline constexpr int maxJsonDepth = 64;

/// Parses one JSON object. A text that is no JSON is InvalidJson; a key that is given twice, or
/// whose value cannot be read (NaN, 1e999), is an error with the key as `where`.
Result<Json> parseJsonObject(std::string_view text, int deepest = maxJsonDepth);

/// The same of one JSON array.
Result<Json> parseJsonArray(std::string_view text);

/// A JSON value in a message: scalars as JSON in ASCII, cut at 60 characters; "an array", "an
/// object" for the rest.
std::string describeJson(const Json &value);
/// A key or name in a message: printable ASCII, cut at 60 characters.
std::string describeName(std::string_view name);

} // namespace nysjit

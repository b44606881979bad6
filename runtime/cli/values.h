// Values of flags that several commands have, from their texts.
#pragma once
#include "runtime/cli/given.h"

#include <charconv>
#include <optional>
#include <string>

namespace nysjit::cli {

/// A whole number in [minimum, maximum]; nothing without the flag.
template <typename Integer>
Result<std::optional<Integer>> integer(const char *flag, const Text &value, Integer minimum,
                                       Integer maximum) {
  if (!value)
    return std::optional<Integer>();
  Integer number = 0;
  const char *end = value->data() + value->size();
  std::from_chars_result read = std::from_chars(value->data(), end, number);
  if (read.ec == std::errc() && read.ptr == end && number >= minimum && number <= maximum)
    return std::optional<Integer>(number);
  return argumentError(flag,
                       "an integer, " + std::to_string(minimum) + " to " + std::to_string(maximum),
                       inQuotes(*value));
}

/// An error of the library under the name of the flag that its value came from.
Error under(const char *flag, const Error &error);
/// --target; cpu:native without it.
Result<Target> target(const Text &name);
/// --device, and --target where it is given: one that the device runs.
Status readPlace(const Given &given, DeviceKind &device, std::optional<Target> &target);
/// With --json standard output holds one object and nothing else.
Status checkStandardOutput(const Given &given, const char *flag, const Text &path);
/// What is written beside what is there has a name of its own.
Status checkNamed(const char *flag, const Text &path);
/// --bundle
Status checkBundles(const Given &given);
/// --svg
Status checkPicture(const Given &given);

} // namespace nysjit::cli

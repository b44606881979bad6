// Checks of JSON values.
#include "runtime/tune/keys.h"
#include "runtime/base/format.h"
#include "runtime/spec/json_text.h"

#include <algorithm>

namespace nysjit::tune {

namespace {

std::string range(double least, double most) { return format("%g to %g", least, most); }

std::string range(int64_t least, int64_t most) {
  return std::to_string(least) + " to " + std::to_string(most);
}

} // namespace

Error keyError(const std::string &where, std::string expected, std::string found) {
  return Error::mismatch(ErrorKind::InvalidKey, where, std::move(expected), std::move(found));
}

Error errorUnder(const std::string &path, const Error &error) {
  const std::string where = path + "." + error.where;
  if (error.expected.empty())
    return Error::plain(error.kind, where, path + ": " + error.message);
  return Error::mismatch(error.kind, where, error.expected, error.found);
}

std::string element(const std::string &path, size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

Status Keys::check(std::span<const char *const> names) const {
  if (!object.is_object())
    return keyError(path, "an object", describeJson(object));
  for (const auto &[name, value] : object.items()) {
    if (std::ranges::find(names, name) != names.end())
      continue;
    std::string known;
    for (const char *each : names)
      known += (known.empty() ? "" : ", ") + std::string(each);
    return keyError(pathOf(describeName(name)), "one of the keys " + known,
                    "\"" + describeName(name) + "\"");
  }
  return {};
}

Status Keys::integer(const char *name, int64_t least, int64_t most, int64_t &target) const {
  const Json *value = find(name);
  if (!value)
    return {};
  // as a double, for unsigned numbers beyond int64_t; the ranges are exact in one
  const double number = value->is_number_integer() ? value->get<double>() : 0;
  if (!value->is_number_integer() || number < double(least) || number > double(most))
    return keyError(pathOf(name), "an integer, " + range(least, most), describeJson(*value));
  target = value->get<int64_t>();
  return {};
}

Status Keys::integer(const char *name, int64_t least, int64_t most, int &target) const {
  int64_t wide = target;
  NYSJIT_RETURN_IF_ERROR(integer(name, least, most, wide));
  target = int(wide);
  return {};
}

Status Keys::number(const char *name, double least, double most, double &target) const {
  const Json *value = find(name);
  if (!value)
    return {};
  if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
    return keyError(pathOf(name), "a number, " + range(least, most), describeJson(*value));
  target = value->get<double>();
  return {};
}

Status Keys::boolean(const char *name, bool &target) const {
  const Json *value = find(name);
  if (!value)
    return {};
  if (!value->is_boolean())
    return keyError(pathOf(name), "true or false", describeJson(*value));
  target = value->get<bool>();
  return {};
}

Status Keys::text(const char *name, std::string &target) const {
  const Json *value = find(name);
  if (!value)
    return {};
  if (!value->is_string())
    return keyError(pathOf(name), "a text", describeJson(*value));
  target = value->text();
  return {};
}

Result<const Json *> Keys::array(const char *name, size_t least, size_t most) const {
  const Json *value = find(name);
  if (!value)
    return value;
  if (value->is_array() && value->size() >= least && value->size() <= most)
    return value;
  return keyError(
      pathOf(name),
      "an array of " + std::to_string(least) + " to " + std::to_string(most) + " elements",
      value->is_array() ? "one of " + std::to_string(value->size()) : describeJson(*value));
}

} // namespace nysjit::tune

// KernelSpec from JSON and back, by the key table.
#include "runtime/spec/spec.h"
#include "runtime/base/json.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/key_table.h"
#include "runtime/spec/schema.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace nysjit {

namespace {

Error keyError(const std::string &key, std::string expected, std::string found) {
  return Error::mismatch(ErrorKind::InvalidKey, key, std::move(expected), std::move(found));
}

/// Every key of the object is `schema` or in the table.
Status checkNames(const Json &object) {
  for (const auto &[name, value] : object.items()) {
    auto isThis = [&name = name](const KeyRow &row) { return name == row.name; };
    if (name == "schema" || std::ranges::any_of(keyTable(), isThis))
      continue;
    std::string names = "one of the keys";
    for (const KeyRow &row : keyTable())
      names += (row.name == keyTable().front().name ? " " : ", ") + std::string(row.name);
    return keyError(describeName(name), names, "\"" + describeName(name) + "\"");
  }
  return {};
}

/// The value in the form the table's `set` takes, or nothing if type or range is wrong. A float is
/// never an integer, even if integral; true is no number.
std::optional<Json> acceptedValue(const KeyRow &row, const KernelSpec &spec, const Json &value) {
  if (row.type == ValueType::Choice) {
    if (!value.is_string())
      return std::nullopt;
    for (size_t i = 0; i < row.choices.size(); ++i)
      if (value.text() == row.choices[i] && hasChoice(row, i, spec.layout))
        return Json(int(i));
    return std::nullopt;
  }
  if (!(row.type == ValueType::Integer ? value.is_number_integer() : value.is_number()))
    return std::nullopt;
  // As a double an integer beyond 2^53 is rounded, which no bound of the table is near.
  double number = value.get<double>();
  if (!(number >= row.minimum && number <= maximumOf(row, spec)))
    return std::nullopt;
  if (row.type == ValueType::Integer && std::fmod(number, row.multipleOf) != 0)
    return std::nullopt;
  if (row.relation == Relation::MultipleOfLandmarks && std::fmod(number, spec.landmarks) != 0)
    return std::nullopt;
  return value;
}

} // namespace

Status checkSchema(const Json &object) {
  if (const Json *schema = object.find("schema"))
    if (!schema->is_number_integer() || *schema != 1)
      return keyError("schema", "1", describeJson(*schema));
  return {};
}

Result<KernelSpec> parseKernelSpec(std::string_view text) {
  Result<Json> object = parseJsonObject(text);
  if (!object)
    return object.takeError();
  return parseKernelSpec(*object);
}

template <std::same_as<Json> Object> Result<KernelSpec> parseKernelSpec(const Object &object) {
  if (!object.is_object())
    return Error::mismatch(ErrorKind::InvalidJson, "spec", "a JSON object", describeJson(object));
  NYSJIT_RETURN_IF_ERROR(checkSchema(object));
  NYSJIT_RETURN_IF_ERROR(checkNames(object));
  KernelSpec spec;
  for (const KeyRow &row : keyTable()) {
    const Json *value = object.find(row.name);
    bool isPresent = value != nullptr;
    if (!usesKey(row, spec)) {
      if (isPresent)
        return keyError(row.name, "no such key with " + reasonUnused(row, spec),
                        describeJson(*value));
      continue;
    }
    if (!isPresent) {
      if (isNeeded(row, spec))
        return keyError(row.name, expectedValue(row, spec), "no such key");
      continue;
    }
    std::optional<Json> accepted = acceptedValue(row, spec, *value);
    if (!accepted)
      return keyError(row.name, expectedValue(row, spec), describeJson(*value));
    row.set(spec, *accepted);
  }
  return spec;
}

template Result<KernelSpec> parseKernelSpec(const Json &);

Json canonicalObject(const KernelSpec &spec) {
  Json object = Json::object();
  for (const KeyRow &row : keyTable()) {
    Json value = usesKey(row, spec) ? row.get(spec) : Json();
    if (!value.is_null())
      object[row.name] =
          row.type == ValueType::Choice ? Json(row.choices[value.get<size_t>()]) : value;
  }
  return object;
}

std::string canonicalText(const Json &object) { return object.dump(); }

std::string canonicalJson(const KernelSpec &spec) { return canonicalText(canonicalObject(spec)); }

} // namespace nysjit

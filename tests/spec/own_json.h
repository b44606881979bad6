// nlohmann's JSON, which tests write with ease, as the runtime's own.
#pragma once
#include "runtime/base/json.h"

#include <nlohmann/json.hpp>

namespace nysjit {

inline Json ownJson(const nlohmann::json &value) {
  if (value.is_object()) {
    Json object = Json::object();
    for (const auto &[name, member] : value.items())
      object[std::string_view(name)] = ownJson(member);
    return object;
  }
  if (value.is_array()) {
    Json array = Json::array();
    for (const nlohmann::json &element : value)
      array.push_back(ownJson(element));
    return array;
  }
  if (value.is_string())
    return value.get<std::string>();
  if (value.is_boolean())
    return value.get<bool>();
  if (value.is_number_unsigned())
    return value.get<uint64_t>();
  if (value.is_number_integer())
    return value.get<int64_t>();
  return value.is_number() ? Json(value.get<double>()) : Json();
}

} // namespace nysjit

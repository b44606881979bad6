// Json. Numbers and strings are written by nlohmann, whose scalars allocate nothing when they go.
#include "runtime/base/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace nysjit {

namespace {

std::string scalarText(const nlohmann::json &scalar, bool isAscii) {
  return scalar.dump(-1, ' ', isAscii, nlohmann::json::error_handler_t::replace);
}

bool isBefore(const Json::Member &member, std::string_view name) { return member.name < name; }

} // namespace

Json::Json(std::initializer_list<Member> given) : kind(Kind::Object) {
  for (const Member &member : given)
    (*this)[std::string_view(member.name)] = member.value;
}

Json Json::object(std::vector<Member> members) {
  std::sort(members.begin(), members.end(),
            [](const Member &a, const Member &b) { return a.name < b.name; });
  Json made(Kind::Object);
  made.members = std::move(members);
  return made;
}

Json Json::object() { return Json(Kind::Object); }

Json Json::array(std::vector<Json> elements) {
  Json made(Kind::Array);
  made.list = std::move(elements);
  return made;
}

size_t Json::size() const {
  if (is_array())
    return elements().size();
  if (is_object())
    return items().size();
  return is_null() ? 0 : 1;
}

const Json *Json::find(std::string_view name) const {
  const auto found = std::lower_bound(members.begin(), members.end(), name, isBefore);
  return found != members.end() && found->name == name ? &found->value : nullptr;
}

const Json &Json::operator[](const char *name) const {
  static const Json absent;
  const Json *found = find(name);
  return found ? *found : absent;
}

Json &Json::operator[](std::string_view name) {
  if (is_null())
    kind = Kind::Object;
  auto found = std::lower_bound(members.begin(), members.end(), name, isBefore);
  if (found == members.end() || found->name != name)
    found = members.insert(found, Member{std::string(name), Json()});
  return found->value;
}

void Json::erase(std::string_view name) {
  const auto found = std::lower_bound(members.begin(), members.end(), name, isBefore);
  if (found != members.end() && found->name == name)
    members.erase(found);
}

std::string Json::dump(bool isAscii) const {
  std::string text;
  append(text, isAscii);
  return text;
}

void Json::append(std::string &out, bool isAscii) const {
  const char *separator = "";
  switch (kind) {
  case Kind::Null: out += "null"; return;
  case Kind::Boolean: out += integer ? "true" : "false"; return;
  case Kind::Integer: out += std::to_string(integer); return;
  case Kind::Unsigned: out += std::to_string(static_cast<uint64_t>(integer)); return;
  case Kind::Float: out += scalarText(real, isAscii); return;
  case Kind::String: out += scalarText(string, isAscii); return;
  case Kind::Array:
    out += '[';
    for (const Json &element : list) {
      out += separator;
      element.append(out, isAscii);
      separator = ",";
    }
    out += ']';
    return;
  case Kind::Object:
    out += '{';
    for (const Member &member : members) {
      out += separator + scalarText(member.name, isAscii) + ":";
      member.value.append(out, isAscii);
      separator = ",";
    }
    out += '}';
  }
}

bool Json::operator==(const Json &other) const {
  if (is_number() && other.is_number()) {
    if (kind == Kind::Float || other.kind == Kind::Float)
      return get<double>() == other.get<double>();
    // Signed and not: equal if both can be.
    return integer == other.integer && (kind == other.kind || integer >= 0);
  }
  return kind == other.kind && integer == other.integer && string == other.string &&
         list == other.list && members == other.members;
}

} // namespace nysjit

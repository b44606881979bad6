// Typed access to a JSON object's fields.
#include "runtime/plan/plan_fields.h"
#include "runtime/plan/arithmetic.h"

#include <algorithm>

namespace nysjit {

Error planError(const std::string &where, const std::string &expected, const std::string &found) {
  return Error::mismatch(ErrorKind::InvalidJson, "plan." + where, expected, found);
}

std::string shown(const Json &json) {
  std::string text = json.dump();
  return text.size() > 80 ? text.substr(0, 80) + "..." : text;
}

Result<PlanFields> PlanFields::open(const Json &json, std::string where,
                                    std::initializer_list<const char *> allowed) {
  if (!json.is_object())
    return planError(where, "an object", shown(json));
  for (const auto &[key, value] : json.items())
    if (std::none_of(allowed.begin(), allowed.end(),
                     [&key = key](const char *name) { return key == name; }))
      return planError(where, "no key '" + key + "'", shown(value));
  return PlanFields(json, std::move(where));
}

Result<std::string> PlanFields::string(const char *key) const {
  const Json *found = object->find(key);
  if (!found || !found->is_string())
    return planError(at(key), "a string", !found ? "nothing" : shown(*found));
  return found->get<std::string>();
}

Result<std::string> PlanFields::name(const char *key) const {
  Result<std::string> text = string(key);
  if (text && !isSymbolName(*text))
    return planError(at(key), "a name of letters, digits and _, at most 64", "'" + *text + "'");
  return text;
}

Result<bool> PlanFields::boolean(const char *key) const {
  const Json *found = object->find(key);
  if (!found || !found->is_boolean())
    return planError(at(key), "true or false", !found ? "nothing" : shown(*found));
  return found->get<bool>();
}

Result<Expression> PlanFields::expression(const char *key) const {
  const Json *found = object->find(key);
  if (!found)
    return planError(at(key), "an expression", "nothing");
  return located(Expression::fromJson(*found), at(key));
}

Result<const Json *> PlanFields::list(const char *key, size_t atMost) const {
  const Json *found = object->find(key);
  if (!found || !found->is_array() || found->size() > atMost)
    return planError(at(key), "an array of at most " + std::to_string(atMost),
                     !found              ? "nothing"
                     : found->is_array() ? std::to_string(found->size())
                                         : shown(*found));
  return found;
}

Result<int64_t> PlanFields::number(const char *key, int64_t least, int64_t most) const {
  Result<Expression> e = expression(key);
  if (!e)
    return e.takeError();
  if (!e->isConstant() || e->constant() < least || e->constant() > most)
    return planError(at(key),
                     "a number from " + std::to_string(least) + " to " + std::to_string(most),
                     shown((*object)[key]));
  return e->constant();
}

Result<std::string> PlanFields::objectText(const char *key) const {
  const Json *found = object->find(key);
  if (!found || !found->is_object())
    return planError(at(key), "an object", !found ? "nothing" : shown(*found));
  return found->dump();
}

Result<BlockConfig> PlanFields::blockSizes(const char *key) const {
  const Json *found = object->find(key);
  Result<BlockConfig> block = parseBlockConfig(at(key), !found ? Json() : *found);
  if (block)
    return block;
  const Error error = block.takeError();
  return planError(error.where, error.expected, error.found);
}

Result<Expression> PlanFields::located(Result<Expression> parsed, const std::string &place) {
  if (parsed)
    return parsed;
  Error error = parsed.takeError();
  return planError(place, error.expected, error.found);
}

} // namespace nysjit

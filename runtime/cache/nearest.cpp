// Key texts line by line, their JSON value by value.
#include "runtime/cache/nearest.h"
#include "runtime/spec/json_text.h"

#include <map>
#include <utility>

namespace nysjit {

namespace {

/// The facts of a key text in order: a line each, but of JSON objects a value each.
std::vector<std::pair<std::string, Json>> factsOf(const std::string &keyText) {
  std::vector<std::pair<std::string, Json>> facts;
  for (const auto &[word, rest] : keyTextLines(keyText)) {
    Result<Json> value = word == "spec" || word == "config" ? parseJsonObject(rest) : Json();
    if (!value || !value->is_object()) {
      facts.emplace_back(word, rest);
      continue;
    }
    for (const auto &[key, inner] : value->items()) {
      if (!inner.is_object())
        facts.emplace_back(word + "." + key, inner);
      else
        for (const auto &[name, leaf] : inner.items())
          facts.emplace_back(word + "." + key + "." + name, leaf);
    }
  }
  return facts;
}

std::string inWords(const Json &value) {
  return value.is_null() ? "nothing" : value.is_string() ? value.text() : value.dump();
}

} // namespace

std::string KeyDifference::sentence() const {
  return field + ": " + inWords(entry) + " in the entry, " + inWords(asked) + " asked";
}

std::vector<KeyDifference> keyDifferences(const std::string &entryText,
                                          const std::string &askedText) {
  std::map<std::string, Json> there;
  for (auto &[field, value] : factsOf(entryText))
    there[field] = value;
  std::vector<KeyDifference> differences;
  for (const auto &[field, value] : factsOf(askedText)) {
    const auto found = there.find(field);
    if (found == there.end())
      differences.push_back({field, Json(), value});
    else if (!(found->second == value))
      differences.push_back({field, found->second, value});
    if (found != there.end())
      there.erase(found);
  }
  for (const auto &[field, value] : there)
    differences.push_back({field, value, Json()});
  return differences;
}

std::optional<NearestKey> nearestKey(const std::vector<std::string> &texts,
                                     const std::string &askedText) {
  std::optional<NearestKey> nearest;
  for (const std::string &text : texts) {
    std::vector<KeyDifference> differences = keyDifferences(text, askedText);
    if (!nearest || differences.size() < nearest->differences.size())
      nearest = NearestKey{text, std::move(differences)};
  }
  return nearest;
}

} // namespace nysjit

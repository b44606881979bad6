// nlohmann's parser, by its events alone (its own tree cannot be destroyed without memory). They
// also show what a tree does not: a key given twice, the place of a syntax error.
#include "runtime/spec/json_text.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace nysjit {

namespace {

constexpr std::string_view object = "a JSON object";
constexpr std::string_view array = "a JSON array";

std::string cut(std::string text) {
  constexpr size_t longest = 60;
  if (text.size() > longest)
    text = text.substr(0, longest - 3) + "...";
  return text;
}

std::string printable(std::string_view text) {
  std::string result;
  for (char c : text)
    result += c >= 0x20 && c < 0x7f ? c : '?';
  return result;
}

/// "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without the bracket, and
/// without the middle where the text it quotes is long.
std::string describeFailure(const nlohmann::json::exception &error) {
  std::string text = printable(error.what());
  if (size_t end = text.find("] "); text.starts_with("[") && end != std::string::npos)
    text = text.substr(end + 2);
  constexpr size_t head = 160;
  constexpr size_t tail = 80;
  if (text.size() > head + tail)
    text = text.substr(0, head) + "..." + text.substr(text.size() - tail);
  return text;
}

/// The handler of the parser's events: builds the tree. A handler returning false stops the parser;
/// `failure` then says why.
class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
public:
  /// `what`: the text holds "a JSON object" or "a JSON array".
  TreeBuilder(int most, std::string_view what) : deepest(most), expected(what) {}
  std::optional<Error> failure;
  Json tree; // when the parser is done

  bool null() override { return scalar(Json()); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(value); }
  bool number_float(number_float_t value, const string_t &) override { return scalar(value); }
  bool string(string_t &value) override { return scalar(std::move(value)); }
  bool binary(binary_t &) override { return scalar(Json()); } // JSON text has none
  bool start_object(size_t) override { return open(true); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(false); }
  bool end_array() override { return close(); }

  bool key(string_t &name) override {
    pendingKey = name;
    stack.back().name = name;
    if (stack.back().names.insert(name).second)
      return true;
    failure = Error::mismatch(ErrorKind::InvalidKey, describeName(name),
                              "the key once in its object", "it twice");
    return false;
  }

  bool parse_error(size_t, const std::string &, const nlohmann::json::exception &error) override {
    std::string found = describeFailure(error);
    // Exception 406: a number too large for a double, well-formed otherwise.
    if (pendingKey && error.id == 406)
      failure = Error::mismatch(ErrorKind::InvalidKey, describeName(*pendingKey), "a finite number",
                                found);
    else if (pendingKey)
      failure =
          Error::mismatch(ErrorKind::InvalidJson, describeName(*pendingKey), "a JSON value", found);
    else
      failure = Error::mismatch(ErrorKind::InvalidJson, "JSON", std::string(expected), found);
    return false;
  }

private:
  /// An object or array whose end is not read yet.
  struct Open {
    bool isObject;
    std::set<std::string> names; // an object's, so far
    std::string name;            // of the value that is read next
    std::vector<Json::Member> members;
    std::vector<Json> elements;
  };

  void add(Json value) {
    if (stack.empty())
      tree = std::move(value);
    else if (Open &top = stack.back(); top.isObject)
      top.members.push_back({top.name, std::move(value)});
    else
      top.elements.push_back(std::move(value));
  }

  bool scalar(Json value) {
    pendingKey.reset();
    if (!isInside())
      return false;
    add(std::move(value));
    return true;
  }

  bool open(bool isObject) {
    pendingKey.reset();
    if (stack.empty() && isObject != (expected == object))
      return isInside();
    stack.push_back({.isObject = isObject});
    if (stack.size() <= size_t(deepest))
      return true;
    failure = Error::mismatch(ErrorKind::InvalidJson, "JSON",
                              "values nested at most " + std::to_string(deepest) + " deep",
                              "deeper nesting");
    return false;
  }

  bool close() {
    Open done = std::move(stack.back());
    stack.pop_back();
    add(done.isObject ? Json::object(std::move(done.members))
                      : Json::array(std::move(done.elements)));
    return true;
  }

  /// Another value outside any object is not what a file may hold.
  bool isInside() {
    if (stack.empty())
      failure = Error::mismatch(ErrorKind::InvalidJson, "JSON", std::string(expected),
                                std::string("a JSON value that is no ") +
                                    (expected == object ? "object" : "array"));
    return !stack.empty();
  }

  int deepest;
  std::string_view expected;
  std::vector<Open> stack;
  std::optional<std::string> pendingKey; // the key whose value is being read
};

Result<Json> parse(std::string_view text, int deepest, std::string_view expected) {
  const auto wrong = [&](std::string found) {
    return Error::mismatch(ErrorKind::InvalidJson, "JSON", std::string(expected), std::move(found));
  };
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return wrong("an empty text");
  // The parser takes a NUL byte for the text's end.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
    return wrong("a NUL byte after " + std::to_string(nul) + " bytes");
  TreeBuilder builder(deepest, expected);
  if (!nlohmann::json::sax_parse(text, &builder) || builder.failure)
    return builder.failure ? *builder.failure
                           : Error::plain(ErrorKind::InvalidJson, "JSON", "JSON: cannot be read");
  return std::move(builder.tree);
}

} // namespace

Result<Json> parseJsonObject(std::string_view text, int deepest) {
  return parse(text, deepest, object);
}

Result<Json> parseJsonArray(std::string_view text) { return parse(text, maxJsonDepth, array); }

std::string describeJson(const Json &value) {
  if (value.is_array())
    return "an array";
  if (value.is_object())
    return "an object";
  return cut(value.dump(/*isAscii=*/true));
}

std::string describeName(std::string_view name) {
  return name.empty() ? "''" : cut(printable(name)); // the empty key is one, too
}

} // namespace nysjit

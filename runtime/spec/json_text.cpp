// A first pass over the text's events finds what a tree no longer shows (a key given twice, the
// place of a syntax error) and bounds the nesting; only then the tree is built.
#include "runtime/spec/json_text.h"

#include <set>
#include <vector>

namespace nysjit {

using json = nlohmann::json;

namespace {

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
std::string describeFailure(const json::exception &error) {
  std::string text = printable(error.what());
  if (size_t end = text.find("] "); text.starts_with("[") && end != std::string::npos)
    text = text.substr(end + 2);
  constexpr size_t head = 160;
  constexpr size_t tail = 80;
  if (text.size() > head + tail)
    text = text.substr(0, head) + "..." + text.substr(text.size() - tail);
  return text;
}

/// The event handler of the first pass. A handler returning false stops the parser; `failure` then
/// says why.
class TextCheck : public nlohmann::json_sax<json> {
public:
  std::optional<Error> failure;

  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(number_integer_t) override { return scalar(); }
  bool number_unsigned(number_unsigned_t) override { return scalar(); }
  bool number_float(number_float_t, const string_t &) override { return scalar(); }
  bool string(string_t &) override { return scalar(); }
  bool binary(binary_t &) override { return scalar(); }
  bool start_object(size_t) override { return open(true); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(false); }
  bool end_array() override { return close(); }

  bool key(string_t &name) override {
    pendingKey = name;
    if (keys.back().insert(name).second)
      return true;
    failure = Error::mismatch(ErrorKind::InvalidKey, describeName(name),
                              "the key once in its object", "it twice");
    return false;
  }

  bool parse_error(size_t, const std::string &, const json::exception &error) override {
    std::string found = describeFailure(error);
    // Exception 406: a number too large for a double, well-formed otherwise.
    if (pendingKey && error.id == 406)
      failure = Error::mismatch(ErrorKind::InvalidKey, describeName(*pendingKey), "a finite number",
                                found);
    else if (pendingKey)
      failure =
          Error::mismatch(ErrorKind::InvalidJson, describeName(*pendingKey), "a JSON value", found);
    else
      failure = Error::mismatch(ErrorKind::InvalidJson, "JSON", "a JSON object", found);
    return false;
  }

private:
  bool scalar() {
    pendingKey.reset();
    return isInside();
  }

  bool open(bool isObject) {
    pendingKey.reset();
    if (keys.empty() && !isObject)
      return isInside();
    keys.emplace_back(); // an array has an entry too, which stays empty
    if (keys.size() <= size_t(maxJsonDepth))
      return true;
    failure = Error::mismatch(ErrorKind::InvalidJson, "JSON",
                              "values nested at most " + std::to_string(maxJsonDepth) + " deep",
                              "deeper nesting");
    return false;
  }

  bool close() {
    keys.pop_back();
    return true;
  }

  /// A value outside any object is not what a file may hold.
  bool isInside() {
    if (keys.empty())
      failure = Error::mismatch(ErrorKind::InvalidJson, "JSON", "a JSON object",
                                "a JSON value that is no object");
    return !keys.empty();
  }

  std::vector<std::set<std::string>> keys;
  std::optional<std::string> pendingKey; // the key whose value is being read
};

} // namespace

Result<json> parseJsonObject(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return Error::mismatch(ErrorKind::InvalidJson, "JSON", "a JSON object", "an empty text");
  // The parser takes a NUL byte for the text's end.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
    return Error::mismatch(ErrorKind::InvalidJson, "JSON", "a JSON object",
                           "a NUL byte after " + std::to_string(nul) + " bytes");
  TextCheck check;
  if (!json::sax_parse(text, &check) || check.failure)
    return check.failure ? *check.failure
                         : Error::plain(ErrorKind::InvalidJson, "JSON", "JSON: cannot be read");
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object())
    return Error::mismatch(ErrorKind::InvalidJson, "JSON", "a JSON object", describeJson(value));
  return value;
}

std::string describeJson(const json &value) {
  if (value.is_array())
    return "an array";
  if (value.is_object())
    return "an object";
  if (value.is_discarded() || value.is_binary())
    return "no JSON value";
  return cut(value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace));
}

std::string describeName(std::string_view name) { return cut(printable(name)); }

} // namespace nysjit

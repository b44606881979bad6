// Reading a JSON object key by key: each is known, of its type and within its range, or the error
// names it by its path, `shapes[1].length`.
#pragma once
#include "runtime/base/json.h"
#include "runtime/base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace nysjit::tune {

Error keyError(const std::string &where, std::string expected, std::string found);
/// An error of the library about a part of a document, under its path there.
Error errorUnder(const std::string &path, const Error &error);
/// "shapes[1]"
std::string element(const std::string &path, size_t index);

/// One object of a document. `path` is "" for the whole document.
class Keys {
public:
  Keys(const Json &object, std::string path) : object(object), path(std::move(path)) {}

  /// It is an object, and has no key but these.
  Status check(std::span<const char *const> names) const;
  const Json *find(const char *name) const { return object.find(name); }
  /// "shapes[1].length"
  std::string pathOf(const std::string &name) const {
    return path.empty() ? name : path + "." + name;
  }

  // Each sets its target if the key is there, and leaves it as it is otherwise.
  Status integer(const char *name, int64_t least, int64_t most, int64_t &target) const;
  Status integer(const char *name, int64_t least, int64_t most, int &target) const;
  Status number(const char *name, double least, double most, double &target) const;
  Status boolean(const char *name, bool &target) const;
  Status text(const char *name, std::string &target) const;
  /// An array of `least` to `most` elements; null where the key is absent.
  Result<const Json *> array(const char *name, size_t least, size_t most) const;

private:
  const Json &object;
  std::string path;
};

} // namespace nysjit::tune

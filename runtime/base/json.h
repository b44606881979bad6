// Json: a JSON value that may be built, copied and destroyed while memory runs out. nlohmann's
// destructor allocates (it flattens the tree into a vector), so that there a std::bad_alloc ends
// the process; here destruction only frees. Names are nlohmann's. Text is read by parseJsonObject
// (runtime/spec/json_text.h), which bounds the nesting that destruction recurses over.
#pragma once
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nysjit {

class Json {
public:
  /// A name and its value; at the end of this file, where Json is whole.
  struct Member;

  Json(); // null
  Json(const Json &other);
  Json(Json &&other) noexcept;
  Json &operator=(const Json &other);
  Json &operator=(Json &&other) noexcept;
  ~Json();
  Json(bool value);
  Json(double value);
  template <std::integral T> Json(T value); // bool has its own
  Json(std::string value);
  Json(const char *value);
  /// An object: {{"name", value}, ...}.
  Json(std::initializer_list<Member> members);
  /// The names are all different.
  static Json object(std::vector<Member> members);
  static Json object();
  static Json array(std::vector<Json> elements = {});

  bool is_null() const { return kind == Kind::Null; }
  bool is_boolean() const { return kind == Kind::Boolean; }
  bool is_number_unsigned() const { return kind == Kind::Unsigned; }
  bool is_number_integer() const { return kind == Kind::Integer || kind == Kind::Unsigned; }
  bool is_number() const { return is_number_integer() || kind == Kind::Float; }
  bool is_string() const { return kind == Kind::String; }
  bool is_array() const { return kind == Kind::Array; }
  bool is_object() const { return kind == Kind::Object; }

  /// The value of a kind that was asked for above; a number as any number.
  template <typename T> T get() const {
    if constexpr (std::same_as<T, std::string>)
      return string;
    else if (kind == Kind::Float)
      return static_cast<T>(real);
    else if (kind == Kind::Unsigned)
      return static_cast<T>(static_cast<uint64_t>(integer));
    else
      return static_cast<T>(integer);
  }
  const std::string &text() const { return string; }

  /// Elements of an array, members of an object, 1 of a scalar, 0 of null.
  size_t size() const;
  bool empty() const { return size() == 0; }
  const std::vector<Json> &elements() const { return list; }
  const Json &operator[](size_t index) const { return elements()[index]; }
  void push_back(Json element);

  /// An object's members in the order of their names.
  const std::vector<Member> &items() const { return members; }
  /// Null if this is no object or has no such member.
  const Json *find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  /// The member, null if there is none.
  const Json &operator[](const char *name) const;
  /// The member, made if there is none; of null, an object is made.
  Json &operator[](std::string_view name);
  Json &operator[](const char *name) { return (*this)[std::string_view(name)]; }
  void erase(std::string_view name);

  /// One line, names sorted, numbers in their shortest form. What is no UTF-8 becomes U+FFFD; with
  /// `isAscii` all but ASCII is escaped.
  std::string dump(bool isAscii = false) const;
  /// By value: 1 and 1.0 are equal.
  bool operator==(const Json &other) const;

private:
  enum class Kind { Null, Boolean, Integer, Unsigned, Float, String, Array, Object };
  explicit Json(Kind which);
  void append(std::string &out, bool isAscii) const;

  // Side by side, not a std::variant: that of GCC 12 destroys what it could not copy.
  Kind kind = Kind::Null;
  int64_t integer = 0; // a boolean's, too; an unsigned number's bits
  double real = 0;
  std::string string;
  std::vector<Json> list;
  std::vector<Member> members;
};

struct Json::Member {
  std::string name;
  Json value;
  bool operator==(const Member &) const = default;
};

inline Json::Json() = default;
inline Json::Json(const Json &other) = default;
inline Json::Json(Json &&other) noexcept = default;
inline Json &Json::operator=(const Json &other) = default;
inline Json &Json::operator=(Json &&other) noexcept = default;
inline Json::~Json() = default;
inline Json::Json(Kind which) : kind(which) {}
inline Json::Json(bool value) : kind(Kind::Boolean), integer(value) {}
inline Json::Json(double value) : kind(Kind::Float), real(value) {}
inline Json::Json(std::string value) : kind(Kind::String), string(std::move(value)) {}
inline Json::Json(const char *value) : kind(Kind::String), string(value) {}
template <std::integral T>
Json::Json(T value)
    : kind(std::is_signed_v<T> ? Kind::Integer : Kind::Unsigned),
      integer(static_cast<int64_t>(value)) {}
inline void Json::push_back(Json element) { list.push_back(std::move(element)); }

} // namespace nysjit

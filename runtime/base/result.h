// Result<T>: a value or an Error, the one error idiom of runtime/ (style: nothing here throws,
// exits or prints). An Error says what was expected, what was found and where; the CLI prints it,
// the C API keeps it per thread.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace nysjit {

/// What went wrong, coarsely. `isRequestError` splits the kinds into the contract's exit codes 2
/// and 1.
enum class ErrorKind {
  InvalidJson, // the text is not JSON, or not an object
  // a JSON key is unknown, missing, not used by the layout, of a wrong type or out of range
  InvalidKey,
  InvalidArgument, // a flag or an API argument
  InvalidFile,     // a tensor file that cannot be read as asked
  InvalidShape,    // a tensor's rank, shape, dtype or stride; a precondition of the program
  UnknownDevice,   // a device or target name that does not exist
  Unavailable,     // it exists, but not on this machine
  CompileFailed,   // the compiler refused, crashed, was killed or ran out of time
  CheckFailed,     // --check over its bound
  Io,              // the operating system refused a file, memory or process
  Cancelled,       // the host asked for its end
};

struct Error {
  ErrorKind kind = ErrorKind::Io;
  std::string where;    // the key, flag, argument or file
  std::string expected; // in words: "an integer, 16 to 256, multiple of 8"
  std::string found;    // in words: "20"
  std::string message;  // the whole sentence for a person

  /// "where: expected X, found Y" as the message, the usual form.
  static Error mismatch(ErrorKind kind, std::string where, std::string expected, std::string found);
  /// A sentence that has no expected and found.
  static Error plain(ErrorKind kind, std::string where, std::string message);
};

/// "invalid_key" and so on: the `kind` of the contract's error object.
const char *kindName(ErrorKind kind);
/// The reverse; nothing if the name is unknown.
std::optional<ErrorKind> kindFromName(const std::string &name);
/// True: the request is wrong (exit 2). False: it could not be done here (exit 1).
bool isRequestError(ErrorKind kind);

template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : state(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return state.index() == 0; }
  explicit operator bool() const { return ok(); }
  T &value() { return std::get<0>(state); }
  const T &value() const { return std::get<0>(state); }
  T &operator*() { return value(); }
  const T &operator*() const { return value(); }
  T *operator->() { return &value(); }
  const T *operator->() const { return &value(); }
  const Error &error() const { return std::get<1>(state); }
  Error takeError() { return std::move(std::get<1>(state)); }

private:
  std::variant<T, Error> state;
};

/// Success or an Error.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Error error) : failure(std::move(error)) {}
  bool ok() const { return !failure; }
  explicit operator bool() const { return ok(); }
  const Error &error() const { return *failure; }
  Error takeError() { return std::move(*failure); }

private:
  std::optional<Error> failure;
};

/// Returns the error of a Status or Result expression from the enclosing function.
#define NYSJIT_RETURN_IF_ERROR(expression)                                                         \
  do {                                                                                             \
    if (auto &&nysjitStatus = (expression); !nysjitStatus.ok())                                    \
      return nysjitStatus.takeError();                                                             \
  } while (false)

} // namespace nysjit

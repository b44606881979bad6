// Files of the command: texts in, results out. A result appears whole under its name or not at all,
// where the file system lets it.
#pragma once
#include "runtime/base/result.h"

#include <optional>
#include <string>
#include <sys/types.h>

namespace nysjit::cli {

/// Reads a whole file of at most 1 GiB. `flag` names the argument the path came from.
Result<std::string> readFile(const std::string &flag, const std::string &path);

/// "-" and the names that the system has for standard output.
bool isStandardOutput(const std::string &path);

/// A result's file. It is written aside, in its folder, then given its name; a failure leaves what
/// was there, and nothing beside it. A link stays and what it names is written, whether that is
/// there yet or not; a file that is there keeps its mode, its owner and its other names, a new one
/// follows the umask. Where nothing can be put aside (a device, a pipe, a file with other names, or
/// in a folder that may not be written), the file itself is written.
class OutputFile {
public:
  /// Looks at folder and file, so that one that is absent or may not be written is known before any
  /// work.
  static Result<OutputFile> create(const std::string &flag, const std::string &path);
  /// Writes the whole file.
  Status write(const std::string &bytes) const;
  bool isStandardOutput() const { return place == Place::StandardOutput; }
  /// Would what one writes end up in place of what the other wrote?
  bool replaces(const OutputFile &other) const;

private:
  enum class Place {
    Aside,         // beside the file, which is then replaced
    File,          // the file itself, emptied
    Stream,        // a device or a pipe
    StandardOutput // wherever that goes on
  };
  bool writeAside(const std::string &bytes, int &failure) const;
  int writeInPlace(const std::string &bytes) const;

  std::string flag;
  std::string given;
  std::string path; // symbolic links followed
  Place place = Place::Aside;
  bool isNew = true;
  mode_t mode = 0; // of a file that is there
  uid_t owner = 0;
  gid_t group = 0;
};

/// The file of --svg, where it was given.
Result<std::optional<OutputFile>> pictureFile(const std::optional<std::string> &path);

/// Writes to standard output, all or an error.
Status writeStandardOutput(const std::string &text);
/// Is this the error of writeStandardOutput where the reader went away?
bool isReaderGone(const Error &error);

} // namespace nysjit::cli

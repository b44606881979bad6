// Files of the command: texts in, results out. A result appears whole under its name or not at all.
#pragma once
#include "runtime/base/result.h"

#include <string>

namespace nysjit::cli {

/// Reads a whole file of at most 1 GiB. `flag` names the argument the path came from.
Result<std::string> readFile(const std::string &flag, const std::string &path);

/// A result's file: written aside, in the folder of `path`, then given its name. Where `path` names
/// something that is no regular file (/dev/null, a pipe), it is written in place. A failure leaves
/// what was there, and nothing beside it.
class OutputFile {
public:
  /// Looks at folder and file, so that one that is absent or may not be written is known before any
  /// work.
  static Result<OutputFile> create(const std::string &flag, const std::string &path);
  /// Writes the whole file.
  Status write(const std::string &bytes) const;

private:
  std::string flag;
  std::string path; // path: symbolic links followed
  bool isInPlace = false;
};

/// Writes to standard output, all or an error.
Status writeStandardOutput(const std::string &text);

} // namespace nysjit::cli

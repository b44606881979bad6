// Files of the command: texts in, results out. A result appears whole under its name or not at all.
#pragma once
#include "runtime/base/result.h"

#include <string>

namespace nysjit::cli {

/// Reads a whole file of at most 1 GiB. `flag` names the argument the path came from.
Result<std::string> readFile(const std::string &flag, const std::string &path);

/// A file being written aside, in the folder of `path`, until commit() gives it its name. Where `path` names something
/// that is no regular file (/dev/null, a pipe), it is written in place. Without commit() nothing remains.
class OutputFile {
public:
  /// Opens it, so that a folder that is absent or may not be written is known before any work.
  static Result<OutputFile> create(const std::string &flag, const std::string &path);
  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  /// The file to write: a new, empty one.
  const std::string &writePath() const { return aside.empty() ? path : aside; }
  /// Writes all bytes.
  Status write(const std::string &bytes);
  Status commit();

private:
  OutputFile(std::string path, std::string aside, int descriptor);
  std::string path, aside; // aside is empty where it is written in place, and after commit
  int descriptor = -1;
};

/// Writes to standard output, all or an error.
Status writeStandardOutput(const std::string &text);

} // namespace nysjit::cli

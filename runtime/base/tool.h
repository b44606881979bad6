// Running a program of the toolkit: files in a folder of its own, its words, its end, a time limit.
#pragma once
#include "runtime/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace nysjit {

/// A new private folder in one of temporaryPlaces(), removed with the files in it at the end.
class ScratchFolder {
public:
  static Result<ScratchFolder> create();
  /// To be called before other threads are there: gives the names of this process's folders, and of
  /// those that it forks, a part that no other process's have.
  static void setApart();
  /// Removes what a process with those names left behind. Nothing without setApart.
  static void removeLeft();
  ScratchFolder(ScratchFolder &&other) noexcept : path(std::exchange(other.path, "")) {}
  ScratchFolder &operator=(ScratchFolder &&) = delete;
  ~ScratchFolder();

  const std::string &name() const { return path; }
  Status write(const std::string &file, std::string_view bytes) const;
  Result<std::string> read(const std::string &file) const;

private:
  explicit ScratchFolder(std::string folder) : path(std::move(folder)) {}
  std::string path;
};

/// How a process ended, of wait()'s status: "exited with status 1", "was killed by signal 9
/// (Killed)".
std::string endingText(int status);

struct ToolOutcome {
  bool isDone = false; // exited with status 0
  // "exited with status 1", "was killed by signal 9 (Killed)", "took longer than 100 ms"
  std::string ending;
  std::string words; // its output and errors, as they came
};

/// Runs `path` in `folder`, which holds its words meanwhile, with nothing to read. Past the limit
/// it is killed, with all of its process group; so it is when the calling thread ends. Any thread;
/// leaves no child behind. Io if it cannot be started.
Result<ToolOutcome> runTool(const std::string &path, const std::vector<std::string> &arguments,
                            const ScratchFolder &folder, int limitMs);

} // namespace nysjit

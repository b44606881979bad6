// The journal of a tune, beside TUNE.json: JSON lines, only ever appended, so that what ends a tune
// costs the measurements that were under way and no more. While it is open it is locked.
//
// Kinds of lines, in the order in which a tune of one spec with one number of threads writes them:
//   session    the spec and the place; what follows is about it, up to the next session
//   candidate  one was compiled and checked, or why it cannot be used
//   round      times of all arms at one shape: "0" and "0'" are the default's, by group
//   group      what the rounds say of a group; one line of each of `of` groups, all or none
//   verify     the choice against the default, in fresh pairs
//   done       the verdict, and the entry of configs.json
#pragma once
#include "runtime/base/descriptor.h"
#include "runtime/base/json.h"
#include "runtime/base/result.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit::tune {

enum class JournalStart {
  New,     // begins one, in place of one that came to its end or has no measurements
  Resume,  // goes on where one stopped, if there is one
  Restart, // begins anew whatever is there
};

class Journal {
public:
  /// Opens and locks. What follows the last whole line is cut off. Unavailable where another line
  /// is damaged, by its number; where another process has it (which, and since when); where it is
  /// unfinished, has measurements, and a new one was asked for. Io where it cannot be written.
  static Result<std::unique_ptr<Journal>> open(const std::string &path, JournalStart start);

  /// The lines there were, without those of rounds that no group's line followed.
  const std::vector<Json> &lines() const { return old; }
  /// Appends lines in one write; a failure leaves none of them. `isVerdict`: they are on the disk
  /// when it returns.
  Status append(const std::vector<Json> &lines, bool isVerdict = false);
  const std::string &name() const { return path; }

private:
  Journal(std::string path, Descriptor file) : path(std::move(path)), file(std::move(file)) {}
  Status lock();
  Status read();
  Status cutOff(size_t size);
  Error failed(const char *what) const;

  std::string path;
  Descriptor file;
  std::vector<Json> old;
};

/// A journal's text, whoever writes it: its whole lines, with the rounds of groups that came to
/// their end and those after the last line that is none, which are under way. The error of a
/// damaged line is Journal::open's.
Result<std::vector<Json>> readJournal(std::string_view text, const std::string &path);

// Members of a line, whatever it is: "" and `otherwise` where there is no such text or number.
std::string textOf(const Json &line, const char *name);
double numberOf(const Json &line, const char *name, double otherwise = 0);

} // namespace nysjit::tune

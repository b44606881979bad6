// ProgramSource: where compiled programs may be found. A context asks its sources one after the
// other; the first that has the program gives it, and if none has, it is compiled.
#pragma once
#include "runtime/cache/entry.h"
#include "runtime/cache/key.h"
#include "runtime/cache/lock.h"

#include <optional>
#include <string>
#include <vector>

namespace nysjit {

enum class EntryState {
  Whole,
  Absent,
  Damaged,     // not what was written, or no regular file
  OtherFormat, // of another version of nysjit
  Unreadable,  // the system refused
  NotTrusted,  // another user could have written it, or the folder it lies in
};
/// "whole", "absent", "damaged", "other_format", "unreadable", "not_trusted"
const char *entryStateName(EntryState state);
/// The same for a person, with the reason: "not trusted (writable by its group)"
std::string entryStateText(EntryState state, const std::string &reason);

/// An entry, or why there is none.
struct EntryRead {
  EntryState state = EntryState::Absent;
  std::string reason; // in words, unless whole or absent: "Permission denied"
  std::optional<CacheEntry> entry;
  InUse inUse; // to be kept while the program is
};

class ProgramSource {
public:
  virtual ~ProgramSource() = default;
  /// The program of this request by this maker. A source may know better than the maker who is
  /// asked for, e.g. because there is no compiler here; never than the request. Any thread.
  virtual EntryRead find(const ProgramKey &key) = 0;
  /// The key texts of all that it has, for `nearestKey`.
  virtual std::vector<std::string> keyTexts() const = 0;
};

} // namespace nysjit

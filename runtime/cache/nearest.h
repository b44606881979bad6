// Why a program is not there: the entry that is nearest to what was asked, and what differs.
#pragma once
#include "runtime/base/json.h"
#include "runtime/cache/key.h"

#include <optional>
#include <string>
#include <vector>

namespace nysjit {

/// One fact of the key text that differs. `field` is its word, for the spec and the config a key of
/// theirs ("spec.segment_len", "config.causal_output.block_m"); null where there is none.
struct KeyDifference {
  std::string field;
  Json entry;
  Json asked;
  /// "spec.segment_len: 64 in the entry, 16 asked"
  std::string sentence() const;
};

/// All differences, in the order of the key text.
std::vector<KeyDifference> keyDifferences(const std::string &entryText,
                                          const std::string &askedText);

struct NearestKey {
  std::string keyText;
  std::vector<KeyDifference> differences;
};

/// The one of `texts` with the fewest differences, of equal ones the first; nothing if there are
/// none.
std::optional<NearestKey> nearestKey(const std::vector<std::string> &texts,
                                     const std::string &askedText);

} // namespace nysjit

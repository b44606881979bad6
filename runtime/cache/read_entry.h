// Reading one entry out of an open folder. Internal to cache/.
#pragma once
#include "runtime/cache/program_source.h"

namespace nysjit {

enum class EntryUse { Look, Run };

/// The whole entry, checked: who could have written it, checksum, format, key. To run it marks it
/// as used: now, and while EntryRead::inUse lives.
EntryRead readEntry(const OpenFolder &folder, const std::string &key, EntryUse use);

/// Its key text alone, of which the key is the hash; nothing unless the entry may be believed.
std::optional<std::string> readKeyText(const OpenFolder &folder, const std::string &key);

/// A small file that may be believed; "" if there is none.
std::string readTrusted(const OpenFolder &folder, const std::string &name);

} // namespace nysjit

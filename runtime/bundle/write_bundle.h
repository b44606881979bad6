// A bundle's bytes.
#pragma once
#include "runtime/cache/entry.h"

#include <string>
#include <vector>

namespace nysjit {

/// A bundle of these programs, in the order of their requests; of equal requests the first. The
/// same programs give the same bytes. `version` is this nysjit's.
std::string bundleToBytes(std::vector<CacheEntry> entries, const std::string &version);

/// C source of the bytes: the array nysjit_bundle, and nysjit_bundle_size. `comment` stands in its
/// first line.
std::string bundleToC(const std::string &bytes, const std::string &comment);

} // namespace nysjit

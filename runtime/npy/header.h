// The header of a .npy file: a Python dictionary, read by a small scanner.
#pragma once
#include "runtime/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit {

struct NpyHeader {
  std::string dtype; // NpyArray's
  std::vector<int64_t> shape;
  int64_t elementBytes = 0;
  int64_t bytes = 0; // of all elements
  bool isBigEndian = false;
  bool isFortran = false; // the first index is the fastest
};

/// InvalidFile with `where`, what was expected and what was found.
Result<NpyHeader> parseNpyHeader(std::string_view header, const std::string &where);
/// The 'descr' of a dtype, little endian; "|V1" for one there is not.
const char *npyDescr(std::string_view dtype);

} // namespace nysjit

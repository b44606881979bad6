// .npy files: the numpy array format, versions 1.0 to 3.0. Arrays are held in C order and little
// endian, whatever the file's order. Whatever a file claims, nothing is allocated that the file
// does not hold, and every fault is an Error that says what was expected and found.
#pragma once
#include "runtime/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit {

struct NpyArray {
  // "float16", "float32", "float64", "bfloat16", "int32", "int64". numpy has no bfloat16: packages
  // that add it (ml_dtypes) write elements of two bytes of no type, '<V2', which are taken for it.
  std::string dtype;
  std::vector<int64_t> shape; // [] for a scalar
  std::string bytes;          // little endian, C order

  int64_t elements() const;
  /// Elements as float64 / int64; only for floating / integer dtypes.
  std::vector<double> toDouble() const;
  std::vector<int64_t> toInt64() const;
  bool isFloating() const { return dtype.find("float") != std::string::npos; }
};

/// Reads a file, which may be a pipe. ErrorKind::InvalidFile, `where` the path, if it is absent,
/// damaged or of another kind.
Result<NpyArray> readNpy(const std::string &path);
/// The same from an open file, from where it stands to its end; `where` names it in messages.
Result<NpyArray> readNpy(int descriptor, const std::string &where);
/// The same from a file's bytes.
Result<NpyArray> parseNpy(std::string_view file, const std::string &where);
/// A file's bytes, version 1.0.
std::string formatNpy(const NpyArray &array);
/// Writes aside and renames: a failure leaves nothing at `path`, or what was there.
Status writeNpy(const std::string &path, const NpyArray &array);

} // namespace nysjit

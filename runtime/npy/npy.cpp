// Reading: magic, header length, the header's Python dictionary by a small scanner, then the data,
// whose size must match.
#include "runtime/npy/npy.h"

#include "runtime/npy/half.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace nysjit {

namespace {

struct DtypeRow {
  const char *name;
  const char *descr;
  int64_t bytes;
};
constexpr std::array<DtypeRow, 5> dtypes = {{{"float16", "<f2", 2},
                                             {"float32", "<f4", 4},
                                             {"float64", "<f8", 8},
                                             {"int32", "<i4", 4},
                                             {"int64", "<i8", 8}}};

const DtypeRow *dtypeNamed(std::string_view name) {
  for (const DtypeRow &row : dtypes)
    if (name == row.name)
      return &row;
  return nullptr;
}

Error invalid(const std::string &where, const std::string &expected, const std::string &found) {
  return Error::mismatch(ErrorKind::InvalidFile, where, expected, found);
}

/// Printable part of a header, for messages.
std::string quoted(std::string_view text) {
  std::string result = "'";
  for (char c : text.substr(0, 40))
    result += c >= 32 && c < 127 ? c : '?';
  return result + (text.size() > 40 ? "...'" : "'");
}

/// What follows 'key': in the header's dictionary.
std::optional<std::string_view> valueOf(std::string_view header, const std::string &key) {
  for (char quote : {'\'', '"'}) {
    const std::string name = quote + key + quote;
    size_t at = header.find(name);
    if (at == std::string_view::npos)
      continue;
    at = header.find_first_not_of(" \t", at + name.size());
    if (at == std::string_view::npos || header[at] != ':')
      continue;
    at = header.find_first_not_of(" \t", at + 1);
    if (at != std::string_view::npos)
      return header.substr(at);
  }
  return std::nullopt;
}

/// "(2, 3, )" as numbers.
std::optional<std::vector<int64_t>> parseShape(std::string_view text) {
  if (text.empty() || text[0] != '(')
    return std::nullopt;
  std::vector<int64_t> shape;
  size_t at = 1;
  while (true) {
    at = text.find_first_not_of(" \t", at);
    if (at == std::string_view::npos)
      return std::nullopt;
    if (text[at] == ')')
      return shape;
    int64_t number = 0;
    const size_t start = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
      if (__builtin_mul_overflow(number, int64_t(10), &number) ||
          __builtin_add_overflow(number, int64_t(text[at] - '0'), &number))
        return std::nullopt;
    if (at == start || shape.size() == 32)
      return std::nullopt;
    shape.push_back(number);
    at = text.find_first_not_of(" \tL", at);
    if (at != std::string_view::npos && text[at] == ',')
      ++at;
    else if (at == std::string_view::npos || text[at] != ')')
      return std::nullopt;
  }
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

} // namespace

/// The dtype that a header's value `descr` names.
static Result<const DtypeRow *> dtypeOf(std::optional<std::string_view> descr,
                                        std::string_view header, const std::string &where) {
  if (!descr || descr->size() < 4 || ((*descr)[0] != '\'' && (*descr)[0] != '"'))
    return invalid(where, "a header with a 'descr'", quoted(header));
  const size_t close = descr->find((*descr)[0], 1);
  const std::string_view type =
      close == std::string_view::npos ? std::string_view() : descr->substr(1, close - 1);
  for (const DtypeRow &known : dtypes)
    if (type == known.descr)
      return &known;
  return invalid(where, "little-endian float16, float32, float64, int32 or int64",
                 "dtype " + quoted(type));
}

Result<NpyArray> parseNpy(std::string_view file, const std::string &where) {
  constexpr std::string_view magic = "\x93NUMPY";
  if (file.size() < 10 || file.substr(0, 6) != magic)
    return invalid(where, "a .npy file",
                   file.empty() ? "an empty file" : "other bytes at its start");
  const int version = static_cast<unsigned char>(file[6]);
  if (version < 1 || version > 3 || (version > 1 && file.size() < 12))
    return invalid(where, "a .npy file of version 1 to 3", "version " + std::to_string(version));
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(file[i])); };
  const size_t start = version == 1 ? 10 : 12;
  const size_t length = version == 1 ? byte(8) | byte(9) << 8
                                     : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (length > file.size() - start)
    return invalid(where, "a header of " + std::to_string(length) + " bytes, as it says",
                   std::to_string(file.size() - start) + " bytes");
  const std::string_view header = file.substr(start, length);
  const std::string_view data = file.substr(start + length);

  NpyArray array;
  auto dtype = dtypeOf(valueOf(header, "descr"), header, where);
  NYSJIT_RETURN_IF_ERROR(dtype);
  const DtypeRow *row = *dtype;
  array.dtype = row->name;
  const auto fortran = valueOf(header, "fortran_order");
  if (!fortran || (!fortran->starts_with("False") && !fortran->starts_with("True")))
    return invalid(where, "a header with a 'fortran_order'", quoted(header));
  if (fortran->starts_with("True"))
    return invalid(where, "C order", "Fortran order");
  const auto shapeAt = valueOf(header, "shape");
  const auto shape = shapeAt ? parseShape(*shapeAt) : std::nullopt;
  if (!shape)
    return invalid(where, "a header with a 'shape' of numbers",
                   quoted(shapeAt ? *shapeAt : header));
  array.shape = *shape;

  // The data must be exactly as large as the header says, before anything is allocated for it.
  int64_t bytes = row->bytes;
  bool overflows = false;
  for (int64_t extent : array.shape)
    overflows |= __builtin_mul_overflow(bytes, extent, &bytes);
  if (overflows)
    return invalid(where, "a shape of less than 2^63 bytes",
                   shapeText(array.shape) + " of " + row->name);
  if (static_cast<uint64_t>(bytes) != data.size())
    return invalid(where,
                   std::to_string(bytes) + " bytes of data for shape " + shapeText(array.shape) +
                       " of " + row->name,
                   std::to_string(data.size()) + " bytes");
  array.bytes.assign(data);
  return array;
}

Result<NpyArray> readNpy(const std::string &path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0)
    return invalid(path, "a .npy file", std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    return invalid(path, "a .npy file", S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
  FILE *file = std::fopen(path.c_str(), "rb");
  if (!file)
    return invalid(path, "a readable .npy file", std::strerror(errno));
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  const size_t got = std::fread(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
  if (got != bytes.size())
    return invalid(path, std::to_string(bytes.size()) + " readable bytes", std::to_string(got));
  return parseNpy(bytes, path);
}

std::string formatNpy(const NpyArray &array) {
  std::string shape = "(";
  for (int64_t extent : array.shape)
    shape += std::to_string(extent) + ", ";
  if (array.shape.size() > 1)
    shape.resize(shape.size() - 2);
  const DtypeRow *row = dtypeNamed(array.dtype);
  std::string header = std::string("{'descr': '") + (row ? row->descr : "|V1") +
                       "', 'fortran_order': False, 'shape': " + shape + "), }";
  header.append(64 - (10 + header.size() + 1) % 64, ' '); // the data starts at a multiple of 64
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 255);
  file += static_cast<char>(header.size() >> 8);
  return file + header + array.bytes;
}

Status writeNpy(const std::string &path, const NpyArray &array) {
  const std::string aside = path + ".writing-" + std::to_string(getpid());
  const std::string bytes = formatNpy(array);
  FILE *file = std::fopen(aside.c_str(), "wb");
  if (!file)
    return Error::mismatch(ErrorKind::Io, path, "a file that can be written", std::strerror(errno));
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if ((std::fclose(file) == 0) & written && std::rename(aside.c_str(), path.c_str()) == 0)
    return {};
  const int reason = errno;
  unlink(aside.c_str());
  return Error::mismatch(ErrorKind::Io, path, "a file that can be written", std::strerror(reason));
}

int64_t NpyArray::elements() const {
  int64_t count = 1;
  for (int64_t extent : shape)
    count *= extent;
  return count;
}

namespace {
template <typename T> T elementAt(const std::string &bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}
} // namespace

std::vector<double> NpyArray::toDouble() const {
  std::vector<double> values(static_cast<size_t>(elements()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = dtype == "float16"   ? float16ToFloat(elementAt<uint16_t>(bytes, i))
                : dtype == "float32" ? elementAt<float>(bytes, i)
                                     : elementAt<double>(bytes, i);
  return values;
}

std::vector<int64_t> NpyArray::toInt64() const {
  std::vector<int64_t> values(static_cast<size_t>(elements()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = dtype == "int32" ? elementAt<int32_t>(bytes, i) : elementAt<int64_t>(bytes, i);
  return values;
}

} // namespace nysjit

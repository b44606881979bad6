// The keys of the dictionary are looked for by name; nothing else of Python is understood.
#include "runtime/npy/header.h"

#include <array>
#include <optional>

namespace nysjit {

namespace {

struct DtypeRow {
  const char *name;
  const char *descr; // little endian
  int64_t bytes;
};
constexpr std::array<DtypeRow, 6> dtypes = {{{"float16", "<f2", 2},
                                             {"float32", "<f4", 4},
                                             {"float64", "<f8", 8},
                                             {"bfloat16", "<V2", 2},
                                             {"int32", "<i4", 4},
                                             {"int64", "<i8", 8}}};

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

/// The dtype that the value of 'descr' names: "<f4" and the like.
Status readDtype(std::string_view text, const std::string &where, NpyHeader &header) {
  const std::optional<std::string_view> descr = valueOf(text, "descr");
  if (!descr || descr->size() < 4 || ((*descr)[0] != '\'' && (*descr)[0] != '"'))
    return invalid(where, "a header with a 'descr'", quoted(text));
  const size_t close = descr->find((*descr)[0], 1);
  const std::string_view type =
      close == std::string_view::npos ? std::string_view() : descr->substr(1, close - 1);
  const char order = type.empty() ? '\0' : type[0];
  for (const DtypeRow &known : dtypes) {
    const bool isVoid = known.descr[1] == 'V'; // which has no byte order of its own
    if (type.empty() || type.substr(1) != known.descr + 1 ||
        (order != '<' && order != (isVoid ? '|' : '>')))
      continue;
    header.dtype = known.name;
    header.elementBytes = known.bytes;
    header.isBigEndian = order == '>';
    return {};
  }
  return invalid(where, "float16, float32, float64, bfloat16 (V2), int32 or int64",
                 "dtype " + quoted(type));
}

} // namespace

Result<NpyHeader> parseNpyHeader(std::string_view text, const std::string &where) {
  NpyHeader header;
  NYSJIT_RETURN_IF_ERROR(readDtype(text, where, header));
  const std::optional<std::string_view> fortran = valueOf(text, "fortran_order");
  header.isFortran = fortran && fortran->starts_with("True");
  if (!fortran || (!header.isFortran && !fortran->starts_with("False")))
    return invalid(where, "a header with a 'fortran_order'", quoted(text));
  const auto shapeAt = valueOf(text, "shape");
  auto shape = shapeAt ? parseShape(*shapeAt) : std::nullopt;
  if (!shape)
    return invalid(where, "a header with a 'shape' of numbers", quoted(shapeAt ? *shapeAt : text));
  header.shape = std::move(*shape);
  header.bytes = header.elementBytes;
  bool overflows = false;
  for (int64_t extent : header.shape)
    overflows |= __builtin_mul_overflow(header.bytes, extent, &header.bytes);
  if (overflows)
    return invalid(where, "a shape of less than 2^63 bytes",
                   shapeText(header.shape) + " of " + header.dtype);
  return header;
}

const char *npyDescr(std::string_view dtype) {
  for (const DtypeRow &row : dtypes)
    if (dtype == row.name)
      return row.descr;
  return "|V1";
}

} // namespace nysjit

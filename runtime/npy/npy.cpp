// Reading: magic, header length, the header, then the data, whose size must match; as the bytes
// come, so that a pipe will do. Then the elements in C order and little endian.
#include "runtime/npy/npy.h"

#include "runtime/npy/half.h"
#include "runtime/npy/header.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nysjit {

namespace {

Error invalid(const std::string &where, const std::string &expected, const std::string &found) {
  return Error::mismatch(ErrorKind::InvalidFile, where, expected, found);
}

/// Where a file's bytes come from, one after the other: memory, or an open file.
class Source {
public:
  explicit Source(std::string_view memory) : memory(memory), atMost(memory.size()) {}
  explicit Source(int descriptor) : descriptor(descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode))
      atMost = static_cast<size_t>(status.st_size);
  }

  /// The next `size` bytes, fewer at the end. Memory grows with what comes, or is as large as the
  /// file, not as what is asked for.
  std::string read(size_t size) {
    constexpr size_t step = size_t(1) << 20;
    std::string bytes;
    bytes.reserve(std::min(size, std::max(atMost, size_t(1))));
    while (bytes.size() < size) {
      const size_t done = bytes.size();
      const size_t wanted = std::min(size - done, step);
      bytes.resize(done + wanted);
      const size_t got = next(bytes.data() + done, wanted);
      bytes.resize(done + got);
      if (got == 0)
        break;
    }
    return bytes;
  }
  /// Of a read that failed, else 0.
  int failure = 0;

private:
  size_t next(char *to, size_t size) {
    if (descriptor < 0) {
      const size_t got = memory.copy(to, size);
      memory.remove_prefix(got);
      return got;
    }
    ssize_t got;
    while ((got = ::read(descriptor, to, size)) < 0 && errno == EINTR) {
    }
    failure = got < 0 ? errno : 0;
    return got < 0 ? 0 : static_cast<size_t>(got);
  }

  std::string_view memory;
  int descriptor = -1;
  size_t atMost = 0; // bytes there are, where that is known
};

/// The header's dictionary.
Result<std::string> readDictionary(Source &source, const std::string &where) {
  constexpr std::string_view magic = "\x93NUMPY";
  constexpr size_t longest = size_t(1) << 20;
  std::string start = source.read(10);
  if (source.failure)
    return invalid(where, "a .npy file",
                   source.failure == EISDIR ? "a folder" : std::strerror(source.failure));
  if (start.size() < 10 || !start.starts_with(magic))
    return invalid(where, "a .npy file",
                   start.empty() ? "an empty file" : "other bytes at its start");
  const int version = static_cast<unsigned char>(start[6]);
  if (version > 1)
    start += source.read(2);
  if (version < 1 || version > 3 || (version > 1 && start.size() < 12))
    return invalid(where, "a .npy file of version 1 to 3", "version " + std::to_string(version));
  size_t length = 0;
  for (size_t i = start.size(); i-- > 8;)
    length = length << 8 | static_cast<unsigned char>(start[i]);
  if (length > longest)
    return invalid(where, "a header of at most " + std::to_string(longest) + " bytes",
                   std::to_string(length));
  std::string dictionary = source.read(length);
  if (dictionary.size() < length)
    return invalid(where, "a header of " + std::to_string(length) + " bytes, as it says",
                   std::to_string(dictionary.size()) + " bytes");
  return dictionary;
}

void reverseElements(std::string &bytes, size_t elementBytes) {
  for (size_t at = 0; at < bytes.size(); at += elementBytes)
    std::reverse(bytes.begin() + std::ptrdiff_t(at),
                 bytes.begin() + std::ptrdiff_t(at + elementBytes));
}

/// Elements whose first index is the fastest, with the last one the fastest.
std::string transposed(const std::string &from, const NpyHeader &header) {
  const size_t size = static_cast<size_t>(header.elementBytes);
  const size_t rank = header.shape.size();
  std::vector<size_t> steps(rank, size); // of each index, in `from`
  for (size_t i = 1; i < rank; ++i)
    steps[i] = steps[i - 1] * static_cast<size_t>(header.shape[i - 1]);
  std::vector<int64_t> index(rank, 0);
  std::string to(from.size(), '\0');
  size_t at = 0; // of `index`, in `from`
  for (size_t done = 0; done < to.size(); done += size) {
    std::memcpy(to.data() + done, from.data() + at, size);
    for (size_t i = rank; i-- > 0;) {
      at += steps[i];
      if (++index[i] < header.shape[i])
        break;
      at -= steps[i] * static_cast<size_t>(header.shape[i]);
      index[i] = 0;
    }
  }
  return to;
}

Result<NpyArray> readArray(Source source, const std::string &where) {
  Result<std::string> dictionary = readDictionary(source, where);
  NYSJIT_RETURN_IF_ERROR(dictionary);
  Result<NpyHeader> header = parseNpyHeader(*dictionary, where);
  NYSJIT_RETURN_IF_ERROR(header);
  // One byte more than there may be shows what is too much.
  const size_t bytes = static_cast<size_t>(header->bytes);
  std::string data = source.read(bytes + 1);
  if (source.failure)
    return invalid(where, std::to_string(bytes) + " readable bytes", std::strerror(source.failure));
  if (data.size() != bytes) {
    std::string shape;
    for (int64_t extent : header->shape)
      shape += (shape.empty() ? "" : ", ") + std::to_string(extent);
    return invalid(where,
                   std::to_string(bytes) + " bytes of data for shape [" + shape + "] of " +
                       header->dtype,
                   data.size() < bytes ? std::to_string(data.size()) + " bytes" : "more");
  }
  if (header->isBigEndian)
    reverseElements(data, static_cast<size_t>(header->elementBytes));
  if (header->isFortran && header->shape.size() > 1)
    data = transposed(data, *header);
  return NpyArray{std::move(header->dtype), std::move(header->shape), std::move(data)};
}

template <typename T> T elementAt(const std::string &bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

} // namespace

Result<NpyArray> parseNpy(std::string_view file, const std::string &where) {
  return readArray(Source(file), where);
}

Result<NpyArray> readNpy(int descriptor, const std::string &where) {
  return readArray(Source(descriptor), where);
}

Result<NpyArray> readNpy(const std::string &path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return invalid(path, "a .npy file", std::strerror(errno));
  Result<NpyArray> array = readNpy(descriptor, path);
  close(descriptor);
  return array;
}

std::string formatNpy(const NpyArray &array) {
  std::string shape = "(";
  for (int64_t extent : array.shape)
    shape += std::to_string(extent) + ", ";
  if (array.shape.size() > 1)
    shape.resize(shape.size() - 2);
  std::string header = std::string("{'descr': '") + npyDescr(array.dtype) +
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

std::vector<double> NpyArray::toDouble() const {
  std::vector<double> values(static_cast<size_t>(elements()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = dtype == "float16"    ? float16ToFloat(elementAt<uint16_t>(bytes, i))
                : dtype == "bfloat16" ? bfloat16ToFloat(elementAt<uint16_t>(bytes, i))
                : dtype == "float32"  ? elementAt<float>(bytes, i)
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

// One .xz stream (with its checksum) of names, sizes and bytes.
#include "bench/gpu_day/archive.h"

#include <fstream>
#include <iterator>
#include <lzma.h>
#include <sstream>
#include <vector>

namespace nysjit::gpu_day {

namespace {

constexpr uint32_t dictionaryBytes = uint32_t(128) << 20; // about a target's programs

Result<std::string> readAll(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return file ? Result(std::move(bytes))
              : Error::mismatch(ErrorKind::Io, path, "a file that can be read", "none");
}

Status writeAll(const std::string &path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.flush();
  return file ? Status()
              : Error::mismatch(ErrorKind::Io, path, "a file that can be written", "none");
}

/// All of `input` through a coder; false if it is not taken to its end.
bool code(lzma_stream &stream, const std::string &input, std::string &output) {
  std::vector<uint8_t> part(1 << 20);
  stream.next_in = reinterpret_cast<const uint8_t *>(input.data());
  stream.avail_in = input.size();
  lzma_ret result = LZMA_OK;
  while (result == LZMA_OK) {
    stream.next_out = part.data();
    stream.avail_out = part.size();
    result = lzma_code(&stream, LZMA_FINISH);
    output.append(reinterpret_cast<const char *>(part.data()), part.size() - stream.avail_out);
  }
  lzma_end(&stream);
  return result == LZMA_STREAM_END;
}

} // namespace

Status packFiles(const std::string &archive, const std::vector<std::string> &files) {
  std::string all;
  for (const std::string &path : files) {
    Result<std::string> bytes = readAll(path);
    NYSJIT_RETURN_IF_ERROR(bytes);
    all += path.substr(path.rfind('/') + 1) + " " + std::to_string(bytes->size()) + "\n" + *bytes;
  }
  lzma_options_lzma options;
  lzma_lzma_preset(&options, 9);
  options.dict_size = dictionaryBytes;
  const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  lzma_stream stream = LZMA_STREAM_INIT;
  std::string packed;
  if (lzma_stream_encoder(&stream, filters, LZMA_CHECK_CRC64) != LZMA_OK ||
      !code(stream, all, packed))
    return Error::plain(ErrorKind::Io, archive, archive + ": liblzma could not compress");
  return writeAll(archive, packed);
}

Status unpackFiles(const std::string &archive, const std::string &folder) {
  Result<std::string> packed = readAll(archive);
  NYSJIT_RETURN_IF_ERROR(packed);
  lzma_stream stream = LZMA_STREAM_INIT;
  std::string all;
  if (lzma_stream_decoder(&stream, UINT64_MAX, 0) != LZMA_OK || !code(stream, *packed, all))
    return Error::mismatch(ErrorKind::InvalidFile, archive, "an archive of programs",
                           "one that was cut off or changed");
  for (size_t at = 0; at < all.size();) {
    const size_t end = all.find('\n', at);
    std::istringstream line(all.substr(at, end - at));
    std::string name;
    size_t bytes = 0;
    if (end == std::string::npos || !(line >> name >> bytes) || bytes > all.size() - end - 1 ||
        name.find('/') != std::string::npos)
      return Error::mismatch(ErrorKind::InvalidFile, archive, "names and sizes of files", "others");
    NYSJIT_RETURN_IF_ERROR(
        writeAll(folder + "/" + name, std::string_view(all).substr(end + 1, bytes)));
    at = end + 1 + bytes;
  }
  return {};
}

} // namespace nysjit::gpu_day

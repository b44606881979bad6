// Opening, which reads everything once; finding, which reads and checks what is asked for.
#include "runtime/bundle/bundle.h"
#include "runtime/bundle/checksum.h"
#include "runtime/bundle/sha256.h"
#include "runtime/cache/file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <sys/stat.h>

namespace nysjit {

namespace {

uint64_t numberAt(std::string_view bytes, size_t offset, size_t count) {
  uint64_t number = 0;
  for (size_t i = 0; i < count; ++i)
    number |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[offset + i])) << (8 * i);
  return number;
}

/// The request with the line "config {}" in place of its own.
std::string withoutConfig(const std::string &request) {
  const size_t start = request.find("\nconfig ");
  if (start == std::string::npos)
    return request;
  const size_t end = std::min(request.find('\n', start + 1), request.size());
  return request.substr(0, start) + "\nconfig {}" + request.substr(end);
}

} // namespace

Error Bundle::wrong(std::string expected, std::string found) const {
  return Error::mismatch(ErrorKind::InvalidFile, "bundle " + origin, std::move(expected),
                         std::move(found));
}

/// The bundle's bytes, open for the length of a call.
class Bundle::Bytes {
public:
  explicit Bytes(const Bundle &bundle) : owner(bundle), file() {
    if (!bundle.memory.data())
      file.emplace(bundle.origin);
  }
  /// How many there are. Io if there is no regular file that can be read.
  Result<uint64_t> count() const {
    struct stat status;
    if (!file)
      return uint64_t(owner.memory.size());
    if (!file->isOpen())
      return refused(file->failure());
    if (fstat(file->descriptor(), &status) != 0)
      return refused(std::strerror(errno));
    if (!S_ISREG(status.st_mode))
      return refused(S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
    return static_cast<uint64_t>(status.st_size);
  }
  Status read(uint64_t offset, char *to, size_t bytes) {
    if (!file) {
      owner.memory.copy(to, bytes, offset);
      return {};
    }
    if (!file->isOpen() || !file->readAt(offset, to, bytes))
      return refused(file->failure());
    return {};
  }
  Result<std::string> read(uint64_t offset, uint64_t bytes) {
    std::string text(bytes, '\0');
    NYSJIT_RETURN_IF_ERROR(read(offset, text.data(), bytes));
    return text;
  }

private:
  Error refused(const std::string &reason) const {
    return Error::mismatch(ErrorKind::Io, "bundle " + owner.origin, "a file that can be read",
                           reason);
  }
  const Bundle &owner;
  std::optional<OpenFile> file;
};

Result<std::shared_ptr<Bundle>> Bundle::open(const std::string &path) {
  std::shared_ptr<Bundle> bundle(new Bundle(path));
  Bytes bytes(*bundle);
  NYSJIT_RETURN_IF_ERROR(bundle->check(bytes));
  return bundle;
}

Result<std::shared_ptr<Bundle>> Bundle::ofMemory(std::string_view memory, const std::string &name) {
  std::shared_ptr<Bundle> bundle(new Bundle(name));
  bundle->memory = memory.data() ? memory : std::string_view("");
  Bytes bytes(*bundle);
  NYSJIT_RETURN_IF_ERROR(bundle->check(bytes));
  return bundle;
}

/// All bytes against the checksum at the end.
Status Bundle::checkSum(Bytes &bytes) const {
  BundleChecksum checksum;
  const uint64_t end = size - bundleChecksumBytes;
  std::string chunk(std::min<uint64_t>(end, size_t(1) << 18), '\0');
  for (uint64_t at = 0; at < end;) {
    const size_t count = std::min<uint64_t>(chunk.size(), end - at);
    NYSJIT_RETURN_IF_ERROR(bytes.read(at, chunk.data(), count));
    checksum.add(std::string_view(chunk).substr(0, count));
    at += count;
  }
  Result<std::string> told = bytes.read(end, bundleChecksumBytes);
  NYSJIT_RETURN_IF_ERROR(told);
  if (*told != checksum.bytes())
    return wrong("the bytes that were written, by the checksum at the end",
                 "others: it was changed or cut off");
  return {};
}

Status Bundle::readManifest(Bytes &bytes) {
  Result<std::string> header = bytes.read(0, bundleHeaderBytes);
  NYSJIT_RETURN_IF_ERROR(header);
  const uint64_t length = numberAt(*header, 16, 8);
  const uint64_t end = size - bundleChecksumBytes;
  if (length > end - bundleHeaderBytes)
    return wrong("a manifest inside of it", "one of " + std::to_string(length) + " bytes");
  Result<std::string> text = bytes.read(bundleHeaderBytes, length);
  NYSJIT_RETURN_IF_ERROR(text);
  manifestSha256 = header->substr(24);
  if (sha256Hex(*text) != manifestSha256)
    return wrong("a manifest with the SHA-256 " + manifestSha256, "another");
  Result<BundleManifest> read = manifestFromJson(*text, bundleHeaderBytes + length, end);
  if (!read)
    return wrong("a manifest", read.error().message);
  contents = std::move(*read);
  for (size_t i = 0; i < contents.entries.size(); ++i)
    byRequest.emplace(requestOf(contents.entries[i].keyText), i);
  for (size_t i = 0; i < contents.entries.size(); ++i)
    withoutConfigs.emplace(withoutConfig(requestOf(contents.entries[i].keyText)), i);
  return {};
}

Status Bundle::check(Bytes &bytes) {
  Result<uint64_t> count = bytes.count();
  NYSJIT_RETURN_IF_ERROR(count);
  size = *count;
  std::string start(std::min<uint64_t>(size, bundleHeaderBytes), '\0');
  NYSJIT_RETURN_IF_ERROR(bytes.read(0, start.data(), start.size()));
  if (!start.starts_with(bundleMagic))
    return wrong("a bundle of `nysjit bundle`", size == 0 ? "an empty file" : "another file");
  if (size < bundleHeaderBytes + bundleChecksumBytes)
    return wrong("a bundle", "the first " + std::to_string(size) + " bytes of one");
  // A changed byte in a version would look like another version: is it whole?
  const Status whole = checkSum(bytes);
  if (!whole)
    return whole;
  const uint64_t format = numberAt(start, 8, 4);
  const uint64_t entries = numberAt(start, 12, 4);
  if (format != bundleFormat || entries != entryFormat)
    return wrong("format " + std::to_string(bundleFormat) + "." + std::to_string(entryFormat) +
                     " of this version of nysjit",
                 std::to_string(format) + "." + std::to_string(entries) +
                     ": another version made it");
  return readManifest(bytes);
}

const BundleEntry *Bundle::entryOf(const std::string &request) const {
  const auto found = byRequest.find(request);
  return found == byRequest.end() ? nullptr : &contents.entries[found->second];
}

std::optional<std::string> Bundle::configFor(const ProgramKey &key) const {
  if (has(key))
    return "{}";
  const auto found = withoutConfigs.find(key.request);
  if (found == withoutConfigs.end())
    return std::nullopt;
  return keyTextLine(contents.entries[found->second].keyText, "config");
}

Result<CacheEntry> Bundle::read(const BundleEntry &entry) const {
  Bytes bytes(*this);
  CacheEntry read;
  read.keyText = entry.keyText;
  std::string *const texts[] = {&read.planJson, &read.infoJson, &read.object, &read.ptx};
  for (size_t i = 0; i < entry.parts.size(); ++i) {
    const BundlePart &part = entry.parts[i];
    Result<std::string> text = bytes.read(part.offset, part.bytes);
    NYSJIT_RETURN_IF_ERROR(text);
    if (sha256Hex(*text) != part.sha256)
      return wrong(std::string(bundlePartNames[i]) + " of " + hashHex(entry.keyText) +
                       " with the SHA-256 " + part.sha256,
                   "other bytes: it was changed");
    *texts[i] = std::move(*text);
  }
  return read;
}

EntryRead Bundle::find(const ProgramKey &key) {
  const BundleEntry *entry = entryOf(key.request);
  if (!entry)
    return {};
  Result<CacheEntry> found = read(*entry);
  if (!found)
    return {.state =
                found.error().kind == ErrorKind::Io ? EntryState::Unreadable : EntryState::Damaged,
            .reason = "expected " + found.error().expected + ", found " + found.error().found};
  return {.state = EntryState::Whole, .entry = std::move(*found)};
}

std::vector<std::string> Bundle::keyTexts() const {
  std::vector<std::string> texts;
  for (const BundleEntry &entry : contents.entries)
    texts.push_back(entry.keyText);
  return texts;
}

} // namespace nysjit

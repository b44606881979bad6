// Bundle: compiled programs in one file, or in the host's memory, as a source of programs. Made by
// `nysjit bundle`; docs/bundles.md says what is promised.
#pragma once
#include "runtime/bundle/manifest.h"
#include "runtime/cache/program_source.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit {

/// Any number of threads may use one at once. It never changes.
class Bundle : public ProgramSource {
public:
  /// Reads all of the file once, to know that it is whole. What is used later is read then, from
  /// the file of that path, and checked again; no descriptor is held. Io if the system refuses,
  /// InvalidFile if the file is no bundle, was changed or cut off, or is of another version; the
  /// error names the file.
  static Result<std::shared_ptr<Bundle>> open(const std::string &path);
  /// The same of bytes that stay as they are while the bundle lives. `name` is for messages.
  static Result<std::shared_ptr<Bundle>> ofMemory(std::string_view bytes, const std::string &name);

  /// The program of this request, whoever made it.
  EntryRead find(const ProgramKey &key) override;
  bool has(const ProgramKey &key) const { return entryOf(key.request) != nullptr; }
  /// The config, as JSON, with which it has the program of a request whose config is {}: that of
  /// the program for this very request if it has one, else its own.
  std::optional<std::string> configFor(const ProgramKey &key) const;
  std::vector<std::string> keyTexts() const override;

  const std::string &name() const { return origin; }
  const BundleManifest &manifest() const { return contents; }
  uint64_t bytes() const { return size; }
  /// Of the manifest, and so of all contents.
  const std::string &sha256() const { return manifestSha256; }
  /// One program, read and checked.
  Result<CacheEntry> read(const BundleEntry &entry) const;

private:
  class Bytes;
  explicit Bundle(std::string name) : origin(std::move(name)) {}
  Status check(Bytes &bytes);
  Status checkSum(Bytes &bytes) const;
  Status readManifest(Bytes &bytes);
  const BundleEntry *entryOf(const std::string &request) const;
  Error wrong(std::string expected, std::string found) const;

  std::string origin;      // a path, or a name of memory
  std::string_view memory; // of ofMemory
  uint64_t size = 0;
  std::string manifestSha256;
  BundleManifest contents;
  std::map<std::string, size_t> byRequest;
  std::map<std::string, size_t> withoutConfigs; // by the request as if its config were {}
};

} // namespace nysjit

// The manifest as JSON, both ways.
#include "runtime/bundle/manifest.h"
#include "runtime/spec/json_text.h"

#include <utility>

namespace nysjit {

namespace {

Error wrong(const std::string &where, std::string expected, const Json *found) {
  return Error::mismatch(ErrorKind::InvalidFile, "manifest." + where, std::move(expected),
                         found ? describeJson(*found) : "nothing");
}

Result<std::string> textAt(const Json &object, const char *name, const std::string &where) {
  const Json *found = object.find(name);
  if (!found || !found->is_string())
    return wrong(where + name, "a text", found);
  return found->text();
}

Result<uint64_t> numberAt(const Json &object, const char *name, const std::string &where) {
  const Json *found = object.find(name);
  const bool isNumber = found && found->is_number_integer() &&
                        (found->is_number_unsigned() || found->get<int64_t>() >= 0);
  if (!isNumber)
    return wrong(where + name, "a number of bytes", found);
  return found->get<uint64_t>();
}

Result<BundlePart> partFromJson(const Json *object, const std::string &where, uint64_t start,
                                uint64_t end) {
  if (!object || !object->is_object())
    return wrong(where, "an object", object);
  Result<uint64_t> offset = numberAt(*object, "offset", where + ".");
  NYSJIT_RETURN_IF_ERROR(offset);
  Result<uint64_t> bytes = numberAt(*object, "bytes", where + ".");
  NYSJIT_RETURN_IF_ERROR(bytes);
  Result<std::string> sha256 = textAt(*object, "sha256", where + ".");
  NYSJIT_RETURN_IF_ERROR(sha256);
  if (*offset < start || *offset > end || *bytes > end - *offset)
    return wrong(where, "a part inside of the bundle", object);
  return BundlePart{*offset, *bytes, std::move(*sha256)};
}

Result<BundleEntry> entryFromJson(const Json &object, const std::string &where, uint64_t start,
                                  uint64_t end) {
  if (!object.is_object())
    return wrong(where, "an object", &object);
  Result<std::string> key = textAt(object, "key", where + ".");
  NYSJIT_RETURN_IF_ERROR(key);
  BundleEntry entry{std::move(*key), {}};
  for (size_t i = 0; i < bundlePartNames.size(); ++i) {
    const std::string name = bundlePartNames[i];
    Result<BundlePart> part = partFromJson(object.find(name), where + "." + name, start, end);
    NYSJIT_RETURN_IF_ERROR(part);
    entry.parts[i] = std::move(*part);
  }
  return entry;
}

} // namespace

std::string manifestToJson(const BundleManifest &manifest) {
  Json entries = Json::array();
  for (const BundleEntry &entry : manifest.entries) {
    Json object = {{"key", entry.keyText}};
    for (size_t i = 0; i < bundlePartNames.size(); ++i) {
      const BundlePart &part = entry.parts[i];
      object[bundlePartNames[i]] = {
          {"offset", part.offset}, {"bytes", part.bytes}, {"sha256", part.sha256}};
    }
    entries.push_back(std::move(object));
  }
  return Json{{"nysjit", manifest.version}, {"entries", std::move(entries)}}.dump();
}

Result<BundleManifest> manifestFromJson(std::string_view text, uint64_t start, uint64_t end) {
  Result<Json> object = parseJsonObject(text);
  if (!object)
    return Error::plain(ErrorKind::InvalidFile, "manifest", "manifest: " + object.error().message);
  BundleManifest manifest;
  Result<std::string> version = textAt(*object, "nysjit", "");
  NYSJIT_RETURN_IF_ERROR(version);
  manifest.version = std::move(*version);
  const Json *entries = object->find("entries");
  if (!entries || !entries->is_array())
    return wrong("entries", "an array", entries);
  for (size_t i = 0; i < entries->size(); ++i) {
    Result<BundleEntry> entry =
        entryFromJson((*entries)[i], "entries[" + std::to_string(i) + "]", start, end);
    NYSJIT_RETURN_IF_ERROR(entry);
    manifest.entries.push_back(std::move(*entry));
  }
  return manifest;
}

} // namespace nysjit

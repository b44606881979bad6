// `nysjit cache list|show KEY|verify|clear`: the folder of compiled programs, looked at without the
// compiler.
#include "runtime/cache/disk_cache.h"
#include "runtime/cli/commands.h"
#include "runtime/spec/json_text.h"

#include <algorithm>
#include <ctime>
#include <sstream>

namespace nysjit::cli {

using nlohmann::json;

namespace {

json parsed(const std::string &text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

/// What an entry was made from.
json factsOf(const std::string &key, const std::string &spec, const std::string &config,
             const std::string &target, const std::string &compiler) {
  return {{"key", key},
          {"spec", parsed(spec)},
          {"config", parsed(config)},
          {"target", target},
          {"compiler", compiler}};
}

std::string timeText(int64_t seconds) {
  time_t time = time_t(seconds);
  tm local{};
  char text[32] = "";
  if (localtime_r(&time, &local))
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

Reply list(const DiskCache &cache) {
  Reply reply{{{"folder", cache.folder()}, {"entries", json::array()}}, ""};
  std::ostringstream text;
  for (const CacheListing &listing : cache.list()) {
    json entry = {{"key", listing.key}};
    if (listing.isValid)
      entry = factsOf(listing.key, listing.specJson, listing.configJson, listing.target,
                      listing.compilerId);
    entry["bytes"] = listing.bytes;
    entry["modified"] = listing.modifiedTime;
    entry["valid"] = listing.isValid;
    text << listing.key << "  " << timeText(listing.modifiedTime) << "  "
         << (listing.bytes + 1023) / 1024 << " KiB  "
         << (listing.isValid ? listing.target + "  " + listing.specJson : "damaged") << "\n";
    reply.json["entries"].push_back(std::move(entry));
  }
  reply.text = text.str().empty() ? "no entries in " + cache.folder() + "\n" : text.str();
  return reply;
}

Result<Reply> show(const DiskCache &cache, const std::string &key) {
  std::optional<CacheEntry> entry = cache.show(key);
  if (!entry) {
    std::vector<CacheListing> all = cache.list();
    bool isDamaged = std::ranges::any_of(
        all, [&key](const CacheListing &listing) { return listing.key == key; });
    return Error::mismatch(isDamaged ? ErrorKind::Io : ErrorKind::InvalidArgument, "KEY",
                           "the key of an entry in " + cache.folder(),
                           '"' + describeName(key) + (isDamaged ? "\", which is damaged" : "\""));
  }
  auto line = [&entry](const char *word) { return keyTextLine(entry->keyText, word); };
  Reply reply{factsOf(key, line("spec"), line("config"), line("target"), line("compiler")), ""};
  json report = parsed(entry->infoJson);
  reply.json["object_bytes"] = entry->object.size();
  if (!entry->ptx.empty())
    reply.json["ptx_bytes"] = entry->ptx.size();
  reply.json["plan"] = parsed(entry->planJson);
  for (const char *name : {"kernels", "stages_ms"})
    if (report.is_object() && report.contains(name))
      reply.json[name] = report[name];
  reply.text = entry->keyText + "object " + std::to_string(entry->object.size()) + " bytes\n" +
               (entry->ptx.empty() ? "" : "ptx " + std::to_string(entry->ptx.size()) + " bytes\n") +
               entry->planJson;
  return reply;
}

/// Every entry whole, or the damaged ones in an error.
Result<Reply> verify(const DiskCache &cache) {
  std::vector<CacheListing> all = cache.list();
  std::string damaged;
  for (const CacheListing &listing : all)
    if (!listing.isValid)
      damaged += (damaged.empty() ? "" : ", ") + listing.key;
  if (!damaged.empty())
    return Error::mismatch(ErrorKind::CheckFailed, cache.folder(), "whole entries",
                           "damage in " + damaged);
  return Reply{{{"folder", cache.folder()}, {"entries", all.size()}, {"damaged", json::array()}},
               std::to_string(all.size()) + " entries, all whole, in " + cache.folder() + "\n"};
}

Reply clear(const DiskCache &cache) {
  CacheCleared removed = cache.clear();
  return Reply{{{"folder", cache.folder()}, {"removed", removed.entries}, {"bytes", removed.bytes}},
               "removed " + std::to_string(removed.entries) + " entries (" +
                   std::to_string((removed.bytes + 1023) / 1024) + " KiB) from " + cache.folder() +
                   "\n"};
}

} // namespace

Result<Reply> runCache(const CacheOptions &options) {
  DiskCache cache(defaultCacheFolder());
  if (cache.folder().empty())
    return Error::mismatch(ErrorKind::Unavailable, "cache",
                           "a cache folder by NYSJIT_CACHE_DIR, XDG_CACHE_HOME or HOME",
                           "none of them set");
  switch (options.action) {
  case CacheOptions::Action::List: return list(cache);
  case CacheOptions::Action::Show: return show(cache, options.key);
  case CacheOptions::Action::Verify: return verify(cache);
  case CacheOptions::Action::Clear: return clear(cache);
  }
  return Error::plain(ErrorKind::InvalidArgument, "cache",
                      "cache: expected list, show, verify or clear");
}

} // namespace nysjit::cli

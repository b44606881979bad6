// `nysjit cache list|show KEY|verify|why-miss SPEC|gc|clear`: the folder of compiled programs,
// looked at without the compiler.
#include "runtime/cache/disk_cache.h"
#include "runtime/cache/nearest.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/program.h"
#include "runtime/spec/json_text.h"

#include <algorithm>
#include <ctime>
#include <sstream>

namespace nysjit::cli {

using nlohmann::json;

namespace {

std::string timeText(int64_t seconds) {
  time_t time = time_t(seconds);
  tm local{};
  char text[32] = "";
  if (localtime_r(&time, &local))
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

std::string kibibytes(uint64_t bytes) { return std::to_string((bytes + 1023) / 1024) + " KiB"; }

json countersJson(const CacheCounters &counters) {
  return {{"entries", counters.entries}, {"bytes", counters.bytes},
          {"hits", counters.hits},       {"misses", counters.misses},
          {"stores", counters.stores},   {"evictions", counters.evictions},
          {"refused", counters.refused}};
}

Reply list(DiskCache &cache) {
  Reply reply{{{"folder", cache.folder()},
               {"counters", countersJson(cache.counters())},
               {"entries", json::array()}},
              ""};
  std::ostringstream text;
  for (const CacheListing &listing : cache.list()) {
    const bool isWhole = listing.state == EntryState::Whole;
    json entry = keyFacts(listing.key, listing.keyText);
    entry["bytes"] = listing.bytes;
    entry["modified"] = listing.modifiedTime;
    entry["valid"] = isWhole;
    entry["state"] = entryStateName(listing.state);
    if (!isWhole)
      entry["reason"] = listing.reason;
    text << listing.key << "  " << timeText(listing.modifiedTime) << "  "
         << kibibytes(listing.bytes) << "  "
         << (isWhole ? keyTextLine(listing.keyText, "target") + "  " +
                           keyTextLine(listing.keyText, "spec")
                     : entryStateText(listing.state, listing.reason))
         << "\n";
    reply.json["entries"].push_back(std::move(entry));
  }
  reply.text = text.str().empty() ? "no entries in " + cache.folder() + "\n" : text.str();
  return reply;
}

Result<Reply> show(const DiskCache &cache, const std::string &key) {
  const EntryRead read = cache.read(key);
  if (!read.entry) {
    const bool isAbsent = read.state == EntryState::Absent;
    return Error::mismatch(
        isAbsent ? ErrorKind::InvalidArgument : ErrorKind::Io, "KEY",
        "the key of an entry in " + cache.folder(),
        '"' + describeName(key) +
            (isAbsent ? "\"" : "\", which is " + entryStateText(read.state, read.reason)));
  }
  const CacheEntry &entry = *read.entry;
  Reply reply{keyFacts(key, entry.keyText), ""};
  json report = parsed(entry.infoJson);
  reply.json["object_bytes"] = entry.object.size();
  if (!entry.ptx.empty())
    reply.json["ptx_bytes"] = entry.ptx.size();
  reply.json["plan"] = parsed(entry.planJson);
  if (report.is_object() && report.contains("kernels"))
    reply.json["kernels"] = report["kernels"];
  reply.text = entry.keyText + "object " + std::to_string(entry.object.size()) + " bytes\n" +
               (entry.ptx.empty() ? "" : "ptx " + std::to_string(entry.ptx.size()) + " bytes\n") +
               entry.planJson;
  return reply;
}

/// Every entry whole, or those that are not in an error, each with its reason.
Result<Reply> verify(const DiskCache &cache) {
  std::vector<CacheListing> all = cache.list();
  std::string wrong;
  if (const EntryRead folder = cache.folderState(); folder.state == EntryState::NotTrusted)
    return Error::mismatch(ErrorKind::CheckFailed, cache.folder(),
                           "a folder that only this user or root can write", folder.reason);
  for (const CacheListing &listing : all)
    if (listing.state != EntryState::Whole)
      wrong += (wrong.empty() ? "" : ", ") + listing.key + " " +
               entryStateText(listing.state, listing.reason);
  if (!wrong.empty())
    return Error::mismatch(ErrorKind::CheckFailed, cache.folder(),
                           "whole entries that can be read and trusted", wrong);
  return Reply{{{"folder", cache.folder()}, {"entries", all.size()}, {"damaged", json::array()}},
               std::to_string(all.size()) + " entries, all whole, in " + cache.folder() + "\n"};
}

/// What `nysjit compile` would find, and beside it the nearest that there is.
Result<Reply> whyMiss(const CacheOptions &options) {
  Result<RequestFiles> files = readRequest(options.spec, options.config);
  NYSJIT_RETURN_IF_ERROR(files);
  RuntimeContext context(contextForCompiling(options.target));
  Result<Resolved> resolved = resolve(context, *files, options.target);
  NYSJIT_RETURN_IF_ERROR(resolved);
  Result<ProgramKey> key = context.keyOf(resolved->request);
  NYSJIT_RETURN_IF_ERROR(key);
  const DiskCache &cache = context.cache();
  EntryRead read = cache.read(key->hash);
  if (read.state == EntryState::Absent)
    read = cache.folderState();
  const bool isHit = read.state == EntryState::Whole;
  Reply reply{{{"folder", cache.folder()},
               {"key", key->hash},
               {"hit", isHit},
               {"state", entryStateName(read.state)}},
              (isHit ? "hit: " : "miss: ") + key->hash};
  if (isHit) {
    reply.text += " is in " + cache.folder() + "\n";
    return reply;
  }
  if (read.state != EntryState::Absent) {
    reply.json["reason"] = read.reason;
    reply.text += " is " + entryStateText(read.state, read.reason) + "\n";
    return reply;
  }
  const std::optional<NearestKey> nearest = nearestKey(cache.keyTexts(), key->text);
  reply.text += nearest
                    ? " is not there; in the nearest entry, " + hashHex(nearest->keyText) + ":\n"
                    : " is not there, nor any other entry, in " + cache.folder() + "\n";
  reply.json["nearest"] = nearest ? json(hashHex(nearest->keyText)) : json();
  reply.json["differences"] = json::array();
  for (const KeyDifference &difference :
       nearest ? nearest->differences : std::vector<KeyDifference>()) {
    reply.json["differences"].push_back({{"field", difference.field},
                                         {"entry", parsed(difference.entry.dump())},
                                         {"asked", parsed(difference.asked.dump())}});
    reply.text += "  " + difference.sentence() + "\n";
  }
  return reply;
}

Result<Reply> removed(const DiskCache &cache, const CacheRemoved &done) {
  if (!done.failure.empty())
    return Error::mismatch(ErrorKind::Io, cache.folder(), "files that can be removed",
                           done.failure + " (" + std::to_string(done.entries) + " were removed)");
  return Reply{{{"folder", cache.folder()}, {"removed", done.entries}, {"bytes", done.bytes}},
               "removed " + std::to_string(done.entries) + " entries (" + kibibytes(done.bytes) +
                   ") from " + cache.folder() + "\n"};
}

Result<Reply> collect(DiskCache &cache, const CacheOptions &options) {
  Result<CacheLimits> limits = cacheLimits();
  NYSJIT_RETURN_IF_ERROR(limits);
  limits->bytes = options.maxBytes.value_or(limits->bytes);
  limits->entries = options.maxEntries.value_or(limits->entries);
  const CacheRemoved done = cache.collect(*limits);
  Result<Reply> reply = removed(cache, done);
  NYSJIT_RETURN_IF_ERROR(reply);
  reply->json["litter"] = done.litter;
  reply->json["in_use"] = done.inUse;
  if (done.litter > 0)
    reply->text += "removed " + std::to_string(done.litter) + " files of processes that are gone\n";
  if (done.inUse > 0)
    reply->text += "kept " + std::to_string(done.inUse) + " entries that are in use\n";
  return reply;
}

} // namespace

Result<Reply> runCache(const CacheOptions &options) {
  DiskCache cache(defaultCacheFolder());
  using Action = CacheOptions::Action;
  if (cache.folder().empty())
    return Error::mismatch(ErrorKind::Unavailable, "cache",
                           "a cache folder by NYSJIT_CACHE_DIR, XDG_CACHE_HOME or HOME",
                           "none of them set");
  if (const EntryRead usable = cache.folderState();
      usable.state == EntryState::Unreadable && options.action != Action::WhyMiss)
    return Error::mismatch(ErrorKind::Io, cache.folder(), "a folder that can be read",
                           usable.reason);
  switch (options.action) {
  case Action::List: return list(cache);
  case Action::Show: return show(cache, options.key);
  case Action::Verify: return verify(cache);
  case Action::WhyMiss: return whyMiss(options);
  case Action::Collect: return collect(cache, options);
  case Action::Clear: return removed(cache, cache.clear());
  }
  return Error::plain(ErrorKind::InvalidArgument, "cache",
                      "cache: expected list, show, verify, why-miss, gc or clear");
}

} // namespace nysjit::cli

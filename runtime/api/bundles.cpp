// Opening, and what is said of a program that no bundle has.
#include "runtime/api/bundles.h"
#include "runtime/base/environment.h"
#include "runtime/cache/nearest.h"

#include <algorithm>

namespace nysjit {

std::vector<std::string> bundlePathsSet() {
  std::vector<std::string> paths;
  const std::string set = environmentSetting("NYSJIT_BUNDLES");
  for (size_t start = 0; start < set.size();) {
    const size_t end = std::min(set.find(':', start), set.size());
    if (end > start)
      paths.push_back(set.substr(start, end - start));
    start = end + 1;
  }
  return paths;
}

Result<std::vector<std::shared_ptr<Bundle>>> Bundles::open() {
  const std::lock_guard lock(mutex);
  if (!opened.empty() || isEmpty())
    return opened;
  std::vector<std::shared_ptr<Bundle>> all;
  if (options.memory.data()) {
    Result<std::shared_ptr<Bundle>> bundle = Bundle::ofMemory(options.memory, "in memory");
    NYSJIT_RETURN_IF_ERROR(bundle);
    all.push_back(std::move(*bundle));
  }
  for (const std::string &path : options.paths) {
    Result<std::shared_ptr<Bundle>> bundle = Bundle::open(path);
    NYSJIT_RETURN_IF_ERROR(bundle);
    all.push_back(std::move(*bundle));
  }
  opened = std::move(all);
  return opened;
}

std::string nearestInWords(const std::vector<std::string> &keyTexts,
                           const std::vector<std::string> &requests) {
  std::vector<std::string> there;
  for (const std::string &text : keyTexts)
    there.push_back(requestOf(text));
  std::optional<NearestKey> best;
  for (const std::string &request : requests)
    if (std::optional<NearestKey> nearest = nearestKey(there, request);
        nearest && (!best || nearest->differences.size() < best->differences.size()))
      best = std::move(nearest);
  if (!best)
    return "no program at all";
  std::string text = "none; nearest is one for " + keyTextLine(best->keyText, "target");
  for (size_t i = 0; i < best->differences.size(); ++i)
    text += (i == 0 ? ": " : "; ") + best->differences[i].sentence();
  return text;
}

} // namespace nysjit

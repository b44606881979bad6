// The bundles of a context: opened when they are first needed, then constant.
#pragma once
#include "runtime/bundle/bundle.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit {

/// What a context was given of bundles; asked in this order, the memory first.
struct GivenBundles {
  std::vector<std::string> paths;
  std::string_view memory; // data() null: none
};

/// The paths in $NYSJIT_BUNDLES, which are separated by colons.
std::vector<std::string> bundlePathsSet();

class Bundles {
public:
  explicit Bundles(GivenBundles given) : options(std::move(given)) {}
  bool isEmpty() const { return options.paths.empty() && !options.memory.data(); }
  /// All of them, opened by the first call; one that cannot be is an error, and tried again by the
  /// next call. Any thread.
  Result<std::vector<std::shared_ptr<Bundle>>> open();

private:
  GivenBundles options;
  std::mutex mutex; // guards what follows
  std::vector<std::shared_ptr<Bundle>> opened;
};

/// "none; nearest is a program of causal for cpu:x86-64-v3: spec.window: 0 in the entry, 1 asked":
/// what there is in place of one that answers any of these requests. `keyTexts` are of all there
/// is.
std::string nearestInWords(const std::vector<std::string> &keyTexts,
                           const std::vector<std::string> &requests);

} // namespace nysjit

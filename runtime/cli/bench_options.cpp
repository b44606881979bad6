// The flags of `nysjit bench`, converted and checked.
#include "runtime/cli/values.h"

#include <algorithm>
#include <tuple>

namespace nysjit::cli {

namespace {

/// Positions by commas, in ascending order, each once.
Result<std::vector<int64_t>> readSizes(const Text &text) {
  std::vector<int64_t> sizes;
  if (!text)
    return sizes;
  for (size_t start = 0; start <= text->size();) {
    const size_t end = std::min(text->find(',', start), text->size());
    Result<std::optional<int64_t>> size =
        integer<int64_t>("--sizes", text->substr(start, end - start), 1, int64_t(1) << 30);
    NYSJIT_RETURN_IF_ERROR(size);
    sizes.push_back(**size);
    start = end + 1;
  }
  std::ranges::sort(sizes);
  const auto again = std::ranges::unique(sizes);
  sizes.erase(again.begin(), again.end());
  constexpr size_t most = 64;
  if (sizes.size() > most)
    return argumentError("--sizes", "at most " + std::to_string(most) + " sizes",
                         std::to_string(sizes.size()));
  return sizes;
}

} // namespace

Result<Options> benchOptions(const Given &given) {
  BenchOptions options{.spec = given.spec, .config = given.config};
  NYSJIT_RETURN_IF_ERROR(readPlace(given, options.device, options.target));
  Result<std::vector<int64_t>> sizes = readSizes(given.sizes);
  NYSJIT_RETURN_IF_ERROR(sizes);
  options.sizes = std::move(*sizes);
  constexpr int64_t mostHeads = 65536;
  for (const auto &[flag, text, into] : {std::tuple("--batch", &given.batch, &options.batch),
                                         std::tuple("--heads", &given.heads, &options.heads)}) {
    Result<std::optional<int64_t>> number = integer<int64_t>(flag, *text, 1, mostHeads);
    NYSJIT_RETURN_IF_ERROR(number);
    *into = number->value_or(*into);
  }
  Result<std::optional<int64_t>> kvHeads =
      integer<int64_t>("--kv-heads", given.kvHeads, 1, mostHeads);
  NYSJIT_RETURN_IF_ERROR(kvHeads);
  Result<std::optional<int>> threads = integer("--threads", given.threads, 1, 1024);
  NYSJIT_RETURN_IF_ERROR(threads);
  Result<std::optional<int>> seconds = integer("--seconds", given.seconds, 1, 86400);
  NYSJIT_RETURN_IF_ERROR(seconds);
  options.kvHeads = *kvHeads;
  options.threads = threads->value_or(options.threads);
  options.seconds = seconds->value_or(options.seconds);
  if (given.vs && given.vs->empty())
    return argumentError("--vs", "a JSON file", "an empty text");
  options.vs = given.vs;
  NYSJIT_RETURN_IF_ERROR(checkPicture(given));
  options.svg = given.svg;
  options.isQuiet = given.quiet;
  return Options{options};
}

} // namespace nysjit::cli

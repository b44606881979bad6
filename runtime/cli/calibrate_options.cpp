// The flags of `nysjit calibrate`, converted and checked.
#include "runtime/cli/options.h"
#include "runtime/cli/values.h"
#include "runtime/spec/tensor_table.h"

#include <algorithm>
#include <limits>

namespace nysjit::cli {

namespace {

/// A file in its place: --q begins what the others go on with.
Status addQueries(const std::string &name, const std::string &path,
                  std::vector<TensorFiles> &queries) {
  const TensorRow &row = tensorRow(name);
  if (path.empty())
    return argumentError(row.flag, "a .npy file", "an empty text");
  if (name == "q")
    queries.emplace_back();
  if (queries.empty())
    return argumentError(row.flag, "a --q before it", "none");
  TensorFiles &files = queries.back();
  for (const TensorRow &other : tensorTable())
    if (files.contains(other.name) &&
        ((row.notWith && other.name == std::string_view(row.notWith)) ||
         (other.notWith && name == other.notWith)))
      return argumentError(row.flag, std::string("no such flag beside ") + other.flag,
                           inQuotes(path));
  if (name == "seq_starts" && !files.contains("seqlens"))
    return argumentError(row.flag, "--seqlens before it", "none");
  if (!files.emplace(name, path).second)
    return argumentError(row.flag, "one of a --q", "two");
  return {};
}

} // namespace

Result<Options> calibrateOptions(const Given &given) {
  CalibrateOptions options{.spec = given.spec, .isQuiet = given.quiet};
  for (const auto &[name, path] : given.queries)
    NYSJIT_RETURN_IF_ERROR(addQueries(name, path, options.queries));
  if (options.queries.empty())
    return argumentError("--q", "a .npy file", "no such flag");
  if (std::ranges::count(given.queries, standardInput,
                         &std::pair<std::string, std::string>::second) > 1)
    return argumentError("--q", "one file at most from standard input", "several");
  if (!given.output || given.output->empty())
    return argumentError("-o", "a file to write", given.output ? "an empty text" : "no such flag");
  NYSJIT_RETURN_IF_ERROR(checkStandardOutput(given, "-o", given.output));
  options.output = *given.output;
  Result<std::optional<uint64_t>> seed =
      integer<uint64_t>("--seed", given.seed, 0, std::numeric_limits<uint64_t>::max());
  NYSJIT_RETURN_IF_ERROR(seed);
  Result<std::optional<int>> threads = integer("--threads", given.threads, 1, 1024);
  NYSJIT_RETURN_IF_ERROR(threads);
  options.seed = seed->value_or(0);
  options.threads = threads->value_or(0);
  return Options{options};
}

} // namespace nysjit::cli

// `nysjit tune --merge`: all files are read and checked, then what they have goes into one.
#include "runtime/cli/commands.h"
#include "runtime/cli/configs_output.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"
#include "runtime/configs/store_config.h"

#include <filesystem>

namespace nysjit::cli {

namespace {

struct Input {
  std::string path;
  ConfigsFile contents;
};

Result<std::vector<Input>> readInputs(const std::vector<std::string> &paths) {
  std::vector<Input> inputs;
  for (const std::string &path : paths) {
    Result<std::string> text = readFile("--merge", path);
    NYSJIT_RETURN_IF_ERROR(text);
    Result<ConfigsFile> read = parseConfigsFile(std::string_view(*text));
    if (!read)
      return inFile(path, read.takeError());
    inputs.push_back({path, std::move(*read)});
  }
  return inputs;
}

bool isSameFile(const std::string &one, const std::string &other) {
  std::error_code failed;
  return std::filesystem::equivalent(one, other, failed);
}

/// An entry that is not in the result, and the one with its key that is.
struct Lost {
  const TunedConfig *entry;
  const TunedConfig *kept;
};

std::vector<Lost> lostOf(const ConfigsFile &file, const ConfigsFile &result) {
  std::vector<Lost> all;
  for (const TunedConfig &entry : file.entries)
    if (const TunedConfig *kept = result.findKey(entry.key()); kept && !(*kept == entry))
      all.push_back({&entry, kept});
  return all;
}

Json lostObject(const Lost &lost) {
  Result<KernelSpec> spec = parseKernelSpec(std::string_view(lost.entry->specJson));
  return {{"spec", spec ? canonicalObject(*spec) : Json()},
          {"target", lost.entry->target},
          {"device", lost.entry->device},
          {"compiler", lost.entry->compiler},
          {"date", lost.entry->date()},
          {"kept_date", lost.kept->date()}};
}

std::string lostText(const Lost &lost) {
  Result<KernelSpec> spec = parseKernelSpec(std::string_view(lost.entry->specJson));
  const auto dateOf = [](const TunedConfig &entry) {
    return entry.date().empty() ? std::string("no date") : entry.date();
  };
  return std::string(spec ? layoutName(spec->layout) : "") + " " +
         (spec ? dtypeName(spec->dtype) : "") + " for " + lost.entry->target + " on " +
         lost.entry->device.dump() + ": " + dateOf(*lost.entry) + " gives way to " +
         dateOf(*lost.kept);
}

} // namespace

Result<Reply> runTuneMerge(const TuneMergeOptions &options) {
  Result<std::vector<Input>> inputs = readInputs(options.files);
  NYSJIT_RETURN_IF_ERROR(inputs);
  NYSJIT_RETURN_IF_ERROR(checkConfigsOutput(options.output));
  ConfigsFile all;
  for (const Input &input : *inputs)
    mergeConfigs(all, input.contents);
  // One may be the result's own file.
  std::vector<const Input *> others;
  for (const Input &input : *inputs)
    if (!isSameFile(input.path, options.output))
      others.push_back(&input);
  Result<StoredConfigs> stored = storeConfigs(options.output, all);
  NYSJIT_RETURN_IF_ERROR(stored);

  const size_t count = stored->after.entries.size();
  const size_t added = count - stored->before.entries.size();
  Json replaced = Json::array();
  Json leftOut = Json::array();
  std::string text;
  for (const Lost &lost : lostOf(stored->before, stored->after)) {
    replaced.push_back(lostObject(lost));
    text += "  replaced: " + lostText(lost) + "\n";
  }
  for (const Input *input : others)
    for (const Lost &lost : lostOf(input->contents, stored->after)) {
      Json object = lostObject(lost);
      object["file"] = input->path;
      leftOut.push_back(std::move(object));
      text += "  left out of " + input->path + ": " + lostText(lost) + "\n";
    }
  const std::string head = options.output + ": " + std::to_string(count) +
                           (count == 1 ? " entry, " : " entries, ") + std::to_string(added) +
                           " of them added, " + std::to_string(replaced.size()) + " replaced, " +
                           std::to_string(leftOut.size()) + " left out\n";
  const Json object = {{"configs", options.output},
                       {"entries", count},
                       {"added", added},
                       {"replaced", std::move(replaced)},
                       {"left_out", std::move(leftOut)}};
  return Reply{parsed(object.dump()), head + text};
}

} // namespace nysjit::cli

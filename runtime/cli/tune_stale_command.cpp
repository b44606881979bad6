// `nysjit tune --stale`: tunes again what configs.json has of another build for this machine.
#include "runtime/cache/key.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/configs_output.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/tune_request.h"
#include "runtime/cli/tune_steps.h"
#include "runtime/cli/version.h"
#include "runtime/spec/json_text.h"
#include "runtime/tune/gpu_lab.h"
#include "runtime/tune/report.h"
#include "runtime/tune/stale.h"

#include <cstdio>

namespace nysjit::cli {

namespace {

/// Beside configs.json, one for each device: configs.stale-cpu.jsonl.
std::string staleJournalOf(const std::string &configs, const std::string &device) {
  const size_t end = configs.ends_with(".json") ? configs.size() - 5 : configs.size();
  return configs.substr(0, end) + ".stale-" + device + ".jsonl";
}

tune::LabMaker labMakerFor(const tune::TuneFile &file) {
  return [&file](const KernelSpec &spec, int threads) {
    return tune::createLab(spec, file, threads, endingFlag(), {.log = standardErrorLog()});
  };
}

Result<tune::StaleConfigs> findIn(const ConfigsFile &configs, const std::string &device) {
  return tune::findStale(configs, device, [](const tune::TuneFile &file) -> Result<tune::Place> {
    Result<std::unique_ptr<tune::Lab>> lab =
        labMakerFor(file)(file.specs.front(), file.threads.front());
    NYSJIT_RETURN_IF_ERROR(lab);
    return (*lab)->place();
  });
}

Json leftObject(const tune::StaleLeft &left) {
  Result<Json> spec = parseJsonObject(left.entry.specJson);
  return {{"spec", spec ? *spec : Json()}, {"target", left.entry.target},
          {"device", left.entry.device},   {"compiler", left.entry.compiler},
          {"date", left.entry.date()},     {"why", left.why}};
}

/// What was found in the file, before it is tuned.
Reply foundReply(const tune::StaleConfigs &stale, const std::string &configs) {
  const auto count = [](size_t number, const char *what) {
    return std::to_string(number) + " " + what;
  };
  std::string text = configs + ": " + count(stale.parts.size(), "of another build, ") +
                     count(stale.current, "of this one, ") +
                     count(stale.elsewhere, "of other machines and devices\n");
  Json left = Json::array();
  for (const tune::StaleLeft &one : stale.left) {
    left.push_back(leftObject(one));
    text += "  left: " + one.entry.specJson + " for " + one.entry.target + ": " + one.why + "\n";
  }
  const Json object = {{"configs", configs},       {"stale", stale.parts.size()},
                       {"current", stale.current}, {"elsewhere", stale.elsewhere},
                       {"left", std::move(left)},  {"specs", Json::array()}};
  return {parsed(object.dump()), text};
}

/// All parts with one lock and journal.
Result<std::vector<tune::TuneReport>> tuneAll(const TuneStaleOptions &options,
                                              const tune::StaleConfigs &stale,
                                              const std::string &configs,
                                              const std::string &journalPath) {
  const EndingSignals signals;
  std::vector<tune::TunePart> parts;
  for (const tune::StalePart &part : stale.parts)
    parts.push_back(
        {{part.file, configs, hashHex(part.entry.key()), version, true}, labMakerFor(part.file)});
  const tune::TuneFile &first = stale.parts.front().file;
  Result<std::optional<tune::MachineLock>> machine = lockDevice(parts.front().labFor, first);
  NYSJIT_RETURN_IF_ERROR(machine);
  Result<std::unique_ptr<tune::Journal>> journal =
      tune::Journal::open(journalPath, startOf(options.isResumed, options.isRestarted));
  NYSJIT_RETURN_IF_ERROR(journal);
  tune::ProgressLine progress(options.isQuiet ? nullptr : stderr);
  return tune::tuneParts(parts, **journal, progress);
}

} // namespace

Result<Reply> runTuneStale(const TuneStaleOptions &options) {
  Result<std::string> configs = configsOutput(options.output);
  NYSJIT_RETURN_IF_ERROR(configs);
  Result<std::string> text = readFile("-o", *configs);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<ConfigsFile> file = parseConfigsFile(std::string_view(*text));
  if (!file)
    return inFile(*configs, file.takeError());
  NYSJIT_RETURN_IF_ERROR(checkConfigsOutput(*configs));
  Result<tune::StaleConfigs> stale = findIn(*file, options.device);
  NYSJIT_RETURN_IF_ERROR(stale);
  Reply reply = foundReply(*stale, *configs);
  if (stale->parts.empty())
    return reply;

  const std::string journal = staleJournalOf(*configs, options.device);
  Result<std::vector<tune::TuneReport>> reports = tuneAll(options, *stale, *configs, journal);
  NYSJIT_RETURN_IF_ERROR(reports);
  NYSJIT_RETURN_IF_ERROR(storeResults(*configs, *reports));
  reply.json["journal"] = journal;
  for (size_t i = 0; i < reports->size(); ++i) {
    reply.text += tune::reportText((*reports)[i], stale->parts[i].file);
    const nlohmann::json object = parsed(tune::reportObject((*reports)[i]).dump());
    for (const nlohmann::json &one : object["specs"])
      reply.json["specs"].push_back(one);
  }
  reply.text += "written to " + *configs + "\n";
  return reply;
}

} // namespace nysjit::cli

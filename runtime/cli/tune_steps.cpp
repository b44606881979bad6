// The device's lock, the journal's start, the results' store.
#include "runtime/cli/tune_steps.h"
#include "runtime/base/environment.h"
#include "runtime/configs/store_config.h"

namespace nysjit::cli {

Result<std::optional<tune::MachineLock>> lockDevice(const tune::LabMaker &labFor,
                                                    const tune::TuneFile &file) {
  Result<std::unique_ptr<tune::Lab>> lab = labFor(file.specs.front(), file.threads.front());
  NYSJIT_RETURN_IF_ERROR(lab);
  const std::string own = (*lab)->place().lock;
  if (own.empty())
    return std::optional<tune::MachineLock>();
  const std::string name = environmentSetting("NYSJIT_TUNE_LOCK");
  Result<tune::MachineLock> taken = tune::MachineLock::take(name.empty() ? own : name);
  NYSJIT_RETURN_IF_ERROR(taken);
  return std::optional(std::move(*taken));
}

tune::JournalStart startOf(bool isResumed, bool isRestarted) {
  return isResumed     ? tune::JournalStart::Resume
         : isRestarted ? tune::JournalStart::Restart
                       : tune::JournalStart::New;
}

Status storeResults(const std::string &output, const std::vector<tune::TuneReport> &reports) {
  ConfigsFile entries;
  std::vector<std::string> wrong;
  for (const tune::TuneReport &report : reports) {
    for (const tune::SpecReport &one : report.specs)
      entries.entries.push_back(one.entry);
    wrong.insert(wrong.end(), report.wrong.begin(), report.wrong.end());
  }
  NYSJIT_RETURN_IF_ERROR(storeConfigs(output, entries));
  if (wrong.empty())
    return {};
  return Error::plain(ErrorKind::CheckFailed, "tune",
                      "tune: a program computed something else than the default, which is a bug of "
                      "nysjit: " +
                          wrong.front() + "; the rest was tuned, and written to " + output);
}

} // namespace nysjit::cli

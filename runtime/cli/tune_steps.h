// The steps that a tune of a TUNE.json and one of stale entries share.
#pragma once
#include "runtime/tune/journal.h"
#include "runtime/tune/machine_lock.h"
#include "runtime/tune/tuner.h"

#include <optional>
#include <string>
#include <vector>

namespace nysjit::cli {

/// One tune a device: nothing where that is nobody's, as the emulator.
Result<std::optional<tune::MachineLock>> lockDevice(const tune::LabMaker &labFor,
                                                    const tune::TuneFile &file);

/// What --resume and --restart ask for.
tune::JournalStart startOf(bool isResumed, bool isRestarted);

/// What came of it to where runs find it. CheckFailed afterwards, if a program was wrong.
Status storeResults(const std::string &output, const std::vector<tune::TuneReport> &reports);

} // namespace nysjit::cli

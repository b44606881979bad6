// The tuner: from TUNE.json to what won, through a lab and a journal.
#pragma once
#include "runtime/configs/configs_file.h"
#include "runtime/tune/journal.h"
#include "runtime/tune/lab.h"
#include "runtime/tune/progress.h"
#include "runtime/tune/space.h"
#include "runtime/tune/verification.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nysjit::tune {

/// A lab for a spec and a number of threads (0: all).
using LabMaker = std::function<Result<std::unique_ptr<Lab>>(const KernelSpec &spec, int threads)>;

struct TuneRequest {
  TuneFile file;
  std::string fileName; // for the journal
  std::string fileHash;
  std::string version;          // nysjit's
  bool isJournalShared = false; // with other files
};

/// A candidate as it came out.
struct CandidateReport {
  Candidate candidate;
  std::vector<double> ratios; // by shape; empty: not timed
  double ratio = 0;           // over the weighted shapes
  bool isChosen = false;      // of its group, to be put against the default
};

struct GroupReport {
  Group group;
  std::vector<CandidateReport> candidates; // the fastest first
};

/// What came of one spec with one number of threads.
struct SpecReport {
  KernelSpec spec;
  std::vector<GroupReport> groups;
  TunedConfig entry;
  std::optional<Verdict> verdict; // nothing: no candidate was worth it
  double noise = 0;               // spread of the default's own runs, by the clock of screening
  double wallNoise = 0;           // by the wall's, which the verdict is of
  std::string clock;
  int rounds = 0;
  bool isFromJournal = false; // nothing was left to do
};

struct TuneReport {
  std::vector<SpecReport> specs;
  double seconds = 0;
  /// Candidates whose output differs from the default's: "causal: landmark_target 16x32: ...".
  std::vector<std::string> wrong;
};

/// Tunes each spec with each number of threads. What was measured stands in the journal, whatever
/// this returns.
Result<TuneReport> tuneSpecs(const TuneRequest &request, const LabMaker &labFor, Journal &journal,
                             ProgressLine &progress);

/// What is tuned in one journal: files of their own.
struct TunePart {
  TuneRequest request;
  LabMaker labFor;
};
/// The same for each, one after the other; a report a part.
Result<std::vector<TuneReport>> tuneParts(const std::vector<TunePart> &parts, Journal &journal,
                                          ProgressLine &progress);

/// Asked before a journal is opened: kernels and keys of TUNE.json are those of its specs.
Status checkAgainstCompiler(const TuneFile &file, const LabMaker &labFor);

} // namespace nysjit::tune

// The tune of one spec with one number of threads: prepare, screen, choose, verify. What the
// journal has of it is not done again.
#pragma once
#include "runtime/tune/history.h"
#include "runtime/tune/preparation.h"
#include "runtime/tune/tuner.h"

namespace nysjit::tune {

class SpecTuner {
public:
  SpecTuner(const TuneRequest &request, const KernelSpec &spec, Lab &lab, Journal &journal,
            ProgressLine &progress, double deadline);
  Result<SpecReport> run();
  /// Candidates that compute something else.
  std::vector<std::string> wrong() const;

private:
  Status describe();
  std::vector<size_t> open() const;
  Status beginSession();
  Status compileDefault();
  Status runDefault(size_t shape);
  Status measure(const std::vector<size_t> &candidates);
  Status journalGroups(const Screened &screened);
  Result<bool> isBetter(const std::vector<Chosen> &choices, int attempt);
  Status decide(const std::vector<Chosen> &first);
  void sayIfClockMoved() const;
  void finish(bool isFaster, const std::vector<Chosen> &choices);
  const char *reason() const;
  Json shapesObject() const;
  bool recallVerdict(const Json &choice);
  SpecReport report(bool isFromJournal) const;
  double noise() const;
  double wallNoise() const;

  const TuneRequest &request;
  const KernelSpec &spec;
  Lab &lab;
  Journal &journal;
  Measuring measuring;
  Place place;
  Json facts;
  Space space;
  History history;
  std::vector<GroupScores> scores; // by group
  std::optional<Verdict> verdict;  // the last, or the first that the noise left open
  bool isChoiceFailed = false;     // it does not compile, or is wrong
  TunedConfig entry;
};

} // namespace nysjit::tune

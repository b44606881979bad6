// Screening: all programs in random order, round after round, with the default as two more arms.
// What is far behind is dropped early.
#pragma once
#include "runtime/tune/journal.h"
#include "runtime/tune/lab.h"
#include "runtime/tune/progress.h"
#include "runtime/tune/space.h"
#include "runtime/tune/statistics.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace nysjit::tune {

/// A program that the lab has, and the candidates that are timed in it (Space::candidates).
struct Arm {
  size_t program = 0;
  std::vector<size_t> candidates;
};

/// What the rounds came to.
struct Screened {
  // by candidate (Space::candidates): its group's time over the default's, by shape
  std::map<size_t, std::vector<double>> ratios;
  std::vector<double> shares;        // by group: of the default's time, all shapes together
  std::vector<double> defaultRatios; // A/A, by shape: of whole runs
  double noise = 0;                  // spread of the default's runs, the worst shape's
  double wallNoise = 0;              // the same by the wall's clock
  Clock clock = Clock::Wall;
  int rounds = 0;
};

/// What is the same for all that is measured for a spec.
struct Measuring {
  Lab &lab;
  const TuneFile &file;
  const Space &space;
  size_t defaultProgram = 0;
  double deadline = 0; // Lab::seconds
  ProgressLine &progress;
  std::string name;               // "causal float32", in progress
  std::set<std::string> launched; // kernels that the default launches at some shape
};

/// Cancelled where the user wants the end; Unavailable where the budget is used up.
Status goOn(const Measuring &measuring);

class Screening {
public:
  Screening(const Measuring &measuring, std::vector<Arm> arms, Journal &journal);
  Result<Screened> run();

private:
  /// Rounds by shape, by either clock.
  struct Times {
    std::vector<std::vector<Round>> wall;
    std::vector<std::vector<Round>> cpu;
    void beginRound(size_t shape, size_t arms);
    void record(size_t shape, size_t arm, const Time &time);
  };
  /// Both runs of the default, then one entry each candidate of the group.
  struct GroupTimes {
    std::vector<size_t> candidates;
    std::vector<bool> isDropped;
    Times times;
  };
  Status runUnmeasured();
  Status runRound(int round);
  Status runShape(int round, size_t shape);
  Status runArm(size_t number, size_t shape);
  void record(size_t number, size_t shape, const RunTime &time);
  Status journalRound(int round, size_t shape);
  void drop(double over);
  void fitBudget();
  void leaveOut(size_t kept);
  double verdictSeconds() const;
  std::vector<size_t> leaders() const;
  Json roundObject(size_t shape, Clock by) const;
  std::optional<double> ratio(const GroupTimes &times, size_t arm) const;
  Clock clock() const;
  const std::vector<std::vector<Round>> &roundsOf(const Times &times) const;
  std::string progressText(int round) const;
  Screened result() const;
  double shareOf(const GroupTimes &times) const;

  const Measuring &measuring;
  std::vector<Arm> arms;
  Journal &journal;
  std::vector<GroupTimes> groups;
  Times whole; // the default's whole runs
  std::vector<double> weights;
  int roundsDone = 0;
  double roundSeconds = 0; // of the last
};

} // namespace nysjit::tune

// What a journal already knows of a spec with a number of threads.
#pragma once
#include "runtime/tune/choice.h"
#include "runtime/tune/journal.h"
#include "runtime/tune/lab.h"
#include "runtime/tune/verification.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nysjit::tune {

/// The part of a session's line that says what its measurements are of.
Json sessionFacts(const KernelSpec &spec, const Place &place, const TuneFile &file);

/// Unavailable unless all sessions of the journal are of this place and these shapes, whatever
/// their spec and number of threads. In one that `isShared` those of another spec, target or number
/// of threads have shapes and measures of their own.
Status checkSessions(const Journal &journal, const Json &facts, bool isShared);

struct History {
  int lastId = 0; // of candidates
  struct Known {
    int id = 0;
    std::string invalidity; // "correct" where it is none
    std::string reason;
    double compileMs = 0;
    KernelResources resources;
  };
  std::map<std::string, Known> candidates; // by their config's text
  struct Timed {
    std::map<int, std::vector<double>> ratios; // by id
    double share = 0;
    double noise = 0;
    double wallNoise = 0;
    int rounds = 1;
    std::string clock;
    std::vector<double> defaultRatios;
  };
  std::map<std::string, Timed> groups;  // by name
  std::map<std::string, Json> verdicts; // by config's text: shapes of `verify`
  std::optional<Json> done;             // the last

  static History of(const std::vector<Json> &journal, const Json &facts);
};

/// Gives the candidates of a space the ids that the journal knows them by, new ones to the others,
/// and what is known of how they came out. Returns the scores, by group.
std::vector<GroupScores> recall(const History &history, Space &space);

} // namespace nysjit::tune

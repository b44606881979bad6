// Candidates become programs: compiled, within the CPU's cache, and computing what the default
// computes. What does not is known by the candidate it is the fault of.
#pragma once
#include "runtime/tune/screening.h"

#include <deque>
#include <string>
#include <vector>

namespace nysjit::tune {

class Preparation {
public:
  /// Of `space` the candidates are told how they came out.
  Preparation(const Measuring &measuring, Space &space, const Place &place, Journal &journal)
      : measuring(measuring), space(space), place(place), journal(journal) {}

  /// Packs, compiles, checks and journals these candidates. Those that are good are in the arms.
  Result<std::vector<Arm>> prepare(const std::vector<size_t> &candidates);
  /// Whether one program computes what the default computes; why not, if it does not.
  Result<std::string> whatIsWrong(size_t program);

private:
  Status leaveOutIdle(std::vector<size_t> &candidates);
  Status leaveOutTooLarge(std::vector<size_t> &candidates);
  Status prepareOne(const Packed &packed);
  Status endIfLost(const Packed &packed, const std::string &reason);
  Status failed(const Packed &packed, const std::string &invalidity, const std::string &reason);
  bool isTooLarge(Candidate &candidate, const Compiled &compiled) const;
  Status journalCandidates(const std::vector<size_t> &candidates);

  const Measuring &measuring;
  Space &space;
  const Place &place;
  Journal &journal;
  std::deque<Packed> open;
  std::vector<Arm> arms;
};

} // namespace nysjit::tune

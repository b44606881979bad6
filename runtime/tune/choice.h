// Which candidate of a group is put against the default.
#pragma once
#include "runtime/tune/space.h"

#include <map>
#include <optional>
#include <vector>

namespace nysjit::tune {

/// What is known of a group: by Space::candidates, its time over the default's at each shape.
struct GroupScores {
  std::map<size_t, std::vector<double>> ratios;
  double share = 0; // of the default's time
  double noise = 0; // spread of the default's runs, by the clock of the ratios
  double wallNoise = 0;
  int rounds = 1; // that the ratios are of
};

struct Choice {
  std::optional<size_t> candidate; // of Space::candidates; nothing: the default
  std::vector<size_t> tied;        // with the best, itself included
  double ratio = 1;                // the candidate's, over the weighted shapes
  double hidden = 1;               // the best's, where the noise alone ties it with the default
};

/// The best; what is within 2 % of it, or within what the rounds can tell, is tied: then the
/// default, else the least scratch, smaller blocks, the smaller text.
Choice choose(const Space &space, size_t group, const GroupScores &scores,
              const std::vector<TuneShape> &shapes);

/// A group and what is to take the default's place there.
struct Chosen {
  size_t group;
  Choice choice;
};
/// Of all groups those where it is not the default. `scores`: by group.
std::vector<Chosen> chooseAll(const Space &space, const std::vector<GroupScores> &scores,
                              const std::vector<TuneShape> &shapes);
/// What is compared with the default, one after the other until one is faster: all choices, and
/// then twice without the group that was to gain least.
std::vector<std::vector<Chosen>> attemptsOf(std::vector<Chosen> choices,
                                            const std::vector<GroupScores> &scores);
KernelConfig configOf(const Space &space, const std::vector<Chosen> &choices);

/// A candidate's ratio over the weighted shapes.
double weightedOver(const std::vector<double> &ratios, const std::vector<TuneShape> &shapes);

} // namespace nysjit::tune

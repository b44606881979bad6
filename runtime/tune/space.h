// The space of a program's block sizes: which kernels are tuned together, and what is to be tried.
//
//   groups      kernels whose times depend on each other's block sizes: a group's time is that of
//               all its launches. Groups do not depend on each other.
//   candidates  of a group: every combination of the values for its kernels' keys, without the
//               default; those near the default first. Where nothing is listed and they are too
//               many, one kernel is changed at a time
//   programs    candidate i of every group in program i, whose launches are timed apart: as many
//               programs as the largest group has candidates, not their product
#pragma once
#include "runtime/tune/kernels.h"
#include "runtime/tune/resources.h"

#include <map>
#include <string>
#include <vector>

namespace nysjit::tune {

struct Candidate {
  int id = 0; // from 1; 0 is the default
  size_t group = 0;
  KernelBlocks blocks;       // of all the group's kernels that have block sizes
  std::string invalidity;    // "": none is known; "compile", "timeout", "runtime", "correctness",
                             // "constraints"
  std::string reason;        // of an invalidity, a sentence
  double compileMs = 0;      // of the program it is in
  double checkMs = 0;        // that its output was compared in
  KernelResources resources; // of its kernels, the most of each
};

struct Group {
  std::string name;                 // of its first kernel that has block sizes
  std::vector<std::string> kernels; // whose launches are the group's, those without block sizes too
  KernelBlocks defaults;
};

struct Space {
  KernelConfig defaults; // complete
  std::vector<Group> groups;
  std::vector<Candidate> candidates; // by group, those near the default first; ids not set
};
Result<Space> spaceOf(const ParameterLists &parameters, const Kernels &kernels);

/// A config: the defaults but for these candidates, of groups that differ. Every kernel and key is
/// there.
KernelConfig configWith(const Space &space, const std::vector<const Candidate *> &chosen);

/// A program to be compiled, and whose candidates it has: indices of Space::candidates.
struct Packed {
  KernelConfig config;
  std::vector<size_t> candidates;
};
/// Packs these candidates, as few programs as can be.
std::vector<Packed> pack(const Space &space, const std::vector<size_t> &candidates);
/// Picks of these complete configs, in their order, those that have candidates which none before
/// has.
std::vector<Packed> pick(const Space &space, const std::vector<size_t> &candidates,
                         const std::vector<KernelConfig> &configs);
/// Whether the config has the candidate's blocks in all of its group's kernels.
bool has(const KernelConfig &config, const Space &space, const Candidate &candidate);

/// "16x32", "16", "16x32 split 256"; of several kernels "scan_inverse 16 + scan_output 64x64".
std::string blocksText(const KernelBlocks &blocks);
Json blocksObject(const KernelBlocks &blocks);

} // namespace nysjit::tune

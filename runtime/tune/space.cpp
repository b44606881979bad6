// Kernels to groups, groups to candidates, candidates to programs.
#include "runtime/tune/space.h"
#include "runtime/spec/block_space.h"
#include "runtime/spec/config_table.h"
#include "runtime/tune/keys.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace nysjit::tune {

namespace {

/// Kernels that are timed together, by name: always, or where values of the leader's structural
/// keys are listed.
struct Coupling {
  std::vector<std::string> kernels;
  const char *leader = nullptr;
};

/// block_n of the kernel that goes over the past decides whether pools are summed there or in
/// segment_summary; with a `split` its sums are those of landmark_past and scan_sums, whose readers
/// read them by blocks of their own; scan_output's block_n, in a backward scan_columns', decides
/// how scan_inverse's results lie. Parts of a sum are added up by other kernels.
const std::vector<Coupling> couplings = {
    {{"segment_summary", "source_past", "landmark_target", "landmark_past"}},
    {{"scan_output", "scan_inverse", "scan_sums", "scan_states", "scan_chunks", "scan_columns",
      "scan_rows", "scan_suffixes", "scan_partial_sums", "scan_inverse_gradient"}},
    {{"probe_summary", "probe_values"}, "probe_summary"},
    {{"far_gradient", "far_gradient_sum"}, "far_gradient"},
    {{"source_far_gradient", "source_far_gradient_sum"}, "source_far_gradient"},
    {{"past_gradient", "past_gradient_sum"}, "past_gradient"},
    {{"position_gradient", "query_gradient", "probe_gradient"}},
    {{"source_position_gradient", "source_query_gradient"}},
    {{"target_position_gradient", "target_query_gradient"}},
    {{"position_gradient", "past_gradient", "past_gradient_sum", "far_gradient",
      "far_gradient_sum"},
     "position_gradient"},
    {{"source_position_gradient", "source_past_gradient_sum", "past_gradient", "past_gradient_sum",
      "source_far_gradient", "source_far_gradient_sum"},
     "source_position_gradient"},
    {{"target_position_gradient", "target_past_gradient_sum", "source_position_gradient",
      "source_past_gradient_sum", "past_gradient", "past_gradient_sum", "far_gradient",
      "far_gradient_sum", "source_far_gradient", "source_far_gradient_sum"},
     "target_position_gradient"},
    {{"block_rows", "block_gradient", "block_gradient_5", "block_gradient_10", "block_gradient_15",
      "position_gradient"},
     "block_rows"}};

/// What is tried of a key where nothing is listed. On CPUs larger blocks lose everywhere (their
/// scratch leaves the L2), and only block sizes matter.
const std::vector<int> cpuBlocks = {16, 32, 64};
const std::vector<int> gpuBlocks = {16, 32, 64, 128};
const std::vector<int> gpuWarps = {1, 2, 4, 8};
const std::vector<int> gpuStages = {2, 3, 4};
constexpr size_t mostCandidates = 4096;

bool applies(const Coupling &coupling, const ParameterLists &parameters) {
  return !coupling.leader || listedValues(parameters, coupling.leader, "split") ||
         listedValues(parameters, coupling.leader, "fused");
}

/// All that is timed together with a kernel, in the order of the table; itself alone where nothing
/// is.
std::vector<std::string> coupledWith(const std::string &kernel, const ParameterLists &parameters) {
  std::vector<std::string> all = {kernel};
  const auto isIn = [&](const std::string &name) { return std::ranges::count(all, name) > 0; };
  for (size_t before = 0; before < all.size();) {
    before = all.size();
    std::vector<std::string> found;
    for (const Coupling &coupling : couplings)
      if (applies(coupling, parameters) && std::ranges::any_of(coupling.kernels, isIn))
        for (const std::string &name : coupling.kernels)
          if (!std::ranges::count(found, name))
            found.push_back(name);
    if (!found.empty())
      all = std::move(found);
  }
  return all;
}

/// The values to try of a kernel's key.
std::vector<int> valuesOf(const ParameterLists &parameters, const std::string &kernel,
                          const BlockKey &key, const BlockConfig &used, int gpuHeadDim) {
  const int inUse = *(used.*key.member);
  if (const std::vector<int> *values = listedValues(parameters, kernel, key.name))
    return *values;
  if (parameters.contains(kernel))
    return {inUse};
  const bool isBlock = key.member == &BlockConfig::blockM || key.member == &BlockConfig::blockN;
  const bool isGpu = gpuHeadDim > 0 && used.blockM; // those without rows of their own are short
  std::vector<int> values;
  if (isBlock)
    values = isGpu ? gpuBlocks : cpuBlocks;
  else if (isGpu && key.member == &BlockConfig::numWarps)
    values = gpuWarps;
  else if (isGpu && key.member == &BlockConfig::numStages)
    values = gpuStages;
  if (!std::ranges::count(values, inUse))
    values.push_back(inUse);
  return values;
}

/// Whether a GPU has the registers for it and no warp computes what another does: each has one or
/// two slabs of 16 rows, of wide heads one.
bool isSensible(const BlockConfig &block, int gpuHeadDim) {
  constexpr int slabRows = 16;
  if (!block.blockM || !block.numWarps)
    return true;
  const int slabs = *block.blockM / slabRows;
  return *block.numWarps <= slabs && slabs <= *block.numWarps * (gpuHeadDim > 64 ? 1 : 2);
}

bool isStructural(const BlockKey &key) { return std::ranges::count(structuralKeys, key.member); }

/// Every combination of a kernel's values but those of structural keys, which are as in `inUse`.
std::vector<BlockConfig> combinations(const ParameterLists &parameters, const std::string &kernel,
                                      const BlockConfig &inUse, int gpuHeadDim) {
  std::vector<BlockConfig> all = {inUse};
  for (const BlockKey &key : blockSpaceOf(kernel, inUse).keys) {
    if (isStructural(key))
      continue;
    std::vector<BlockConfig> longer;
    for (const BlockConfig &block : all)
      for (const int value : valuesOf(parameters, kernel, key, inUse, gpuHeadDim)) {
        longer.push_back(block);
        longer.back().*key.member = value;
      }
    all = std::move(longer);
  }
  if (gpuHeadDim > 0 && !parameters.contains(kernel))
    std::erase_if(all, [&](const BlockConfig &block) {
      return block != inUse && !isSensible(block, gpuHeadDim);
    });
  return all;
}

/// What a kernel that only another structure brings into being takes where nothing is listed for
/// it: the blocks of the structure's leader.
BlockConfig following(const BlockConfig &own, const BlockConfig &leader) {
  BlockConfig block = own;
  for (const ConfigRow &row : configTable())
    if (own.*row.member && leader.*row.member)
      block.*row.member = leader.*row.member;
  return block;
}

/// Each kernel's own combinations.
using Choices = std::map<std::string, std::vector<BlockConfig>>;

std::vector<KernelBlocks> allOf(const Choices &choices) {
  std::vector<KernelBlocks> all = {{}};
  for (const auto &[kernel, own] : choices) {
    std::vector<KernelBlocks> longer;
    for (const KernelBlocks &blocks : all)
      for (const BlockConfig &each : own) {
        longer.push_back(blocks);
        longer.back().emplace(kernel, each);
      }
    all = std::move(longer);
    if (all.size() > mostCandidates)
      break;
  }
  return all;
}

/// The blocks in use with one kernel's changed.
std::vector<KernelBlocks> oneByOne(const Choices &choices, const KernelBlocks &inUse) {
  std::vector<KernelBlocks> all;
  for (const auto &[kernel, own] : choices)
    for (const BlockConfig &each : own) {
      KernelBlocks blocks;
      for (const auto &[name, list] : choices)
        blocks.emplace(name, name == kernel ? each : inUse.at(name));
      if (!std::ranges::count(all, blocks))
        all.push_back(std::move(blocks));
    }
  return all;
}

/// Every combination of a group's kernels as one structure has them.
std::vector<KernelBlocks> combinations(const ParameterLists &parameters, const Kernels &kernels,
                                       const Group &group, const Structure &structure) {
  const KernelBlocks &inUse = structure.blocks;
  Choices choices;
  std::vector<std::string> followers;
  for (const auto &[kernel, block] : inUse) {
    if (!std::ranges::count(group.kernels, kernel))
      continue;
    if (!kernels.defaults.contains(kernel) && !parameters.contains(kernel)) {
      followers.push_back(kernel);
      continue;
    }
    choices.emplace(kernel, combinations(parameters, kernel, block, kernels.gpuHeadDim));
  }
  std::vector<KernelBlocks> all = allOf(choices);
  const auto isListed = [&](const auto &choice) { return parameters.contains(choice.first); };
  if (all.size() > mostCandidates && std::ranges::none_of(choices, isListed))
    all = oneByOne(choices, inUse);
  for (KernelBlocks &blocks : all)
    for (const std::string &kernel : followers)
      blocks.emplace(kernel, following(inUse.at(kernel), blocks.at(structure.leader)));
  return all;
}

/// How far a candidate is from the default, in powers of two.
double distance(const KernelBlocks &blocks, const KernelBlocks &defaults) {
  double sum = 0;
  for (const auto &[kernel, block] : blocks) {
    const auto own = defaults.find(kernel);
    if (own == defaults.end())
      continue;
    for (const ConfigRow &row : configTable())
      if (block.*row.member && own->second.*row.member)
        sum += std::abs(std::log2(std::max(*(block.*row.member), 1)) -
                        std::log2(std::max(*(own->second.*row.member), 1)));
  }
  return sum;
}

std::vector<Group> groupsOf(const ParameterLists &parameters, const Kernels &kernels) {
  std::vector<Group> groups;
  for (const auto &[kernel, block] : kernels.defaults) {
    if (kernels.idle.contains(kernel))
      continue;
    const auto has = [&](const Group &group) {
      return std::ranges::count(group.kernels, kernel) > 0;
    };
    auto group = std::ranges::find_if(groups, has);
    if (group == groups.end())
      group = groups.insert(group, {kernel, coupledWith(kernel, parameters), {}});
    group->defaults.emplace(kernel, block);
  }
  return groups;
}

} // namespace

Result<Space> spaceOf(const ParameterLists &parameters, const Kernels &kernels) {
  Space space{{kernels.defaults}, groupsOf(parameters, kernels), {}};
  for (size_t g = 0; g < space.groups.size(); ++g) {
    const Group &group = space.groups[g];
    std::vector<KernelBlocks> all;
    const auto addAll = [&](const Structure &structure) {
      for (KernelBlocks &blocks : combinations(parameters, kernels, group, structure))
        all.push_back(std::move(blocks));
    };
    bool isLed = false;
    for (const Structure &structure : kernels.structures) {
      if (!std::ranges::count(group.kernels, structure.leader))
        continue;
      isLed = true;
      if (isWanted(parameters, structure))
        addAll(structure);
    }
    if (!isLed)
      addAll({"", {}, kernels.defaults});
    if (all.size() > mostCandidates)
      return keyError("parameters." + group.name,
                      "lists of at most " + std::to_string(mostCandidates) + " combinations",
                      "more");
    std::erase(all, group.defaults);
    std::ranges::sort(all, {}, [&](const KernelBlocks &blocks) {
      return std::pair(distance(blocks, group.defaults), blocksObject(blocks).dump());
    });
    for (KernelBlocks &blocks : all)
      space.candidates.push_back({.group = g, .blocks = std::move(blocks)});
  }
  return space;
}

KernelConfig configWith(const Space &space, const std::vector<const Candidate *> &chosen) {
  KernelConfig config = space.defaults;
  for (const Candidate *candidate : chosen) {
    for (const std::string &kernel : space.groups[candidate->group].kernels)
      config.kernels.erase(kernel);
    config.kernels.insert(candidate->blocks.begin(), candidate->blocks.end());
  }
  return config;
}

std::vector<Packed> pack(const Space &space, const std::vector<size_t> &candidates) {
  std::vector<Packed> programs;
  std::vector<size_t> next(space.groups.size());
  for (const size_t index : candidates) {
    const size_t number = next[space.candidates[index].group]++;
    if (number == programs.size())
      programs.push_back({});
    programs[number].candidates.push_back(index);
  }
  for (Packed &program : programs) {
    std::vector<const Candidate *> chosen;
    for (const size_t index : program.candidates)
      chosen.push_back(&space.candidates[index]);
    program.config = configWith(space, chosen);
  }
  return programs;
}

bool has(const KernelConfig &config, const Space &space, const Candidate &candidate) {
  KernelBlocks own;
  for (const std::string &kernel : space.groups[candidate.group].kernels)
    if (const auto block = config.kernels.find(kernel); block != config.kernels.end())
      own.insert(*block);
  return own == candidate.blocks;
}

std::vector<Packed> pick(const Space &space, const std::vector<size_t> &candidates,
                         const std::vector<KernelConfig> &configs) {
  std::vector<Packed> programs;
  std::set<size_t> seen;
  for (const KernelConfig &config : configs) {
    Packed program{config, {}};
    for (const size_t index : candidates)
      if (has(config, space, space.candidates[index]) && seen.insert(index).second)
        program.candidates.push_back(index);
    if (!program.candidates.empty())
      programs.push_back(std::move(program));
  }
  return programs;
}

std::string blocksText(const KernelBlocks &blocks) {
  std::string text;
  const auto add = [&](const std::string &word) {
    text += (text.empty() || text.ends_with(' ') ? "" : " ") + word;
  };
  for (const auto &[kernel, block] : blocks) {
    if (!text.empty())
      text += " + ";
    if (blocks.size() > 1)
      add(kernel);
    if (block.blockM || block.blockN)
      add((block.blockM ? std::to_string(*block.blockM) : "") +
          (block.blockM && block.blockN ? "x" : "") +
          (block.blockN ? std::to_string(*block.blockN) : ""));
    if (block.numWarps)
      add("warps " + std::to_string(*block.numWarps));
    if (block.numStages)
      add("stages " + std::to_string(*block.numStages));
    if (block.split.value_or(0))
      add("split " + std::to_string(*block.split));
    if (block.fused == 0)
      add("fused 0");
  }
  return text;
}

Json blocksObject(const KernelBlocks &blocks) { return canonicalObject(KernelConfig{blocks}); }

} // namespace nysjit::tune

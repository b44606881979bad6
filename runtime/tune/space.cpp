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

/// Kernels that are timed together, by name. block_n of the kernel that goes over the past decides
/// whether pools are summed there or in segment_summary; with a `split` its sums are those of
/// landmark_past and scan_sums, whose readers read them by blocks of their own; scan_output's
/// block_n decides how scan_inverse's results lie.
const std::array<std::vector<std::string>, 2> couplings = {
    {{"segment_summary", "source_past", "landmark_target", "landmark_past"},
     {"scan_output", "scan_inverse", "scan_sums", "scan_states"}}};

/// Blocks beyond these lose everywhere on CPUs (their scratch leaves the L2): only if asked for.
constexpr int usualBlocks[] = {16, 32, 64};
constexpr size_t mostCandidates = 4096;

/// A kernel for tensors that are not aligned is the same as the one it stands in for.
bool isStandIn(const std::string &kernel) { return kernel.ends_with("_unaligned"); }

KernelBlocks blocksOf(const Plan &plan) {
  KernelBlocks blocks;
  for (const PlanKernel &kernel : plan.kernels)
    if (!isStandIn(kernel.name) && kernel.config != BlockConfig())
      blocks.emplace(kernel.name, kernel.config);
  return blocks;
}

const std::vector<std::string> *couplingOf(const std::string &kernel) {
  for (const std::vector<std::string> &coupling : couplings)
    if (std::ranges::count(coupling, kernel))
      return &coupling;
  return nullptr;
}

/// The values to try of a kernel's key.
std::vector<int> valuesOf(const ParameterLists &parameters, const std::string &kernel,
                          const BlockKey &key, int inUse) {
  if (const auto lists = parameters.find(kernel); lists != parameters.end()) {
    const auto list = lists->second.find(key.name);
    return list == lists->second.end() ? std::vector{inUse} : list->second;
  }
  const bool isBlock = key.member == &BlockConfig::blockM || key.member == &BlockConfig::blockN;
  if (!isBlock)
    return {inUse};
  std::vector<int> values(std::begin(usualBlocks), std::end(usualBlocks));
  if (!std::ranges::count(values, inUse))
    values.push_back(inUse);
  return values;
}

/// Every combination of a kernel's values but those of `split`, which is as in `inUse`.
std::vector<BlockConfig> combinations(const ParameterLists &parameters, const std::string &kernel,
                                      const BlockConfig &inUse) {
  std::vector<BlockConfig> all = {inUse};
  for (const BlockKey &key : blockSpaceOf(kernel, inUse).keys) {
    if (key.member == &BlockConfig::split)
      continue;
    std::vector<BlockConfig> longer;
    for (const BlockConfig &block : all)
      for (const int value : valuesOf(parameters, kernel, key, *(inUse.*key.member))) {
        longer.push_back(block);
        longer.back().*key.member = value;
      }
    all = std::move(longer);
  }
  return all;
}

/// What a kernel that only a split brings into being takes where nothing is listed for it: the
/// blocks of the kernel that is split.
BlockConfig following(const BlockConfig &own, const BlockConfig &leader) {
  BlockConfig block = own;
  for (const ConfigRow &row : configTable())
    if (own.*row.member && leader.*row.member)
      block.*row.member = leader.*row.member;
  return block;
}

/// Every combination of a group's kernels with one value of `split`.
std::vector<KernelBlocks> combinations(const ParameterLists &parameters, const Kernels &kernels,
                                       const Group &group, const KernelBlocks &inUse) {
  std::vector<KernelBlocks> all = {{}};
  std::vector<std::string> followers;
  for (const auto &[kernel, block] : inUse) {
    if (!std::ranges::count(group.kernels, kernel))
      continue;
    if (!kernels.defaults.contains(kernel) && !parameters.contains(kernel)) {
      followers.push_back(kernel);
      continue;
    }
    std::vector<KernelBlocks> longer;
    for (const KernelBlocks &blocks : all)
      for (const BlockConfig &each : combinations(parameters, kernel, block)) {
        longer.push_back(blocks);
        longer.back().emplace(kernel, each);
      }
    all = std::move(longer);
    if (all.size() > mostCandidates)
      break;
  }
  for (KernelBlocks &blocks : all)
    for (const std::string &kernel : followers)
      blocks.emplace(kernel, following(inUse.at(kernel), blocks.at(kernels.splitKernel)));
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

std::vector<Group> groupsOf(const Kernels &kernels) {
  std::vector<Group> groups;
  std::set<const std::vector<std::string> *> seen;
  for (const auto &[kernel, block] : kernels.defaults) {
    const std::vector<std::string> *coupling = couplingOf(kernel);
    if (coupling && !seen.insert(coupling).second) {
      const auto same = std::ranges::find(groups, *coupling, &Group::kernels);
      same->defaults.emplace(kernel, block);
      continue;
    }
    groups.push_back({kernel, coupling ? *coupling : std::vector{kernel}, {{kernel, block}}});
  }
  return groups;
}

} // namespace

Result<Kernels> kernelsOf(const ParameterLists &parameters, const PlanMaker &planOf) {
  Result<Plan> plan = planOf({});
  NYSJIT_RETURN_IF_ERROR(plan);
  Kernels kernels{blocksOf(*plan), "", {}};
  for (const auto &[kernel, block] : kernels.defaults) {
    if (!block.split)
      continue;
    kernels.splitKernel = kernel;
    kernels.splits.emplace(*block.split, kernels.defaults);
  }
  const auto lists = parameters.find(kernels.splitKernel);
  if (lists == parameters.end() || !lists->second.contains("split"))
    return kernels;
  for (const int split : lists->second.at("split")) {
    if (kernels.splits.contains(split))
      continue;
    Result<Plan> with = planOf({{{kernels.splitKernel, {.split = split}}}});
    NYSJIT_RETURN_IF_ERROR(with);
    kernels.splits.emplace(split, blocksOf(*with));
  }
  return kernels;
}

Status checkParameters(const ParameterLists &parameters, const std::vector<Kernels> &specs) {
  for (const auto &[kernel, lists] : parameters) {
    std::set<std::string> names;
    std::set<std::string> keys;
    for (const Kernels &spec : specs) {
      std::vector<const KernelBlocks *> all = {&spec.defaults};
      for (const auto &[split, blocks] : spec.splits)
        all.push_back(&blocks);
      for (const KernelBlocks *blocks : all)
        for (const auto &[name, block] : *blocks) {
          names.insert(name);
          if (name == kernel)
            for (const BlockKey &key : blockSpaceOf(name, block).keys)
              keys.insert(key.name);
        }
    }
    const auto listed = [](const std::set<std::string> &texts) {
      std::string all;
      for (const std::string &text : texts)
        all += (all.empty() ? "" : ", ") + text;
      return all;
    };
    if (!names.contains(kernel))
      return keyError("parameters." + kernel, "one of the kernels " + listed(names),
                      "\"" + kernel + "\"");
    for (const auto &[key, values] : lists)
      if (!keys.contains(key))
        return keyError("parameters." + kernel + "." + key,
                        "one of the kernel's keys " + listed(keys), "\"" + key + "\"");
  }
  return {};
}

Result<Space> spaceOf(const ParameterLists &parameters, const Kernels &kernels) {
  Space space{{kernels.defaults}, groupsOf(kernels), {}};
  for (size_t g = 0; g < space.groups.size(); ++g) {
    const Group &group = space.groups[g];
    std::vector<KernelBlocks> all;
    const bool isSplit = std::ranges::count(group.kernels, kernels.splitKernel) != 0;
    if (!isSplit)
      all = combinations(parameters, kernels, group, kernels.defaults);
    for (const auto &[split, inUse] : kernels.splits) {
      const auto lists = parameters.find(kernels.splitKernel);
      const bool isListed = lists != parameters.end() && lists->second.contains("split");
      if (!isSplit || (isListed && !std::ranges::count(lists->second.at("split"), split)))
        continue;
      for (KernelBlocks &blocks : combinations(parameters, kernels, group, inUse))
        all.push_back(std::move(blocks));
    }
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

std::string blocksText(const KernelBlocks &blocks) {
  std::string text;
  for (const auto &[kernel, block] : blocks) {
    if (!text.empty())
      text += " + ";
    if (blocks.size() > 1)
      text += kernel + " ";
    if (block.blockM)
      text += std::to_string(*block.blockM);
    if (block.blockN)
      text += (block.blockM ? "x" : "") + std::to_string(*block.blockN);
    if (block.numWarps)
      text += " warps " + std::to_string(*block.numWarps);
    if (block.numStages)
      text += " stages " + std::to_string(*block.numStages);
    if (block.split.value_or(0))
      text += " split " + std::to_string(*block.split);
  }
  return text;
}

Json blocksObject(const KernelBlocks &blocks) { return canonicalObject(KernelConfig{blocks}); }

} // namespace nysjit::tune

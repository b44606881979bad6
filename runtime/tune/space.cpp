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

/// What is tried of a key where nothing is listed. On CPUs larger blocks lose everywhere (their
/// scratch leaves the L2), and only block sizes matter.
const std::vector<int> cpuBlocks = {16, 32, 64};
const std::vector<int> gpuBlocks = {16, 32, 64, 128};
const std::vector<int> gpuWarps = {1, 2, 4, 8};
const std::vector<int> gpuStages = {2, 3, 4};
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
                          const BlockKey &key, const BlockConfig &used, int gpuHeadDim) {
  const int inUse = *(used.*key.member);
  if (const auto lists = parameters.find(kernel); lists != parameters.end()) {
    const auto list = lists->second.find(key.name);
    return list == lists->second.end() ? std::vector{inUse} : list->second;
  }
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

/// Every combination of a kernel's values but those of `split`, which is as in `inUse`.
std::vector<BlockConfig> combinations(const ParameterLists &parameters, const std::string &kernel,
                                      const BlockConfig &inUse, int gpuHeadDim) {
  std::vector<BlockConfig> all = {inUse};
  for (const BlockKey &key : blockSpaceOf(kernel, inUse).keys) {
    if (key.member == &BlockConfig::split)
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

/// What a kernel that only a split brings into being takes where nothing is listed for it: the
/// blocks of the kernel that is split.
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

/// Every combination of a group's kernels with one value of `split`.
std::vector<KernelBlocks> combinations(const ParameterLists &parameters, const Kernels &kernels,
                                       const Group &group, const KernelBlocks &inUse) {
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
  if (isGpuPlan(*plan)) {
    Result<KernelSpec> spec = parseKernelSpec(std::string_view(plan->specJson));
    NYSJIT_RETURN_IF_ERROR(spec);
    kernels.gpuHeadDim = spec->headDim;
  }
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
  }
  return text;
}

Json blocksObject(const KernelBlocks &blocks) { return canonicalObject(KernelConfig{blocks}); }

} // namespace nysjit::tune

// Plans of the default and of other structures.
#include "runtime/tune/kernels.h"
#include "runtime/spec/block_space.h"
#include "runtime/tune/keys.h"

#include <algorithm>
#include <set>

namespace nysjit::tune {

namespace {

/// A kernel for tensors that are not aligned is the same as the one it stands in for.
bool isStandIn(const std::string &kernel) { return kernel.ends_with("_unaligned"); }

KernelBlocks blocksOf(const Plan &plan) {
  KernelBlocks blocks;
  for (const PlanKernel &kernel : plan.kernels)
    if (!isStandIn(kernel.name) && kernel.config != BlockConfig())
      blocks.emplace(kernel.name, kernel.config);
  return blocks;
}

/// Whether a launch's condition is, among others, that nothing was saved.
bool needsNothingSaved(const Expression &when, const std::string &symbol) {
  const std::vector<Expression> &operands = when.operands();
  if (when.op() == Operator::Eq)
    return operands[0] == Expression::symbol(symbol) && operands[1] == Expression(0);
  return when.op() == Operator::Min && std::ranges::any_of(operands, [&](const Expression &each) {
           return needsNothingSaved(each, symbol);
         });
}

std::set<std::string> idleOf(const Plan &plan) {
  std::set<std::string> idle;
  std::set<std::string> launched;
  for (const PlanLaunch &launch : plan.launches)
    (needsNothingSaved(launch.when, plan.saved.symbol) ? idle : launched).insert(launch.kernel);
  for (const std::string &kernel : launched)
    idle.erase(kernel);
  return idle;
}

std::vector<int> valuesOf(const ParameterLists &parameters, const std::string &kernel,
                          const char *key) {
  const std::vector<int> *values = listedValues(parameters, kernel, key);
  return values ? *values : std::vector<int>();
}

/// The structural keys of a block.
BlockConfig structureOf(const BlockConfig &block) {
  BlockConfig keys;
  for (const auto member : structuralKeys)
    keys.*member = block.*member;
  return keys;
}

/// Adds the structures of a kernel: that of `inUse`, and those that are listed. A program that is
/// not `fused` may have no `split`, so that is looked at with each value of `fused`.
Status addStructures(const ParameterLists &parameters, const PlanMaker &planOf,
                     const std::string &kernel, const BlockConfig &inUse, Kernels &kernels) {
  const auto add = [&](const BlockConfig &asked) -> Status {
    KernelBlocks blocks = kernels.defaults;
    if (asked != BlockConfig()) {
      Result<Plan> plan = planOf({{{kernel, asked}}});
      NYSJIT_RETURN_IF_ERROR(plan);
      blocks = blocksOf(*plan);
    }
    kernels.structures.push_back({kernel, structureOf(blocks.at(kernel)), blocks});
    return {};
  };
  const size_t first = kernels.structures.size();
  NYSJIT_RETURN_IF_ERROR(add({}));
  if (inUse.fused)
    for (const int fused : valuesOf(parameters, kernel, "fused"))
      if (fused != *inUse.fused)
        NYSJIT_RETURN_IF_ERROR(add({.fused = fused}));
  for (size_t i = first, end = kernels.structures.size(); i < end; ++i) {
    const BlockConfig keys = kernels.structures[i].keys;
    for (const int split : valuesOf(parameters, kernel, "split"))
      if (keys.split && split != *keys.split)
        NYSJIT_RETURN_IF_ERROR(add({.split = split, .fused = keys.fused}));
  }
  return {};
}

} // namespace

const std::vector<int> *listedValues(const ParameterLists &parameters, const std::string &kernel,
                                     const std::string &key) {
  const auto lists = parameters.find(kernel);
  if (lists == parameters.end())
    return nullptr;
  const auto list = lists->second.find(key);
  return list == lists->second.end() ? nullptr : &list->second;
}

bool isWanted(const ParameterLists &parameters, const Structure &structure) {
  for (const BlockKey &key : blockSpaceOf(structure.leader, structure.keys).keys)
    if (const std::vector<int> *values = listedValues(parameters, structure.leader, key.name))
      if (!std::ranges::count(*values, *(structure.keys.*key.member)))
        return false;
  return true;
}

Result<Kernels> kernelsOf(const ParameterLists &parameters, const PlanMaker &planOf) {
  Result<Plan> plan = planOf({});
  NYSJIT_RETURN_IF_ERROR(plan);
  Kernels kernels;
  kernels.defaults = blocksOf(*plan);
  kernels.idle = idleOf(*plan);
  if (isGpuPlan(*plan)) {
    Result<KernelSpec> spec = parseKernelSpec(std::string_view(plan->specJson));
    NYSJIT_RETURN_IF_ERROR(spec);
    kernels.gpuHeadDim = spec->headDim;
  }
  for (const auto &[kernel, block] : kernels.defaults)
    if (structureOf(block) != BlockConfig() && !kernels.idle.contains(kernel))
      NYSJIT_RETURN_IF_ERROR(addStructures(parameters, planOf, kernel, block, kernels));
  return kernels;
}

Status checkParameters(const ParameterLists &parameters, const std::vector<Kernels> &specs) {
  for (const auto &[kernel, lists] : parameters) {
    std::set<std::string> names;
    std::set<std::string> keys;
    for (const Kernels &spec : specs) {
      std::vector<const KernelBlocks *> all = {&spec.defaults};
      for (const Structure &structure : spec.structures)
        all.push_back(&structure.blocks);
      for (const KernelBlocks *blocks : all)
        for (const auto &[name, block] : *blocks) {
          if (spec.idle.contains(name))
            continue;
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

} // namespace nysjit::tune

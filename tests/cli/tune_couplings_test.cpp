// Kernels that depend on each other's block sizes are tuned together: which these are is a table of
// names in the tuner, and this asks the compiler whether it has them all.
#include "runtime/api/context.h"
#include "runtime/spec/block_space.h"
#include "runtime/tune/space.h"
#include "tests/cli/command.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>

namespace {

using nysjit::BlockConfig;
using nysjit::KernelConfig;
using nysjit::Plan;
using nysjit::tune::ParameterLists;

class Couplings : public CommandTest {
protected:
  void SetUp() override {
    CommandTest::SetUp();
    setenv("NYSJIT_COMPILER", NYSJIT_BINARY_DIR "/bin/nysjit-compiler", 1);
  }
  void TearDown() override {
    unsetenv("NYSJIT_COMPILER");
    CommandTest::TearDown();
  }
  std::string emit(const char *stage, const KernelConfig &config) {
    nysjit::Result<nysjit::StageReply> reply = context->compileStage(
        {.program = nysjit::ProgramRequest(spec, config, nysjit::Target()), .emit = stage});
    EXPECT_TRUE(reply.ok()) << reply.error().message;
    return reply ? reply->blobs.front() : "{}";
  }
  nysjit::Result<Plan> plan(const KernelConfig &config) {
    return nysjit::planFromJson(emit("plan", config));
  }
  /// What is computed by each kernel, and how often: its tile IR without places in the source, and
  /// what the plan says of it.
  std::map<std::string, std::string> kernelsWith(const KernelConfig &config) {
    std::map<std::string, std::string> texts;
    const std::string tile = emit("tile", config);
    std::string *own = nullptr;
    for (size_t begin = 0; begin < tile.size();) {
      const size_t end = std::min(tile.find('\n', begin), tile.size());
      const std::string line = tile.substr(begin, end - begin);
      begin = end + 1;
      constexpr std::string_view head = "  func.func @";
      if (line.starts_with(head))
        own = &texts[line.substr(head.size(), line.find('(') - head.size())];
      if (own && line.starts_with("  "))
        *own += withoutPlaces(line) + "\n";
    }
    const nlohmann::json object = nlohmann::json::parse(emit("plan", config));
    for (const nlohmann::json &kernel : object["kernels"])
      texts[kernel["name"]] += kernel.dump();
    return texts;
  }
  static std::string withoutPlaces(const std::string &line) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line.compare(i, 5, " loc(") != 0) {
        text += line[i];
        continue;
      }
      int depth = 0;
      for (i += 4; i < line.size(); ++i) {
        depth += line[i] == '(' ? 1 : line[i] == ')' ? -1 : 0;
        if (depth == 0)
          break;
      }
    }
    return text;
  }
  /// All layouts.
  void checkAll(const char *pass);
  /// The defaults, and what there is besides with another `split` or `fused` of a kernel.
  void checkSpec(const std::string &text);
  /// Each kernel's keys, one after the other, with other values. `lists` have the structural ones
  /// of `base`.
  void checkFrom(const KernelConfig &base, const ParameterLists &lists);
  void checkChange(const std::map<std::string, std::string> &before, const KernelConfig &config,
                   const nysjit::tune::Space &space, const std::string &kernel);
  nysjit::tune::Space spaceWith(const ParameterLists &lists);
  std::optional<nysjit::RuntimeContext> context;
  nysjit::KernelSpec spec;
  std::set<std::string> ofForward;
  size_t changes = 0; // of kernels by another's blocks
};

/// Another value of a key than the one in use.
int otherThan(int inUse, std::optional<int> BlockConfig::*key) {
  if (key == &BlockConfig::fused)
    return 1 - inUse;
  if (key == &BlockConfig::split)
    return inUse == 256 ? 0 : 256;
  return inUse == 16 ? 128 : 16;
}

/// The kernels that the tuner times together with this one.
const std::vector<std::string> &groupOf(const nysjit::tune::Space &space,
                                        const std::string &kernel) {
  const auto has = [&](const nysjit::tune::Group &group) {
    return std::ranges::count(group.kernels, kernel) > 0;
  };
  const auto group = std::ranges::find_if(space.groups, has);
  static const std::vector<std::string> none;
  return group == space.groups.end() ? none : group->kernels;
}

bool isStructural(std::optional<int> BlockConfig::*key) {
  return std::ranges::count(nysjit::tune::structuralKeys, key) > 0;
}

nysjit::tune::Space Couplings::spaceWith(const ParameterLists &lists) {
  const auto planOf = [&](const KernelConfig &asked) { return plan(asked); };
  nysjit::Result<nysjit::tune::Kernels> kernels = nysjit::tune::kernelsOf(lists, planOf);
  EXPECT_TRUE(kernels.ok());
  nysjit::Result<nysjit::tune::Space> space =
      nysjit::tune::spaceOf(lists, kernels ? *kernels : nysjit::tune::Kernels());
  EXPECT_TRUE(space.ok());
  return space ? *space : nysjit::tune::Space();
}

void Couplings::checkSpec(const std::string &text) {
  nysjit::Result<nysjit::KernelSpec> parsed = nysjit::parseKernelSpec(std::string_view(text));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  spec = *parsed;
  const auto planOf = [&](const KernelConfig &config) { return plan(config); };
  nysjit::Result<nysjit::tune::Kernels> kernels = nysjit::tune::kernelsOf({}, planOf);
  ASSERT_TRUE(kernels.ok()) << text;
  // A backward program has the forward's kernels, too: those are looked at in a forward one.
  ofForward.clear();
  if (spec.pass == nysjit::Pass::Backward) {
    spec.pass = nysjit::Pass::Forward;
    const nysjit::Result<Plan> forward = plan({});
    ASSERT_TRUE(forward.ok()) << forward.error().message;
    for (const nysjit::PlanKernel &kernel : forward->kernels)
      ofForward.insert(kernel.name);
    spec.pass = nysjit::Pass::Backward;
  }
  checkFrom({}, {});
  for (const nysjit::tune::Structure &structure : kernels->structures)
    for (const nysjit::BlockKey &key : nysjit::blockSpaceOf(structure.leader, structure.keys).keys)
      if (!ofForward.contains(structure.leader)) {
        const int value = otherThan(*(structure.keys.*key.member), key.member);
        BlockConfig other;
        other.*key.member = value;
        checkFrom({{{structure.leader, other}}}, {{structure.leader, {{key.name, {value}}}}});
      }
}

void Couplings::checkFrom(const KernelConfig &base, const ParameterLists &lists) {
  const std::map<std::string, std::string> before = kernelsWith(base);
  ASSERT_FALSE(before.empty());
  const nysjit::Result<Plan> own = plan(base);
  ASSERT_TRUE(own.ok()) << own.error().message;
  const nysjit::tune::Space space = spaceWith(lists);
  for (const nysjit::PlanKernel &kernel : own->kernels)
    for (const nysjit::BlockKey &key : nysjit::blockSpaceOf(kernel.name, kernel.config).keys) {
      if (ofForward.contains(kernel.name))
        continue;
      const int value = otherThan(*(kernel.config.*key.member), key.member);
      KernelConfig config = base;
      if (key.member == &BlockConfig::fused) // then it may have no `split`
        config.kernels.erase(kernel.name);
      config.kernels[kernel.name].*key.member = value;
      ParameterLists changed = lists;
      changed[kernel.name][key.name] = {value};
      checkChange(before, config, isStructural(key.member) ? spaceWith(changed) : space,
                  kernel.name);
    }
}

/// Whatever else changes with the kernel's key is in its group.
void Couplings::checkChange(const std::map<std::string, std::string> &before,
                            const KernelConfig &config, const nysjit::tune::Space &space,
                            const std::string &kernel) {
  std::map<std::string, std::string> after = kernelsWith(config);
  after.insert(before.begin(), before.end()); // those that are gone
  for (const auto &[name, text] : after) {
    const auto known = before.find(name);
    if (name == kernel || (known != before.end() && known->second == text))
      continue;
    ++changes;
    EXPECT_GT(std::ranges::count(groupOf(space, kernel), name), 0)
        << nysjit::canonicalJson(spec) << ": " << name << " changes with " << kernel << " of "
        << nysjit::canonicalJson(config)
        << ", and is not in its group (couplings in runtime/tune/space.cpp)";
  }
}

void Couplings::checkAll(const char *pass) {
  context.emplace(nysjit::ContextOptions{.cacheFolder = (folder / "cache").string()});
  for (const char *text :
       {R"({"layout": "exact_causal", "head_dim": 16})",
        R"({"layout": "causal", "head_dim": 16, "landmarks": 128, "segment_len": 64})",
        R"({"layout": "causal", "head_dim": 16, "landmarks": 128, "segment_len": 64,
            "conv_kernel": 3, "window": 32})",
        R"({"layout": "segment_causal", "head_dim": 16, "landmarks": 128, "segment_len": 64})",
        R"({"layout": "bidirectional", "head_dim": 16, "landmarks": 128})",
        R"({"layout": "prefix_lm", "head_dim": 16, "landmarks": 128})",
        R"({"layout": "scan", "head_dim": 16, "landmarks": 64, "landmark_source": "learned"})",
        R"({"layout": "scan", "head_dim": 16, "landmarks": 64, "landmark_source": "first_k",
            "first_k": 64})",
        R"({"layout": "causal", "head_dim": 16, "landmarks": 128, "segment_len": 64,
            "landmark_source": "learned", "probes": 2, "landmark_spacing": "dyadic"})"}) {
    nlohmann::json whole = nlohmann::json::parse(text);
    whole["pass"] = pass;
    checkSpec(whole.dump());
  }
  EXPECT_GT(changes, 0u); // segment_summary by landmark_target's, sums by far_gradient's split
}

TEST_F(Couplings, AKernelThatAnothersBlocksChangeIsInItsGroup) {
  NYSJIT_NEEDS_COMPILER();
  checkAll("forward");
}

TEST_F(Couplings, AndOfGradients) {
  NYSJIT_NEEDS_COMPILER();
  checkAll("backward");
}

} // namespace

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

namespace {

using nysjit::BlockConfig;
using nysjit::KernelConfig;
using nysjit::Plan;

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
  /// The defaults, and the defaults with a split where there can be one.
  void checkSpec(const std::string &text);
  /// Each kernel's keys, one after the other, with other values.
  void checkFrom(const nysjit::tune::Space &space, const KernelConfig &base);
  std::optional<nysjit::RuntimeContext> context;
  nysjit::KernelSpec spec;
  size_t changes = 0; // of kernels by another's blocks
};

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

void Couplings::checkSpec(const std::string &text) {
  nysjit::Result<nysjit::KernelSpec> parsed = nysjit::parseKernelSpec(std::string_view(text));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  spec = *parsed;
  const auto planOf = [&](const KernelConfig &config) { return plan(config); };
  nysjit::Result<nysjit::tune::Kernels> kernels = nysjit::tune::kernelsOf({}, planOf);
  ASSERT_TRUE(kernels.ok()) << text;
  nysjit::Result<nysjit::tune::Space> space = nysjit::tune::spaceOf({}, *kernels);
  ASSERT_TRUE(space.ok()) << text;
  checkFrom(*space, space->defaults);
  if (kernels->splitKernel.empty())
    return;
  KernelConfig split = space->defaults;
  split.kernels[kernels->splitKernel].split = 256;
  checkFrom(*space, split);
}

void Couplings::checkFrom(const nysjit::tune::Space &space, const KernelConfig &base) {
  const std::map<std::string, std::string> before = kernelsWith(base);
  ASSERT_FALSE(before.empty());
  const nysjit::Result<Plan> own = plan(base);
  ASSERT_TRUE(own.ok()) << own.error().message;
  for (const nysjit::PlanKernel &kernel : own->kernels)
    for (const nysjit::BlockKey &key : nysjit::blockSpaceOf(kernel.name, kernel.config).keys)
      for (const int value :
           key.member == &BlockConfig::split ? std::vector{0, 256} : std::vector{16, 128}) {
        KernelConfig config = base;
        config.kernels[kernel.name].*key.member = value;
        std::map<std::string, std::string> after = kernelsWith(config);
        after.insert(before.begin(), before.end()); // those that are gone
        for (const auto &[name, text] : after) {
          const auto known = before.find(name);
          if (name == kernel.name || (known != before.end() && known->second == text))
            continue;
          ++changes;
          EXPECT_GT(std::ranges::count(groupOf(space, kernel.name), name), 0)
              << nysjit::canonicalJson(spec) << ": " << name << " changes with " << kernel.name
              << "." << key.name << " " << value
              << ", and is not in its group (couplings in runtime/tune/space.cpp)";
        }
      }
}

TEST_F(Couplings, AKernelThatAnothersBlocksChangeIsInItsGroup) {
  NYSJIT_NEEDS_COMPILER();
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
            "first_k": 64})"})
    checkSpec(text);
  EXPECT_GT(changes, 0u); // segment_summary by landmark_target's
}

} // namespace

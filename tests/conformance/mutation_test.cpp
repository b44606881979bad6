// Mutation test of the GPU's kernels: every small slip in their PTX (ptx_mutations.h) is caught, by
// the emulator or by a result that is not the same to the last bit. What survives is either an
// instruction that the lowering need not emit, a hole in the emulator, or the same program; for the
// last there are rules with reasons (ptx_equivalences.h).
//
// Of each layout some mutations of some kernels are tried, others each time. All of them, a minute
// or two for each of three hundred kernels and variants:
//
//   NYSJIT_MUTATIONS=all build/bin/mutation_conformance --gtest_filter='All/*'
//
// and of one kernel, with its survivors:
//
//   NYSJIT_MUTATIONS=all build/bin/mutation_conformance --gtest_filter='*causal__landmark_solve*'
#include "tests/conformance/conformance.h"
#include "tests/conformance/kernel_under_mutation.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

constexpr size_t sampledKernels = 4;
constexpr size_t sampledMutations = 20;

class Tally {
public:
  void count(const KernelUnderMutation &kernel, const Mutation &mutation, bool isExplained) {
    ++tried;
    const Verdict verdict = kernel.tryOne(mutation);
    ++by[verdict.by];
    if (verdict.by == Catch::Equivalence)
      ++equivalent[verdict.reason];
    if (verdict.by == Catch::Nothing)
      (isExplained ? survivors : others).push_back(kernel.describe(mutation) + verdict.reason);
  }
  /// No mutation survives of kernels whose survivors are all explained, and few of others.
  void check() {
    printf("%d mutations; caught by loading %d, by the emulator %d, by the result %d, by the work "
           "done %d; %d survived\n",
           tried, by[Catch::Loading], by[Catch::Emulator], by[Catch::Result], by[Catch::Work],
           by[Catch::Nothing]);
    for (const auto &[reason, number] : equivalent)
      printf("%5d are the same program: %s\n", number, reason.c_str());
    for (const std::vector<std::string> *some : {&survivors, &others})
      for (const std::string &one : *some)
        printf("survived: %s\n", one.c_str());
    EXPECT_GT(tried, 0);
    EXPECT_TRUE(survivors.empty());
    EXPECT_LE(2 * others.size(), size_t(tried)) << "more than half survived";
  }

private:
  int tried = 0;
  std::vector<std::string> survivors;
  std::vector<std::string> others; // of kernels where some have no explanation yet
  std::map<Catch, int> by;
  std::map<std::string, int> equivalent; // by reason
};

/// Kernels of a layout that some case mutates.
std::set<std::string> kernelsOf(const std::string &layout) {
  std::set<std::string> kernels;
  for (const KernelCase &one : kernelCases())
    if (one.layout == layout)
      kernels.insert(one.kernel);
  return kernels;
}

/// At most `most` of the case's mutations, any of them; with all trials if it is all of them.
void tryMutations(const KernelCase &one, Tally &tally, size_t most, std::mt19937 &random) {
  SCOPED_TRACE(one.name);
  KernelUnderMutation kernel(one, /*thorough=*/most == SIZE_MAX);
  ASSERT_NO_FATAL_FAILURE(kernel.prepare());
  // clear_padding is the same in all layouts, see below
  for (const std::string &name : kernel.programsKernels())
    EXPECT_TRUE(name.starts_with("clear_padding") || kernelsOf(one.layout).contains(name))
        << name << " has no case";
  std::vector<Mutation> mutations = kernel.mutations();
  std::shuffle(mutations.begin(), mutations.end(), random);
  mutations.resize(std::min(mutations.size(), most));
  for (const Mutation &mutation : mutations)
    tally.count(kernel, mutation, one.isExplained);
}

class Mutations : public testing::TestWithParam<KernelCase> {};

TEST_P(Mutations, AreCaught) {
  Seeded random;
  Tally tally;
  tryMutations(GetParam(), tally, SIZE_MAX, random.generator);
  tally.check();
}

std::vector<KernelCase> allIfAsked() {
  const char *const asked = std::getenv("NYSJIT_MUTATIONS");
  return asked && std::string(asked) == "all" ? kernelCases() : std::vector<KernelCase>();
}
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Mutations);
INSTANTIATE_TEST_SUITE_P(All, Mutations, testing::ValuesIn(allIfAsked()),
                         [](const auto &info) { return info.param.name; });

TEST(MutationCases, ClearPaddingIsMutatedForAllLayouts) {
  std::map<std::string, std::string> texts; // by layout
  for (const KernelCase &one : kernelCases())
    if (one.name.ends_with("bfloat16_2_stages") && !texts.contains(one.layout)) {
      KernelUnderMutation kernel(one);
      ASSERT_NO_FATAL_FAILURE(kernel.compile());
      texts[one.layout] = kernel.textOf("clear_padding");
    }
  EXPECT_EQ(texts.size(), 6u);
  EXPECT_NE(texts["exact_causal"], "");
  for (const auto &[layout, text] : texts)
    EXPECT_EQ(text, texts["exact_causal"]) << layout;
}

class MutationSample : public testing::TestWithParam<std::string> {};

TEST_P(MutationSample, IsCaught) {
  Seeded random;
  std::vector<KernelCase> cases = kernelCases();
  std::erase_if(cases, [](const KernelCase &one) { return one.layout != GetParam(); });
  std::shuffle(cases.begin(), cases.end(), random.generator);
  ASSERT_GE(cases.size(), sampledKernels);
  Tally tally;
  for (size_t i = 0; i < sampledKernels; ++i)
    tryMutations(cases[i], tally, sampledMutations, random.generator);
  tally.check();
}
INSTANTIATE_TEST_SUITE_P(Layouts, MutationSample,
                         testing::Values("exact_causal", "causal", "segment_causal",
                                         "bidirectional", "prefix_lm", "scan"),
                         [](const auto &info) { return info.param; });

} // namespace

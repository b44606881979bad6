// What is known of a kernel's values, against the values of every thread; and rules that rest on
// it, on kernels of a few lines.
#include "tests/conformance/ptx_equivalences.h"

#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// A kernel of 64 threads, an instruction a line: `body`'s first is line 4.
PtxText kernelOf(const std::string &body) {
  return PtxText(".visible .entry k(\n)\n.reqntid 64, 1, 1\n{\n" + body + "\tret;\n}\n");
}
constexpr size_t first = 4;

TEST(KnownValues, HoldForEveryThread) {
  const PtxText ptx = kernelOf("\tmov.u32 %r1, %tid.x;\n"
                               "\tshl.b32 %r2, %r1, 4;\n"
                               "\tand.b32 %r3, %r2, 48;\n"
                               "\tor.b32 %r4, %r3, 7;\n"
                               "\tadd.s32 %r5, %r4, %r2;\n"
                               "\tbfe.u32 %r6, %r1, 2, 3;\n"
                               "\tmad.lo.s32 %r7, %r6, 24, %r3;\n"
                               "\txor.b32 %r8, %r4, %r6;\n"
                               "\tmin.s32 %r9, %r6, 8;\n");
  const KnownValues values(ptx, "k");
  for (uint32_t t = 0; t < 64; ++t) {
    const uint32_t r3 = (t * 16) & 48;
    const uint32_t r6 = t / 4 % 8;
    for (auto [name, value] : {std::pair("%r1", t),
                               {"%r3", r3},
                               {"%r4", r3 | 7},
                               {"%r5", (r3 | 7) + t * 16},
                               {"%r6", r6},
                               {"%r7", r6 * 24 + r3},
                               {"%r8", (r3 | 7) ^ r6},
                               {"%r9", r6}}) {
      const KnownBits bits = values.before(first + 9, name);
      EXPECT_EQ(value & bits.zeros, 0u) << name << " of " << t;
      EXPECT_EQ(value & bits.ones, bits.ones) << name << " of " << t;
    }
  }
  EXPECT_EQ(values.before(first + 9, "%r3"), (KnownBits{~48u, 0}));
  EXPECT_EQ(values.before(first + 9, "%r4"), (KnownBits{~55u, 7}));
  EXPECT_EQ(values.before(first + 9, "%r5").ones, 7u);
  EXPECT_EQ(values.before(first + 9, "%r9").zeros, ~7u);
}

/// 0, 16, 32, ... below a length that is 87 or, where it may not be reached, 0.
constexpr const char *loop = "\tsetp.lt.u32 %p1, %r1, %r2;\n"
                             "\tselp.b32 %r3, 87, 0, %p1;\n"
                             "\tmov.b32 %r4, 0;\n"
                             "$L1:\n"
                             "\tsetp.ge.s32 %p2, %r4, %r3;\n"
                             "\t@%p2 bra $L2;\n"
                             "\tsetp.lt.u32 %p3, %r4, %r3;\n"
                             "\tadd.s32 %r4, %r4, 16;\n"
                             "\tbra.uni $L1;\n"
                             "$L2:\n";

TEST(KnownValues, OfALoopAreWhatItsTurnsHaveInCommon) {
  const std::string parameters = "\tld.param.b32 %r1, [a];\n\tld.param.b32 %r2, [b];\n";
  const PtxText ptx = kernelOf(parameters + loop);
  const size_t compare = first + 8;
  ASSERT_TRUE(ptx.instruction(compare)->is("setp.lt"));
  EXPECT_EQ(KnownValues(ptx, "k").before(compare, "%r4").zeros & 15, 15u);
  const KnownValues empty(ptx, "k", Assumption{"u32", "%r1", "%r2", false});
  EXPECT_FALSE(empty.isReached(compare));
  const KnownValues full(ptx, "k", Assumption{"u32", "%r1", "%r2", true});
  EXPECT_EQ(full.before(compare, "%r3"), KnownBits::of(87));
  EXPECT_EQ(alternativesOf(ptx, "k").size(), 2u);
}

std::optional<Equivalence> equivalence(const PtxText &ptx, const char *kind, size_t line) {
  const std::vector<Alternatives> values = alternativesOf(ptx, "k");
  const Plan plan;
  return equivalenceOf(ptx, {kind, line, ""}, {plan, 0, {}, values});
}

TEST(Equivalences, BoundsThatAreNeverMetNeedTheLengthsThereAre) {
  const std::string parameters = "\tld.param.b32 %r1, [a];\n\tld.param.b32 %r2, [b];\n";
  const PtxText ptx = kernelOf(parameters + loop);
  EXPECT_TRUE(equivalence(ptx, "bound off by one", first + 8));  // 16 i and 87
  EXPECT_FALSE(equivalence(ptx, "bound off by one", first + 6)); // 0 and 0
  std::string even = loop;
  even.replace(even.find("87"), 2, "80");
  EXPECT_FALSE(equivalence(kernelOf(parameters + even), "bound off by one", first + 8));
}

TEST(Equivalences, AWaitIsNeededUnlessAnotherComesBeforeWhatReads) {
  const std::string copy = "\tcp.async.cg.shared.global [%r1], [%rd1], 16;\n"
                           "\tcp.async.commit_group;\n";
  const std::string read = "\tld.shared.b32 %r2, [%r3];\n";
  const std::string all = "\tcp.async.wait_group 0;\n";
  const std::string others = "\tcp.async.wait_group 1;\n";
  const std::string barrier = "\tbar.sync 0;\n";
  auto isNeedless = [&](const std::string &after, const char *kind, size_t line) {
    return equivalence(kernelOf(copy + all + after), kind, line).has_value();
  };
  const size_t wait = first + 2;
  EXPECT_TRUE(isNeedless(all + barrier + read, "wait deleted", wait));
  EXPECT_FALSE(isNeedless(barrier + read, "wait deleted", wait));
  EXPECT_FALSE(isNeedless(all + read + barrier, "wait deleted", wait)); // not for all threads
  EXPECT_FALSE(isNeedless(others + barrier + read, "wait deleted", wait));
  EXPECT_TRUE(isNeedless(copy + others + barrier + read, "wait deleted", wait));
  EXPECT_FALSE(isNeedless(copy + others + barrier + read, "commit deleted", wait - 1));
  EXPECT_TRUE(isNeedless(copy + all + barrier + read, "commit deleted", wait - 1));
}

} // namespace

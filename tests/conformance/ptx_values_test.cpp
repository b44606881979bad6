// What is known of a kernel's values, against the values of every thread; and rules that rest on
// it, on kernels of a few lines.
#include "tests/conformance/ptx_equivalences.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// A kernel of 64 threads, an instruction a line: `body`'s first is line 4.
PtxText kernelOf(const std::string &body, const std::string &name = "k") {
  return PtxText(".visible .entry " + name + "(\n)\n.reqntid 64, 1, 1\n{\n" + body + "\tret;\n}\n");
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

TEST(Terms, AreEqualWhereNumbersAre) {
  Terms terms;
  const int x = terms.named("x");
  const int y = terms.named("y");
  const int twice = terms.sum(x, x);
  EXPECT_EQ(terms.sum(twice, x, ~0u), x);
  EXPECT_NE(twice, x);
  EXPECT_EQ(terms.valueOf(terms.sum(x, x, ~0u)), 0u);
  EXPECT_EQ(terms.smaller(x, y), terms.smaller(y, x));
  EXPECT_NE(terms.smaller(x, y), terms.larger(x, y));
  const int times8 = terms.product(x, terms.constant(8));
  EXPECT_EQ(terms.shiftedRight(times8, 3, {}), terms.lowBits(x, 29)); // not x: bits are lost
  EXPECT_NE(terms.shiftedRight(times8, 3, {}), x);
  EXPECT_NE(terms.shiftedRight(times8, 4, {}), terms.lowBits(x, 28));
  EXPECT_EQ(terms.lowBits(terms.sum(times8, y), 3), terms.lowBits(y, 3));
  EXPECT_EQ(terms.sum(x, Terms::unknown), Terms::unknown);
  EXPECT_EQ(terms.product(x, y), Terms::unknown);
}

/// min(64 x + 64, y) - 1 is one of the 64 numbers from 64 x on where 64 x < y, whatever x is.
TEST(Terms, OfTheLastRowsTileNeedItsFirstToBeThere) {
  const auto last = [](uint32_t first, uint32_t step, uint32_t end) {
    return uint32_t(std::min(int32_t(first + step), int32_t(end)) - 1) / 64;
  };
  for (uint32_t first : {0u, 64u, 0x7fffffc0u, 0x80000000u, 0xffffffc0u})
    for (uint32_t more : {1u, 63u, 64u, 65u, 0x7fffffffu})
      if (int32_t(first) < int32_t(first + more)) {
        EXPECT_EQ(last(first, 64, first + more), first / 64) << first << " " << more;
      }
  EXPECT_NE(last(64, 64, 64), 1u);  // not there
  EXPECT_NE(last(64, 65, 200), 1u); // a row more

  Terms terms;
  const int y = terms.named("y");
  const int first = terms.product(terms.named("x"), terms.constant(64));
  const auto tile = [&](int from, uint32_t step, uint32_t less, int count, Terms::Less known) {
    const int end = terms.smaller(terms.sum(from, terms.constant(step)), y);
    return terms.shiftedRight(terms.sum(end, terms.constant(less), ~0u), count, known);
  };
  const int own = terms.shiftedRight(first, 6, {});
  EXPECT_EQ(tile(first, 64, 1, 6, {first, y}), own);
  EXPECT_NE(tile(first, 64, 1, 6, {y, first}), own);
  EXPECT_NE(tile(first, 65, 1, 6, {first, y}), own);
  EXPECT_NE(tile(first, 64, 2, 6, {first, y}), own);
  EXPECT_NE(tile(first, 64, 1, 5, {first, y}), terms.shiftedRight(first, 5, {}));
  const int odd = terms.sum(first, terms.constant(32));
  EXPECT_NE(tile(odd, 64, 1, 6, {odd, y}), terms.shiftedRight(odd, 6, {}));
}

std::optional<Equivalence> equivalence(const PtxText &ptx, const char *kind, size_t line) {
  const std::vector<Alternatives> values = alternativesOf(ptx, ptx.kernel(line));
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

/// A loop from the tile that holds a row on, to the one that holds the last of 64 rows that are
/// there; then what is read after it.
std::string loopBetween(const std::string &step, const std::string &other) {
  return "\tld.param.b32 %r1, [a];\n\tld.param.b32 %r2, [b];\n"
         "\tshl.b32 %r3, %r1, 6;\n"
         "\tadd.s32 %r4, %r3, " +
         step +
         ";\n"
         "\tmin.s32 %r5, %r4, %r2;\n"
         "\tadd.s32 %r6, %r5, -1;\n"
         "\tsetp.lt.s32 %p1, %r3, %r2;\n"
         "\tshr.u32 %r7, %r6, 6;\n"
         "\tselp.b32 %r8, %r7, 0, %p1;\n"
         "\tand.b32 %r9, %r1, 67108863;\n"
         "\tselp.b32 %r10, %r9, " +
         other +
         ", %p1;\n"
         "$L1:\n"
         "\tsetp.ge.s32 %p2, %r10, %r8;\n"
         "\t@%p2 bra $L2;\n"
         "\tadd.s32 %r10, %r10, 1;\n"
         "\tbra.uni $L1;\n"
         "$L2:\n"
         "\tadd.s32 %r11, %r10, 1;\n";
}

TEST(Equivalences, OfALoopThatNeverTurnsAreAnyInIt) {
  const size_t body = first + 14;
  const size_t after = first + 17;
  const PtxText ptx = kernelOf(loopBetween("64", "0"));
  ASSERT_TRUE(ptx.instruction(body)->is("add.s32"));
  ASSERT_TRUE(ptx.instruction(after)->is("add.s32"));
  EXPECT_TRUE(equivalence(ptx, "any", body));
  EXPECT_FALSE(equivalence(ptx, "any", after));
  EXPECT_FALSE(equivalence(ptx, "any", first));
  EXPECT_FALSE(equivalence(kernelOf(loopBetween("65", "0")), "any", body));
  EXPECT_FALSE(equivalence(kernelOf(loopBetween("64", "-1")), "any", body));
}

/// What a line loads in two turns are two numbers: the loop ends, and something reads.
TEST(Equivalences, NumbersOfALoopAreNotThoseOfTheTurnBefore) {
  const PtxText ptx = kernelOf("\tmov.b32 %r3, 0;\n"
                               "$L1:\n"
                               "\tld.global.b32 %r1, [%rd1];\n"
                               "\tsetp.ne.b32 %p1, %r1, %r3;\n"
                               "\t@%p1 bra $L2;\n"
                               "\tmov.b32 %r3, %r1;\n"
                               "\tcp.async.cg.shared.global [%r4], [%rd2], 16;\n"
                               "\tcp.async.commit_group;\n"
                               "\tcp.async.wait_group 0;\n"
                               "\tbra.uni $L1;\n"
                               "$L2:\n"
                               "\tld.shared.b32 %r5, [%r4];\n");
  ASSERT_TRUE(ptx.instruction(first + 8)->is("cp.async.wait_group"));
  EXPECT_FALSE(equivalence(ptx, "wait deleted", first + 8));
  for (const auto &[line, instruction] : ptx.instructions())
    EXPECT_FALSE(equivalence(ptx, "any", line)) << ptx.lines()[line];
}

/// Row step * a + offset + more against probes * b.
TEST(Equivalences, RowsOfOneOfSeveralProbesAreNotTheEnd) {
  const auto isNever = [](const std::string &more, const std::string &probes,
                          const std::string &step, const std::string &offset) {
    const PtxText ptx =
        kernelOf("\tld.param.b32 %r1, [k_param_0];\n\tld.param.b32 %r2, [k_param_1];\n"
                 "\tmul.lo.s32 %r3, %r2, " +
                 probes +
                 ";\n"
                 "\tmad.lo.s32 %r4, %r1, " +
                 step + ", " + offset +
                 ";\n"
                 "\tadd.s32 %r5, %r4, " +
                 more +
                 ";\n"
                 "\tsetp.lt.u32 %p1, %r5, %r3;\n");
    return equivalence(ptx, "bound off by one", first + 5).has_value();
  };
  EXPECT_TRUE(isNever("1", "3", "3", "6"));
  EXPECT_TRUE(isNever("2", "6", "9", "6"));
  EXPECT_FALSE(isNever("3", "3", "3", "6")); // the next block's first
  EXPECT_FALSE(isNever("1", "3", "3", "5"));
  EXPECT_FALSE(isNever("1", "4", "3", "6"));
  EXPECT_FALSE(isNever("1", "3", "5", "6"));
}

/// Columns of two levels of width 2: of E segments E - 2 max((E + 2) / 2 - 2, 0) are of the first,
/// all of up to 3 and 2 or 3 of more.
std::string columnsOfLevels() {
  return "\tld.param.b32 %r1, [k_param_0];\n"
         "\tsetp.lt.s32 %p1, %r1, 9;\n"
         "\tselp.b32 %r2, %r1, 0, %p1;\n"
         "\tadd.s32 %r3, %r2, 2;\n"
         "\tshr.u32 %r4, %r3, 1;\n"
         "\tmax.s32 %r5, %r4, 2;\n"
         "\tadd.s32 %r6, %r5, -2;\n"
         "\tshl.b32 %r7, %r6, 1;\n"
         "\tsub.s32 %r8, %r2, %r7;\n"
         "\tadd.s32 %r9, %r8, %r6;\n" // all
         "\tmov.u32 %r10, %tid.x;\n"
         "\tand.b32 %r11, %r10, 1;\n"
         "\tsetp.ge.s32 %p2, %r11, %r8;\n"
         "\tsetp.lt.s32 %p3, %r11, %r9;\n"
         "\tselp.b32 %r12, %r7, 5, %p2;\n"
         "\tadd.s32 %r13, %r12, %r11;\n"
         "\tselp.b32 %r14, %r13, -1, %p3;\n"
         "\tst.shared.b32 [%r15], %r14;\n";
}

TEST(Equivalences, ColumnsThatNoLevelBeginsAt) {
  const auto isNever = [](const std::string &from, const std::string &to) {
    std::string body = columnsOfLevels();
    if (!from.empty())
      body.replace(body.find(from), from.size(), to);
    return equivalence(kernelOf(body, "causal_output"), "bound off by one", first + 12).has_value();
  };
  EXPECT_TRUE(isNever("", ""));
  EXPECT_TRUE(isNever("and.b32 %r11, %r10, 1;", "and.b32 %r11, %r10, 4;"));
  EXPECT_FALSE(isNever("and.b32 %r11, %r10, 1;", "and.b32 %r11, %r10, 3;")); // the second's first
  EXPECT_FALSE(isNever("%r13, -1, %p3", "%r13, 0, %p3"));
  EXPECT_FALSE(isNever("%r13, -1, %p3", "%r13, -1, %p1"));
  EXPECT_FALSE(isNever("[%r15], %r14", "[%r15], %r13")); // what is there or not
  EXPECT_FALSE(isNever("%p3, %r11, %r9", "%p3, %r10, %r9"));
  EXPECT_FALSE(isNever("%r9, %r8, %r6", "%r9, %r8, %r5")); // more columns than levels have
  EXPECT_FALSE(isNever("setp.lt.s32 %p3", "@%p1 bra $L1;\n\tsetp.lt.s32 %p3"));
  EXPECT_FALSE(isNever("max.s32 %r5, %r4, 2", "max.s32 %r5, %r1, 2"));
}

} // namespace

// The rule for loops of one or two turns, on a kernel of one.
#include "tests/conformance/ptx_equivalences.h"

#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// A loop over tiles of 16 of a tile of 32 rows, with two stages; the next tile is stored where
/// there is one, this one read.
const std::vector<std::string> twoTurns = {"ld.param.b32 %r1, [position_gradient_param_0]",
                                           "mov.u32 %r2, %ctaid.x",
                                           "div.u32 %r3, %r2, %r1",
                                           "shl.b32 %r4, %r3, 5", // the first row
                                           "ld.param.b32 %r5, [position_gradient_param_1]",
                                           "selp.b32 %r6, %r5, %r1, %p9",
                                           "max.s32 %r7, %r6, 0",
                                           "sub.s32 %r8, %r5, %r1",
                                           "min.s32 %r9, %r5, %r8",
                                           "min.s32 %r10, %r7, %r9", // the length
                                           "selp.b32 %r30, %r1, %r5, %p9",
                                           "max.s32 %r31, %r30, 0",
                                           "min.s32 %r32, %r31, %r9", // another one
                                           "div.u32 %r33, %r2, %r5",
                                           "sub.s32 %r11, %r10, %r4",
                                           "max.s32 %r12, %r11, 0",
                                           "add.s32 %r13, %r12, 15",
                                           "shr.u32 %r14, %r13, 4",
                                           "min.s32 %r15, %r14, 2",
                                           "shl.b32 %r16, %r15, 4",
                                           "add.s32 %r17, %r4, %r16",
                                           "mov.b32 %r20, 0",
                                           "mov.b32 %r21, %r4",
                                           "bra.uni $L1",
                                           "$L2:",
                                           "add.s32 %r22, %r20, 1",
                                           "setp.eq.b32 %p1, %r22, 2",
                                           "selp.b32 %r20, 0, %r22, %p1",
                                           "mov.b32 %r21, %r23",
                                           "$L1:",
                                           "setp.ge.s32 %p2, %r21, %r17",
                                           "@%p2 bra $L3",
                                           "add.s32 %r23, %r21, 16",
                                           "setp.lt.s32 %p3, %r23, %r17",
                                           "@%p3 bra $L4",
                                           "bra.uni $L5",
                                           "$L4:",
                                           "setp.eq.b32 %p4, %r20, 0",
                                           "shl.b32 %r24, %r20, 10",
                                           "add.s32 %r25, %r24, -1024",
                                           "selp.b32 %r26, 1024, %r25, %p4",
                                           "st.shared.b32 [%r26], %r21",
                                           "$L5:",
                                           "shl.b32 %r27, %r20, 10",
                                           "ld.shared.b32 %r28, [%r27]",
                                           "bra.uni $L2",
                                           "$L3:",
                                           "mov.b32 %r29, 0"};

/// Whether `from` may be `to` in that loop, of which some line may be another.
bool isSameInLoop(const std::string &from, const std::string &to, const std::string &line = "",
                  const std::string &other = "", const char *kind = "stage off by one",
                  const std::string &kernel = "position_gradient") {
  std::string body;
  size_t at = 0;
  for (size_t i = 0; i < twoTurns.size(); ++i) {
    at = twoTurns[i] == from ? 4 + i : at; // after the kernel's first lines
    const std::string &text = twoTurns[i] == line ? other : twoTurns[i];
    body += text.ends_with(":") ? text + "\n" : "\t" + text + ";\n";
  }
  const PtxText ptx(".visible .entry " + kernel + "(\n)\n.reqntid 64, 1, 1\n{\n" + body +
                    "\tret;\n}\n");
  const std::vector<Alternatives> values = alternativesOf(ptx, kernel);
  const Plan plan;
  const Mutation mutation = {kind, at, to.empty() ? "" : "\t" + to + ";"};
  return at && equivalenceOf(ptx, mutation, {plan, 0, {}, values}).has_value();
}

TEST(Equivalences, OfALoopOfTwoTurnsAreWhatEachTurnComputes) {
  const std::string wraps = "setp.eq.b32 %p1, %r22, 2";
  const std::string never = "setp.eq.b32 %p1, %r22, 3"; // stage 2 after the second turn
  EXPECT_TRUE(isSameInLoop(wraps, never));
  EXPECT_TRUE(isSameInLoop("selp.b32 %r20, 0, %r22, %p1", "selp.b32 %r20, 1, %r22, %p1"));
  EXPECT_TRUE(isSameInLoop("shl.b32 %r24, %r20, 10", "shl.b32 %r24, %r20, 9"));
  EXPECT_TRUE(isSameInLoop("add.s32 %r25, %r24, -1024", "add.s32 %r25, %r24, -1008"));
  EXPECT_FALSE(isSameInLoop(wraps, "setp.eq.b32 %p1, %r22, 1"));
  EXPECT_FALSE(isSameInLoop("add.s32 %r22, %r20, 1", "add.s32 %r22, %r20, 2"));
  EXPECT_FALSE(isSameInLoop("setp.eq.b32 %p4, %r20, 0", "setp.eq.b32 %p4, %r20, -1"));
  EXPECT_FALSE(isSameInLoop("shl.b32 %r27, %r20, 10", "shl.b32 %r27, %r20, 9"));
  EXPECT_FALSE(isSameInLoop("ld.shared.b32 %r28, [%r27]", "ld.shared.b32 %r28, [%r26]"));
  // Three turns; a stage that is read after the loop, or chooses the next turn.
  EXPECT_FALSE(isSameInLoop(wraps, never, "min.s32 %r15, %r14, 2", "min.s32 %r15, %r14, 3"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "mov.b32 %r29, 0", "st.shared.b32 [%r1], %r20"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "mov.b32 %r21, %r23", "ld.shared.b32 %r21, [%r20]"));
  // No number of turns is known.
  EXPECT_FALSE(isSameInLoop(wraps, never, "max.s32 %r7, %r6, 0", "max.s32 %r7, %r6, 1"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "shl.b32 %r4, %r3, 5", "shl.b32 %r4, %r3, 4"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "add.s32 %r17, %r4, %r16", "shl.b32 %r17, %r33, 5"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "min.s32 %r15, %r14, 2", "sub.s32 %r15, %r32, %r10"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "sub.s32 %r11, %r10, %r4", "sub.s32 %r11, %r10, %r1"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "add.s32 %r23, %r21, 16", "add.s32 %r23, %r21, %r1"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "$L4:", "mov.b32 %r17, %r1"));
  EXPECT_FALSE(isSameInLoop(wraps, never, "", "", "stage off by one", "past_gradient"));
}

TEST(Equivalences, OfALoopOfOneTurnIsAnyThatASecondWouldRun) {
  const std::string few = "min.s32 %r15, %r14, 2";
  const std::string one = "min.s32 %r15, %r14, 1";
  const char *const runs = "guarded code always runs";
  EXPECT_TRUE(isSameInLoop("st.shared.b32 [%r26], %r21", "", few, one, "any"));
  EXPECT_TRUE(isSameInLoop("@%p3 bra $L4", "", few, one, runs));
  EXPECT_FALSE(isSameInLoop("@%p3 bra $L4", "", few, one, "predicate dropped"));
  EXPECT_FALSE(isSameInLoop("st.shared.b32 [%r26], %r21", "", "", "", "any"));
  EXPECT_FALSE(isSameInLoop("@%p3 bra $L4", "", "", "", runs));
  EXPECT_FALSE(isSameInLoop("@%p2 bra $L3", "", few, one, runs));
  EXPECT_FALSE(isSameInLoop("ld.shared.b32 %r28, [%r27]", "", few, one, "any"));
}

} // namespace

// When two heads' numbers are the same, on instructions that compute two.
#include "tests/conformance/ptx_heads.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// A number out of memory by the sequence, 0 beyond; for a key head's first query head, and in a
/// loop for each.
const std::vector<std::string> lengths = {"\tld.param.b32 %r1, [k_param_0];", // query heads
                                          "\tld.param.b32 %r2, [k_param_1];", // key heads
                                          "\tld.param.b32 %r3, [k_param_2];", // query heads of one
                                          "\tld.param.b32 %r4, [k_param_3];", // lengths there are
                                          "\tld.param.b64 %rd1, [k_param_4];",
                                          "\tmov.u32 %r5, %ctaid.x;",
                                          "\tdiv.u32 %r6, %r5, %r2;",
                                          "\tmul.lo.s32 %r7, %r6, %r2;",
                                          "\tsub.s32 %r8, %r5, %r7;", // the key head
                                          "\tmul.lo.s32 %r9, %r8, %r3;",
                                          "\tmad.lo.s32 %r10, %r6, %r1, %r9;", // and query head
                                          "\tdiv.u32 %r11, %r10, %r1;",
                                          "\tmul.wide.s32 %rd2, %r11, 4;",
                                          "\tadd.s64 %rd3, %rd1, %rd2;",
                                          "\tsetp.ge.u32 %p1, %r11, %r4;",
                                          "\tmov.b32 %r12, 0;",
                                          "\t@%p1 bra $L1;",
                                          "\tld.global.b32 %r12, [%rd3+4];",
                                          "$L1:",
                                          "\tmax.s32 %r13, %r12, 0;",
                                          "\tmov.b32 %r14, 0;",
                                          "\tbra.uni $L3;",
                                          "$L2:",
                                          "\tadd.s32 %r14, %r14, 1;",
                                          "$L3:",
                                          "\tsetp.ge.s32 %p2, %r14, %r3;",
                                          "\t@%p2 bra $L5;",
                                          "\tadd.s32 %r15, %r10, %r14;", // another query head
                                          "\tdiv.u32 %r16, %r15, %r1;",
                                          "\tmul.wide.s32 %rd4, %r16, 4;",
                                          "\tadd.s64 %rd5, %rd1, %rd4;",
                                          "\tsetp.ge.u32 %p3, %r16, %r4;",
                                          "\tmov.b32 %r17, 0;",
                                          "\t@%p3 bra $L4;",
                                          "\tld.global.b32 %r17, [%rd5+4];",
                                          "$L4:",
                                          "\tmax.s32 %r18, %r17, 0;",
                                          "\tbra.uni $L2;",
                                          "$L5:"};

/// Whether %r13 and %r18 are the same with `line` instead of another.
bool areSame(const std::string &of = "", const std::string &line = "",
             const Expression &perKey = Expression::make(Operator::FloorDiv,
                                                         {Expression::symbol("Hq"),
                                                          Expression::symbol("Hkv")})) {
  std::string body;
  for (const std::string &each : lengths)
    body += (each == "\t" + of + ";" ? "\t" + line + ";" : each) + "\n";
  EXPECT_TRUE(of.empty() || std::ranges::count(lengths, "\t" + of + ";") == 1) << of;
  const PtxText ptx(".visible .entry k(\n)\n.reqntid 64, 1, 1\n{\n" + body + "\tret;\n}\n");
  Plan plan;
  plan.kernels.emplace_back().name = "k";
  for (const Expression &value : {Expression::symbol("Hq"), Expression::symbol("Hkv"), perKey,
                                  Expression::symbol("length_count")})
    plan.kernels[0].parameters.push_back({.type = ParameterType::I32, .value = value});
  plan.kernels[0].parameters.push_back({.memory = "lengths"});
  return areSameForHeads(ptx, 4, "%r13", "%r18", {plan, 0, {}, {}});
}

TEST(Equivalences, HeadsOfOneKeyHeadHaveOneSequence) {
  EXPECT_TRUE(areSame());
  // More heads than that, or others.
  EXPECT_FALSE(areSame("", "", Expression::symbol("Hq")));
  EXPECT_FALSE(areSame("setp.ge.s32 %p2, %r14, %r3", "setp.ge.s32 %p2, %r14, %r1"));
  EXPECT_FALSE(areSame("setp.ge.s32 %p2, %r14, %r3", "setp.gt.s32 %p2, %r14, %r3"));
  EXPECT_FALSE(areSame("setp.ge.s32 %p2, %r14, %r3", "setp.ge.s32 %p2, %r11, %r3"));
  EXPECT_FALSE(areSame("@%p2 bra $L5", "@%p1 bra $L5"));
  EXPECT_FALSE(areSame("@%p2 bra $L5", "@!%p2 bra $L5"));
  EXPECT_FALSE(areSame("mov.b32 %r14, 0", "mov.b32 %r14, 1")); // as many, of the next head too
  EXPECT_FALSE(areSame("add.s32 %r14, %r14, 1", "add.s32 %r14, %r14, %r4"));
  EXPECT_FALSE(areSame("sub.s32 %r8, %r5, %r7", "sub.s32 %r8, %r5, %r6")); // any key head
  EXPECT_FALSE(areSame("div.u32 %r6, %r5, %r2", "div.u32 %r6, %r5, %r1"));
  EXPECT_FALSE(areSame("mul.lo.s32 %r9, %r8, %r3", "mul.lo.s32 %r9, %r8, %r1"));
  EXPECT_FALSE(areSame("mad.lo.s32 %r10, %r6, %r1, %r9", "mad.lo.s32 %r10, %r6, %r2, %r9"));
  EXPECT_FALSE(areSame("div.u32 %r16, %r15, %r1", "div.u32 %r16, %r15, %r2"));
  EXPECT_FALSE(areSame("add.s32 %r15, %r10, %r14", "add.s32 %r15, %r8, %r14"));
}

TEST(Equivalences, NumbersAreTheSameIfAllTheyComeFromIs) {
  EXPECT_FALSE(areSame("ld.global.b32 %r17, [%rd5+4]", "ld.global.b32 %r17, [%rd5]"));
  EXPECT_FALSE(areSame("ld.global.b32 %r17, [%rd5+4]", "ld.shared.b32 %r17, [%rd5+4]"));
  EXPECT_FALSE(areSame("mul.wide.s32 %rd4, %r16, 4", "mul.wide.s32 %rd4, %r16, 8"));
  EXPECT_FALSE(areSame("add.s64 %rd5, %rd1, %rd4", "add.s64 %rd5, %rd2, %rd4"));
  EXPECT_FALSE(areSame("mov.b32 %r17, 0", "mov.b32 %r17, 1"));
  EXPECT_FALSE(areSame("mov.b32 %r17, 0", "mov.b32 %r19, 0"));
  EXPECT_FALSE(areSame("max.s32 %r18, %r17, 0", "max.s32 %r18, %r17, 1"));
  EXPECT_FALSE(areSame("max.s32 %r18, %r17, 0", "min.s32 %r18, %r17, 0"));
  // Another condition.
  EXPECT_FALSE(areSame("setp.ge.u32 %p3, %r16, %r4", "setp.gt.u32 %p3, %r16, %r4"));
  EXPECT_FALSE(areSame("@%p3 bra $L4", "@!%p3 bra $L4"));
  EXPECT_FALSE(areSame("@%p3 bra $L4", "@%p3 bra $L5"));
  EXPECT_FALSE(areSame("@%p3 bra $L4", "bra.uni $L4"));
  // The loop's own number is another in each turn.
  EXPECT_FALSE(areSame("max.s32 %r18, %r17, 0", "max.s32 %r18, %r14, 0"));
}

} // namespace

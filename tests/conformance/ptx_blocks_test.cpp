// The rule for rows of complete blocks, on a kernel that only compares one.
#include "tests/conformance/ptx_equivalences.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

/// Row 1 of a block of 3 rows for each of `heads` heads against the end of 2 N blocks.
const std::vector<std::string> rowOfBlock = {"ld.param.b32 %r1, [k_param_0]", // heads
                                             "ld.param.b32 %r2, [k_param_1]", // rows of a block
                                             "ld.param.b32 %r3, [k_param_2]", // N
                                             "ld.param.b32 %r4, [k_param_2]", // b
                                             "mov.u32 %r5, %ctaid.x",
                                             "div.u32 %r6, %r5, %r1",
                                             "mul.lo.s32 %r7, %r6, %r1",
                                             "sub.s32 %r8, %r5, %r7", // the head
                                             "mul.lo.s32 %r9, %r8, 3",
                                             "selp.b32 %r10, 1, 2, %p1",
                                             "selp.b32 %r11, %r10, 4, %p2",
                                             "shl.b32 %r12, %r4, 1",
                                             "or.b32 %r13, %r12, 1",
                                             "mad.lo.s32 %r14, %r13, %r11, -1",
                                             "mad.lo.s32 %r15, %r11, %r4, %r11",
                                             "setp.le.s32 %p3, %r15, %r3",
                                             "selp.b32 %r16, %r14, -1, %p3",
                                             "selp.b32 %r17, %r16, -1, %p4",
                                             "mad.lo.s32 %r18, %r17, %r2, %r9",
                                             "add.s32 %r19, %r18, 1",
                                             "mul.lo.s32 %r20, %r3, %r2",
                                             "shl.b32 %r21, %r20, 1",
                                             "setp.lt.u32 %p5, %r19, %r21"};

/// The same with l in place of 2^l.
std::vector<std::string> withShifts() {
  std::vector<std::string> lines = rowOfBlock;
  std::ranges::replace(lines, "selp.b32 %r10, 1, 2, %p1", "selp.b32 %r10, 0, 1, %p1");
  std::ranges::replace(lines, "mad.lo.s32 %r14, %r13, %r11, -1",
                       "shl.b32 %r22, %r13, %r11;\n\tadd.s32 %r14, %r22, -1");
  std::ranges::replace(lines, "mad.lo.s32 %r15, %r11, %r4, %r11",
                       "add.s32 %r23, %r4, 1;\n\tshl.b32 %r15, %r23, %r11");
  return lines;
}

/// Whether < may be <= at the end of `lines`, `from` replaced by `to` wherever it is.
bool isNever(std::vector<std::string> lines, const std::string &from = "",
             const std::string &to = "", int64_t rowsOfHead = 3) {
  std::string body;
  size_t count = 3; // lines before
  bool isFound = from.empty();
  for (std::string &line : lines) {
    if (const size_t at = line.find(from); !from.empty() && at != std::string::npos) {
      line.replace(at, from.size(), to);
      isFound = true;
    }
    body += "\t" + line + ";\n";
    count += 1 + size_t(std::ranges::count(line, '\n'));
  }
  EXPECT_TRUE(isFound) << from;
  const PtxText ptx(".visible .entry k(\n)\n.reqntid 64, 1, 1\n{\n" + body + "\tret;\n}\n");
  const std::vector<Alternatives> values = alternativesOf(ptx, "k");
  const Expression heads = Expression::symbol("heads");
  Plan plan;
  plan.kernels.emplace_back().name = "k";
  for (const Expression &value :
       {heads, Expression::make(Operator::Mul, {heads, Expression(rowsOfHead)}),
        Expression::symbol("n")})
    plan.kernels[0].parameters.push_back({.type = ParameterType::I32, .value = value});
  const Mutation mutation = {"bound off by one", count, ""};
  const std::optional<Equivalence> same = equivalenceOf(ptx, mutation, {plan, 0, {}, values});
  return same && std::string(same->reason).find("complete block") != std::string::npos;
}

TEST(Equivalences, RowsOfCompleteBlocksAreThereOrBelowZero) {
  EXPECT_TRUE(isNever(rowOfBlock));
  EXPECT_TRUE(isNever(withShifts()));
  EXPECT_TRUE(isNever(rowOfBlock, "setp.lt.u32", "setp.ge.u32"));
  EXPECT_TRUE(isNever(rowOfBlock, "%r18, 1", "%r18, 2"));
  EXPECT_FALSE(isNever(rowOfBlock, "setp.lt.u32", "setp.lt.s32"));
  EXPECT_FALSE(isNever(rowOfBlock, "%r18, 1", "%r18, 3")); // the next head's, or block's
  EXPECT_FALSE(isNever(rowOfBlock, "%r18, 1", "%r18, -1"));
  EXPECT_FALSE(isNever(rowOfBlock, "%r8, 3", "%r8, 4"));
  EXPECT_FALSE(isNever(rowOfBlock, "", "", 2));              // of 2 rows a head
  EXPECT_FALSE(isNever(rowOfBlock, "%r5, %r7", "%r5, %r1")); // any head
  EXPECT_FALSE(isNever(rowOfBlock, "%r6, %r1", "%r6, %r2"));
}

TEST(Equivalences, RowsOfOtherBlocksMayBeTheEnd) {
  EXPECT_FALSE(isNever(rowOfBlock, "%r20, 1", "%r20, 0")); // of N
  EXPECT_FALSE(isNever(rowOfBlock, "%r3, %r2", "%r4, %r2"));
  EXPECT_FALSE(isNever(rowOfBlock, "%r15, %r3", "%r15, %r1"));         // complete at another number
  EXPECT_FALSE(isNever(rowOfBlock, "setp.le", "setp.ge"));             // not complete
  EXPECT_FALSE(isNever(rowOfBlock, "%r14, -1, %p3", "%r14, -1, %p2")); // not whether it is
  EXPECT_FALSE(isNever(rowOfBlock, "%r14, -1, %p3", "%r14, 0, %p3"));
  EXPECT_FALSE(isNever(rowOfBlock, "%r16, -1, %p4", "%r16, %r3, %p4"));
  EXPECT_FALSE(isNever(rowOfBlock, "%r13, %r11, -1", "%r13, %r11, 0")); // the next number
  EXPECT_FALSE(isNever(rowOfBlock, "%r13, %r11, -1", "%r13, %r10, -1"));
  EXPECT_FALSE(isNever(rowOfBlock, "%r12, 1", "%r12, 3"));
  EXPECT_FALSE(isNever(rowOfBlock, "%r11, %r4, %r11", "%r11, %r4, %r10"));
  EXPECT_FALSE(isNever(rowOfBlock, "%r11, %r4, %r11", "%r11, %r3, %r11"));
  EXPECT_FALSE(isNever(rowOfBlock, "1, 2, %p1", "0, 2, %p1")); // no segments
  EXPECT_FALSE(isNever(rowOfBlock, "1, 2, %p1", "%r1, 2, %p1"));
  EXPECT_FALSE(isNever(withShifts(), "%r4, 1;", "%r4, 0;"));
  EXPECT_FALSE(isNever(withShifts(), "0, 1, %p1", "0, -1, %p1"));
}

} // namespace

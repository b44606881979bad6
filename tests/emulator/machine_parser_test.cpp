// What the parser and the decoder accept, and that errors name the line.
#include "tests/emulator/machine_harness.h"

using namespace nysjit::emulator;
using namespace nysjit::emulator::test;

namespace {
std::string errorOf(const std::string &text) {
  Memory memory;
  std::string error;
  EXPECT_FALSE(Module::load(text, memory, error));
  return error;
}
std::string inKernel(const std::string &body) {
  return header() +
         ".entry k(.param .u64 a) {\n.reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .pred %p<2>;\n" +
         body + "\nret;\n}\n";
}
} // namespace

TEST(MachineParser, NamesTheLineOfAnUnknownInstruction) {
  EXPECT_EQ(errorOf(inKernel("frobnicate.u32 %r1, %r2;")),
            "line 6: frobnicate.u32: this instruction is not supported");
}

TEST(MachineParser, NamesAModifierThatIsLeftOver) {
  EXPECT_EQ(errorOf(inKernel("add.wibble.u32 %r1, %r2, %r3;")),
            "line 6: add.wibble.u32: the modifier .wibble is not supported here");
}

TEST(MachineParser, NamesARegisterOfTheWrongSize) {
  EXPECT_EQ(errorOf(inKernel("add.u32 %r1, %rd2, %r3;")),
            "line 6: add.u32: expected a register of 32 bits, found %rd2 of type .b64");
}

TEST(MachineParser, NamesAnUnknownLabelAndOperand) {
  EXPECT_EQ(errorOf(inKernel("bra nowhere;")), "line 6: bra: expected a label, found \"nowhere\"");
  EXPECT_EQ(errorOf(inKernel("mov.u32 %r1, %nothing;")),
            "line 6: mov.u32: expected an operand, found \"%nothing\"");
}

TEST(MachineParser, FailsOnTextThatEndsEarly) {
  std::string whole = inKernel("add.u32 %r1, %r2, 0x1F;\nst.global.v2.u32 [%rd1+-8], {%r1, %r2};");
  for (size_t length = header().size() + 2; length + 3 < whole.size(); ++length)
    EXPECT_NE(errorOf(whole.substr(0, length)), "");
}

TEST(MachineParser, SurvivesNoise) {
  std::string whole = inKernel("add.u32 %r1, %r2, 0x1F;\nsetp.lt.and.s32 %p1|%p0, %r1, -4, "
                               "!%p0;\n@!%p1 bra L;\nL: mov.b64 {%r1, %r2}, %rd1;");
  uint32_t seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int n = 0; n < 2000; ++n) {
    std::string broken = whole;
    for (int change = 0; change < 3; ++change)
      broken[random() % broken.size()] = char(32 + random() % 95);
    Memory memory;
    std::string error;
    if (!Module::load(broken, memory, error)) {
      EXPECT_EQ(error.rfind("line ", 0), 0u) << error;
    }
  }
}

TEST(MachineParser, ScopesHideRegistersAndLabels) {
  EXPECT_EQ(evaluate<uint32_t>(
                "mov.u32 %x3, 0;\n{ .reg .b32 t; mov.u32 t, 5; bra L; mov.u32 t, 9; L: add.u32 "
                "%x3, %x3, t; }\n"
                "{ .reg .b32 t; mov.u32 t, 7; bra L; mov.u32 t, 9; L: add.u32 %x3, %x3, t; }",
                {})[3],
            12u);
}

TEST(MachineParser, ReadsAttributesAndParameters) {
  Memory memory;
  std::string error;
  auto module = Module::load(
      header() + ".visible .entry k(.param .u64 .ptr .global .align 16 a, .param .u8 b, .param "
                 ".align 8 .b8 c[12]) .reqntid 64, 2 .minnctapersm 2 {"
                 ".shared .align 16 .b8 tile[100]; ret; }",
      memory, error);
  ASSERT_TRUE(module) << error;
  const Function *f = module->function("k");
  ASSERT_TRUE(f);
  EXPECT_EQ(f->maxThreads, 128u);
  EXPECT_EQ(f->requiredThreads[1], 2u);
  EXPECT_EQ(f->staticSharedBytes, 100u);
  EXPECT_EQ(f->parameterBytes, 28u);
  EXPECT_EQ(f->parameters[1].offset, 8u);
  EXPECT_EQ(f->parameters[2].offset, 16u);
  EXPECT_EQ(module->ptxVersion(), 86);
  EXPECT_EQ(module->target(), 90);
}

TEST(MachineParser, InitialisesVariables) {
  Machine machine(
      ".global .align 4 .u32 table[3] = {1, 0x10, -1};\n.const .f32 half = 0f3F000000;\n.global "
      ".u64 where "
      "= generic(table);\n"
      ".entry k(.param .u64 out) { .reg .b32 %r<4>; .reg .b64 %rd<4>; ld.param.u64 %rd1, [out]; "
      "ld.global.u64 %rd2, [where]; ld.u32 %r1, [%rd2+4];"
      "ld.const.b32 %r2, [half]; st.global.v2.b32 [%rd1], {%r1, %r2}; ret; }");
  uint64_t out = machine.buffer(std::vector<uint32_t>(2));
  EXPECT_EQ(machine.run("k", 1, 1, {out}).fault, Fault::None);
  EXPECT_EQ(machine.read<uint32_t>(out, 2), (std::vector<uint32_t>{16, 0x3f000000}));
  uint64_t address = 0;
  uint64_t bytes = 0;
  EXPECT_TRUE(machine.module->variable("table", address, bytes));
  EXPECT_EQ(bytes, 12u);
}

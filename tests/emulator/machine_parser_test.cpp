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

// What a text may ask of the parser: a short one takes neither stack nor memory nor time.

namespace {
std::string repeated(const std::string &text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i)
    all += text;
  return all;
}
bool says(const std::string &error, const std::string &words) {
  return error.starts_with("line ") && error.find(words) != std::string::npos;
}
} // namespace

TEST(MachineParser, BoundsTheNestingOfOperands) {
  for (const char *open : {"{", "(", "["})
    EXPECT_TRUE(says(errorOf(inKernel("mov.u32 %r1, " + repeated(open, 200000) + ";")),
                     "nesting at most 16 deep"))
        << open;
}

TEST(MachineParser, BoundsTheNestingOfInitialValues) {
  EXPECT_TRUE(says(errorOf(header() + ".global .u32 a[] = " + repeated("{", 200000)),
                   "nesting at most 16 deep"));
}

TEST(MachineParser, BoundsVariables) {
  const std::string large = ".global .b8 a[1099511627776]";
  for (const std::string &text : {large + ";", large + " = {1};", large + "[1099511627776];",
                                  std::string(".global .b8 a[268435456]; .global .b8 b[1];"),
                                  std::string(".global .b64 a[2305843009213693952];"), // 2^64 bytes
                                  inKernel(".local .b8 a[1099511627776];").substr(header().size())})
    EXPECT_TRUE(says(errorOf(header() + text), "variables of at most 268435456 bytes")) << text;
}

TEST(MachineParser, TakesLittleForALargeVariable) {
  Memory memory;
  std::string error;
  auto module = Module::load(header() + ".global .b8 a[268435456] = {1, 2};\n", memory, error);
  ASSERT_TRUE(module) << error;
  uint64_t address = 0;
  uint64_t bytes = 0;
  ASSERT_TRUE(module->variable("a", address, bytes));
  EXPECT_EQ(bytes, 268435456u);
  uint8_t values[3];
  ASSERT_TRUE(memory.copyOut(values, address, 3));
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], 2);
  EXPECT_EQ(values[2], 0);
}

TEST(MachineParser, BoundsTheRegistersOfAFunctionAndOfAModule) {
  EXPECT_TRUE(says(errorOf(header() + ".func f() { .reg .b64 %q, %r<262144>; ret; }\n"),
                   "at most 262144 registers in a function, found 262144 more"));
  std::string text = header();
  auto add = [&](int f) {
    text += ".func f" + std::to_string(f) + "() { .reg .b64 %r<262144>; ret; }\n";
  };
  for (int f = 0; f < 4; ++f)
    add(f);
  Memory memory;
  std::string error;
  EXPECT_TRUE(Module::load(text, memory, error)) << error;
  add(4);
  EXPECT_TRUE(says(errorOf(text), "at most 1048576 registers in a module, found 262144 more"));
}

TEST(MachineParser, BoundsAlignments) {
  const std::string expected = "an alignment that is a power of two up to 65536";
  for (const char *align : {"0", "3", "131072", "4294967300"})
    EXPECT_TRUE(says(errorOf(header() + ".shared .align " + align + " .b8 a[4];"), expected))
        << align;
}

TEST(MachineParser, TakesNoAlignmentFromWhatAPointerPointsTo) {
  Memory memory;
  std::string error;
  for (const char *size : {"", "[0]", "[3]"}) {
    auto module = Module::load(header() + ".entry k(.param .u64 .ptr .global .align 16 p" + size +
                                   ") { ret; }",
                               memory, error);
    EXPECT_TRUE(module) << size << error;
  }
}

TEST(MachineParser, WalksCallsOnce) {
  std::string text = header();
  for (int f = 60; f-- > 0;) // each calls the next twice: 2^60 ways
    text = text + ".func f" + std::to_string(f) + "() { call f" + std::to_string(f + 1) +
           "; call f" + std::to_string(f + 1) + "; ret; }\n";
  Memory memory;
  std::string error;
  EXPECT_TRUE(
      Module::load(text + ".func f60() { ret; }\n.entry k() { call f0; ret; }\n", memory, error))
      << error;
}

TEST(MachineParser, BoundsTheDepthOfCalls) {
  std::string text = header();
  for (int f = 0; f < 100000; ++f)
    text += ".func f" + std::to_string(f) + "() { call f" + std::to_string(f + 1) + "; ret; }\n";
  EXPECT_TRUE(says(errorOf(text + ".func f100000() { ret; }\n.entry k() { call f0; ret; }\n"),
                   "calls of more than 256 functions"));
}

TEST(MachineParser, RefusesVersionsAndOffsetsOutOfRange) {
  for (const char *version : {"1e999", "999999999999", "0.1", "x"})
    EXPECT_TRUE(says(errorOf(std::string(".version ") + version + "\n.target sm_90\n"),
                     "a version such as 7.0"))
        << version;
  const std::string most = "9223372036854775808";
  EXPECT_EQ(errorOf(inKernel("mov.u64 %rd1, nothing+" + most + ";")).rfind("line ", 0), 0u);
  Memory memory;
  std::string error;
  EXPECT_TRUE(Module::load(header() +
                               ".global .u32 g;\n.entry k() { .reg .b64 %rd<2>; mov.u64 %rd1, g-" +
                               most + "-" + most + "; ret; }",
                           memory, error))
      << error;
}

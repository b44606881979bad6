// Control flow and exchanges between lanes: what each lane ends up with.
#include "tests/emulator/machine_harness.h"

using namespace nysjit::emulator;
using namespace nysjit::emulator::test;

namespace {
std::vector<uint32_t> lanes() {
  std::vector<uint32_t> all;
  for (uint32_t l = 0; l < 32; ++l)
    all.push_back(l);
  return all;
}
} // namespace

TEST(MachineControl, LanesLoopEachTheirOwnTimes) {
  auto got = evaluate<uint32_t>(
      "mov.u32 %x3, 0; mov.u32 %r1, 0; LOOP: setp.ge.u32 %p1, %r1, %x0; @%p1 bra DONE; "
      "add.u32 %x3, %x3, %r1; add.u32 %r1, %r1, 1; bra LOOP; DONE:",
      lanes());
  for (uint32_t l = 0; l < 32; ++l)
    EXPECT_EQ(got[l], l * (l - 1) / 2);
}

TEST(MachineControl, LanesMeetBehindABranch) {
  // Without reconvergence activemask would be a part.
  auto got = evaluate<uint32_t>(
      "setp.lt.u32 %p1, %x0, 9; @%p1 bra ELSE; add.u32 %x1, %x1, 1; bra JOIN; ELSE: add.u32 "
      "%x1, %x1, 2; JOIN: activemask.b32 %x3;",
      lanes());
  EXPECT_EQ(got, std::vector<uint32_t>(32, ~0u));
}

TEST(MachineControl, AlignedInstructionsWaitForLanesLaidOutBehind) {
  // The arm stands behind the shuffle and jumps back.
  auto got = evaluate<uint32_t>(
      "mov.u32 %r1, 1; setp.lt.u32 %p1, %x0, 9; @%p1 bra FAR; JOIN: shfl.sync.idx.b32 %x3, "
      "%r1, 3, 31, -1; bra END; FAR: mov.u32 %r1, 5; bra JOIN; END:",
      lanes());
  EXPECT_EQ(got, std::vector<uint32_t>(32, 5));
}

TEST(MachineControl, BranchesByIndex) {
  auto got = evaluate<uint32_t>(
      "TABLE: .branchtargets A, B, C; rem.u32 %r1, %x0, 3; brx.idx %r1, TABLE; A: mov.u32 "
      "%x3, 10; bra END; B: mov.u32 %x3, 20; bra END; C: mov.u32 %x3, 30; END:",
      lanes());
  for (uint32_t l = 0; l < 32; ++l)
    EXPECT_EQ(got[l], 10 * (l % 3 + 1));
}

TEST(MachineControl, SpinningLanesLetOthersRun) {
  // The upper lanes wait, at the lower pc, for what the lower ones write behind.
  Machine machine(".entry k(.param .u64 a) { .reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .pred %p<4>; "
                  "ld.param.u64 %rd0, "
                  "[a]; mov.u32 %r0, %tid.x; setp.lt.u32 %p0, %r0, 16; @%p0 bra WRITE;"
                  "SPIN: ld.volatile.global.u32 %r1, [%rd0]; setp.eq.u32 %p1, %r1, 0; @%p1 bra "
                  "SPIN; ret; WRITE: "
                  "mov.u32 %r1, 1; st.volatile.global.u32 [%rd0], %r1; ret; }");
  machine.options.maxInstructions = 100000;
  Outcome outcome = machine.run("k", 1, 32, {machine.buffer(std::vector<uint32_t>(1, 0))});
  EXPECT_EQ(outcome.fault, Fault::None) << text(outcome);
}

TEST(MachineControl, CallsFunctions) {
  Machine machine(".func (.param .b32 result) triple(.param .b32 x) { .reg .b32 %r<4>; "
                  "ld.param.b32 %r1, [x]; mul.lo.u32 %r2, %r1, "
                  "3; st.param.b32 [result], %r2; ret; }\n"
                  ".entry k(.param .u64 a) { .reg .b32 %r<8>; .reg .b64 %rd<4>; .reg .pred %p<2>; "
                  "ld.param.u64 %rd0, [a]; mov.u32 "
                  "%r0, %tid.x; setp.lt.u32 %p0, %r0, 5; mov.u32 %r1, %r0; @%p0 bra SKIP;"
                  "{ .param .b32 p; .param .b32 q; st.param.b32 [p], %r0; call.uni (q), triple, "
                  "(p); ld.param.b32 %r1, [q]; }\n"
                  "SKIP: mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd1, %rd0; st.global.u32 "
                  "[%rd1], %r1; ret; }");
  uint64_t out = machine.buffer(std::vector<uint32_t>(32));
  EXPECT_EQ(machine.run("k", 1, 32, {out}).fault, Fault::None);
  for (uint32_t l = 0; l < 32; ++l)
    EXPECT_EQ(machine.read<uint32_t>(out, 32)[l], l < 5 ? l : 3 * l);
}

TEST(MachineControl, LimitsInstructions) {
  Machine machine(".entry k(.param .u64 a) { LOOP: bra LOOP; }");
  machine.options.maxInstructions = 1000;
  Outcome outcome = machine.run("k", 1, 32, {0});
  EXPECT_EQ(outcome.fault, Fault::Failed);
  EXPECT_TRUE(reports(outcome, "limit: "));
}

TEST(MachineExchange, Shuffles) {
  auto up = evaluate<uint32_t>("shfl.sync.up.b32 %x3|%p1, %x0, 3, 0, -1; @!%p1 mov.u32 %x3, 99;",
                               lanes());
  auto down = evaluate<uint32_t>(
      "shfl.sync.down.b32 %x3|%p1, %x0, 3, 31, -1; @!%p1 mov.u32 %x3, 99;", lanes());
  // segments of 8
  auto eight = evaluate<uint32_t>("shfl.sync.bfly.b32 %x3, %x0, 5, 0x1818, -1;", lanes());
  auto index = evaluate<uint32_t>("shfl.sync.idx.b32 %x3, %x0, 2, 0x181f, -1;", lanes());
  for (uint32_t l = 0; l < 32; ++l) {
    EXPECT_EQ(up[l], l < 3 ? 99 : l - 3);
    EXPECT_EQ(down[l], l > 28 ? 99 : l + 3);
    EXPECT_EQ(index[l], (l & 24) + 2);
    (void)eight;
  }
}

TEST(MachineExchange, VotesReducesAndElects) {
  EXPECT_EQ(
      evaluate<uint32_t>("setp.lt.u32 %p1, %x0, 5; vote.sync.ballot.b32 %x3, %p1, -1;", lanes())[9],
      31u);
  EXPECT_EQ(evaluate<uint32_t>(
                "setp.lt.u32 %p1, %x0, 5; vote.sync.all.pred %p2, %p1, -1; vote.sync.any.pred %p3, "
                "!%p1, -1; selp.u32 %r1, 1, 0, %p2; selp.u32 %r2, 2, 0, %p3; or.b32 %x3, %r1, %r2;",
                lanes())[0],
            2u);
  EXPECT_EQ(evaluate<uint32_t>("redux.sync.add.u32 %x3, %x0, -1;", lanes())[7], 496u);
  EXPECT_EQ(evaluate<uint32_t>("neg.s32 %x0, %x0; redux.sync.min.s32 %x3, %x0, -1;", lanes())[7],
            uint32_t(-31));
  EXPECT_EQ(evaluate<uint32_t>("and.b32 %x0, %x0, 3; match.any.sync.b32 %x3, %x0, -1;", lanes())[6],
            0x44444444u);
  EXPECT_EQ(evaluate<uint32_t>("elect.sync _|%p1, -1; selp.u32 %x3, 1, 0, %p1;", lanes())[0], 1u);
}

TEST(MachineMemory, AtomicsSumOverAllThreads) {
  Machine machine(
      ".entry k(.param .u64 a) { .reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .f32 %f<2>; ld.param.u64 "
      "%rd0, "
      "[a]; mov.u32 %r0, %tid.x; red.global.add.u32 [%rd0], %r0;"
      "atom.global.max.s32 %r1, [%rd0+4], %r0; red.global.add.f32 [%rd0+8], 0f3F000000; "
      "atom.global.cas.b32 %r2, [%rd0+12], 0, 7; red.global.add.noftz.f16x2 [%rd0+16], 0x3c004000; "
      "ret; }");
  uint64_t out = machine.buffer(std::vector<uint32_t>(5));
  EXPECT_EQ(machine.run("k", 2, 64, {out}).fault, Fault::None);
  EXPECT_EQ(machine.read<uint32_t>(out, 5),
            (std::vector<uint32_t>{2 * 2016, 63, bitsOf(64.0f), 7, 0x58005c00}));
}

TEST(MachineMemory, LoadsExtendAndStoresCut) {
  EXPECT_EQ(
      evaluate<uint32_t>("ld.param.u64 %rd1, [p0]; ld.global.s8 %x3, [%rd1+3];", {0x80ffff01})[0],
      0xffffff80u);
  EXPECT_EQ(
      evaluate<uint32_t>("ld.param.u64 %rd1, [p0]; ld.global.u16 %x3, [%rd1+2];", {0x80ffff01})[0],
      0x80ffu);
  EXPECT_EQ(
      evaluate<uint32_t>(
          ".local .align 4 .b8 d[8]; .reg .b64 %q<3>; mov.b64 %q0, d; cvta.local.u64 %q1, %q0; "
          "st.u32 [%q1], %x0; st.u8 [%q1+1], 0x55; ld.local.u32 %x3, [d];",
          {0x11223344})[0],
      0x11225544u);
}

// What the checks find, and what they must not: races, unwritten reads, bounds, alignment,
// barriers, bank conflicts.
#include "tests/emulator/machine_harness.h"

using namespace nysjit::emulator;
using namespace nysjit::emulator::test;

namespace {

const std::string registers = ".reg .b32 %r<16>; .reg .b64 %rd<16>; .reg .pred %p<4>; .reg .b16 "
                              "%h<4>;\n.shared .align 16 .b8 tile[4096];\n"
                              "mov.u32 %r0, %tid.x; shl.b32 %r1, %r0, 2; mov.u32 %r2, tile; "
                              "add.u32 %r3, %r2, %r1; ld.param.u64 %rd0, [a]; "
                              "cvt.u64.u32 %rd1, %r1; add.u64 %rd2, %rd0, %rd1;\n";

/// One block of `threads`; %r0 the thread, %r3 its word of `tile`, %rd2 its word of a buffer of
/// 4096 bytes. 10 seeds, both modes.
Outcome runBody(const std::string &body, uint32_t threads, bool lazy = false, uint64_t seed = 0,
                uint32_t blocks = 1) {
  Machine machine(
      ".file 1 \"kernel.cpp\"\n.entry k(.param .u64 a) {\n" + registers + body + "\nret; }", lazy);
  machine.options.seed = seed;
  return machine.run("k", blocks, threads, {machine.buffer(std::vector<uint32_t>(1024, 1))});
}
void expectEverywhere(const std::string &body, uint32_t threads, bool races,
                      const std::string &words = "", uint32_t blocks = 1) {
  for (int n = 0; n < 10; ++n) {
    Outcome outcome = runBody(body, threads, n % 2, uint64_t(n / 2), blocks);
    EXPECT_EQ(outcome.counts.races > 0, races) << "seed " << n / 2 << " lazy " << n % 2 << "\n"
                                               << text(outcome);
    EXPECT_EQ(outcome.fault, Fault::None) << text(outcome);
    if (!words.empty()) {
      EXPECT_TRUE(reports(outcome, words)) << text(outcome);
    }
  }
}
const std::string exchange = "st.shared.u32 [%r3], %r0; BAR xor.b32 %r4, %r1, 128; add.u32 %r4, "
                             "%r4, %r2; ld.shared.u32 %r5, [%r4];";
std::string with(std::string text, const std::string &what, const std::string &by) {
  for (size_t at; (at = text.find(what)) != std::string::npos;)
    text.replace(at, what.size(), by);
  return text;
}

} // namespace

TEST(MachineRace, BetweenWarpsWithoutABarrier) {
  expectEverywhere(with(exchange, "BAR", ""), 64, true, "race: ");
  expectEverywhere(with(exchange, "BAR", "bar.sync 0;"), 64, false);
}

TEST(MachineRace, NamesBothPlaces) {
  Outcome outcome = runBody(
      "\n.loc 1 7 3\nst.shared.u32 [%r3], %r0;\n.loc 1 9 3\nst.shared.u32 [tile], %r0;", 64);
  EXPECT_TRUE(reports(outcome, "k.ptx:11 (kernel.cpp:7)")) << text(outcome);
  EXPECT_TRUE(reports(outcome, "k.ptx:13 (kernel.cpp:9)")) << text(outcome);
}

TEST(MachineRace, WithinAWarpIsNone) {
  expectEverywhere("st.shared.u32 [tile], %r0; ld.shared.u32 %r5, [tile];", 32, false);
}

TEST(MachineRace, ReadBeforeTheNextWrite) {
  std::string loop = exchange + " AGAIN st.shared.u32 [%r3], %r5;";
  expectEverywhere(with(with(loop, "BAR", "bar.sync 0;"), "AGAIN", ""), 64, true, "read it");
  expectEverywhere(with(with(loop, "BAR", "bar.sync 0;"), "AGAIN", "bar.sync 0;"), 64, false);
}

TEST(MachineRace, NeighbouringBytesAreNone) {
  std::string bytes = "add.u32 %r4, %r2, %r0; cvt.u16.u32 %h0, %r0; st.shared.u8 [%r4], %h0;";
  expectEverywhere(bytes, 64, false);
  // 33 threads: warp 1 writes byte 32 beside warp 0's; by halves it would overlap.
  expectEverywhere("shl.b32 %r4, %r0, 1; add.u32 %r4, %r4, %r2; st.shared.u16 [%r4], %r0; "
                   "mul.lo.u32 %r4, %r0, 2; "
                   "add.u32 %r4, %r4, %r2; ld.shared.u16 %r5, [%r4];",
                   64, false);
  expectEverywhere(
      "add.u32 %r4, %r2, %r0; sub.u32 %r4, %r4, 1; setp.eq.u32 %p0, %r0, 0; @!%p0 st.shared.u8 "
      "[%r4], "
      "%r0; add.u32 %r4, %r2, %r0; setp.eq.u32 %p1, %r0, 31; @%p1 st.shared.u8 [%r4], %r0;",
      64, true);
}

TEST(MachineRace, NamedBarriersOrderTheirWarpsAlone) {
  // Warps 0 and 1 meet at barrier 1; warp 2 reads what warp 0 wrote without meeting anyone.
  std::string body = "shr.u32 %r6, %r0, 5; setp.eq.u32 %p0, %r6, 0; @%p0 st.shared.u32 [%r3], %r0; "
                     "setp.lt.u32 %p1, "
                     "%r6, 2; @!%p1 bra SKIP; bar.sync 1, 64; SKIP: setp.eq.u32 %p2, %r6, READER;"
                     "and.b32 %r7, %r1, 127; add.u32 %r7, %r7, %r2; @%p2 ld.shared.u32 %r5, [%r7];";
  expectEverywhere(with(body, "READER", "1"), 96, false);
  EXPECT_GT(runBody(with(body, "READER", "2"), 96).counts.races, 0);
}

TEST(MachineRace, AtomicsDoNotRaceAmongThemselves) {
  expectEverywhere("atom.global.add.u32 %r5, [%rd0], 1;", 64, false);
  EXPECT_EQ(runBody("mov.u32 %r4, 5; st.shared.u32 [tile], %r4; bar.sync 0; atom.shared.add.u32 "
                    "%r5, [tile], 1;",
                    32)
                .counts.races,
            0);
  expectEverywhere("atom.global.add.u32 %r5, [%rd0], 1; st.global.u32 [%rd0], %r5;", 64, true);
}

TEST(MachineRace, BetweenBlocks) {
  expectEverywhere("st.global.u32 [%rd2], %r0;", 32, true, "another block", 2);
  expectEverywhere("ld.global.u32 %r5, [%rd2];", 32, false, "", 2);
  // The last block to count itself reads what the others wrote: ordered by fences and the atomic.
  std::string last = "mov.u32 %r6, %ctaid.x; mul.wide.u32 %rd3, %r6, 4; add.u64 %rd3, %rd3, %rd0; "
                     "st.global.u32 [%rd3+64], %r6; FENCE "
                     "atom.global.add.u32 %r7, [%rd0], 1;"
                     "setp.eq.u32 %p0, %r7, 4; FENCE @%p0 ld.global.u32 %r8, [%rd0+64]; @%p0 "
                     "ld.global.u32 %r8, [%rd0+76];";
  expectEverywhere(with(last, "FENCE", "membar.gl;"), 1, false, "", 4);
  expectEverywhere(with(last, "FENCE", ""), 1, true, "", 4);
}

TEST(MachineCopy, WaitsAreNeeded) {
  std::string copy = "mul.lo.u32 %r4, %r0, 16; add.u32 %r5, %r4, %r2; cvt.u64.u32 %rd4, %r4; "
                     "add.u64 %rd5, %rd4, %rd0; "
                     "cp.async.cg.shared.global [%r5], [%rd5], 16; cp.async.commit_group; WAIT\n"
                     "xor.b32 %r6, %r4, FAR; add.u32 %r6, %r6, %r2; ld.shared.u32 %r7, [%r6];";
  auto variant = [&](const char *wait, const char *distance) {
    return with(with(copy, "WAIT", wait), "FAR", distance);
  };
  expectEverywhere(variant("cp.async.wait_group 0;", "0"), 64, false);
  expectEverywhere(variant("cp.async.wait_all;", "0"), 64, false);
  expectEverywhere(variant("", "0"), 64, true, "in flight");
  expectEverywhere(variant("cp.async.wait_group 1;", "0"), 64, true, "in flight");
  expectEverywhere(variant("cp.async.wait_group 0; bar.sync 0;", "512"), 64, false);
  expectEverywhere(variant("cp.async.wait_group 0;", "512"), 64, true);
  expectEverywhere(variant("bar.sync 0; cp.async.wait_group 0;", "512"), 64, true);
}

TEST(MachineCopy, RefillMustFollowTheReads) {
  std::string body = "mul.lo.u32 %r4, %r0, 16; add.u32 %r5, %r4, %r2; cvt.u64.u32 %rd4, %r4; "
                     "add.u64 %rd5, %rd4, %rd0; "
                     "cp.async.cg.shared.global [%r5], [%rd5], 16; cp.async.wait_all; bar.sync 0;"
                     "xor.b32 %r6, %r4, 512; add.u32 %r6, %r6, %r2; ld.shared.u32 %r7, [%r6]; BAR "
                     "cp.async.cg.shared.global [%r5], [%rd5], 16; cp.async.wait_all;";
  expectEverywhere(with(body, "BAR", "bar.sync 0;"), 64, false);
  expectEverywhere(with(body, "BAR", ""), 64, true);
}

TEST(MachineCopy, LazilyActsAtTheWaitAndFillsWithZeros) {
  for (bool lazy : {false, true}) {
    Machine machine(".entry k(.param .u64 a) { .reg .b32 %r<8>; .reg .b64 %rd<4>; .shared .align "
                    "16 .b8 tile[16]; "
                    "ld.param.u64 %rd0, [a]; mov.u32 %r0, tile;"
                    "cp.async.cg.shared.global [%r0], [%rd0], 16, 8; mov.u32 %r1, 99; "
                    "st.global.u32 [%rd0], %r1; "
                    "cp.async.wait_all; ld.shared.v4.u32 {%r2, %r3, %r4, %r5}, [tile];"
                    "st.global.v4.u32 [%rd0+16], {%r2, %r3, %r4, %r5}; ret; }",
                    lazy);
    uint64_t buffer = machine.buffer(std::vector<uint32_t>{1, 2, 3, 4, 5, 6, 7, 8});
    Outcome outcome = machine.run("k", 1, 1, {buffer});
    EXPECT_EQ(machine.read<uint32_t>(buffer + 16, 4),
              (std::vector<uint32_t>{lazy ? 99u : 1u, 2, 0, 0}))
        << text(outcome);
  }
}

TEST(MachineMbarrier, OrdersProducerAndConsumer) {
  std::string body =
      ".shared .align 8 .b64 bar; mov.u32 %r9, bar; setp.eq.u32 %p0, %r0, 0; @%p0 "
      "mbarrier.init.shared.b64 [%r9], 32; bar.sync 0; setp.ge.u32 %p1, %r0, 32; @%p1 bra CONSUMER;"
      "st.shared.u32 [%r3], %r0; ARRIVE bra DONE; CONSUMER: mbarrier.try_wait.parity.shared.b64 "
      "%p2, "
      "[%r9], 0; @!%p2 bra CONSUMER; ld.shared.u32 %r5, [%r3+-128]; DONE:";
  expectEverywhere(with(body, "ARRIVE", "mbarrier.arrive.shared.b64 _, [%r9];"), 64, false);
  Outcome outcome = runBody(with(body, "ARRIVE", ""), 64);
  EXPECT_EQ(outcome.fault, Fault::Failed);
  EXPECT_TRUE(reports(outcome, "deadlock: warp 1 waits at mbarrier.try_wait")) << text(outcome);
}

TEST(MachineMbarrier, CountsCopiesThatArriveLater) {
  std::string body = ".shared .align 8 .b64 bar; mov.u32 %r9, bar; setp.eq.u32 %p0, %r0, 0; @%p0 "
                     "mbarrier.init.shared.b64 [%r9], 32; "
                     "bar.sync 0; setp.ge.u32 %p1, %r0, 32; @%p1 bra CONSUMER;"
                     "cp.async.ca.shared.global [%r3], [%rd2], 4; "
                     "cp.async.mbarrier.arrive.noinc.shared.b64 [%r9]; bra DONE;"
                     "CONSUMER: mbarrier.try_wait.parity.shared.b64 %p2, [%r9], 0; @!%p2 bra "
                     "CONSUMER; ld.shared.u32 %r5, [%r3+-128]; "
                     "DONE:";
  expectEverywhere(body, 64, false);
  expectEverywhere(
      with(body, "CONSUMER: mbarrier.try_wait.parity.shared.b64 %p2, [%r9], 0; @!%p2 bra CONSUMER;",
           "CONSUMER:"),
      64, true);
}

TEST(MachineFault, OutOfBounds) {
  for (const char *access : {"ld.global.u32 %r5, [%rd0+4096];", "st.shared.u32 [tile+4096], %r0;",
                             "ld.shared.u32 %r5, [tile+-4];", "ld.global.u32 %r5, [16];"}) {
    Outcome outcome = runBody(access, 32);
    EXPECT_EQ(outcome.fault, Fault::IllegalAddress) << access;
    EXPECT_TRUE(reports(outcome, "out of bounds: block (0, 0, 0), warp 0, lane 0"))
        << text(outcome);
  }
}

TEST(MachineFault, Misaligned) {
  for (const char *access :
       {"ld.global.v2.u32 {%r5, %r6}, [%rd0+4];",
        "st.shared.v4.u32 [tile+8], {%r0, %r0, %r0, %r0};", "ld.global.u32 %r5, [%rd0+2];",
        "cp.async.cg.shared.global [%r2], [%rd0+8], 16; cp.async.wait_all;",
        "mov.u32 %r4, tile; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r5}, [%r4+8];"})
    EXPECT_EQ(runBody(access, 32).fault, Fault::Misaligned) << access;
}

TEST(MachineFault, Uninitialised) {
  Outcome outcome = runBody("ld.shared.u32 %r5, [%r3]; st.global.u32 [%rd2], %r5;", 32);
  EXPECT_EQ(outcome.fault, Fault::Failed);
  EXPECT_TRUE(reports(
      outcome, "uninitialised: block (0, 0, 0), warp 0, lane 0 reads 4 bytes of shared memory"))
      << text(outcome);
  EXPECT_EQ(outcome.counts.globalWriteBytes, 128); // it went on
  Machine machine(".entry k(.param .u64 a) { .reg .b32 %r<2>; .reg .b64 %rd<2>; ld.param.u64 %rd0, "
                  "[a]; ld.global.u32 "
                  "%r0, [%rd0]; ret; }");
  EXPECT_EQ(machine.run("k", 1, 1, {machine.memory.allocate(64)}).fault, Fault::Failed);
  Machine local(".entry k(.param .u64 a) { .reg .b32 %r<2>; .local .align 4 .b8 depot[16]; "
                "st.local.u32 [depot], 1; "
                "ld.local.u32 %r0, [depot]; ld.local.u32 %r0, [depot+4]; ret; }");
  EXPECT_TRUE(reports(local.run("k", 1, 1, {0}), "of local memory at 0x4"));
}

TEST(MachineFault, EarlyInALaunchThatMayOverlap) {
  const std::string wait = "griddepcontrol.wait; griddepcontrol.launch_dependents; ";
  for (const std::string access :
       {"ld.global.u32 %r4, [%rd2]; ", "st.global.u32 [%rd2], %r0; ",
        "red.global.add.u32 [%rd2], 1; ", "cp.async.ca.shared.global [%r3], [%rd2], 4; "})
    for (const bool lazy : {false, true})
      for (const bool mayOverlap : {false, true})
        for (const bool waitsFirst : {false, true}) {
          const std::string body = waitsFirst ? wait + access : access + wait;
          Machine machine(".entry k(.param .u64 a) {\n" + registers + body +
                              "cp.async.wait_all;\nret; }",
                          lazy);
          machine.mayOverlap = mayOverlap;
          const Outcome outcome =
              machine.run("k", 1, 32, {machine.buffer(std::vector<uint32_t>(1024, 1))});
          const bool isEarly = mayOverlap && !waitsFirst;
          EXPECT_EQ(outcome.fault, isEarly ? Fault::Failed : Fault::None) << body << text(outcome);
          EXPECT_EQ(reports(outcome, "before griddepcontrol.wait"), isEarly)
              << body << text(outcome);
        }
  Machine machine(
      ".entry k(.param .u64 a) {\n" + registers +
      "setp.lt.u32 %p0, %r0, 7; @%p0 griddepcontrol.wait; ld.global.u32 %r4, [%rd2];\nret; }");
  machine.mayOverlap = true; // lanes wait for themselves
  const Outcome outcome = machine.run("k", 1, 32, {machine.buffer(std::vector<uint32_t>(1024, 1))});
  EXPECT_TRUE(reports(outcome, "early: block (0, 0, 0), warp 0, lane 7 accesses")) << text(outcome);
}

TEST(MachineBarrier, DeadlockNamesTheMissing) {
  Outcome outcome = runBody(
      "setp.lt.u32 %p0, %r0, 32; @%p0 bra ONE; bar.sync 0; bra END; ONE: bar.sync 1; END:", 64);
  EXPECT_EQ(outcome.fault, Fault::Failed);
  EXPECT_TRUE(reports(outcome, "deadlock: warp 0 waits at bar.sync")) << text(outcome);
  EXPECT_TRUE(reports(outcome, "missing warps: 0")) << text(outcome);
}

TEST(MachineBarrier, ThreadsThatMissIt) {
  // Lanes wait where others never come: two barriers in the arms of a branch.
  Outcome outcome = runBody(
      "setp.lt.u32 %p0, %r0, 16; @%p0 bra ONE; bar.sync 0; bra END; ONE: bar.sync 0; END:", 32);
  EXPECT_EQ(outcome.fault, Fault::Failed);
  EXPECT_TRUE(reports(outcome, "some threads miss it")) << text(outcome);
  EXPECT_EQ(
      runBody("setp.lt.u32 %p0, %r0, 16; @%p0 bra ONE; st.shared.u32 [%r3], %r0; ONE: bar.sync 0;",
              32)
          .fault,
      Fault::None);
  EXPECT_EQ(runBody("setp.lt.u32 %p0, %r0, 40; @%p0 bra ON; ret; ON: bar.sync 0;", 64).fault,
            Fault::None);
}

TEST(MachineCounts, BankConflicts) {
  auto conflicts = [](const std::string &body) { return runBody(body, 32).counts.bankConflicts; };
  EXPECT_EQ(conflicts("st.shared.u32 [%r3], %r0;"), 0);
  EXPECT_EQ(conflicts("st.shared.u32 [tile], %r0;"), 0); // one word
  EXPECT_EQ(conflicts("shl.b32 %r4, %r0, 3; add.u32 %r4, %r4, %r2; st.shared.u32 [%r4], %r0;"), 1);
  EXPECT_EQ(conflicts("shl.b32 %r4, %r0, 7; add.u32 %r4, %r4, %r2; st.shared.u32 [%r4], %r0;"), 31);
  EXPECT_EQ(
      conflicts("shl.b32 %r4, %r0, 3; add.u32 %r4, %r4, %r2; st.shared.v2.u32 [%r4], {%r0, %r0};"),
      0);
  EXPECT_EQ(conflicts("shl.b32 %r4, %r0, 4; add.u32 %r4, %r4, %r2; st.shared.v4.u32 [%r4], {%r0, "
                      "%r0, %r0, %r0};"),
            0);
  // Rows 128 bytes apart: 8 passes for the matrix.
  Outcome outcome = runBody(
      "mov.u32 %r5, 0; FILL: add.u32 %r6, %r3, %r5; st.shared.u32 [%r6], 0; add.u32 %r5, %r5, "
      "128; setp.lt.u32 %p0, %r5, 4096; @%p0 bra FILL; bar.sync 0;"
      "and.b32 %r4, %r0, 7; shl.b32 %r4, %r4, 7; add.u32 %r4, %r4, %r2; "
      "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r5}, [%r4];",
      32);
  EXPECT_EQ(outcome.counts.ldmatrixConflicts, 7) << text(outcome);
}

TEST(MachineCounts, BytesSectorsAndBarriers) {
  Outcome outcome = runBody("ld.global.u32 %r5, [%rd2]; st.global.u32 [%rd2+2048], %r5; "
                            "ld.global.u32 %r5, [%rd2]; bar.sync 0; bar.sync 0;",
                            64);
  EXPECT_EQ(outcome.counts.globalReadBytes, 512);
  EXPECT_EQ(outcome.counts.globalWriteBytes, 256);
  EXPECT_EQ(outcome.counts.globalSectors, 16);
  EXPECT_EQ(outcome.counts.barriers, 4);
  EXPECT_EQ(outcome.counts.instructions, 2 * 13);
}

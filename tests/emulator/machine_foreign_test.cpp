// What others' PTX may say: results that go nowhere, places outside, types that are missing. None
// of it reaches memory that is not the machine's.
#include "tests/emulator/machine_harness.h"

using namespace nysjit::emulator;
using namespace nysjit::emulator::test;

namespace {

/// Loads a kernel of this body and runs it; what either says, "" for nothing.
std::string said(const std::string &body, const std::string &before = "") {
  Memory memory;
  std::string error;
  auto module = Module::load(
      header() + before +
          ".entry k(.param .u64 a, .param .b8 rest[16]) {\n.reg .b32 %r<4>; .reg .b64 %rd<4>;"
          " .reg .b16 %h<4>; .reg .f32 %f<4>; .reg .f64 %fd<4>; .reg .pred %p<4>;"
          " .shared .align 16 .b8 tile[256]; .param .b8 tiny;\n" +
          body + "\nret;\n}\n",
      memory, error);
  if (!module)
    return error;
  Launch launch;
  launch.function = module->function("k");
  launch.block[0] = 32;
  launch.parameters.resize(launch.function->parameterBytes);
  const uint64_t buffer = memory.allocate(4096);
  memory.fill(buffer, 0x7f, 4096);
  std::memcpy(launch.parameters.data(), &buffer, 8);
  const Outcome outcome = run(launch, memory, {});
  return outcome.fault == Fault::None ? "" : text(outcome);
}

} // namespace

class Discarded : public testing::TestWithParam<const char *> {};

TEST_P(Discarded, IsWrittenNowhere) { EXPECT_EQ(said(GetParam()), ""); }

INSTANTIATE_TEST_SUITE_P(
    MachineForeign, Discarded,
    testing::Values("add.u32 _, %r1, %r2;", "add.u64 _, %rd1, %rd2;", "mov.b32 _, %r1;",
                    "mov.b64 _, {%r1, %r2};", "mov.b64 {_, %r1}, %rd1;", "mov.pred _, %p1;",
                    "mul.wide.u32 _, %r1, 3;", "fma.rn.f32 _, %f1, %f2, %f3;",
                    "cvt.u64.u32 _, %r1;", "setp.eq.u32 _, %r1, %r2;", "set.eq.u32.u32 _, %r1, 2;",
                    "selp.b32 _, %r1, %r2, %p1;", "and.pred _, %p1, %p2;",
                    "testp.notanumber.f32 _, %f1;", "activemask.b32 _;",
                    "vote.sync.ballot.b32 _, %p1, -1;", "vote.sync.any.pred _, %p1, -1;",
                    "match.any.sync.b32 %r1, %r2, -1;", "redux.sync.add.u32 _, %r1, -1;",
                    "shfl.sync.bfly.b32 %r1|_, %r2, 1, 31, -1;", "elect.sync _|%p1, -1;",
                    "isspacep.shared _, %rd1;", "bar.red.popc.u32 _, 0, %p1;",
                    "bar.red.and.pred _, 0, %p1;",
                    "mov.u32 %r1, tile; st.shared.v4.b32 [%r1], {%r2, %r2, %r2, %r2};"
                    "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {_}, [%r1];",
                    "movmatrix.sync.aligned.m8n8.trans.b16 _, %r1;", "mov.u64 _, %clock64;",
                    "ld.param.u64 %rd1, [a]; ld.global.u32 _, [%rd1];",
                    "ld.param.u64 %rd1, [a]; ld.global.v2.u32 {_, %r1}, [%rd1];",
                    "ld.param.u64 %rd1, [a]; atom.global.add.s32 _, [%rd1], 2147483647;"));

struct Refused {
  const char *body;
  const char *words;
};
class Foreign : public testing::TestWithParam<Refused> {};

TEST_P(Foreign, IsRefused) {
  const std::string error = said(GetParam().body, ".func (.param .b32 r) f(.param .b32 x) "
                                                  "{ st.param.b32 [r], 1; ret; }\n");
  EXPECT_TRUE(error.starts_with("line ")) << error;
  EXPECT_NE(error.find(GetParam().words), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(
    MachineForeign, Foreign,
    testing::Values(Refused{"selp.b32 %r1, %r2, %r3, _;", "a predicate register"},
                    Refused{"and.pred %p1, %p2, _;", "a predicate register"},
                    Refused{"vote.sync.all.pred %p1, _, -1;", "a predicate register"},
                    Refused{"bar.red.popc.u32 %r1, 0, _;", "a predicate register"},
                    Refused{"mov.pred 1, %p1;", "a predicate register"},
                    Refused{"shfl.sync.bfly.b32 %r1|%r2, %r3, 1, 31, -1;", "a predicate register"},
                    Refused{"mov.b64 {1, %r1}, %rd1;", "destination registers"},
                    Refused{"mov {%r1, %r2}, %rd1;", "a type"},
                    Refused{"mad24.lo.s64 %rd1, %rd2, %rd2, %rd1;", "expected .u32 or .s32"},
                    Refused{"ld.param.u64 %rd1, [a+-8];", "a place in the kernel's parameters"},
                    Refused{"ld.param.u64 %rd1, [a+18446744073709551608];", "a place in"},
                    Refused{"call (tiny), f, (rest);", ".param variables of the function's own"},
                    Refused{"call (rest), f, (tiny);", ".param variables of the function's own"},
                    Refused{"call (tiny), vprintf, (tiny, tiny);", "a result of 4 bytes"}));

// nysjit.hpp over the shared library: what it owns, what it throws, what it passes on.
#include "runtime/include/nysjit.hpp"
#include "tests/runtime/fake_program.h"

#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

namespace nysjit {
namespace {

constexpr const char *fakeTarget = "cpu:x86-64-v3";

struct CppHeader : testing::Test {
  ContextOptions options() {
    ContextOptions filled;
    filled.cache_dir = cache.c_str();
    filled.compiler = FAKE_WORKER;
    return filled;
  }
  TemporaryFolder folder;
  std::string cache = folder / "cache";
};

TEST_F(CppHeader, prepares_and_runs) {
  const Context context(options());
  const Program program = context.prepare(fakeSpec(), nullptr, fakeTarget);
  EXPECT_STREQ(program.info().cache, "compiled");
  EXPECT_STREQ(program.info().target, fakeTarget);
  FakeCall call(2, 3, 9);
  program.run(call.args);
  EXPECT_TRUE(call.isRight(0.25f)); // 1 / sqrt(16)
}

TEST_F(CppHeader, run_args_begin_as_the_c_structs_defaults) {
  const Context context(options());
  const Program program = context.prepare(fakeSpec(), nullptr, fakeTarget);
  FakeCall call(1, 1, 5);
  RunArgs args;
  EXPECT_EQ(args.size, sizeof(nysjit_run_args));
  args.q = call.args.q;
  args.k = call.args.k;
  args.v = call.args.v;
  args.o = call.args.o;
  const float scale = 2;
  args.scale = &scale;
  std::size_t bytes = 0;
  ASSERT_EQ(nysjit_workspace_size(program.get(), &args, &bytes), NYSJIT_OK);
  EXPECT_EQ(program.workspaceSize(args), bytes);
  program.run(args);
  EXPECT_TRUE(call.isRight(2));
}

TEST_F(CppHeader, an_error_has_status_message_and_json) {
  const Context context(options());
  try {
    context.prepare(R"({"layout": "exact_causal", "head_dim": 17})");
    FAIL() << "expected an exception";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), NYSJIT_INVALID_KEY);
    EXPECT_STREQ(error.what(), "head_dim: expected an integer, 16 to 256, multiple of 8, found 17");
    EXPECT_NE(error.json().find(R"("where":"head_dim")"), std::string::npos) << error.json();
  }
}

TEST_F(CppHeader, each_call_throws) {
  const Context context(options());
  const Program program = context.prepare(fakeSpec(), nullptr, fakeTarget);
  const RunArgs empty;
  EXPECT_THROW(program.run(empty), Error);
  EXPECT_THROW(program.workspaceSize(empty), Error);
  EXPECT_THROW(context.prepare("{"), Error);
  EXPECT_THROW(context.prepare(fakeSpec(), "[]"), Error);
  EXPECT_THROW(context.prepare(fakeSpec(), nullptr, "cpu:z80"), Error);
  EXPECT_THROW(Program(nullptr).info(), Error);
  ContextOptions wrong = options();
  wrong.device = "abacus";
  EXPECT_THROW(Context{wrong}, Error);
  EXPECT_NO_THROW(check(NYSJIT_OK));
}

TEST_F(CppHeader, finds_probes) {
  const Context context(options());
  const std::string spec = R"({"layout":"causal","head_dim":16,"landmarks":4,"segment_len":2,)"
                           R"("landmark_source":"learned","probes":1})";
  FakeTensor q({1, 1, 4, 16});
  for (int64_t i = 0; i < 4; ++i)
    q.at(0, 0, i, 3) = float(i);
  FakeTensor probes({1, 1, 16});
  RunArgs run;
  run.q = &q.tensor;
  const nysjit_run_args *const runs[] = {&run};
  CalibrateArgs args;
  args.runs = runs;
  args.run_count = 1;
  args.probes = &probes.tensor;
  context.calibrate(spec, args);
  EXPECT_EQ(probes.elements[3], 1.5f);
  EXPECT_EQ(probes.elements[2], 0.0f);
  EXPECT_THROW(context.calibrate(fakeSpec(), args), Error);
}

TEST_F(CppHeader, an_error_outlives_the_next_and_its_thread) {
  std::optional<Error> kept;
  std::thread([&] {
    const Context context(options());
    for (const char *spec : {R"({"layout": "exact_causal"})", "{"})
      try {
        context.prepare(spec);
      } catch (const Error &error) {
        kept = kept ? kept : error;
      }
  }).join();
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->status(), NYSJIT_INVALID_KEY);
  EXPECT_NE(std::string(kept->what()).find("head_dim"), std::string::npos) << kept->what();
}

TEST_F(CppHeader, a_program_outlives_its_context_and_moves) {
  std::optional<Context> context(options());
  Program first = context->prepare(fakeSpec(), nullptr, fakeTarget);
  context.reset();
  Program program = std::move(first);
  EXPECT_EQ(first.get(), nullptr);
  FakeCall call(1, 2, 3);
  program.run(call.args);
  EXPECT_TRUE(call.isRight(0.25f));
}

TEST_F(CppHeader, what_goes_is_released) {
  const auto isLoaded = [] {
    return readAll("/proc/self/maps").find("memfd:") != std::string::npos; // the kernels' code
  };
  {
    const Context context(options());
    Program program = context.prepare(fakeSpec(), nullptr, fakeTarget);
    program = context.prepare(fakeSpec(), nullptr, fakeTarget);
    EXPECT_TRUE(isLoaded());
  }
  EXPECT_FALSE(isLoaded());
}

static_assert(std::is_nothrow_move_constructible_v<Program>);
static_assert(std::is_nothrow_move_assignable_v<Context>);
static_assert(!std::is_copy_constructible_v<Program> && !std::is_copy_constructible_v<Context>);

} // namespace
} // namespace nysjit

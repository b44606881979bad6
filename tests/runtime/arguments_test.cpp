// Bad arguments through the C API: each a status and a message that names the argument, and o
// untouched.
#include "runtime/spec/tensor_table.h"
#include "tests/runtime/fake_program.h"

#include <functional>
#include <limits>

namespace nysjit {
namespace {

/// One way to spoil a good call.
struct BadCall {
  const char *name;
  nysjit_status status;
  const char *where; // what the message starts with
  std::function<void(FakeCall &)> spoil;
};
void PrintTo(const BadCall &bad, std::ostream *stream) { *stream << bad.name; }

const float notANumber = std::numeric_limits<float>::quiet_NaN();
const float infinite = std::numeric_limits<float>::infinity();
const float tooLarge = 3e38f;
const float tooNegative = -2.36e38f;
alignas(64) char workspace[4096];

const BadCall badCalls[] = {
    {"no_q", NYSJIT_INVALID_ARGUMENT, "q:", [](FakeCall &c) { c.args.q = nullptr; }},
    {"no_k", NYSJIT_INVALID_ARGUMENT, "k:", [](FakeCall &c) { c.args.k = nullptr; }},
    {"no_o", NYSJIT_INVALID_ARGUMENT, "o:", [](FakeCall &c) { c.args.o = nullptr; }},
    {"size_zero", NYSJIT_INVALID_ARGUMENT, "args.size", [](FakeCall &c) { c.args.size = 0; }},
    {"size_huge", NYSJIT_INVALID_ARGUMENT, "args.size",
     [](FakeCall &c) { c.args.size = SIZE_MAX; }},
    {"cuda", NYSJIT_INVALID_SHAPE, "q.device",
     [](FakeCall &c) { c.q.tensor.device.device_type = kDLCUDA; }},
    {"dtype", NYSJIT_INVALID_SHAPE, "v.dtype",
     [](FakeCall &c) { c.v.tensor.dtype = {kDLFloat, 16, 1}; }},
    {"dtype_code", NYSJIT_INVALID_SHAPE, "q.dtype",
     [](FakeCall &c) { c.q.tensor.dtype = {99, 32, 1}; }},
    {"lanes", NYSJIT_INVALID_SHAPE, "q.dtype", [](FakeCall &c) { c.q.tensor.dtype.lanes = 4; }},
    {"output_dtype", NYSJIT_INVALID_SHAPE, "o.dtype",
     [](FakeCall &c) { c.o.tensor.dtype = {kDLFloat, 64, 1}; }},
    {"rank_3", NYSJIT_INVALID_SHAPE, "q.ndim", [](FakeCall &c) { c.q.tensor.ndim = 3; }},
    {"rank_negative", NYSJIT_INVALID_SHAPE, "q.ndim", [](FakeCall &c) { c.q.tensor.ndim = -1; }},
    {"no_shape", NYSJIT_INVALID_ARGUMENT, "q.shape",
     [](FakeCall &c) { c.q.tensor.shape = nullptr; }},
    {"negative_extent", NYSJIT_INVALID_SHAPE, "q.shape[1]", [](FakeCall &c) { c.q.shape[1] = -2; }},
    {"head_dim", NYSJIT_INVALID_SHAPE, "q.shape[3]", [](FakeCall &c) { c.q.shape[3] = 8; }},
    {"other_n", NYSJIT_INVALID_SHAPE, "k.shape[2]", [](FakeCall &c) { c.k.shape[2] = 4; }},
    {"other_batch", NYSJIT_INVALID_SHAPE, "o.shape[0]", [](FakeCall &c) { c.o.shape[0] = 1; }},
    {"too_many_elements", NYSJIT_INVALID_SHAPE, "q.shape",
     [](FakeCall &c) { c.q.shape[0] = c.q.shape[1] = INT64_MAX, c.q.tensor.strides = nullptr; }},
    {"stride_in_d", NYSJIT_INVALID_SHAPE, "q.strides[3]", [](FakeCall &c) { c.q.strides[3] = 2; }},
    {"stride_out_of_memory", NYSJIT_INVALID_SHAPE, "q.strides",
     [](FakeCall &c) { c.q.strides[0] = INT64_MAX; }},
    {"stride_before_memory", NYSJIT_INVALID_SHAPE, "q.strides",
     [](FakeCall &c) { c.q.strides[0] = INT64_MIN; }},
    {"null_elements", NYSJIT_INVALID_ARGUMENT, "q.data",
     [](FakeCall &c) { c.q.tensor.data = nullptr; }},
    {"misaligned", NYSJIT_INVALID_SHAPE, "v.data", [](FakeCall &c) { c.v.tensor.byte_offset = 2; }},
    {"output_on_input", NYSJIT_INVALID_SHAPE,
     "o:", [](FakeCall &c) { c.o.tensor.data = c.q.tensor.data; }},
    {"output_inside_input", NYSJIT_INVALID_SHAPE,
     "o:", [](FakeCall &c) { c.o.tensor.data = c.v.elements.data() + 16; }},
    {"output_on_itself", NYSJIT_INVALID_SHAPE, "o.strides[1]",
     [](FakeCall &c) { c.o.strides[1] = 0; }},
    {"output_row_on_row", NYSJIT_INVALID_SHAPE, "o.strides[2]",
     [](FakeCall &c) { c.o.strides[2] = 8; }},
    {"output_batch_on_head", NYSJIT_INVALID_SHAPE,
     "o.strides: expected an output whose elements do not overlap, found [160, 160, 16, 1]",
     [](FakeCall &c) { c.o.strides[0] = c.o.strides[1]; }},
    {"output_between_the_rows_of_an_input", NYSJIT_INVALID_SHAPE,
     "o: expected an output that does not overlap q, found one that does",
     [](FakeCall &c) {
       c.q.strides[2] = c.o.strides[2] = 8 * fakeHeadDim; // neither is dense
       c.q.shape[0] = c.k.shape[0] = c.v.shape[0] = c.o.shape[0] = 1;
       c.q.shape[1] = c.k.shape[1] = c.v.shape[1] = c.o.shape[1] = 1;
       c.q.shape[2] = c.k.shape[2] = c.v.shape[2] = c.o.shape[2] = 2;
       c.o.tensor.data = c.q.elements.data() + fakeHeadDim - 1;
     }},
    {"scale_nan", NYSJIT_INVALID_ARGUMENT, "scale",
     [](FakeCall &c) { c.args.scale = &notANumber; }},
    {"scale_infinite", NYSJIT_INVALID_ARGUMENT, "scale",
     [](FakeCall &c) { c.args.scale = &infinite; }},
    {"scale_over_float32_in_base_2", NYSJIT_INVALID_ARGUMENT,
     "scale: expected a finite number, at most 2.35e38 in size, found 3e+38",
     [](FakeCall &c) { c.args.scale = &tooLarge; }},
    {"scale_under_it", NYSJIT_INVALID_ARGUMENT, "scale",
     [](FakeCall &c) { c.args.scale = &tooNegative; }},
    {"reserved_seed", NYSJIT_INVALID_ARGUMENT, "seed", [](FakeCall &c) { c.args.seed = 1; }},
    {"workspace_small", NYSJIT_INVALID_ARGUMENT, "workspace_size",
     [](FakeCall &c) { c.args.workspace = workspace, c.args.workspace_size = 64; }},
    {"workspace_misaligned", NYSJIT_INVALID_ARGUMENT, "workspace",
     [](FakeCall &c) { c.args.workspace = workspace + 4, c.args.workspace_size = 4000; }},
    {"workspace_is_an_input", NYSJIT_INVALID_ARGUMENT,
     "workspace: expected memory that does not overlap v, found memory that does",
     [](FakeCall &c) {
       c.v.tensor.data = workspace + 64, c.v.tensor.byte_offset = 0;
       c.args.workspace = workspace, c.args.workspace_size = sizeof workspace;
     }},
    {"workspace_size_alone", NYSJIT_INVALID_ARGUMENT, "workspace_size",
     [](FakeCall &c) { c.args.workspace_size = 64; }},
    {"timings_null", NYSJIT_INVALID_ARGUMENT, "timings",
     [](FakeCall &c) { c.args.timing_capacity = 4; }},
};

class Arguments : public FakeRuntime, public testing::WithParamInterface<BadCall> {};

TEST_P(Arguments, are_refused_by_name) {
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  FakeCall call(2, 2, 10);
  GetParam().spoil(call);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), GetParam().status) << nysjit_last_error();
  EXPECT_EQ(std::string(nysjit_last_error()).rfind(GetParam().where, 0), 0u) << nysjit_last_error();
  for (float element : call.o.elements)
    ASSERT_EQ(element, 0) << "o was written";
}
INSTANTIATE_TEST_SUITE_P(Run, Arguments, testing::ValuesIn(badCalls),
                         [](const auto &info) { return std::string(info.param.name); });

class Border : public FakeRuntime {};

TEST_F(Border, tensors_that_the_program_does_not_have_are_refused_by_name) {
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  size_t refused = 0;
  KernelSpec exact;
  exact.layout = Layout::ExactCausal;
  for (const TensorRow &row : tensorTable()) {
    FakeCall call(2, 2, 10);
    if (call.args.*row.field) // q, k, v or o
      continue;
    ++refused;
    call.args.*row.field = &call.q.tensor;
    EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_INVALID_ARGUMENT) << row.name;
    EXPECT_EQ(nysjit_last_error(), std::string(row.name) + ": expected NULL (a program with " +
                                       tensorReason(row, exact) +
                                       " has no such argument), found a tensor");
  }
  EXPECT_EQ(refused + 4, tensorTable().size());
}

TEST_F(Border, one_that_a_key_decides_on_says_which) {
  ASSERT_EQ(prepare(R"({"layout":"causal","head_dim":16,"landmarks":4})"), NYSJIT_OK)
      << nysjit_last_error();
  FakeCall call(2, 2, 10);
  call.args.conv = &call.q.tensor;
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_INVALID_ARGUMENT);
  EXPECT_STREQ(nysjit_last_error(), "conv: expected NULL (a program with conv_kernel 0 has no such "
                                    "argument), found a tensor");
}

TEST_F(Border, a_precondition_says_what_was_found) {
  ASSERT_EQ(prepare(), NYSJIT_OK);
  FakeCall call(1, 2, 1001);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_INVALID_SHAPE);
  EXPECT_STREQ(nysjit_last_error(), "q: expected a length of at most 1000, found 1001 of 2 heads");
  EXPECT_STREQ(
      nysjit_last_error_json(),
      R"({"expected":"a length of at most 1000","found":"1001 of 2 heads","kind":"invalid_shape",)"
      R"("message":"q: expected a length of at most 1000, )"
      R"(found 1001 of 2 heads","where":"q"})");
}

TEST_F(Border, null_pointers_are_named) {
  nysjit_run_args args = {};
  args.size = sizeof args;
  size_t bytes;
  nysjit_program *none = nullptr;
  const std::pair<nysjit_status, const char *> calls[] = {
      {nysjit_context_create(nullptr, nullptr), "context"},
      {nysjit_prepare(nullptr, fakeSpec(), nullptr, nullptr, &none), "context"},
      {nysjit_prepare(context, nullptr, nullptr, nullptr, &none), "spec_json"},
      {nysjit_prepare(context, fakeSpec(), nullptr, nullptr, nullptr), "program"},
      {nysjit_run(nullptr, &args, nullptr), "program"},
      {nysjit_workspace_size(nullptr, &args, &bytes), "program"},
  };
  for (const auto &[status, argument] : calls)
    EXPECT_EQ(status, NYSJIT_INVALID_ARGUMENT) << argument;
  EXPECT_STREQ(nysjit_last_error(), "program: expected a pointer, found NULL");
  nysjit_context_destroy(nullptr);
  nysjit_program_release(nullptr);
  ASSERT_EQ(prepare(), NYSJIT_OK);
  EXPECT_EQ(nysjit_run(program, nullptr, nullptr), NYSJIT_INVALID_ARGUMENT);
  EXPECT_EQ(nysjit_run(program, &args, context), NYSJIT_INVALID_ARGUMENT); // a stream
  EXPECT_EQ(nysjit_workspace_size(program, &args, nullptr), NYSJIT_INVALID_ARGUMENT);
  EXPECT_EQ(nysjit_program_get_info(program, nullptr), NYSJIT_INVALID_ARGUMENT);
}

TEST_F(Border, bad_requests_have_their_status) {
  const std::tuple<const char *, const char *, const char *, nysjit_status> requests[] = {
      {"{", nullptr, nullptr, NYSJIT_INVALID_JSON},
      {R"({"layout":"exact_causal","head_dim":20})", nullptr, nullptr, NYSJIT_INVALID_KEY},
      {fakeSpec(), "[]", nullptr, NYSJIT_INVALID_JSON},
      {fakeSpec(), R"({"k":{"block_m":17}})", nullptr, NYSJIT_INVALID_KEY},
      {fakeSpec(), nullptr, "gpu:9000", NYSJIT_UNKNOWN_DEVICE},
  };
  for (const auto &[spec, config, target, status] : requests) {
    EXPECT_EQ(nysjit_prepare(context, spec, config, target, &program), status)
        << spec << " " << nysjit_last_error();
    EXPECT_EQ(program, nullptr);
  }
}

TEST_F(Border, an_older_smaller_struct_is_read_with_zeros) {
  ASSERT_EQ(prepare(), NYSJIT_OK);
  FakeCall call(1, 1, 3);
  call.args.seed = 99; // past the older struct's end
  call.args.size = offsetof(nysjit_run_args, timings);
  EXPECT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  nysjit_program_info small = {};
  small.size = offsetof(nysjit_program_info, compile_ms);
  small.compile_ms = -1;
  ASSERT_EQ(nysjit_program_get_info(program, &small), NYSJIT_OK);
  EXPECT_STREQ(small.cache, "compiled");
  EXPECT_EQ(small.compile_ms, -1); // not written
}

TEST_F(Border, a_newer_larger_struct_is_read_if_its_news_are_zero) {
  ASSERT_EQ(prepare(), NYSJIT_OK);
  FakeCall call(1, 1, 3);
  struct {
    nysjit_run_args args;
    uint64_t news;
  } newer = {call.args, 0};
  newer.args.size = sizeof newer;
  EXPECT_EQ(nysjit_run(program, &newer.args, nullptr), NYSJIT_OK) << nysjit_last_error();
  newer.news = 1;
  EXPECT_EQ(nysjit_run(program, &newer.args, nullptr), NYSJIT_INVALID_ARGUMENT);
}

TEST_F(Border, bad_options_are_refused) {
  nysjit_context *other = nullptr;
  nysjit_context_options options = {};
  EXPECT_EQ(nysjit_context_create(&options, &other), NYSJIT_INVALID_ARGUMENT); // size 0
  options.size = sizeof options;
  options.threads = 1u << 30;
  EXPECT_EQ(nysjit_context_create(&options, &other), NYSJIT_INVALID_ARGUMENT);
  options.threads = 0;
  options.sealed = 2;
  EXPECT_EQ(nysjit_context_create(&options, &other), NYSJIT_INVALID_ARGUMENT);
  EXPECT_EQ(other, nullptr);
}

TEST(Statuses, have_names) {
  EXPECT_STREQ(nysjit_status_name(NYSJIT_OK), "ok");
  EXPECT_STREQ(nysjit_status_name(NYSJIT_INVALID_SHAPE), "invalid_shape");
  EXPECT_STREQ(nysjit_status_name(NYSJIT_INTERNAL), "internal");
  EXPECT_STREQ(nysjit_status_name(77), "unknown");
  EXPECT_EQ(nysjit_abi_version(), static_cast<uint32_t>(NYSJIT_ABI_VERSION));
}

} // namespace
} // namespace nysjit

// A tensor that does not fit is named as its caller sees it: with the dimension's number in the
// tensor that was passed and what stands there, for dense, padded and packed sequences.
#include "runtime/spec/tensor_table.h"
#include "tests/conformance/conformance.h"

#include <functional>
#include <map>
#include <regex>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

enum class Rows { Dense, Padded, Packed };

/// A tensor whose elements are never looked at.
struct Shape {
  std::vector<int64_t> extents;
  std::vector<int64_t> strides;
  DLTensor tensor{};
};

/// All tensors that a run of `spec` may be given, by name.
class Call {
public:
  Call(const KernelSpec &spec, Rows rows) {
    const bool isPacked = rows == Rows::Packed;
    args.size = sizeof args;
    for (const TensorRow &row : tensorTable()) {
      const std::string_view name = row.name;
      const bool isRows = name == "seqlens" || name == "seq_starts";
      if (!usesTensor(row, spec) || (name == "cu_seqlens" && !isPacked) ||
          (isRows && rows != Rows::Padded))
        continue;
      Shape &shape = shapes[row.name];
      for (const std::string_view dimension : dimensionNames(row, isPacked))
        shape.extents.push_back(extent(dimension, spec));
      int64_t stride = 1;
      for (size_t i = shape.extents.size(); i-- > 0; stride *= shape.extents[i])
        shape.strides.insert(shape.strides.begin(), stride);
      shape.tensor = {nullptr,
                      {kDLCPU, 0},
                      int(shape.extents.size()),
                      row.element == TensorElement::Int32 ? DLDataType{kDLInt, 32, 1}
                                                          : DLDataType{kDLFloat, 32, 1},
                      shape.extents.data(),
                      shape.strides.data(),
                      0};
      args.*row.field = &shape.tensor;
    }
  }
  Call(const Call &) = delete;

  static int64_t extent(std::string_view name, const KernelSpec &spec) {
    const std::map<std::string_view, int64_t> sizes = {{"B", 3},     {"Hq", 4}, {"Hkv", 2},
                                                       {"total", 9}, {"n", 10}, {"B + 1", 4}};
    const std::optional<int64_t> number = specDimension(name, spec);
    return number ? *number : sizes.at(name);
  }

  std::map<std::string, Shape, std::less<>> shapes;
  nysjit_run_args args{};
};

const char *const specs[] = {
    R"({"layout": "causal", "head_dim": 32, "landmarks": 32, "segment_len": 12, "conv_kernel": 3})",
    R"({"layout": "prefix_lm", "head_dim": 32, "landmarks": 33, "segment_len": 12})",
    R"({"layout": "scan", "head_dim": 32, "landmarks": 16, "landmark_source": "learned"})"};

class Messages : public testing::TestWithParam<const char *> {
protected:
  Messages() : program(device.prepare(GetParam())) {}

  /// The message of a call with one fault; "" if it is no fault.
  std::string say(Rows rows, const std::function<void(Call &)> &spoil) {
    Call call(*spec, rows);
    spoil(call);
    size_t bytes;
    const nysjit_status status = nysjit_workspace_size(program.get(), &call.args, &bytes);
    const std::string message = status == NYSJIT_OK ? "" : nysjit_last_error();
    if (!message.empty())
      expectAsGiven(call, message);
    return message;
  }

  /// "k.shape[0]: ... found 9" is so in the caller's k.
  static void expectAsGiven(const Call &call, const std::string &message) {
    static const std::regex form(R"(^(\w+)\.(shape|strides)\[(\d)\]: .* found (-?\d+)$)");
    std::smatch parts;
    if (!std::regex_match(message, parts, form))
      return;
    const Shape &shape = call.shapes.find(parts[1].str())->second;
    const std::vector<int64_t> &list = parts[2] == "shape" ? shape.extents : shape.strides;
    const size_t index = size_t(parts[3].str()[0] - '0');
    ASSERT_LT(index, list.size()) << message;
    EXPECT_EQ(std::to_string(list[index]), parts[4]) << message;
  }

  void forEachTensor(const std::function<void(Rows, const std::string &)> &body) {
    for (const Rows rows : {Rows::Dense, Rows::Padded, Rows::Packed})
      for (const auto &[name, shape] : Call(*spec, rows).shapes)
        body(rows, name);
  }

  Device device{"cpu:x86-64-v3"};
  Device::Program program;
  Result<KernelSpec> spec = parseKernelSpec(std::string_view(GetParam()));
};
INSTANTIATE_TEST_SUITE_P(Layouts, Messages, testing::ValuesIn(specs), [](const auto &info) {
  return std::string(layoutName(parseKernelSpec(std::string_view(info.param))->layout));
});

TEST_P(Messages, AGoodCallHasNone) {
  for (const Rows rows : {Rows::Dense, Rows::Padded, Rows::Packed})
    EXPECT_EQ(say(rows, [](Call &) {}), "");
}

TEST_P(Messages, AnExtentIsTheCallers) {
  forEachTensor([&](Rows rows, const std::string &name) {
    const std::vector<int64_t> extents = Call(*spec, rows).shapes.find(name)->second.extents;
    for (size_t i = 0; i < extents.size(); ++i)
      for (const int64_t other : {extents[i] + 1, int64_t(-1)}) {
        const std::string message =
            say(rows, [&](Call &call) { call.shapes.find(name)->second.extents[i] = other; });
        // What q, or for the heads of keys k, binds is missed in the next tensor. One offset more
        // is one sequence more.
        EXPECT_TRUE(!message.empty() || (name == "cu_seqlens" && spec->layout != Layout::PrefixLm))
            << name << " " << i;
        if (other < 0) {
          EXPECT_TRUE(message.starts_with(name + ".shape[" + std::to_string(i) +
                                          "]: expected an "
                                          "extent"))
              << message;
        }
      }
  });
}

TEST_P(Messages, ALastStrideIsTheCallers) {
  forEachTensor([&](Rows rows, const std::string &name) {
    const std::string message =
        say(rows, [&](Call &call) { call.shapes.find(name)->second.strides.back() = 2; });
    const size_t last = Call(*spec, rows).shapes.find(name)->second.extents.size() - 1;
    EXPECT_EQ(message, name + ".strides[" + std::to_string(last) + "]: expected 1, found 2");
  });
}

TEST_P(Messages, DevicesTypesAndRanksAreNamed) {
  forEachTensor([&](Rows rows, const std::string &name) {
    const auto with = [&](const std::function<void(DLTensor &)> &spoil) {
      return say(rows, [&](Call &call) { spoil(call.shapes.find(name)->second.tensor); });
    };
    EXPECT_EQ(with([](DLTensor &t) { t.device = {kDLCUDA, 1}; }),
              name + ".device: expected CPU memory (kDLCPU), found GPU memory (kDLCUDA) of device "
                     "1");
    EXPECT_TRUE(with([](DLTensor &t) {
                  t.dtype = {kDLFloat, 64, 1};
                }).starts_with(name + ".dtype: expected "));
    EXPECT_TRUE(
        with([](DLTensor &t) { t.shape = nullptr; }).starts_with(name + ".shape: expected "))
        << with([](DLTensor &t) { t.shape = nullptr; });
    for (const int rank : {0, 1, 2, 3, 4, 5, -1}) {
      const int right = int(Call(*spec, rows).shapes.find(name)->second.extents.size());
      const std::string message = with([&](DLTensor &t) { t.ndim = rank; });
      if (rank != right)
        EXPECT_TRUE(message.starts_with(name + ".ndim: expected " + std::to_string(right)) &&
                    message.ends_with("found " + std::to_string(rank)))
            << message;
    }
  });
}

TEST_P(Messages, ATensorThatIsMissingOrTooMuchIsNamed) {
  forEachTensor([&](Rows rows, const std::string &name) {
    const TensorRow &row = tensorRow(name);
    if (!isOptional(row))
      EXPECT_EQ(say(rows, [&](Call &call) { call.args.*row.field = nullptr; }),
                name + ": expected a tensor, found NULL");
  });
  for (const TensorRow &row : tensorTable())
    if (!usesTensor(row, *spec))
      EXPECT_EQ(say(Rows::Dense, [&](Call &call) { call.args.*row.field = call.args.q; }),
                std::string(row.name) + ": expected NULL (a program with " +
                    tensorReason(row, *spec) + " has no such argument), found a tensor");
}

TEST_P(Messages, PackedRowsAreCountedInTheirOwnDimension) {
  EXPECT_EQ(say(Rows::Packed, [](Call &call) { call.shapes["k"].extents[0] = 8; }),
            "k.shape[0]: expected 9 (total, as in q), found 8");
  EXPECT_EQ(say(Rows::Packed, [](Call &call) { call.shapes["q"].extents[2] = 16; }),
            "q.shape[2]: expected 32, found 16");
  EXPECT_EQ(say(Rows::Dense, [](Call &call) { call.shapes["k"].extents[2] = 8; }),
            "k.shape[2]: expected 10 (n, as in q), found 8");
  EXPECT_EQ(say(Rows::Dense, [](Call &call) { call.shapes["q"].tensor.ndim = 3; }),
            "q.ndim: expected 4 dimensions, or 3 of sequences packed by cu_seqlens, found 3");
  EXPECT_EQ(say(Rows::Packed, [](Call &call) { call.shapes["v"].tensor.ndim = 4; }),
            "v.ndim: expected 3 dimensions, as cu_seqlens packs the sequences, found 4");
}

} // namespace

// The table of tensors against the C API's header, and what is read off its rows.
#include "runtime/spec/tensor_table.h"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <sstream>

using namespace nysjit;

namespace {

/// The names of nysjit_run_args' tensors, in the header's order.
std::vector<std::string> headerFields() {
  std::ostringstream text;
  text << std::ifstream(NYSJIT_SOURCE_DIR "/runtime/include/nysjit.h").rdbuf();
  const std::string header = text.str();
  const std::regex field(R"(\n  const DLTensor \*(\w+);)");
  std::vector<std::string> names;
  for (std::sregex_iterator i(header.begin(), header.end(), field), end; i != end; ++i)
    names.push_back((*i)[1]);
  return names;
}

/// Where the row's field stands in the struct.
ptrdiff_t offsetOf(const TensorRow &row) {
  static const nysjit_run_args args = {};
  return reinterpret_cast<const char *>(&(args.*row.field)) - reinterpret_cast<const char *>(&args);
}

KernelSpec specOf(const std::string &text) {
  Result<KernelSpec> spec = parseKernelSpec(std::string_view(text));
  EXPECT_TRUE(spec.ok()) << text;
  return spec ? *spec : KernelSpec();
}

/// Of the tensors that not every spec has, those that this one has.
std::set<std::string> conditionalTensorsOf(const std::string &spec) {
  std::set<std::string> names;
  for (const TensorRow &row : tensorTable())
    if ((row.layouts != allLayouts || row.condition != TensorCondition::None ||
         row.passes != allPasses) &&
        usesTensor(row, specOf(spec)))
      names.insert(row.name);
  return names;
}

TEST(TensorTable, HasEveryTensorOfTheHeaderOnceAndNoOther) {
  std::vector<TensorRow> rows(tensorTable().begin(), tensorTable().end());
  std::ranges::sort(rows, {}, offsetOf);
  std::vector<std::string> names;
  for (const TensorRow &row : rows)
    names.push_back(row.name);
  EXPECT_EQ(names, headerFields());
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

TEST(TensorTable, NamesLeadToRows) {
  for (const TensorRow &row : tensorTable())
    EXPECT_EQ(&tensorRow(row.name), &row);
  EXPECT_EQ(findTensor("p"), nullptr);
  EXPECT_THROW(tensorRow("p"), std::out_of_range);
}

TEST(TensorTable, RowsAreWhole) {
  std::set<std::string> flags;
  for (const TensorRow &row : tensorTable()) {
    EXPECT_EQ(row.flag == nullptr, row.flagHelp == nullptr) << row.name;
    if (row.flag)
      EXPECT_TRUE(flags.insert(row.flag).second) << row.name;
    if (row.notWith)
      EXPECT_NE(findTensor(row.notWith), nullptr) << row.name;
    EXPECT_EQ(row.layouts == 0, row.shape.empty()) << row.name;
    if (row.isPackable)
      EXPECT_EQ(row.shape.size(), 4u) << row.name;
    EXPECT_EQ(row.extentSymbol != nullptr, row.element == TensorElement::Int32) << row.name;
  }
}

TEST(TensorTable, ASpecHasTheTensorsItsLayoutAndKeysAskFor) {
  using Names = std::set<std::string>;
  EXPECT_EQ(conditionalTensorsOf(R"({"layout":"exact_causal","head_dim":16})"), Names());
  EXPECT_EQ(conditionalTensorsOf(R"({"layout":"prefix_lm","head_dim":16,"landmarks":4,)"
                                 R"("conv_kernel":3})"),
            (Names{"conv", "source_len"}));
  EXPECT_EQ(conditionalTensorsOf(R"({"layout":"scan","head_dim":16,"landmarks":4,)"
                                 R"("landmark_source":"learned"})"),
            (Names{"landmark_q", "landmark_k"}));
  EXPECT_EQ(conditionalTensorsOf(R"({"layout":"scan","head_dim":16,"landmarks":4,)"
                                 R"("landmark_source":"first_k","first_k":8})"),
            Names());
  EXPECT_EQ(conditionalTensorsOf(R"({"layout":"causal","head_dim":16,"landmarks":4})"), Names());
  EXPECT_EQ(conditionalTensorsOf(R"({"layout":"causal","head_dim":16,"landmarks":4,)"
                                 R"("landmark_source":"learned","probes":3})"),
            (Names{"landmark_q"}));
}

TEST(TensorTable, ABackwardReadsTheOutputAndWritesGradients) {
  using Names = std::set<std::string>;
  EXPECT_EQ(conditionalTensorsOf(R"({"layout":"exact_causal","head_dim":16,"pass":"saving"})"),
            Names());
  EXPECT_EQ(conditionalTensorsOf(R"({"layout":"exact_causal","head_dim":16,"pass":"backward"})"),
            (Names{"dout", "dq", "dk", "dv"}));
  EXPECT_TRUE(isWrittenBy(tensorRow("o"), Pass::Saving));
  EXPECT_FALSE(isWrittenBy(tensorRow("o"), Pass::Backward));
  EXPECT_TRUE(isWrittenBy(tensorRow("dk"), Pass::Backward));
  EXPECT_TRUE(isOptional(tensorRow("dk")));
  EXPECT_FALSE(isOptional(tensorRow("dout")));
  const KernelSpec forward = specOf(R"({"layout":"exact_causal","head_dim":16})");
  EXPECT_EQ(tensorReason(tensorRow("dq"), forward), "pass forward");
}

TEST(TensorTable, TheReasonIsTheKeyThatDecides) {
  const KernelSpec exact = specOf(R"({"layout":"exact_causal","head_dim":16})");
  const KernelSpec scan = specOf(R"({"layout":"scan","head_dim":16,"landmarks":4,)"
                                 R"("landmark_source":"learned","conv_kernel":5})");
  EXPECT_EQ(tensorReason(tensorRow("conv"), exact), "layout exact_causal");
  EXPECT_EQ(tensorReason(tensorRow("conv"), scan), "conv_kernel 5");
  EXPECT_EQ(tensorReason(tensorRow("landmark_q"), exact), "layout exact_causal");
  EXPECT_EQ(tensorReason(tensorRow("landmark_q"), scan), "landmark_source learned");
  EXPECT_EQ(tensorReason(tensorRow("source_len"), scan), "layout scan");
  const KernelSpec causal = specOf(R"({"layout":"causal","head_dim":16,"landmarks":4})");
  EXPECT_EQ(tensorReason(tensorRow("landmark_q"), causal), "landmark_source segment_mean");
  EXPECT_EQ(tensorReason(tensorRow("landmark_k"), causal), "layout causal");
}

TEST(TensorTable, OnlyQKVAndOAreAlwaysNeeded) {
  std::vector<std::string> names;
  for (const TensorRow &row : tensorTable())
    if (isAlwaysNeeded(row))
      names.push_back(row.name);
  EXPECT_EQ(names, (std::vector<std::string>{"q", "k", "v", "o"}));
  EXPECT_TRUE(isOutput(tensorRow("o")));
  EXPECT_FALSE(isOutput(tensorRow("q")));
  EXPECT_TRUE(isOptional(tensorRow("seqlens")));
  EXPECT_FALSE(isOptional(tensorRow("conv")));
}

TEST(TensorTable, PackedRowsHaveAllTheirHeads) {
  using Names = std::vector<std::string_view>;
  EXPECT_EQ(dimensionNames(tensorRow("k"), false), (Names{"B", "Hkv", "n", "d"}));
  EXPECT_EQ(dimensionNames(tensorRow("k"), true), (Names{"total", "Hkv", "d"}));
  EXPECT_EQ(dimensionNames(tensorRow("conv"), true), (Names{"Hq", "c"}));
}

TEST(TensorTable, TheSpecSaysItsOwnDimensions) {
  const KernelSpec spec =
      specOf(R"({"layout":"causal","head_dim":16,"landmarks":4,"conv_kernel":5})");
  EXPECT_EQ(specDimension("d", spec), 16);
  EXPECT_EQ(specDimension("m", spec), 4);
  EXPECT_EQ(specDimension("c", spec), 5);
  EXPECT_EQ(specDimension("n", spec), std::nullopt);
  EXPECT_EQ(specDimension("m", specOf(R"({"layout":"causal","head_dim":16,"landmarks":4,)"
                                      R"("landmark_source":"learned","probes":3})")),
            3);
}

} // namespace

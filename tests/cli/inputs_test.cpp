// What loadInputs makes of files: learned landmarks, rounding, and where sequences lie.
#include "runtime/cli/inputs.h"
#include "tests/cli/command.h"

using namespace nysjit;
using namespace nysjit::cli;

namespace {

class LoadedInputs : public CommandTest {
protected:
  /// q.npy, k.npy and v.npy beside what `files` has.
  Result<Inputs> load(const std::string &spec, TensorFiles files = {}) {
    files.insert({{"q", "q.npy"}, {"k", "k.npy"}, {"v", "v.npy"}, {"o", "o.npy"}});
    for (auto &[name, path] : files)
      path = folder / path;
    Result<KernelSpec> parsed = parseKernelSpec(spec);
    EXPECT_TRUE(parsed.ok()) << parsed.error().message;
    return loadInputs(*parsed, files);
  }
  static std::string messageOf(const Result<Inputs> &inputs) {
    return inputs ? "no error" : inputs.error().message;
  }
};

const std::string learned =
    R"({"layout":"scan","head_dim":16,"landmarks":3,"landmark_source":"learned"})";
const std::string causal = R"({"layout":"causal","head_dim":16,"landmarks":4})";

TEST_F(LoadedInputs, LearnedLandmarksAreNeededAndFit) {
  writeTensor("lq.npy", {2, 3, 16}, 4);
  writeTensor("lk.npy", {1, 3, 16}, 5);
  EXPECT_EQ(messageOf(load(learned)),
            "--landmark-q: expected a .npy file with landmark_source learned, found no such flag");
  EXPECT_EQ(messageOf(load(learned, {{"landmark_q", "lq.npy"}})),
            "--landmark-k: expected a .npy file with landmark_source learned, found no such flag");
  EXPECT_EQ(messageOf(load(learned, {{"landmark_q", "lq.npy"}, {"landmark_k", "lk.npy"}})),
            "--landmark-k: expected shape [2, 3, 16], found [1, 3, 16]");
  EXPECT_EQ(messageOf(load(learned, {{"landmark_q", "lk.npy"}, {"landmark_k", "lq.npy"}})),
            "--landmark-q: expected shape [2, 3, 16], found [1, 3, 16]");
  writeTensor("k.npy", {1, 1, 12, 16}, 2);
  writeTensor("v.npy", {1, 1, 12, 16}, 3);
  EXPECT_EQ(messageOf(load(learned, {{"landmark_q", "lq.npy"}, {"landmark_k", "lk.npy"}})),
            "no error");
}

TEST_F(LoadedInputs, LandmarksOfTheFirstPositionsAreNotGiven) {
  writeTensor("lq.npy", {2, 3, 16}, 4);
  const std::string firstK =
      R"({"layout":"scan","head_dim":16,"landmarks":3,"landmark_source":"first_k","first_k":6})";
  EXPECT_EQ(messageOf(load(firstK)), "no error");
  Result<Inputs> inputs = load(firstK, {{"landmark_q", "lq.npy"}});
  ASSERT_FALSE(inputs.ok());
  EXPECT_EQ(inputs.error().where, "--landmark-q");
  EXPECT_EQ(inputs.error().expected, "no such flag with landmark_source first_k");
}

TEST_F(LoadedInputs, AllFloatsAreRoundedToTheDtype) {
  writeTensor("lq.npy", {2, 3, 16}, 4);
  writeTensor("lk.npy", {2, 3, 16}, 5);
  writeTensor("conv.npy", {2, 4}, 6);
  Result<Inputs> inputs =
      load(R"({"layout":"scan","head_dim":16,"landmarks":3,)"
           R"("landmark_source":"learned","conv_kernel":4,"dtype":"bfloat16"})",
           {{"landmark_q", "lq.npy"}, {"landmark_k", "lk.npy"}, {"conv", "conv.npy"}});
  ASSERT_TRUE(inputs.ok()) << inputs.error().message;
  for (const char *name : {"q", "landmark_q", "landmark_k", "conv"}) {
    const Tensor &tensor = inputs->at(name);
    EXPECT_EQ(tensor.type.code, kDLBfloat);
    EXPECT_EQ(tensor.bytes.size(), size_t(tensor.count()) * 2);
  }
}

TEST_F(LoadedInputs, SequencesOfOneLengthAreAllRows) {
  Result<Inputs> inputs = load(causal);
  ASSERT_TRUE(inputs.ok()) << inputs.error().message;
  EXPECT_EQ(inputs->starts, std::vector<int64_t>({0}));
  EXPECT_EQ(inputs->lengths, std::vector<int64_t>({12}));
  EXPECT_EQ(inputs->maxLength, 0);
}

TEST_F(LoadedInputs, PackedSequencesLieBetweenOffsets) {
  for (const char *name : {"q.npy", "k.npy", "v.npy"})
    writeTensor(name, {12, 2, 16}, 1);
  writeIntegers("offsets.npy", {1, 6, 6, 9});
  Result<Inputs> inputs = load(causal, {{"cu_seqlens", "offsets.npy"}});
  ASSERT_TRUE(inputs.ok()) << inputs.error().message;
  EXPECT_EQ(inputs->starts, std::vector<int64_t>({1, 6, 6}));
  EXPECT_EQ(inputs->lengths, std::vector<int64_t>({5, 0, 3}));
  EXPECT_EQ(inputs->maxLength, 5);
  EXPECT_EQ(inputs->at("cu_seqlens").type.bits, 32);
}

TEST_F(LoadedInputs, AnEmptySequenceIsNoLimitOfNone) {
  writeIntegers("lengths.npy", {0});
  Result<Inputs> inputs = load(causal, {{"seqlens", "lengths.npy"}});
  ASSERT_TRUE(inputs.ok()) << inputs.error().message;
  EXPECT_EQ(inputs->lengths, std::vector<int64_t>({0}));
  EXPECT_EQ(inputs->maxLength, 1); // 0 would mean that lengths are not known
}

} // namespace

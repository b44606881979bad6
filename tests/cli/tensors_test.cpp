// Inputs are rounded to the spec's dtype on load, once.
#include "runtime/cli/tensors.h"
#include "runtime/npy/npy.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

using namespace nysjit;
using namespace nysjit::cli;

namespace {

class Rounding : public testing::Test {
protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "nysjit-tensors-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    path = name;
  }
  void TearDown() override { std::filesystem::remove_all(path); }

  /// The first element after loading a float64 file that holds `value` everywhere.
  double load(double value, DType dtype) {
    NpyArray array{"float64", {1, 1, 1, 16}, std::string(16 * sizeof value, '\0')};
    for (size_t i = 0; i < 16; ++i)
      std::memcpy(array.bytes.data() + i * sizeof value, &value, sizeof value);
    std::string file = path / "x.npy";
    EXPECT_TRUE(writeNpy(file, array).ok());
    Result<Tensor> tensor = loadTensor("--q", file, dtype);
    EXPECT_TRUE(tensor.ok()) << tensor.error().message;
    return tensor->toDoubles()[0];
  }
  std::filesystem::path path;
};

TEST_F(Rounding, GoesToTheNearest) {
  EXPECT_EQ(load(1 + 0x1p-30, DType::Float32), 1);
  EXPECT_EQ(load(0.1, DType::Float32), double(0.1f));
  EXPECT_EQ(load(1 + 0x1p-12, DType::Float16), 1);
  EXPECT_EQ(load(3.14159, DType::BFloat16), 3.140625);
  EXPECT_EQ(load(-1e5, DType::BFloat16), -99840);
}

TEST_F(Rounding, HappensOnceNotByWayOfFloat32) {
  // Just over halfway between 1 and the next bfloat16; float32 would round it to the tie, and that
  // to even, 1.
  EXPECT_EQ(load(1 + 0x1p-8 + 0x1p-40, DType::BFloat16), 1 + 0x1p-7);
  EXPECT_EQ(load(-(1 + 0x1p-11 + 0x1p-40), DType::Float16), -(1 + 0x1p-10));
  EXPECT_EQ(load(1 + 0x1p-8 - 0x1p-40, DType::BFloat16), 1);
}

TEST_F(Rounding, KeepsTinyValuesAndInfinities) {
  EXPECT_EQ(load(0x1p-24, DType::Float16), 0x1p-24);
  EXPECT_EQ(load(0x1.8p-25, DType::Float16), 0x1p-24);
  EXPECT_TRUE(std::isinf(load(1e300, DType::Float16)));
  EXPECT_TRUE(std::isnan(load(NAN, DType::BFloat16)));
}

} // namespace

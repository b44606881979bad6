// .npy files: what is read back is what was written, and whatever a file claims, nothing crashes.
#include "runtime/npy/half.h"
#include "runtime/npy/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

using namespace nysjit;

namespace {

std::string fileOf(const std::string &header, const std::string &data, char version = 1) {
  std::string file = std::string("\x93NUMPY") + version + '\0';
  file += static_cast<char>(header.size() & 255);
  file += static_cast<char>(header.size() >> 8);
  if (version > 1)
    file += std::string(2, '\0');
  return file + header + data;
}

std::string header(const std::string &descr, const std::string &order, const std::string &shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

struct Fault {
  const char *name;
  std::string file;
  std::string expected;
  std::string found;
};

TEST(Npy, RefusesWithWhatWasExpectedAndFound) {
  const std::string eight(8, '\0');
  const std::vector<Fault> faults = {
      {"empty", "", "a .npy file", "an empty file"},
      {"text", "hello, world", "a .npy file", "other bytes at its start"},
      {"version", fileOf(header("<f4", "False", "(2,)"), eight, 9), "version 1 to 3", "version 9"},
      {"short header", fileOf(header("<f4", "False", "(2,)"), eight).substr(0, 30), "a header of",
       "20 bytes"},
      {"dtype", fileOf(header("<c8", "False", "(1,)"), eight), "little-endian float16",
       "dtype '<c8'"},
      {"big endian", fileOf(header(">f4", "False", "(2,)"), eight), "little-endian float16",
       "dtype '>f4'"},
      {"object", fileOf(header("|O", "False", "(1,)"), eight), "little-endian float16",
       "dtype '|O'"},
      {"Fortran", fileOf(header("<f4", "True", "(2,)"), eight), "C order", "Fortran order"},
      {"truncated", fileOf(header("<f4", "False", "(3,)"), eight),
       "12 bytes of data for shape [3] of float32", "8 bytes"},
      {"trailing", fileOf(header("<f4", "False", "(1,)"), eight), "4 bytes of data", "8 bytes"},
      {"lying", fileOf(header("<f4", "False", "(100000000000,)"), eight),
       "400000000000 bytes of data", "8 bytes"},
      {"overflow", fileOf(header("<f4", "False", "(4611686018427387904, 4)"), eight),
       "less than 2^63 bytes", "[4611686018427387904, 4]"},
      {"overflow to what there is", fileOf(header("<f4", "False", "(4611686018427387904, 4)"), ""),
       "less than 2^63 bytes", "[4611686018427387904, 4]"},
      {"negative", fileOf(header("<f4", "False", "(-2,)"), eight), "a 'shape' of numbers", ""},
      {"no shape", fileOf("{'descr': '<f4', 'fortran_order': False}", eight),
       "a 'shape' of numbers", ""},
  };
  for (const Fault &fault : faults) {
    auto array = parseNpy(fault.file, "x.npy");
    ASSERT_FALSE(array.ok()) << fault.name;
    EXPECT_EQ(array.error().kind, ErrorKind::InvalidFile) << fault.name;
    EXPECT_EQ(array.error().where, "x.npy") << fault.name;
    EXPECT_NE(array.error().expected.find(fault.expected), std::string::npos)
        << fault.name << ": " << array.error().message;
    EXPECT_NE(array.error().found.find(fault.found), std::string::npos)
        << fault.name << ": " << array.error().message;
  }
}

TEST(Npy, ReadsWhatItWrote) {
  const std::string path = testing::TempDir() + "round.npy";
  for (const std::vector<int64_t> &shape :
       {std::vector<int64_t>{}, {3}, {2, 3}, {0, 4}, {1, 2, 3, 1}}) {
    NpyArray array{"float32", shape, ""};
    for (int64_t i = 0; i < array.elements(); ++i) {
      const float value = float(i) + 0.25f;
      array.bytes.append(reinterpret_cast<const char *>(&value), 4);
    }
    ASSERT_TRUE(writeNpy(path, array).ok());
    auto back = readNpy(path);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->shape, shape);
    EXPECT_EQ(back->bytes, array.bytes);
    EXPECT_EQ(std::filesystem::file_size(path), formatNpy(array).size());
  }
}

TEST(Npy, AFailedWriteLeavesNothing) {
  const std::string path = testing::TempDir() + "absent-folder/x.npy";
  EXPECT_FALSE(writeNpy(path, {"float32", {1}, std::string(4, '\0')}).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Npy, MutatedFilesAreReadOrRefusedButNeverCrash) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 generator(seed);
  const std::string valid = formatNpy({"float32", {2, 3}, std::string(24, '\1')});
  for (int round = 0; round < 20000; ++round) {
    std::string file = valid;
    for (unsigned i = generator() % 4 + 1; i > 0; --i)
      file[generator() % file.size()] = static_cast<char>(generator());
    if (generator() % 4 == 0)
      file.resize(generator() % (file.size() + 1));
    auto array = parseNpy(file, "x.npy");
    if (array.ok() && array->isFloating()) {
      EXPECT_EQ(array->toDouble().size(), static_cast<size_t>(array->elements()));
    }
  }
}

TEST(Half, EveryPatternComesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<uint16_t>(bits);
    if (!std::isnan(float16ToFloat(pattern))) {
      EXPECT_EQ(floatToFloat16(float16ToFloat(pattern)), pattern);
    }
    if (!std::isnan(bfloat16ToFloat(pattern))) {
      EXPECT_EQ(floatToBfloat16(bfloat16ToFloat(pattern)), pattern);
    }
  }
  EXPECT_TRUE(std::isnan(float16ToFloat(floatToFloat16(NAN))));
  EXPECT_TRUE(std::isnan(bfloat16ToFloat(floatToBfloat16(NAN))));
}

TEST(Half, TiesGoToEven) {
  EXPECT_EQ(floatToFloat16(2049.0f), floatToFloat16(2048.0f)); // halfway between 2048 and 2050
  EXPECT_EQ(floatToFloat16(2051.0f), floatToFloat16(2052.0f));
  EXPECT_EQ(float16ToFloat(floatToFloat16(65519.0f)), 65504.0f);
  EXPECT_TRUE(std::isinf(float16ToFloat(floatToFloat16(65520.0f))));
  EXPECT_EQ(float16ToFloat(floatToFloat16(0x1p-25f)), 0.0f); // halfway to the least subnormal
  EXPECT_EQ(float16ToFloat(floatToFloat16(0x1.8p-24f)), 0x1p-23f);
  EXPECT_EQ(floatToBfloat16(257.0f), floatToBfloat16(256.0f)); // halfway between 256 and 258
  EXPECT_EQ(floatToBfloat16(259.0f), floatToBfloat16(260.0f));
}

} // namespace

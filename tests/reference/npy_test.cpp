// .npy files: what is read back is what was written, and whatever a file claims, nothing crashes.
#include "runtime/npy/half.h"
#include "runtime/npy/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <unistd.h>

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
      {"dtype", fileOf(header("<c8", "False", "(1,)"), eight), "float16, float32, float64",
       "dtype '<c8'"},
      {"object", fileOf(header("|O", "False", "(1,)"), eight), "float16, float32, float64",
       "dtype '|O'"},
      {"void of four", fileOf(header("<V4", "False", "(2,)"), eight), "bfloat16 (V2)",
       "dtype '<V4'"},
      {"big endian void", fileOf(header(">V2", "False", "(4,)"), eight), "bfloat16 (V2)",
       "dtype '>V2'"},
      {"long header", std::string("\x93NUMPY\x02\x00\xff\xff\xff\x7f", 12), "at most 1048576",
       "2147483647"},
      {"truncated", fileOf(header("<f4", "False", "(3,)"), eight),
       "12 bytes of data for shape [3] of float32", "8 bytes"},
      {"trailing", fileOf(header("<f4", "False", "(1,)"), eight), "4 bytes of data", "more"},
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

/// Numbers as float32 in a byte order.
std::string floats(const std::vector<float> &values, bool isBigEndian) {
  std::string bytes;
  for (float value : values) {
    std::string element(reinterpret_cast<const char *>(&value), 4);
    bytes += isBigEndian ? std::string(element.rbegin(), element.rend()) : element;
  }
  return bytes;
}

TEST(Npy, EveryOrderGivesTheSameArray) {
  // [[0, 1, 2], [3, 4, 5]] by rows, and by columns.
  const std::vector<float> rows = {0, 1, 2, 3, 4, 5};
  const std::vector<float> columns = {0, 3, 1, 4, 2, 5};
  for (char version : {1, 2, 3})
    for (bool isBig : {false, true})
      for (bool isFortran : {false, true}) {
        const std::string file =
            fileOf(header(isBig ? ">f4" : "<f4", isFortran ? "True" : "False", "(2, 3)"),
                   floats(isFortran ? columns : rows, isBig), version);
        auto array = parseNpy(file, "x.npy");
        ASSERT_TRUE(array.ok()) << array.error().message;
        EXPECT_EQ(array->shape, (std::vector<int64_t>{2, 3}));
        EXPECT_EQ(array->toDouble(), (std::vector<double>{0, 1, 2, 3, 4, 5}));
      }
}

TEST(Npy, FortranOrderOfAnyRankIsTransposed) {
  for (const std::vector<int64_t> &shape :
       {std::vector<int64_t>{}, {3}, {0, 4}, {1, 1, 2}, {2, 3, 4}, {2, 1, 3, 2}}) {
    std::string text = "(";
    for (int64_t extent : shape)
      text += std::to_string(extent) + ", ";
    std::string data;
    const int64_t count = NpyArray{"int32", shape, ""}.elements();
    for (int32_t value = 0; value < count; ++value)
      data.append(reinterpret_cast<const char *>(&value), 4);
    auto array = parseNpy(fileOf(header("<i4", "True", text + ")"), data), "x.npy");
    ASSERT_TRUE(array.ok()) << array.error().message;
    const std::vector<int64_t> values = array->toInt64();
    for (int64_t c = 0; c < count; ++c) {
      int64_t rest = c; // c is the element's number in C order; the value is that in Fortran's
      int64_t step = count;
      int64_t expected = 0;
      int64_t fortranStep = 1;
      for (int64_t extent : shape) {
        step /= extent;
        expected += rest / step * fortranStep;
        rest %= step;
        fortranStep *= extent;
      }
      EXPECT_EQ(values[size_t(c)], expected);
    }
  }
}

TEST(Npy, TwoBytesOfNoTypeAreBfloat16) {
  const std::string data("\x80\x3f\x00\xc0", 4); // 1 and -2
  for (const char *descr : {"<V2", "|V2"}) {
    auto array = parseNpy(fileOf(header(descr, "False", "(2,)"), data), "x.npy");
    ASSERT_TRUE(array.ok()) << array.error().message;
    EXPECT_EQ(array->dtype, "bfloat16");
    EXPECT_TRUE(array->isFloating());
    EXPECT_EQ(array->toDouble(), (std::vector<double>{1, -2}));
    EXPECT_NE(formatNpy(*array).find("'descr': '<V2'"), std::string::npos);
  }
}

TEST(Npy, APipeIsReadAsItComes) {
  const NpyArray array{"float32", {50000}, std::string(200000, '\1')}; // more than a pipe holds
  const std::string bytes = formatNpy(array);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::thread writer([&] {
    for (size_t done = 0; done < bytes.size();)
      done += size_t(std::max<ssize_t>(
          write(ends[1], bytes.data() + done, std::min<size_t>(bytes.size() - done, 777)), 0));
    close(ends[1]);
  });
  auto read = readNpy(ends[0], "a pipe");
  writer.join();
  close(ends[0]);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->shape, array.shape);
  EXPECT_TRUE(read->bytes == array.bytes);
}

TEST(Npy, AnEndlessFileIsLeftAtItsFirstBytes) {
  auto zeros = readNpy("/dev/zero");
  ASSERT_FALSE(zeros.ok());
  EXPECT_EQ(zeros.error().found, "other bytes at its start");
  EXPECT_EQ(readNpy("/").error().found, "a folder");
  EXPECT_EQ(readNpy("/dev/null").error().found, "an empty file");
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

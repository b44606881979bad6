// ldmatrix, stmatrix, movmatrix and mma against their definitions.
#include "runtime/emulator/lanes.h"
#include "tests/emulator/machine_harness.h"

#include <cmath>

using namespace nysjit::emulator;
using namespace nysjit::emulator::test;

namespace {
/// registers per lane -> the fragments' memory, [register][lane].
std::vector<uint32_t> multiply(const std::string &instruction, int a, int b, int c, int d,
                               const std::vector<uint32_t> &in) {
  std::string body = ".entry k(.param .u64 in, .param .u64 out) { .reg .b32 %r<64>, %d<4>; .reg "
                     ".b64 %rd<8>; mov.u32 "
                     "%r60, %tid.x; mul.wide.u32 %rd0, %r60, 4; ld.param.u64 %rd1, [in]; add.u64 "
                     "%rd1, %rd1, %rd0; "
                     "ld.param.u64 %rd2, [out]; add.u64 %rd2, %rd2, %rd0;";
  auto list = [](int first, int count, const char *name) {
    std::string s = "{";
    for (int n = 0; n < count; ++n)
      s += (n ? ", %" : "%") + std::string(name) + std::to_string(first + n);
    return s + "}";
  };
  for (int r = 0; r < a + b + c; ++r)
    body += "ld.global.b32 %r" + std::to_string(r) + ", [%rd1+" + std::to_string(128 * r) + "];";
  body += instruction + " " + list(0, d, "d") + ", " + list(0, a, "r") + ", " + list(a, b, "r") +
          ", " + list(a + b, c, "r") + ";";
  for (int r = 0; r < d; ++r)
    body += "st.global.b32 [%rd2+" + std::to_string(128 * r) + "], %d" + std::to_string(r) + ";";
  Machine machine(body + "ret; }");
  uint64_t out = machine.buffer(std::vector<uint32_t>(size_t(32 * d)));
  Outcome outcome = machine.run("k", 1, 32, {machine.buffer(in), out});
  EXPECT_EQ(outcome.fault, Fault::None) << text(outcome);
  return machine.read<uint32_t>(out, size_t(32 * d));
}
uint16_t bfloat(float f) { return uint16_t(bitsOf(f) >> 16); }
} // namespace

TEST(MachineMma, MultipliesBfloatsOfSmallIntegers) {
  uint32_t seed = 5;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  float a[16][16];
  float b[16][8];
  float c[16][8];
  for (auto &row : a)
    for (float &x : row)
      x = float(int(random() % 17) - 8);
  for (auto &row : b)
    for (float &x : row)
      x = float(int(random() % 17) - 8);
  for (auto &row : c)
    for (float &x : row)
      x = float(int(random() % 17) - 8);
  std::vector<uint32_t> in(10 * 32);
  for (int l = 0; l < 32; ++l) {
    int g = l / 4;
    int t = l % 4;
    auto pair = [](float x, float y) { return uint32_t(bfloat(x)) | uint32_t(bfloat(y)) << 16; };
    for (int r = 0; r < 4; ++r)
      in[32 * r + l] = pair(a[g + 8 * (r & 1)][2 * t + 8 * (r >> 1)],
                            a[g + 8 * (r & 1)][2 * t + 1 + 8 * (r >> 1)]);
    for (int r = 0; r < 2; ++r)
      in[32 * (4 + r) + l] = pair(b[2 * t + 8 * r][g], b[2 * t + 1 + 8 * r][g]);
    for (int r = 0; r < 4; ++r)
      in[32 * (6 + r) + l] = bitsOf(c[g + 8 * (r >> 1)][2 * t + (r & 1)]);
  }
  auto d = multiply("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 4, 2, 4, 4, in);
  for (int l = 0; l < 32; ++l)
    for (int r = 0; r < 4; ++r) {
      int row = l / 4 + 8 * (r >> 1);
      int column = 2 * (l % 4) + (r & 1);
      float sum = c[row][column];
      for (int k = 0; k < 16; ++k)
        sum += a[row][k] * b[k][column];
      EXPECT_EQ(floatOf(d[32 * r + l]), sum);
    }
}

TEST(MachineMma, CutsOffBelowTheLargestAddend) {
  // Row 0 of A times column 0 of B: 1 * 1, and 2^-12 * 2^-13 = 2^-25, one bit below what is kept; c
  // = 0.
  std::vector<uint32_t> in(10 * 32);
  in[0] = 0x3c00 | 0x0c00 << 16;   // 1, 2^-12
  in[128] = 0x3c00 | 0x0800 << 16; // 1, 2^-13
  std::string f16 = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32";
  EXPECT_EQ(floatOf(multiply(f16, 4, 2, 4, 4, in)[0]), 1.0f);
  // Two of 2^-24 each are kept, one bit below f32's last, and add up to it.
  in[128] = 0x3c00 | 0x0c00 << 16;
  in[1] = 0x0c00, in[129] = 0x0c00;
  EXPECT_EQ(floatOf(multiply(f16, 4, 2, 4, 4, in)[0]), 1.0f + std::ldexp(1.0f, -23));
  // A negative remainder is cut toward zero.
  in.assign(10 * 32, 0);
  in[0] = 0x3c00, in[128] = 0xbc00, in[6 * 32] = bitsOf(std::ldexp(-1.0f, -30));
  EXPECT_EQ(floatOf(multiply(f16, 4, 2, 4, 4, in)[0]), -1.0f);
}

TEST(MachineMma, KeepsSubnormalsAndSpecials) {
  std::vector<uint32_t> in(10 * 32);
  in[0] = 0x0001, in[128] = 0x3c00; // 2^-24 * 1
  in[4] = 0x7c00;                   // row 1: infinity times column 0's 1, and times column 1's 0
  auto d = multiply("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 4, 2, 4, 4, in);
  EXPECT_EQ(floatOf(d[0]), std::ldexp(1.0f, -24));
  EXPECT_EQ(floatOf(d[4]), INFINITY);
  EXPECT_EQ(d[32 + 4], 0x7fffffffu);
  EXPECT_EQ(d[1], 0u);
}

TEST(MachineMma, IgnoresLowBitsOfTf32) {
  std::vector<uint32_t> in(10 * 32);
  in[0] = bitsOf(1.0f) | 0x1fff, in[128] = bitsOf(3.0f) | 1;
  EXPECT_EQ(
      floatOf(multiply("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", 4, 2, 4, 4, in)[0]),
      3.0f);
}

TEST(MachineMma, MultipliesBytes) {
  std::vector<uint32_t> in(10 * 32);
  in[0] = 0x02ff, in[128] = 0x03fe; // (-1, 2) . (-2, 3)
  EXPECT_EQ(multiply("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", 4, 2, 4, 4, in)[0], 8u);
}

TEST(MachineMma, IsTheSameForEveryInstructionSet) {
  uint32_t seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (auto [d, a, k] : {std::tuple(Type::F32, Type::F16, 16u),
                         {Type::F32, Type::BF16, 16u},
                         {Type::F32, Type::TF32, 8u},
                         {Type::F16, Type::F16, 8u}})
    for (int n = 0; n < 50; ++n) {
      alignas(64) uint32_t registers[14][32];
      alignas(64) uint32_t copy[14][32];
      for (auto &r : registers)
        for (uint32_t &x : r)
          x = uint32_t(random()) & (n % 2 ? ~0u : 0xbfffbfff); // with and without infinities
      std::memcpy(copy, registers, sizeof copy);
      uint8_t *one[14];
      uint8_t *other[14];
      for (int r = 0; r < 14; ++r)
        one[r] = reinterpret_cast<uint8_t *>(registers[r]),
        other[r] = reinterpret_cast<uint8_t *>(copy[r]);
      baseline::lanes.mma(d, a, a, k)(one, false);
      chooseLanes().mma(d, a, a, k)(other, false);
      ASSERT_EQ(std::memcmp(registers, copy, sizeof copy), 0) << typeName(a) << " " << n;
    }
}

TEST(MachineMatrix, LoadsStoresAndTransposes) {
  // A matrix of 8 rows at 16-byte steps, element = its number.
  std::string body = ".shared .align 16 .b8 tile[256]; .reg .b32 %s<8>; mov.u32 %s0, tile; "
                     "mad.lo.u32 %s1, %r19, 4, "
                     "%s0; st.shared.b32 [%s1], %x0; bar.sync 0; and.b32 %s2, %r19, 7; mad.lo.u32 "
                     "%s3, %s2, 16, %s0;";
  std::vector<uint32_t> pairs;
  for (uint32_t l = 0; l < 32; ++l)
    pairs.push_back(2 * l | (2 * l + 1) << 16);
  EXPECT_EQ(
      evaluate<uint32_t>(body + "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%x3}, [%s3];", pairs),
      pairs);
  auto transposed = evaluate<uint32_t>(
      body + "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%x3}, [%s3];", pairs);
  for (uint32_t l = 0; l < 32; ++l)
    EXPECT_EQ(transposed[l], (16 * (l % 4) + l / 4) | (16 * (l % 4) + 8 + l / 4) << 16);
  EXPECT_EQ(evaluate<uint32_t>("movmatrix.sync.aligned.m8n8.trans.b16 %x3, %x0;", pairs),
            transposed);
  EXPECT_EQ(evaluate<uint32_t>(
                body + "bar.sync 0; stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%s3], {%x0}; "
                       "bar.sync 0; ld.shared.b32 %x3, [%s1];",
                pairs),
            transposed);
}

TEST(MachineMatrix, NeedsTheWholeWarp) {
  Machine machine(
      ".entry k(.param .u64 a) { .reg .b32 %r<4>; .reg .pred %p<2>; .shared .align 16 .b8 t[128]; "
      "mov.u32 "
      "%r0, %tid.x; setp.lt.u32 %p0, %r0, 16; mov.u32 %r1, t; @%p0 bra L; st.shared.u32 [t], 1;"
      "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r1]; ret; L: st.shared.u32 [t+4], 1; ret; "
      "}");
  EXPECT_TRUE(reports(machine.run("k", 1, 32, {0}), "some threads miss it"));
}

// Each arithmetic instruction against C++ on random and on edge values.
#include "tests/emulator/machine_harness.h"

#include <cmath>
#include <functional>

using namespace nysjit::emulator::test;

namespace {

template <typename T> std::vector<T> values(uint32_t seed) {
  std::mt19937_64 random(seed);
  std::vector<T> all;
  for (uint64_t edge : {0ull, 1ull, ~0ull, 0x8000000000000000ull, 0x7fffffffffffffffull,
                        0x80000000ull, 0x7fffffffull, 31ull, 32ull, 64ull})
    all.push_back(T(edge));
  while (all.size() < 32)
    all.push_back(T(random() >> (random() % (8 * sizeof(T)))));
  return all;
}

template <typename T>
void check(const std::string &instruction, std::function<T(T, T, T)> expected, uint32_t seed = 1) {
  auto a = values<T>(seed);
  auto b = values<T>(seed + 1);
  auto c = values<T>(seed + 2);
  std::shuffle(b.begin(), b.end(), std::mt19937(seed));
  std::shuffle(c.begin(), c.end(), std::mt19937(seed + 5));
  auto got = evaluate<T>(instruction, a, b, c);
  for (int l = 0; l < 32; ++l)
    EXPECT_EQ(got[l], expected(a[l], b[l], c[l])) << instruction << " seed " << seed << std::hex
                                                  << " of " << a[l] << ", " << b[l] << ", " << c[l];
}
using U = uint32_t;
using S = int32_t;
using L = uint64_t;

} // namespace

TEST(MachineInteger, Arithmetic) {
  check<U>("add.s32 %x3, %x0, %x1;", [](U a, U b, U) { return a + b; });
  check<U>("sub.u32 %x3, %x0, %x1;", [](U a, U b, U) { return a - b; });
  check<U>("mul.lo.s32 %x3, %x0, %x1;", [](U a, U b, U) { return a * b; });
  check<U>("mul.hi.u32 %x3, %x0, %x1;", [](U a, U b, U) { return U(L(a) * b >> 32); });
  check<U>("mul.hi.s32 %x3, %x0, %x1;", [](U a, U b, U) { return U(int64_t(S(a)) * S(b) >> 32); });
  check<U>("mad.lo.s32 %x3, %x0, %x1, %x2;", [](U a, U b, U c) { return a * b + c; });
  check<U>("or.b32 %x1, %x1, 1; div.u32 %x3, %x0, %x1;", [](U a, U b, U) { return a / (b | 1); });
  check<U>("or.b32 %x1, %x1, 2; and.b32 %x1, %x1, 0x7fffffff; rem.s32 %x3, %x0, %x1;",
           [](U a, U b, U) { return U(S(a) % S((b | 2) & 0x7fffffff)); });
  check<U>("min.relu.s32 %x3, %x0, %x1;",
           [](U a, U b, U) { return U(std::max(std::min(S(a), S(b)), 0)); });
  check<U>("min.s32 %x3, %x0, %x1;", [](U a, U b, U) { return U(std::min(S(a), S(b))); });
  check<U>("max.u32 %x3, %x0, %x1;", [](U a, U b, U) { return std::max(a, b); });
  check<U>("abs.s32 %x3, %x0;", [](U a, U, U) { return S(a) < 0 ? 0 - a : a; });
  check<U>("sad.u32 %x3, %x0, %x1, %x2;",
           [](U a, U b, U c) { return c + (a > b ? a - b : b - a); });
}

TEST(MachineInteger, WideArithmetic) {
  check<L>("add.s64 %x3, %x0, %x1;", [](L a, L b, L) { return a + b; });
  check<L>("mul.lo.u64 %x3, %x0, %x1;", [](L a, L b, L) { return a * b; });
  __extension__ typedef unsigned __int128 Wide;
  check<L>("mul.hi.u64 %x3, %x0, %x1;", [](L a, L b, L) { return L(Wide(a) * b >> 64); });
  check<L>("cvt.u32.u64 %r1, %x0; cvt.u32.u64 %r2, %x1; mul.wide.s32 %x3, %r1, %r2;",
           [](L a, L b, L) { return L(int64_t(S(a)) * S(b)); });
  check<L>("cvt.u32.u64 %r1, %x0; cvt.u32.u64 %r2, %x1; mad.wide.u32 %x3, %r1, %r2, %x2;",
           [](L a, L b, L c) { return L(U(a)) * U(b) + c; });
  check<L>("mov.b64 {%r1, %r2}, %x0; mov.b64 {%r3, %r4}, %x1; add.cc.u32 %r5, %r1, %r3; addc.u32 "
           "%r6, %r2, %r4; "
           "mov.b64 %x3, {%r5, %r6};",
           [](L a, L b, L) { return a + b; });
  check<L>("mov.b64 {%r1, %r2}, %x0; mov.b64 {%r3, %r4}, %x1; sub.cc.u32 %r5, %r1, %r3; subc.u32 "
           "%r6, %r2, %r4; "
           "mov.b64 %x3, {%r5, %r6};",
           [](L a, L b, L) { return a - b; });
}

TEST(MachineInteger, Bits) {
  check<U>("shl.b32 %x3, %x0, %x1;", [](U a, U b, U) { return b > 31 ? 0 : a << b; });
  check<U>("shr.s32 %x3, %x0, %x1;", [](U a, U b, U) { return U(S(a) >> std::min(b, 31u)); });
  check<U>("shr.u32 %x3, %x0, %x1;", [](U a, U b, U) { return b > 31 ? 0 : a >> b; });
  check<U>("shf.l.wrap.b32 %x3, %x0, %x1, %x2;",
           [](U a, U b, U c) { return U((L(b) << 32 | a) << (c & 31) >> 32); });
  check<U>("shf.r.clamp.b32 %x3, %x0, %x1, %x2;",
           [](U a, U b, U c) { return U((L(b) << 32 | a) >> std::min(c, 32u)); });
  check<U>("lop3.b32 %x3, %x0, %x1, %x2, 0xE2;", [](U a, U b, U c) {
    U r = 0;
    for (int n = 0; n < 32; ++n)
      r |= (0xE2u >> ((a >> n & 1) * 4 + (b >> n & 1) * 2 + (c >> n & 1)) & 1) << n;
    return r;
  });
  check<U>("popc.b32 %x3, %x0;", [](U a, U, U) { return U(__builtin_popcount(a)); });
  check<U>("clz.b32 %x3, %x0;", [](U a, U, U) { return a ? U(__builtin_clz(a)) : 32; });
  check<U>("bfe.u32 %x3, %x0, 5, 7;", [](U a, U, U) { return a >> 5 & 127; });
  check<U>("bfe.s32 %x3, %x0, 5, 7;", [](U a, U, U) { return U(S(a << 20) >> 25); });
  check<U>("bfi.b32 %x3, %x0, %x1, 8, 12;",
           [](U a, U b, U) { return (b & ~0xfff00u) | (a << 8 & 0xfff00); });
  check<U>("prmt.b32 %x3, %x0, %x1, 0x5410;", [](U a, U b, U) { return (a & 0xffff) | b << 16; });
  check<U>("prmt.b32 %x3, %x0, %x1, 0x00B1;", [](U a, U, U) {
    return (a & 0xff) << 24 | (a & 0xff) << 16 | (a >> 31 ? 0xff00 : 0) | (a >> 8 & 0xff);
  });
  check<U>("bfind.u32 %x3, %x0;", [](U a, U, U) { return a ? 31 - U(__builtin_clz(a)) : ~0u; });
}

TEST(MachineInteger, ComparesAndSelects) {
  check<U>("setp.lt.s32 %p1, %x0, %x1; selp.b32 %x3, %x2, 7, %p1;",
           [](U a, U b, U c) { return S(a) < S(b) ? c : 7; });
  check<U>("setp.hi.u32 %p1|%p2, %x0, %x1; selp.b32 %r1, 1, 0, %p1; selp.b32 %r2, 2, 0, %p2; "
           "or.b32 %x3, %r1, %r2;",
           [](U a, U b, U) { return a > b ? 1u : 2u; });
  check<U>(
      "setp.eq.u32 %p1, %x0, %x1; setp.ge.and.u32 %p2, %x0, %x2, !%p1; selp.u32 %x3, 1, 0, %p2;",
      [](U a, U b, U c) { return U(a >= c && a != b); });
  check<U>("slct.u32.s32 %x3, %x0, %x1, %x2;", [](U a, U b, U c) { return S(c) >= 0 ? a : b; });
  check<U>("set.lt.u32.u32 %x3, %x0, %x1;", [](U a, U b, U) { return a < b ? ~0u : 0; });
}

TEST(MachineInteger, SixteenBits) {
  check<U>("mov.b32 {%h1, %h2}, %x0; mul.lo.s16 %h3, %h1, %h2; add.u16 %h4, %h1, %h2; mov.b32 %x3, "
           "{%h3, %h4};",
           [](U a, U, U) {
             return U(uint16_t((a & 0xffff) * (a >> 16))) |
                    U(uint16_t(uint16_t(a) + uint16_t(a >> 16))) << 16;
           });
  check<U>("cvt.u16.u32 %h1, %x0; shr.s16 %h2, %h1, 3; cvt.s32.s16 %x3, %h2;",
           [](U a, U, U) { return U(int16_t(a) >> 3); });
  check<U>("cvt.s32.s8 %x3, %x0;", [](U a, U, U) { return U(int8_t(a)); });
}

namespace {
std::vector<uint32_t> floats(uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint32_t> all;
  for (float edge : {0.0f, -0.0f, 1.0f, -1.5f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-42f, 3.4e38f,
                     1.17549435e-38f})
    all.push_back(bitsOf(edge));
  while (all.size() < 32)
    all.push_back(bitsOf(std::ldexp(float(int32_t(random())), int(random() % 60) - 60)));
  return all;
}
void checkFloat(const std::string &instruction, std::function<float(float, float, float)> expected,
                uint32_t seed = 3) {
  auto a = floats(seed);
  auto b = floats(seed + 1);
  auto c = floats(seed + 2);
  std::shuffle(b.begin(), b.end(), std::mt19937(seed));
  std::shuffle(c.begin(), c.end(), std::mt19937(seed + 5));
  auto got = evaluate<uint32_t>(instruction, a, b, c);
  for (int l = 0; l < 32; ++l) {
    float want = expected(floatOf(a[l]), floatOf(b[l]), floatOf(c[l]));
    EXPECT_EQ(got[l], std::isnan(want) ? 0x7fffffff : bitsOf(want))
        << instruction << " seed " << seed << " of " << floatOf(a[l]) << ", " << floatOf(b[l])
        << ", " << floatOf(c[l]);
  }
}
float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }
} // namespace

TEST(MachineFloat, IsIeee) {
  checkFloat("add.f32 %x3, %x0, %x1;", [](float a, float b, float) { return a + b; });
  checkFloat("mul.rn.f32 %x3, %x0, %x1;", [](float a, float b, float) { return a * b; });
  checkFloat("fma.rn.f32 %x3, %x0, %x1, %x2;",
             [](float a, float b, float c) { return std::fma(a, b, c); });
  checkFloat("div.rn.f32 %x3, %x0, %x1;", [](float a, float b, float) { return a / b; });
  checkFloat("sqrt.rn.f32 %x3, %x0;", [](float a, float, float) { return std::sqrt(a); });
  checkFloat("{ .reg .b16 %l, %h; mov.b32 {%l, %h}, %x0; add.rn.f32.bf16 %x3, %h, %x1; }",
             [](float a, float b, float) { return floatOf(bitsOf(a) & 0xffff0000) + b; });
  checkFloat("{ .reg .b16 %l, %h, %m; mov.b32 {%l, %h}, %x0; mov.b32 {%l, %m}, %x1; "
             "fma.rn.f32.bf16 %x3, %h, %m, %x2; }",
             [](float a, float b, float c) {
               return std::fma(floatOf(bitsOf(a) & 0xffff0000), floatOf(bitsOf(b) & 0xffff0000), c);
             });
  checkFloat("add.ftz.f32 %x3, %x0, %x1;",
             [](float a, float b, float) { return flush(flush(a) + flush(b)); });
  checkFloat("mul.sat.f32 %x3, %x0, %x1;", [](float a, float b, float) {
    float p = a * b;
    return p > 0 ? std::min(p, 1.0f) : 0.0f;
  });
  checkFloat("max.f32 %x3, %x0, %x1;", [](float a, float b, float) {
    return a == b ? (std::signbit(a) ? b : a) : std::fmax(a, b);
  });
  checkFloat("min.NaN.f32 %x3, %x0, %x1;", [](float a, float b, float) {
    return std::isnan(a) || std::isnan(b) ? NAN
           : a == b                       ? (std::signbit(a) ? a : b)
                                          : std::fmin(a, b);
  });
  checkFloat("setp.gtu.f32 %p1, %x0, %x1; selp.f32 %x3, 0f3F800000, 0f00000000, %p1;",
             [](float a, float b, float) { return !(a <= b) ? 1.0f : 0.0f; });
}

TEST(MachineFloat, RoundsAsItIsTold) {
  // 1 + 2^-30: between 1 and the next float.
  std::vector<uint32_t> one(32, bitsOf(1.0f));
  std::vector<uint32_t> tiny(32, bitsOf(std::ldexp(1.0f, -30)));
  std::vector<uint32_t> third(32, bitsOf(3.0f));
  EXPECT_EQ(evaluate<uint32_t>("add.rp.f32 %x3, %x0, %x1;", one, tiny)[0],
            bitsOf(std::nextafter(1.0f, 2.0f)));
  EXPECT_EQ(evaluate<uint32_t>("add.rz.f32 %x3, %x0, %x1;", one, tiny)[0], bitsOf(1.0f));
  EXPECT_EQ(evaluate<uint32_t>("sub.rm.f32 %x3, %x0, %x1;", one, tiny)[0],
            bitsOf(std::nextafter(1.0f, 0.0f)));
  EXPECT_EQ(evaluate<uint32_t>("div.rp.f32 %x3, %x0, %x1;", one, third)[0],
            bitsOf(std::nextafter(1.0f / 3, 0.0f)) + (double(1.0f / 3) > 1.0 / 3 ? 1 : 2));
}

TEST(MachineFloat, ApproximatesWell) {
  std::vector<uint32_t> in;
  for (int n = 0; n < 32; ++n)
    in.push_back(bitsOf(0.37f * float(n) - 5.1f));
  auto exponential = evaluate<uint32_t>("ex2.approx.ftz.f32 %x3, %x0;", in);
  auto logarithm = evaluate<uint32_t>("abs.f32 %x0, %x0; lg2.approx.f32 %x3, %x0;", in);
  for (int n = 0; n < 32; ++n) {
    EXPECT_EQ(floatOf(exponential[n]), float(std::exp2(double(floatOf(in[n])))));
    EXPECT_NEAR(floatOf(logarithm[n]), std::log2(std::fabs(double(floatOf(in[n])))), 4e-7);
  }
  EXPECT_EQ(floatOf(evaluate<uint32_t>("ex2.approx.f32 %x3, %x0;", {bitsOf(-INFINITY)})[0]), 0.0f);
  EXPECT_EQ(floatOf(evaluate<uint32_t>("ex2.approx.f32 %x3, %x0;", {bitsOf(130.0f)})[0]), INFINITY);
  EXPECT_EQ(floatOf(evaluate<uint32_t>("lg2.approx.f32 %x3, %x0;", {0})[0]), -INFINITY);
}

TEST(MachineFloat, Converts) {
  checkFloat("cvt.rni.f32.f32 %x3, %x0;", [](float a, float, float) { return std::nearbyint(a); });
  checkFloat("cvt.rna.tf32.f32 %r1, %x0; mov.b32 %x3, %r1;", [](float a, float, float) {
    return std::isfinite(a) ? floatOf((bitsOf(a) + 0x1000) & ~0x1fffu) : a;
  });
  check<U>("cvt.rzi.s32.f32 %x3, %x0;", [](U a, U, U) {
    float f = floatOf(a);
    return std::isnan(f)        ? 0
           : f >= 2147483648.0f ? 0x7fffffffu
           : f < -2147483648.0f ? 0x80000000u
                                : U(S(f));
  });
  check<U>("cvt.rn.f32.s32 %x3, %x0;", [](U a, U, U) { return bitsOf(float(S(a))); });
  check<U>("cvt.sat.u8.s32 %x3, %x0;", [](U a, U, U) { return U(std::clamp(S(a), 0, 255)); });
  EXPECT_EQ(evaluate<U>("cvt.rn.bf16x2.f32 %x3, %x0, %x1;", {bitsOf(1.0f)}, {bitsOf(-2.0f)})[0],
            0x3f80c000u);
  EXPECT_EQ(evaluate<U>("cvt.rn.relu.f16x2.f32 %x3, %x0, %x1;", {bitsOf(1.0f)}, {bitsOf(-2.0f)})[0],
            0x3c000000u);
  EXPECT_EQ(evaluate<U>("cvt.rn.f16.f32 %h1, %x0; cvt.f32.f16 %x3, %h1;",
                        {bitsOf(65519.9f), bitsOf(65520.0f), bitsOf(6e-8f)})[0],
            bitsOf(65504.0f));
  EXPECT_EQ(evaluate<U>("cvt.rn.f16.f32 %h1, %x0; cvt.f32.f16 %x3, %h1;", {bitsOf(65520.0f)})[0],
            bitsOf(INFINITY));
  EXPECT_EQ(evaluate<U>("cvt.rn.f16.f32 %h1, %x0; cvt.f32.f16 %x3, %h1;", {bitsOf(6e-8f)})[0],
            bitsOf(std::ldexp(1.0f, -24)));
}

TEST(MachineFloat, HalvesRoundOnce) {
  // 0x3c01 = 1 + 2^-10: its square is 1 + 2^-9 + 2^-20, plus 2^-12 is just above the tie at 1 +
  // 2^-9 + 2^-11... below it.
  EXPECT_EQ(
      evaluate<U>("fma.rn.f16x2 %x3, %x0, %x1, %x2;", {0x3c013c01}, {0x3c013c01}, {0x0c000c00})[0],
      0x3c023c02u);
  // 1 + 2^-11 is a tie; a product that adds 2^-24 * 2^-24 breaks it.
  EXPECT_EQ(
      evaluate<U>("fma.rn.f16x2 %x3, %x0, %x1, %x2;", {0x00010000}, {0x00010000}, {0x3c003c00})[0],
      0x3c003c00u);
  EXPECT_EQ(evaluate<U>("add.rn.bf16x2 %x3, %x0, %x1;", {0x3f803f80}, {0x3f803b80})[0],
            0x40003f80u);
  EXPECT_EQ(
      evaluate<U>("fma.rn.relu.bf16x2 %x3, %x0, %x1, %x2;", {0x3f80bf80}, {0x40004000}, {0})[0],
      0x40000000u);
  EXPECT_EQ(evaluate<U>("max.f16x2 %x3, %x0, %x1;", {0x3c007e00}, {0x40003c00})[0], 0x40003c00u);
}

// The PTX, with the lines of eight accumulators.
#include "runtime/gpu/mma_loop.h"

namespace nysjit {

namespace {

constexpr const char *pattern = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry mma_loop(.param .u64 out, .param .u32 turns)
{
  .reg .pred %p;
  .reg .u32 %n;
  .reg .b32 %a<4>, %b<2>;
  .reg .u64 %o;
  .reg .f32 %c<32>;
  ld.param.u64 %o, [out];
  ld.param.u32 %n, [turns];
  // numbers of either sign from 1 to 2, whose bits cost what real ones do
  mov.u32 %a0, %tid.x;
  mad.lo.u32 %a0, %a0, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %a1, %a0, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %a2, %a1, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %a3, %a2, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %b0, %a3, 0x9E3779B1, 0x7F4A7C15;
  mad.lo.u32 %b1, %b0, 0x9E3779B1, 0x7F4A7C15;
  BITS
  ZEROS
LOOP:
  MMAS
  sub.u32 %n, %n, 1;
  setp.ne.u32 %p, %n, 0;
  @%p bra LOOP;
  SUMS
  setp.eq.f32 %p, %c0, 0f7F000000;
  @%p st.global.f32 [%o], %c0;
  ret;
}
)";

void replace(std::string &text, const std::string &word, const std::string &by) {
  text.replace(text.find(word), word.size(), by);
}

std::string number(const char *prefix, int n) { return prefix + std::to_string(n); }

} // namespace

std::string mmaLoopPtx() {
  std::string ptx = pattern;
  std::string zeros;
  std::string products;
  std::string sums;
  for (int c = 0; c < 32; ++c)
    zeros += "mov.f32 " + number("%c", c) + ", 0f00000000;\n  ";
  for (int tile = 0; tile < 8; ++tile) {
    const std::string c = "{" + number("%c", 4 * tile) + ", " + number("%c", 4 * tile + 1) + ", " +
                          number("%c", 4 * tile + 2) + ", " + number("%c", 4 * tile + 3) + "}";
    products += "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 " + c +
                ", {%a0, %a1, %a2, %a3}, {%b0, %b1}, " + c + ";\n  ";
  }
  for (int c = 1; c < 32; ++c)
    sums += "add.f32 %c0, %c0, " + number("%c", c) + ";\n  ";
  std::string bits;
  for (const std::string word : {"%a0", "%a1", "%a2", "%a3", "%b0", "%b1"})
    bits += "and.b32 " + word + ", " + word + ", 0x807F807F;\n  or.b32 " + word + ", " + word +
            ", 0x3F803F80;\n  ";
  replace(ptx, "BITS", bits);
  replace(ptx, "ZEROS", zeros);
  replace(ptx, "MMAS", products);
  replace(ptx, "SUMS", sums);
  return ptx;
}

} // namespace nysjit

// Kernels for the driver's tests, small enough to read.
#pragma once

namespace nysjit::emulator_test {

/// set(out, value): out[thread] = value. addOne(out): ++*out. withShared has 4096 bytes of it and
/// at most 256 threads; exact has 64 x 2.
inline const char *const setPtx = R"(
.version 8.0
.target sm_80
.address_size 64
.global .align 4 .b8 table[16] = {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0};

.visible .entry set(.param .u64 out, .param .u32 value)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [out];
  ld.param.u32 %r1, [value];
  mov.u32 %r2, %tid.x;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r1;
  ret;
}

.visible .entry addOne(.param .u64 out)
{
  .reg .b32 %r<3>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [out];
  ld.global.u32 %r1, [%rd1];
  add.s32 %r2, %r1, 1;
  st.global.u32 [%rd1], %r2;
  ret;
}

.visible .entry withShared() .maxntid 256, 1, 1
{
  .reg .b32 %r<2>;
  .shared .align 4 .b8 tile[4096];
  mov.u32 %r1, tile;
  st.shared.u32 [%r1], %r1;
  ret;
}

.visible .entry exact() .reqntid 64, 2, 1
{
  ret;
}
)";

} // namespace nysjit::emulator_test

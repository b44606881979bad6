// Two kernels in the ABI of runtime/plan/plan.h, in plain C: what the fake worker "compiles".
//   row_sum      sums[pair * n + i] = sum over c of q[i][c]
//   scaled_copy  o[i][c] = scale * q[i][c] + sums[pair * n + i]
// They write NaN where the scratch they were given is not aligned or not theirs alone.
#include <stdint.h>
#include <string.h>

enum { scratchWords = 256 };

static float asFloat(uint64_t slot) {
  float number;
  memcpy(&number, &slot, sizeof number);
  return number;
}

/// True if the scratch is aligned and nobody else writes to it meanwhile.
static int scratchIsOurs(int64_t cell, int64_t *scratch) {
  if ((uintptr_t)scratch % 64 != 0)
    return 0;
  for (int i = 0; i < scratchWords; ++i)
    ((volatile int64_t *)scratch)[i] = cell + i;
  for (int i = 0; i < scratchWords; ++i)
    if (((volatile int64_t *)scratch)[i] != cell + i)
      return 0;
  return 1;
}

/// Parameters: q, sums, Hq (i32), n (i64), d (i32), q's strides 0 to 2 (i64).
void row_sum(const uint64_t *parameters, int64_t cell, void *scratch) {
  const int64_t heads = (int32_t)parameters[2];
  const int64_t n = (int64_t)parameters[3];
  const int64_t d = (int32_t)parameters[4];
  const float *q = (const float *)(uintptr_t)parameters[0] + cell / heads * (int64_t)parameters[5] +
                   cell % heads * (int64_t)parameters[6];
  float *sums = (float *)(uintptr_t)parameters[1] + cell * n;
  const int ours = scratchIsOurs(cell, scratch);
  for (int64_t i = 0; i < n; ++i) {
    float sum = ours ? 0 : 0.0f / 0.0f;
    for (int64_t c = 0; c < d; ++c)
      sum += q[i * (int64_t)parameters[7] + c];
    sums[i] = sum;
  }
}

/// The same, then o, o's strides 0 to 2, scale (f32), o's dtype (i32: 0 float32, 1 bfloat16, cut
/// off).
void scaled_copy(const uint64_t *parameters, int64_t cell, void *scratch) {
  const int64_t heads = (int32_t)parameters[2];
  const int64_t n = (int64_t)parameters[3];
  const int64_t d = (int32_t)parameters[4];
  const int64_t b = cell / heads;
  const int64_t h = cell % heads;
  const float *q = (const float *)(uintptr_t)parameters[0] + b * (int64_t)parameters[5] +
                   h * (int64_t)parameters[6];
  const float *sums = (const float *)(uintptr_t)parameters[1] + cell * n;
  const float scale = scratchIsOurs(cell, scratch) ? asFloat(parameters[12]) : 0.0f / 0.0f;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < d; ++c) {
      const float value = scale * q[i * (int64_t)parameters[7] + c] + sums[i];
      const int64_t at = b * (int64_t)parameters[9] + h * (int64_t)parameters[10] +
                         i * (int64_t)parameters[11] + c;
      if (parameters[13] == 1) {
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        ((uint16_t *)(uintptr_t)parameters[8])[at] = (uint16_t)(bits >> 16);
      } else {
        ((float *)(uintptr_t)parameters[8])[at] = value;
      }
    }
}

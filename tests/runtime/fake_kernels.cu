// nvcc -ptx -arch=sm_80 -O3 fake_kernels.cu -o fake_kernels.ptx
// The kernels of fake_kernels.c for the GPU ABI of runtime/plan/plan.h, block 32: what the fake worker "compiles" for a
// cuda target when FAKE_WORKER_PTX names the PTX.
#include <stdint.h>

extern "C" __global__ void __launch_bounds__(32)
    row_sum(const float *q, float *sums, int32_t Hq, int64_t n, int32_t d, int64_t s0, int64_t s1, int64_t s2) {
  const int64_t program = blockIdx.x;
  q += program / Hq * s0 + program % Hq * s1;
  #pragma unroll 1
  for (int64_t i = threadIdx.x; i < n; i += 32) {
    float sum = 0;
    #pragma unroll 1
    for (int c = 0; c < d; ++c)
      sum += q[i * s2 + c];
    sums[program * n + i] = sum;
  }
}

extern "C" __global__ void __launch_bounds__(32)
    scaled_copy(const float *q, const float *sums, int32_t Hq, int64_t n, int32_t d, int64_t s0, int64_t s1, int64_t s2,
                float *o, int64_t o0, int64_t o1, int64_t o2, float scale, int32_t dtype) {
  extern __shared__ float row[]; // 64 KiB
  const int64_t program = blockIdx.x;
  q += program / Hq * s0 + program % Hq * s1;
  o += program / Hq * o0 + program % Hq * o1;
  #pragma unroll 1
  for (int64_t i = 0; i < n; ++i)
    #pragma unroll 1
    for (int c = threadIdx.x; c < d; c += 32) {
      row[16000 + c] = scale * q[i * s2 + c] + sums[program * n + i]; // beyond what there is without asking
      if (dtype == 0)
        o[i * o2 + c] = row[16000 + c];
    }
}

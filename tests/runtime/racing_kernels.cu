// nvcc -ptx -arch=sm_80 -O3 racing_kernels.cu -o racing_kernels.ptx
// As fake_kernels.cu, but all blocks of row_sum write one element, and scaled_copy reads before the start of q when n is 7.
#include <stdint.h>

extern "C" __global__ void __launch_bounds__(32)
    row_sum(const float *q, float *sums, int32_t Hq, int64_t n, int32_t d, int64_t s0, int64_t s1, int64_t s2) {
  sums[0] = float(blockIdx.x);
}

extern "C" __global__ void __launch_bounds__(32)
    scaled_copy(const float *q, const float *sums, int32_t Hq, int64_t n, int32_t d, int64_t s0, int64_t s1, int64_t s2,
                float *o, int64_t o0, int64_t o1, int64_t o2, float scale, int32_t dtype) {
  o[threadIdx.x % 16] = n == 7 ? q[-4096] : 0.0f;
}

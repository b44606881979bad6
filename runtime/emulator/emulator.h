/* What the PTX emulator offers beside the driver's symbols (runtime/cuda/driver_api.h):
 * libnysjit_ptx_emulator.so runs PTX on the CPU, one launch at a time, and says what is wrong with
 * it. All of it is process-wide; calls are serialised inside.
 *
 * A launch runs when it is enqueued, unless its stream is being captured. What it finds ends it:
 * the launch's own call succeeds as a driver's would, and the next synchronising call (and every
 * later one, as after a real fault) returns CUDA_ERROR_ILLEGAL_ADDRESS,
 * CUDA_ERROR_MISALIGNED_ADDRESS or CUDA_ERROR_LAUNCH_FAILED until nysjit_emulator_reset(). */
#ifndef NYSJIT_EMULATOR_H
#define NYSJIT_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nysjit_emulator_options {
  size_t size;                /* sizeof(nysjit_emulator_options) */
  int32_t lazy;               /* 0: asynchronous copies act when issued; 1: only when waited for */
  int32_t compute_capability; /* what the device says it is: 80 unless set (0 leaves it) */
  uint64_t seed;              /* the order in which warps run; every seed is a legal schedule */
  /* a launch that runs more warp instructions is stopped and reported; 0: 2^40 */
  uint64_t max_instructions;
} nysjit_emulator_options;

/* Of one launch. Instructions are warp instructions. */
typedef struct nysjit_emulator_counts {
  size_t size;
  int64_t instructions;
  int64_t mma_flops; /* 2 m n k each mma */
  int64_t global_read_bytes;
  int64_t global_write_bytes; /* of active lanes, asynchronous copies included */
  int64_t global_sectors;     /* distinct 32-byte sectors read plus distinct ones written */
  int64_t bank_conflicts;     /* shared-memory passes beyond the fewest the access could take */
  int64_t ldmatrix_conflicts;
  /* those of ldmatrix; of st.shared, stmatrix and cp.async's writes */
  int64_t shared_store_conflicts;
  int64_t barriers; /* arrivals of warps at bar.sync and the like */
  int64_t races;
} nysjit_emulator_counts;

/* For launches from now on. NULL: the defaults. Returns 0, or -1 for a wrong size. */
int nysjit_emulator_configure(const nysjit_emulator_options *options);
/* Forgets faults, reports and injected failures; memory and modules stay. */
void nysjit_emulator_reset(void);
/* Counts of the calling process's last launch, as far as counts->size says. */
int nysjit_emulator_last_counts(nysjit_emulator_counts *counts);
/* What was found since the last reset, a line each: "race: ... at k.ptx:120
 * (templates/causal.cpp:63) ..."; "" if nothing. Valid until the next call into the emulator. */
const char *nysjit_emulator_report(void);
/* The `after`-th call from now (0: the next) of the driver function `symbol` ("cuMemAlloc") fails
 * with `result` without doing anything. Several may be pending. Returns -1 for an unknown symbol.
 */
int nysjit_emulator_inject(const char *symbol, int after, int result);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* NYSJIT_EMULATOR_H */

/* nysjit_calibrate: probes for `causal` with landmark_source learned, from queries at hand, so that
 * it can be tried on a model that was not trained with it. The C API, C99. What nysjit.h says of
 * errors, threads, floating point and structs holds here.
 *
 *   const nysjit_run_args *runs[] = {&first, &second};  // of which q is read
 *   nysjit_calibrate_args args = {.size = sizeof args, .runs = runs, .run_count = 2, .probes = &p};
 *   if (nysjit_calibrate(context, spec_json, &args) != NYSJIT_OK)
 *     fprintf(stderr, "%s\n", nysjit_last_error());
 *   run.landmark_q = &p;
 */
#ifndef NYSJIT_CALIBRATE_H
#define NYSJIT_CALIBRATE_H

#include "nysjit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What came of one query head. */
typedef struct nysjit_calibrated_head {
  int64_t queries; /* that the probes were found from, of all runs */
  int64_t rounds;  /* in which probes moved; 100: they were stopped */
  /* The mean square of the distance from a query to the nearest probe, before the probes are
   * rounded to their dtype; and what it would be with one probe. */
  double mean_square;
  double mean_square_of_one;
} nysjit_calibrated_head;

typedef struct nysjit_calibrate_args {
  size_t size; /* sizeof(nysjit_calibrate_args) */
  /* Where queries are, as a run is given them: of each of the run_count structs q and, where they
   * are given, cu_seqlens, seqlens, seq_starts and max_length are read, and nothing else is looked
   * at. All have Hq query heads; B and n may differ, and n is not limited by the spec. All tensors
   * are in CPU memory, whatever the context's device is. */
  const nysjit_run_args *const *runs;
  size_t run_count;
  /* [Hq, r, d], written: float32 or the spec's dtype; r is the spec's `probes`. Of the spec's dtype
   * it is a run's landmark_q. Untouched where the call fails. */
  const DLTensor *probes;
  /* Where the search begins: another one gives other probes, about as good. 0 is as good as any. */
  uint64_t seed;
  /* Room for Hq of them, which head_count says; NULL, and head_count 0: not wanted. */
  nysjit_calibrated_head *heads;
  size_t head_count;
} nysjit_calibrate_args;

/* Finds the probes of each query head: the means of r clusters of its queries, by k-means (greedy
 * k-means++, then Lloyd's steps until no query changes its cluster, at most 100). Blocks until they
 * are written; uses the context's threads and, in each of them, 4 d + 40 bytes for each query of a
 * head. Compiles nothing and needs no program.
 *
 * The probes of a head depend, bit for bit, on its queries in the order of runs, sequences and
 * positions, on r and on the seed alone; not on how the queries lie in tensors, on other heads, on
 * the threads or on the machine.
 *
 * A head with fewer different queries than r gets some of its probes twice, which does no harm.
 * Sequences may be empty. No query at all, or one that is a NaN or an infinity, is
 * NYSJIT_INVALID_ARGUMENT; a spec without probes is NYSJIT_INVALID_KEY. */
NYSJIT_EXPORT nysjit_status nysjit_calibrate(nysjit_context *context, const char *spec_json,
                                             const nysjit_calibrate_args *args);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* NYSJIT_CALIBRATE_H */

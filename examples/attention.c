/* A host in C: attention of one decoder layer through libnysjit, and a look at whether the future
 * leaks.
 *   attention
 * Link with -lnysjit -lm, as README.md's "From C and C++" does; nothing else is needed,
 * nysjit-compiler is found beside the library, in ../bin or in ../libexec from there. The tensors
 * are laid out as [B, n, H, d], as a decoder's projections leave them; the strides say so.
 */
#include "nysjit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { batch = 2, query_heads = 8, key_heads = 2, length = 1000, head_dim = 64 };

static void stop(const char *what) {
  fprintf(stderr, "%s: %s\n", what, nysjit_last_error());
  exit(1);
}

/* A tensor [B, H, n, d] over memory [B, n, H, d]. */
typedef struct {
  DLTensor tensor;
  int64_t shape[4];
  int64_t strides[4];
} View;

static void make_view(View *view, float *memory, int64_t heads) {
  const int64_t shape[4] = {batch, heads, length, head_dim};
  const int64_t strides[4] = {length * heads * head_dim, head_dim, heads * head_dim, 1};
  memcpy(view->shape, shape, sizeof shape);
  memcpy(view->strides, strides, sizeof strides);
  view->tensor = (DLTensor){.data = memory,
                            .device = {kDLCPU, 0},
                            .ndim = 4,
                            .dtype = {kDLFloat, 32, 1},
                            .shape = view->shape,
                            .strides = view->strides};
}

static float *make_numbers(int64_t count, uint32_t seed) {
  float *numbers = malloc((size_t)count * sizeof *numbers);
  if (!numbers)
    exit(1);
  for (int64_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    numbers[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
  }
  return numbers;
}

static nysjit_program *prepare(nysjit_context *context) {
  const char *const spec =
      "{\"layout\": \"causal\", \"head_dim\": 64, \"landmarks\": 64, \"segment_len\": 32}";
  nysjit_program *program = NULL;
  if (nysjit_prepare(context, spec, NULL, NULL, &program))
    stop("prepare");
  nysjit_program_info info = {.size = sizeof info};
  if (nysjit_program_get_info(program, &info))
    stop("info");
  const int is_compiled = strcmp(info.cache, "compiled") == 0;
  printf("causal for %s: %s in %.1f ms\n", info.target,
         is_compiled ? "compiled" : "found in the cache",
         is_compiled ? info.compile_ms : info.load_ms);
  return program;
}

/* Runs with a workspace of the caller's own: an engine takes it from its arena. */
static void run(nysjit_program *program, View *q, View *k, View *v, View *o) {
  nysjit_launch_timing timings[8];
  size_t launches = 0;
  nysjit_run_args args = {.size = sizeof args,
                          .q = &q->tensor,
                          .k = &k->tensor,
                          .v = &v->tensor,
                          .o = &o->tensor,
                          .timings = timings,
                          .timing_capacity = 8,
                          .timing_count = &launches};
  if (nysjit_workspace_size(program, &args, &args.workspace_size))
    stop("workspace");
  args.workspace = aligned_alloc(64, (args.workspace_size + 63) / 64 * 64);
  if (!args.workspace || nysjit_run(program, &args, NULL))
    stop("run");
  for (size_t i = 0; i < launches; ++i)
    printf("  %-16s %5lld cells  %7.3f ms\n", timings[i].kernel, (long long)timings[i].grid,
           timings[i].ms);
  free(args.workspace);
}

/* Everything from position `first` on becomes something else. */
static void change_from(int64_t first, float *q, float *k, float *v) {
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t t = first; t < length; ++t) {
      for (int64_t i = 0; i < query_heads * head_dim; ++i)
        q[(b * length + t) * query_heads * head_dim + i] *= -100;
      for (int64_t i = 0; i < key_heads * head_dim; ++i) {
        k[(b * length + t) * key_heads * head_dim + i] += 50;
        v[(b * length + t) * key_heads * head_dim + i] *= 1000;
      }
    }
}

/* Whether a bit before position `first` differs. */
static int differ_before(int64_t first, const float *one, const float *other) {
  const int64_t row = query_heads * head_dim;
  for (int64_t b = 0; b < batch; ++b)
    if (memcmp(one + b * length * row, other + b * length * row,
               (size_t)(first * row) * sizeof(float)))
      return 1;
  return 0;
}

int main(void) {
  if (nysjit_abi_version() != NYSJIT_ABI_VERSION) {
    fprintf(stderr, "libnysjit has ABI version %u, this program needs %d\n", nysjit_abi_version(),
            NYSJIT_ABI_VERSION);
    return 1;
  }
  nysjit_context *context = NULL;
  if (nysjit_context_create(NULL, &context))
    stop("context");
  nysjit_program *program = prepare(context);

  const int64_t query_size = (int64_t)batch * length * query_heads * head_dim;
  const int64_t key_size = (int64_t)batch * length * key_heads * head_dim;
  float *q = make_numbers(query_size, 1);
  float *k = make_numbers(key_size, 2);
  float *v = make_numbers(key_size, 3);
  float *before = make_numbers(query_size, 4);
  float *after = make_numbers(query_size, 5);
  View views[5];
  make_view(&views[0], q, query_heads);
  make_view(&views[1], k, key_heads);
  make_view(&views[2], v, key_heads);
  make_view(&views[3], before, query_heads);
  make_view(&views[4], after, query_heads);

  const int64_t first = 500;
  run(program, &views[0], &views[1], &views[2], &views[3]);
  change_from(first, q, k, v);
  run(program, &views[0], &views[1], &views[2], &views[4]);
  const int leaks = differ_before(first, before, after);
  printf("positions before %lld after all later ones changed: %s\n", (long long)first,
         leaks ? "CHANGED, the future leaks" : "the same to the last bit");

  free(q);
  free(k);
  free(v);
  free(before);
  free(after);
  nysjit_program_release(program);
  nysjit_context_destroy(context);
  return leaks;
}

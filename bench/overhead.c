/* What a call costs beside its arithmetic: nysjit_prepare that finds the program in memory, and
 * nysjit_run on no position (its tensors are checked, nothing is launched), on one and on 17,
 * medians. Each on the calling thread, through a host's inline parallel-for, and on the library's
 * threads. Then the same for the defaults and for the config that is found on this machine
 * (NYSJIT_CONFIGS), in turns.
 *   overhead [THREADS] */
#include "nysjit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { head_dim = 16, heads = 8, rounds = 20001 };

static const char *const specs[][2] = {
    {"exact_causal", "{\"layout\": \"exact_causal\", \"head_dim\": 16}"},
    {"causal, streaming", "{\"layout\": \"causal\", \"head_dim\": 16, \"landmarks\": 8, "
                          "\"segment_len\": 8, \"landmark_value\": \"streaming\"}"},
    {"causal", "{\"layout\": \"causal\", \"head_dim\": 16, \"landmarks\": 8, \"segment_len\": 8}"},
};

static void must(nysjit_status status) {
  if (status != NYSJIT_OK) {
    fprintf(stderr, "%s\n", nysjit_last_error());
    exit(1);
  }
}

static double now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return 1e6 * (double)time.tv_sec + 1e-3 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *times) {
  qsort(times, rounds, sizeof *times, ascending);
  return times[rounds / 2];
}

static void inline_for(void *context, nysjit_task task, void *task_context, size_t count) {
  (void)context;
  for (size_t i = 0; i < count; ++i)
    task(task_context, i);
}

static double times[rounds];

static double prepare_us(nysjit_context *context, const char *spec, const char *config) {
  for (int i = 0; i < rounds; ++i) {
    nysjit_program *program = NULL;
    const double start = now_us();
    must(nysjit_prepare(context, spec, config, NULL, &program));
    times[i] = now_us() - start;
    nysjit_program_release(program);
  }
  return median(times);
}

/* `launches` gets how many kernels a run has. */
static double run_us(nysjit_program *program, int64_t length, size_t *launches) {
  static float memory[4][heads * 64 * head_dim];
  int64_t shape[4] = {1, heads, length, head_dim};
  DLTensor tensors[4];
  for (int i = 0; i < 4; ++i)
    tensors[i] = (DLTensor){.data = memory[i],
                            .device = {kDLCPU, 0},
                            .ndim = 4,
                            .dtype = {kDLFloat, 32, 1},
                            .shape = shape};
  nysjit_run_args args = {
      .size = sizeof args, .q = &tensors[0], .k = &tensors[1], .v = &tensors[2], .o = &tensors[3]};
  nysjit_launch_timing timings[8];
  args.timings = timings;
  args.timing_capacity = 8;
  args.timing_count = launches;
  must(nysjit_run(program, &args, NULL));
  args.timings = NULL;
  args.timing_capacity = 0;
  args.timing_count = NULL;
  for (int i = 0; i < rounds; ++i) {
    const double start = now_us();
    must(nysjit_run(program, &args, NULL));
    times[i] = now_us() - start;
  }
  return median(times);
}

/* The defaults and what is found, `turns` times each in turn: the least median of each. */
static void measure_found(const char *name, const char *spec) {
  enum { turns = 3 };
  static const char *const configs[] = {"{}", NULL};
  double prepare[2] = {1e9, 1e9};
  double run[2] = {1e9, 1e9};
  nysjit_context_options options = {.size = sizeof options, .threads = 1};
  nysjit_context *context = NULL;
  nysjit_program *programs[2];
  nysjit_program_info infos[2];
  must(nysjit_context_create(&options, &context));
  for (int i = 0; i < 2; ++i) {
    must(nysjit_prepare(context, spec, configs[i], NULL, &programs[i]));
    infos[i].size = sizeof infos[i];
    must(nysjit_program_get_info(programs[i], &infos[i]));
  }
  for (int turn = 0; turn < turns; ++turn)
    for (int i = 0; i < 2; ++i) {
      size_t launches = 0;
      const double of_prepare = prepare_us(context, spec, configs[i]);
      const double of_run = run_us(programs[i], 1, &launches);
      prepare[i] = of_prepare < prepare[i] ? of_prepare : prepare[i];
      run[i] = of_run < run[i] ? of_run : run[i];
    }
  for (int i = 0; i < 2; ++i) {
    const char *slash = strrchr(infos[i].config_source, '/');
    printf("| %s | %s | %.1f | %.2f |\n", name, slash ? slash + 1 : infos[i].config_source,
           prepare[i], run[i]);
    nysjit_program_release(programs[i]);
  }
  nysjit_context_destroy(context);
}

int main(int count, char **arguments) {
  const uint32_t threads = count > 1 ? (uint32_t)atoi(arguments[1]) : 0;
  const struct {
    const char *name;
    nysjit_context_options options;
  } ways[] = {
      {"one thread", {.size = sizeof(nysjit_context_options), .threads = 1}},
      {"inline parallel-for",
       {.size = sizeof(nysjit_context_options), .threads = 2, .parallel_for = inline_for}},
      {"the library's threads", {.size = sizeof(nysjit_context_options), .threads = threads}}};
  printf("| program | run on | launches | prepare, in memory, us | run, n 0, us | n 1 | n 17 "
         "|\n|---|---|---|---|---|---|---|\n");
  for (size_t s = 0; s < sizeof specs / sizeof *specs; ++s)
    for (size_t w = 0; w < sizeof ways / sizeof *ways; ++w) {
      nysjit_context *context = NULL;
      nysjit_program *program = NULL;
      size_t launches = 0;
      must(nysjit_context_create(&ways[w].options, &context));
      must(nysjit_prepare(context, specs[s][1], NULL, NULL, &program));
      const double prepare = prepare_us(context, specs[s][1], NULL);
      const double none = run_us(program, 0, &launches);
      const double one = run_us(program, 1, &launches);
      const double more = run_us(program, 17, &launches);
      printf("| %s | %s | %zu | %.0f | %.2f | %.1f | %.1f |\n", specs[s][0], ways[w].name, launches,
             prepare, none, one, more);
      nysjit_program_release(program);
      nysjit_context_destroy(context);
    }
  printf("\n| program | config | prepare, in memory, us | run, n 1, us |\n|---|---|---|---|\n");
  for (size_t s = 0; s < sizeof specs / sizeof *specs; ++s)
    measure_found(specs[s][0], specs[s][1]);
  return 0;
}

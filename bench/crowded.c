/* What threads cost where CPUs are scarce: medians of a run of 300 positions and of one of 4096, in
 * ms, on 1, 2 and 8 threads; on all CPUs alone and beside 3 busy processes a CPU, then on one CPU.
 * Each figure is of at most a second of runs. "alone" prints the first rows only, on 1 and 2
 * threads: so few may be run before all else on the machine (chrt -f 1).
 *   crowded [alone] */
#define _GNU_SOURCE
#include "nysjit.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { most_rounds = 1001, most_load = 3 * 64 };

static const char *const spec =
    "{\"layout\": \"causal\", \"head_dim\": 32, \"landmarks\": 64, \"segment_len\": 64}";

static void must(nysjit_status status) {
  if (status != NYSJIT_OK) {
    fprintf(stderr, "%s\n", nysjit_last_error());
    exit(1);
  }
}

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

/* [batch, heads, length, 32] of one number a row. */
static DLTensor tensor(int64_t *shape) {
  const size_t count = (size_t)(shape[0] * shape[1] * shape[2] * shape[3]);
  float *memory = malloc(count * sizeof *memory);
  if (!memory)
    exit(1);
  for (size_t i = 0; i < count; ++i)
    memory[i] = (float)(i % 97) / 97;
  return (DLTensor){
      .data = memory, .device = {kDLCPU, 0}, .ndim = 4, .dtype = {kDLFloat, 32, 1}, .shape = shape};
}

static double run_ms(uint32_t threads, int64_t *shape) {
  static double times[most_rounds];
  const nysjit_context_options options = {.size = sizeof options, .threads = threads};
  nysjit_context *context = NULL;
  nysjit_program *program = NULL;
  must(nysjit_context_create(&options, &context));
  must(nysjit_prepare(context, spec, NULL, NULL, &program));
  const DLTensor q = tensor(shape);
  const DLTensor o = tensor(shape);
  nysjit_run_args args = {.size = sizeof args, .q = &q, .k = &q, .v = &q, .o = &o};
  must(nysjit_run(program, &args, NULL));
  int rounds = 0;
  for (const double end = now_ms() + 1000; rounds < most_rounds && now_ms() < end; ++rounds) {
    const double start = now_ms();
    must(nysjit_run(program, &args, NULL));
    times[rounds] = now_ms() - start;
  }
  nysjit_program_release(program);
  nysjit_context_destroy(context);
  free(q.data);
  free(o.data);
  qsort(times, (size_t)rounds, sizeof *times, ascending);
  return times[rounds / 2];
}

static void print_row(const char *cpus, const char *beside, int64_t *shape, int is_alone) {
  printf("| %s | %s | %d |", cpus, beside, (int)shape[2]);
  for (uint32_t threads = 1; threads <= (is_alone ? 2 : 8); threads *= threads == 1 ? 2 : 4)
    printf(" %.2f |", run_ms(threads, shape));
  printf("\n");
  fflush(stdout);
}

static void print_rows(const char *cpus, size_t cpu_count, int is_alone) {
  int64_t small[4] = {2, 4, 300, 32};
  int64_t large[4] = {1, 8, 4096, 32};
  pid_t load[most_load];
  const size_t count = 3 * cpu_count < most_load ? 3 * cpu_count : most_load;
  print_row(cpus, "nothing", small, is_alone);
  print_row(cpus, "nothing", large, is_alone);
  if (is_alone)
    return;
  for (size_t i = 0; i < count; ++i)
    if ((load[i] = fork()) == 0)
      for (;;) {
      }
  char beside[40];
  snprintf(beside, sizeof beside, "%zu busy processes", count);
  print_row(cpus, beside, small, is_alone);
  print_row(cpus, beside, large, is_alone);
  for (size_t i = 0; i < count; ++i) {
    kill(load[i], SIGKILL);
    waitpid(load[i], NULL, 0);
  }
}

int main(int count, char **arguments) {
  const int is_alone = count > 1 && strcmp(arguments[1], "alone") == 0;
  cpu_set_t all;
  cpu_set_t one;
  if (sched_getaffinity(0, sizeof all, &all) != 0)
    return 1;
  CPU_ZERO(&one);
  for (size_t cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &all))
      CPU_SET(cpu, &one);
  printf("| CPUs | beside | n | 1 thread | 2 threads |%s\n|---|---|---|---|---|%s\n",
         is_alone ? "" : " 8 threads |", is_alone ? "" : "---|");
  print_rows("all", (size_t)CPU_COUNT(&all), is_alone);
  if (is_alone)
    return 0;
  if (sched_setaffinity(0, sizeof one, &one) != 0)
    return 1;
  print_rows("one", 1, is_alone);
  return 0;
}

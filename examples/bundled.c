/* A host in C where nothing can be compiled: exact attention from a bundle.
 *   bundled FILE
 * FILE is made where there is a compiler, by
 *   nysjit bundle examples/bundled.json --target cpu:x86-64-v3,cpu:x86-64-v4 -o FILE
 * Link with -lnysjit; the library needs libc alone. All keys are equal here, so that the output at
 * a position is the mean of the values up to it, which is known.
 */
#include "nysjit.h"

#include <stdio.h>
#include <stdlib.h>

enum { length = 100, head_dim = 64 };

static void stop(const char *what) {
  fprintf(stderr, "%s: %s\n", what, nysjit_last_error());
  exit(1);
}

static DLTensor tensor(float *memory) {
  static int64_t shape[4] = {1, 1, length, head_dim};
  return (DLTensor){
      .data = memory, .device = {kDLCPU, 0}, .ndim = 4, .dtype = {kDLFloat, 32, 1}, .shape = shape};
}

int main(int count, char **arguments) {
  static float q[length * head_dim];
  static float k[length * head_dim];
  static float v[length * head_dim];
  static float o[length * head_dim];
  for (int i = 0; i < length * head_dim; ++i) {
    q[i] = (float)(i % 7) - 3;
    k[i] = 1;
    v[i] = (float)(i / head_dim); /* the position */
  }
  if (count != 2) {
    fprintf(stderr, "usage: bundled FILE\n");
    return 2;
  }

  const char *bundles[] = {arguments[1]};
  nysjit_context_options options = {.size = sizeof options,
                                    .cache_dir = "", /* nothing on disk */
                                    .sealed = 1,
                                    .bundles = bundles,
                                    .bundle_count = 1};
  nysjit_context *context = NULL;
  if (nysjit_context_create(&options, &context))
    stop("context");
  nysjit_program *program = NULL;
  if (nysjit_prepare(context, "{\"layout\": \"exact_causal\", \"head_dim\": 64}", NULL, NULL,
                     &program))
    stop("prepare");
  nysjit_program_info info = {.size = sizeof info};
  if (nysjit_program_get_info(program, &info))
    stop("info");

  DLTensor tensors[] = {tensor(q), tensor(k), tensor(v), tensor(o)};
  nysjit_run_args args = {
      .size = sizeof args, .q = &tensors[0], .k = &tensors[1], .v = &tensors[2], .o = &tensors[3]};
  if (nysjit_run(program, &args, NULL))
    stop("run");

  int wrong = 0;
  for (int i = 0; i < length * head_dim; ++i) {
    const float mean = (float)(i / head_dim) / 2;
    wrong += o[i] < mean - 1e-4f || o[i] > mean + 1e-4f;
  }
  printf("exact_causal for %s from a %s: %s\n", info.target, info.cache,
         wrong ? "WRONG" : "each position has the mean of its past");
  nysjit_program_release(program);
  nysjit_context_destroy(context);
  return wrong != 0;
}

/* A host in C that trains: gradient descent on the queries, keys and values of one layer, towards
 * outputs that it is given.
 *   train
 * Link with -lnysjit -lm. A training step is two programs of one spec: "pass": "saving" computes
 * the output and keeps what its gradients need in memory of the host's; "pass": "backward" reads
 * that, the output and the loss's gradient by it, and writes gradients. Without the kept memory the
 * second program computes it again.
 */
#include "nysjit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { heads = 4, length = 512, head_dim = 32, count = heads * length * head_dim, steps = 50 };

static void stop(const char *what) {
  fprintf(stderr, "%s: %s\n", what, nysjit_last_error());
  exit(1);
}

static void *allocate(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!memory)
    exit(1);
  return memory;
}

/* A tensor [1, heads, length, head_dim] of small numbers. */
static DLTensor make_tensor(uint32_t seed) {
  static int64_t shape[4] = {1, heads, length, head_dim};
  float *numbers = allocate(count * sizeof *numbers);
  for (int i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    numbers[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
  }
  return (DLTensor){.data = numbers,
                    .device = {kDLCPU, 0},
                    .ndim = 4,
                    .dtype = {kDLFloat, 32, 1},
                    .shape = shape};
}

static nysjit_program *prepare(nysjit_context *context, const char *pass) {
  char spec[160];
  snprintf(spec, sizeof spec,
           "{\"layout\": \"causal\", \"head_dim\": %d, \"landmarks\": 32, \"segment_len\": 16, "
           "\"pass\": \"%s\"}",
           head_dim, pass);
  nysjit_program *program = NULL;
  if (nysjit_prepare(context, spec, NULL, NULL, &program))
    stop(pass);
  return program;
}

/* The loss, |o - target|^2 / 2 a row, and its gradient by o. */
static double loss_of(const DLTensor *o, const DLTensor *target, DLTensor *dout) {
  const float *found = o->data;
  const float *wanted = target->data;
  float *gradient = dout->data;
  double loss = 0;
  for (int i = 0; i < count; ++i) {
    gradient[i] = found[i] - wanted[i];
    loss += 0.5 * gradient[i] * gradient[i];
  }
  return loss / (heads * length);
}

/* One step against the gradient. */
static void step(DLTensor *parameter, const DLTensor *gradient) {
  float *numbers = parameter->data;
  const float *by = gradient->data;
  for (int i = 0; i < count; ++i)
    numbers[i] -= 0.5f * by[i];
}

int main(void) {
  nysjit_context *context = NULL;
  if (nysjit_context_create(NULL, &context))
    stop("context");
  nysjit_program *forward = prepare(context, "saving");
  nysjit_program *backward = prepare(context, "backward");

  DLTensor q = make_tensor(1);
  DLTensor k = make_tensor(2);
  DLTensor v = make_tensor(3);
  DLTensor target = make_tensor(4);
  DLTensor o = make_tensor(0);
  DLTensor dout = make_tensor(0);
  DLTensor dq = make_tensor(0);
  DLTensor dk = make_tensor(0);
  DLTensor dv = make_tensor(0);
  nysjit_run_args args = {.size = sizeof args, .q = &q, .k = &k, .v = &v, .o = &o};
  if (nysjit_saved_size(forward, &args, &args.saved_size))
    stop("saved size");
  args.saved = allocate(args.saved_size);
  nysjit_run_args gradients = args;
  gradients.dout = &dout;
  gradients.dq = &dq; /* each of these may be NULL */
  gradients.dk = &dk;
  gradients.dv = &dv;

  double first = 0;
  double loss = 0;
  for (int i = 0; i <= steps; ++i) {
    if (nysjit_run(forward, &args, NULL))
      stop("forward");
    loss = loss_of(&o, &target, &dout);
    if (i == 0)
      first = loss;
    if (i % 10 == 0)
      printf("step %2d  loss %.4f\n", i, loss);
    if (nysjit_run(backward, &gradients, NULL))
      stop("backward");
    step(&q, &dq);
    step(&k, &dk);
    step(&v, &dv);
  }

  const DLTensor all[] = {q, k, v, target, o, dout, dq, dk, dv};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i)
    free(all[i].data);
  free(args.saved);
  nysjit_program_release(forward);
  nysjit_program_release(backward);
  nysjit_context_destroy(context);
  return loss < first ? 0 : 1;
}

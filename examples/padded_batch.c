/* A GPT-2-like decoder's attention over a batch of prompts of unequal lengths, padded on the left
 * so that all end at the last position, where generation goes on. Each must come out as if it were
 * alone, whatever the padding holds.
 *   padded_batch
 * q, k and v are one tensor [B, n, 3, H, d], as GPT-2's c_attn leaves it; the strides say so. Link
 * with -lnysjit. */
#include "nysjit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { batch = 3, heads = 12, head_dim = 64, length = 256, row = heads * head_dim };
static const int32_t seqlens[batch] = {256, 100, 31};
static const int32_t starts[batch] = {0, 156, 225};
static float qkv[batch][length][3 * row];
static float together[batch][length * row];
static float alone[length * row];

static void stop(const char *what) {
  fprintf(stderr, "%s: %s\n", what, nysjit_last_error());
  exit(1);
}

/* Runs on `count` sequences of n positions from `tokens` on; `lengths` and `first` may be NULL. */
static void attend(nysjit_program *program, float *tokens, float *out, int64_t count, int64_t n,
                   DLTensor *lengths, DLTensor *first) {
  int64_t shape[] = {count, heads, n, head_dim};
  int64_t in[] = {length * 3 * row, head_dim, 3 * row, 1};
  int64_t dense[] = {length * row, head_dim, row, 1};
  DLTensor q = {.data = tokens,
                .device = {kDLCPU, 0},
                .ndim = 4,
                .dtype = {kDLFloat, 32, 1},
                .shape = shape,
                .strides = in};
  DLTensor k = q;
  DLTensor v = q;
  DLTensor o = q;
  k.data = tokens + row;
  v.data = tokens + 2 * row;
  o.data = out;
  o.strides = dense;
  nysjit_run_args args = {.size = sizeof args,
                          .q = &q,
                          .k = &k,
                          .v = &v,
                          .o = &o,
                          .seqlens = lengths,
                          .seq_starts = first};
  if (nysjit_run(program, &args, NULL))
    stop("run");
}

int main(void) {
  nysjit_context *context = NULL;
  nysjit_program *program = NULL;
  if (nysjit_context_create(NULL, &context))
    stop("context");
  if (nysjit_prepare(
          context,
          "{\"layout\": \"causal\", \"head_dim\": 64, \"landmarks\": 64, \"segment_len\": 16}",
          NULL, NULL, &program))
    stop("prepare");

  uint32_t seed = 1;
  for (int b = 0; b < batch; ++b)
    for (int t = 0; t < length; ++t)
      for (int i = 0; i < 3 * row; ++i) {
        seed = seed * 1664525u + 1013904223u;
        /* padding may be anything */
        qkv[b][t][i] = t < starts[b] ? NAN : (float)(seed >> 8) / 8388608.0f - 1.0f;
      }

  int64_t counts[] = {batch};
  DLTensor lengths = {.data = (void *)seqlens,
                      .device = {kDLCPU, 0},
                      .ndim = 1,
                      .dtype = {kDLInt, 32, 1},
                      .shape = counts};
  DLTensor first = lengths;
  first.data = (void *)starts;
  attend(program, qkv[0][0], together[0], batch, length, &lengths, &first);

  int wrong = 0;
  for (int b = 0; b < batch; ++b) {
    attend(program, qkv[b][starts[b]], alone, 1, seqlens[b], NULL, NULL);
    wrong |=
        memcmp(together[b] + starts[b] * row, alone, (size_t)seqlens[b] * row * sizeof(float)) != 0;
    for (int i = 0; i < starts[b] * row; ++i)
      wrong |= together[b][i] != 0;
  }
  printf("prompts of 256, 100 and 31 in one left-padded batch: %s\n",
         wrong ? "NOT what they are alone" : "each as if alone, to the last bit; padding is 0");
  nysjit_program_release(program);
  nysjit_context_destroy(context);
  return wrong;
}

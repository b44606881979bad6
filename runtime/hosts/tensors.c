#include "runtime/hosts/tensors.h"

#include <stddef.h>

const enum tensor_name with_gradient[GRADIENT_COUNT] = {Q, K, V, LANDMARK_Q, LANDMARK_K, CONV};

/* Where the fields are. A run's first one is its size, so 0 is none's. */
#define FIELD(name) offsetof(nysjit_run_args, name)
static const size_t fields[TENSOR_COUNT] = {
    [DOUT] = FIELD(dout),
    [O] = FIELD(o),
    [Q] = FIELD(q),
    [K] = FIELD(k),
    [V] = FIELD(v),
    [SEQLENS] = FIELD(seqlens),
    [SEQ_STARTS] = FIELD(seq_starts),
    [CU_SEQLENS] = FIELD(cu_seqlens),
    [LANDMARK_Q] = FIELD(landmark_q),
    [LANDMARK_K] = FIELD(landmark_k),
    [CONV] = FIELD(conv),
    [SOURCE_LEN] = FIELD(source_len),
};
static const size_t gradients[GRADIENT_COUNT] = {
    FIELD(dq), FIELD(dk), FIELD(dv), FIELD(dlandmark_q), FIELD(dlandmark_k), FIELD(dconv)};

static const DLTensor **at(nysjit_run_args *args, size_t offset) {
  return (const DLTensor **)(void *)((char *)args + offset);
}

const DLTensor **field_of(nysjit_run_args *args, enum tensor_name name) {
  return fields[name] ? at(args, fields[name]) : NULL;
}

const DLTensor **gradient_field(nysjit_run_args *args, int i) { return at(args, gradients[i]); }

#include "runtime/hosts/tensors.h"

const enum tensor_name with_gradient[GRADIENT_COUNT] = {Q, K, V, LANDMARK_Q, LANDMARK_K, CONV};

const DLTensor **field_of(nysjit_run_args *args, enum tensor_name name) {
  const DLTensor **const fields[TENSOR_COUNT] = {
      [DOUT] = &args->dout,
      [O] = &args->o,
      [Q] = &args->q,
      [K] = &args->k,
      [V] = &args->v,
      [SEQLENS] = &args->seqlens,
      [SEQ_STARTS] = &args->seq_starts,
      [CU_SEQLENS] = &args->cu_seqlens,
      [LANDMARK_Q] = &args->landmark_q,
      [LANDMARK_K] = &args->landmark_k,
      [CONV] = &args->conv,
      [SOURCE_LEN] = &args->source_len,
  };
  return fields[name];
}

const DLTensor **gradient_field(nysjit_run_args *args, int i) {
  const DLTensor **const fields[GRADIENT_COUNT] = {
      &args->dq, &args->dk, &args->dv, &args->dlandmark_q, &args->dlandmark_k, &args->dconv};
  return fields[i];
}

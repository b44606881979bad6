/* The tensors of a run, in the order in which hosts pass them, and their fields in
 * nysjit_run_args. */
#ifndef NYSJIT_HOSTS_TENSORS_H
#define NYSJIT_HOSTS_TENSORS_H

#include "runtime/include/nysjit.h"

enum tensor_name {
  DOUT,
  O,
  SAVED,
  Q,
  K,
  V,
  SEQLENS,
  SEQ_STARTS,
  CU_SEQLENS,
  LANDMARK_Q,
  LANDMARK_K,
  CONV,
  SOURCE_LEN,
  TENSOR_COUNT
};

/* Those that have gradients, in the order of backward's results. */
enum { GRADIENT_COUNT = 6 };
extern const enum tensor_name with_gradient[GRADIENT_COUNT];

/* Where a tensor is passed; NULL for SAVED, which is memory. */
const DLTensor **field_of(nysjit_run_args *args, enum tensor_name name);
/* Where the gradient by with_gradient[i] is. */
const DLTensor **gradient_field(nysjit_run_args *args, int i);

#endif /* NYSJIT_HOSTS_TENSORS_H */

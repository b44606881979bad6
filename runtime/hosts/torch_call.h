/* One call of an operator of PyTorch's: its arguments off the stack, tensors as the C API takes
 * them, memory for results, and the end of it all.
 *
 * Functions that return a bool return false after an error, whose text is then call->message.
 */
#ifndef NYSJIT_HOSTS_TORCH_CALL_H
#define NYSJIT_HOSTS_TORCH_CALL_H

#include "runtime/hosts/programs.h"
#include "runtime/hosts/tensors.h"
#include "runtime/hosts/torch_shims.h"

#include <stdbool.h>

/* A plain one has none of the parameters. */
enum kind { PLAIN, DENSE, PADDED, PACKED };
enum { MOST_RANK = 8 };
/* One call of an operator: what it owns, and what is wrong. */
struct call {
  torch_tensor owned[TENSOR_COUNT]; /* arguments, or compact copies of them */
  torch_tensor results[GRADIENT_COUNT];
  size_t result_count;
  torch_tensor workspace;
  torch_string spec;
  int64_t max_length;
  int64_t wanted;
  bool has_scale;
  double scale;
  DLTensor views[TENSOR_COUNT];
  DLTensor gradients[GRADIENT_COUNT];
  int32_t dtype; /* q's, in PyTorch's numbers, as the next */
  int32_t device_type;
  int32_t device_index;
  void *guard; /* of the CUDA device */
  void *stream;
  const char *message; /* NULL: all is well so far */
};

/* Keeps the first message. Always false. */
bool fail(struct call *call, const char *message);

/* Whether a function of PyTorch's, or of the library, succeeded. */
bool torch_done(struct call *call, int32_t error);
bool nysjit_done(struct call *call, nysjit_status status);

/* Takes what the stack holds, in the order that torch.c states; it is the call's to free. */
void take_arguments(struct call *call, const torch_value *stack, enum kind kind,
                    enum hosts_pass pass);

/* Enters the tensors' device, and views all of them. */
bool describe_arguments(struct call *call);

/* What the library reads of a tensor, valid while it lives. */
bool describe(struct call *call, torch_tensor tensor, bool is_written, DLTensor *view);

/* New compact memory of a shape on q's device; `like`, if given, is a tensor of that shape that
 * says in which order. `dtype` is a number of PyTorch's. */
bool allocate(struct call *call, int64_t rank, const int64_t *shape, const DLTensor *like,
              int32_t dtype, torch_tensor *made);

/* Frees all but the results, and after an error these, too. */
void release(struct call *call);

#endif /* NYSJIT_HOSTS_TORCH_CALL_H */

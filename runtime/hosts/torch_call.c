/* Handles of PyTorch's are owned by the call from the moment they leave the stack, so that whatever
 * goes wrong afterwards has one end: release, then the exception. */
#include "runtime/hosts/torch_call.h"
#include "runtime/hosts/raise.h"

#include <string.h>

static _Atomic(int) has_cuda_shims;

bool fail(struct call *call, const char *message) {
  if (!call->message)
    call->message = message;
  return false;
}

bool torch_done(struct call *call, int32_t error) {
  if (error == 0)
    return true;
  return fail(call, torch.torch_exception_get_what_without_backtrace
                        ? torch.torch_exception_get_what_without_backtrace()
                        : "PyTorch: an error that it has printed");
}

bool nysjit_done(struct call *call, nysjit_status status) {
  return status == NYSJIT_OK || fail(call, nysjit_last_error());
}

/* What the library has no name for is of a type that it refuses. */
static DLDataType element_type(int32_t dtype) {
  if (dtype == torch.aoti_torch_dtype_float32())
    return (DLDataType){kDLFloat, 32, 1};
  if (dtype == torch.aoti_torch_dtype_bfloat16())
    return (DLDataType){kDLBfloat, 16, 1};
  if (dtype == torch.aoti_torch_dtype_float16())
    return (DLDataType){kDLFloat, 16, 1};
  if (dtype == torch.aoti_torch_dtype_int32())
    return (DLDataType){kDLInt, 32, 1};
  if (dtype == torch.aoti_torch_dtype_float64())
    return (DLDataType){kDLFloat, 64, 1};
  if (dtype == torch.aoti_torch_dtype_int64())
    return (DLDataType){kDLInt, 64, 1};
  return (DLDataType){kDLOpaqueHandle, 64, 1};
}

bool describe(struct call *call, torch_tensor tensor, bool is_written, DLTensor *view) {
  int64_t rank = 0;
  int32_t dtype = 0;
  int32_t device_type = 0;
  const void *input = NULL;
  if (!torch_done(call, torch.aoti_torch_get_dim(tensor, &rank)) ||
      !torch_done(call, torch.aoti_torch_get_sizes(tensor, &view->shape)) ||
      !torch_done(call, torch.aoti_torch_get_strides(tensor, &view->strides)) ||
      !torch_done(call, torch.aoti_torch_get_dtype(tensor, &dtype)) ||
      !torch_done(call, torch.aoti_torch_get_device_type(tensor, &device_type)) ||
      !torch_done(call, is_written ? torch.torch_get_mutable_data_ptr(tensor, &view->data)
                                   : torch.torch_get_const_data_ptr(tensor, &input)))
    return false;
  if (!is_written)
    view->data = (void *)input;
  view->ndim = (int32_t)rank;
  view->dtype = element_type(dtype);
  const bool is_cpu = device_type == torch.aoti_torch_device_type_cpu();
  view->device.device_type = is_cpu ? kDLCPU : kDLCUDA;
  return is_cpu ||
         torch_done(call, torch.aoti_torch_get_device_index(tensor, &view->device.device_id));
}

bool allocate(struct call *call, int64_t rank, const int64_t *shape, const DLTensor *like,
              int32_t dtype, torch_tensor *made) {
  int64_t strides[MOST_RANK] = {0};
  int64_t step = 1;
  if (rank > MOST_RANK)
    return fail(call, "tensors: expected at most 8 dimensions, found more");
  for (int64_t i = rank - 1; i >= 0; --i) {
    strides[i] = step;
    step *= shape[i] > 1 ? shape[i] : 1;
  }
  if (like && rank == 4 && like->strides[1] < like->strides[2]) {
    strides[1] = shape[3];
    strides[2] = shape[1] * shape[3];
  }
  return torch_done(call,
                    torch.aoti_torch_empty_strided(rank, shape, strides, dtype, call->device_type,
                                                   call->device_index, made));
}

/* The library reads rows whose elements lie side by side; others are copied. */
static bool make_rows_compact(struct call *call, enum tensor_name name) {
  DLTensor *view = &call->views[name];
  const int32_t last = view->ndim - 1;
  if (last < 0 || view->strides[last] == 1 || view->shape[last] < 2)
    return true;
  torch_tensor copy = NULL;
  int32_t dtype = 0;
  if (!torch_done(call, torch.aoti_torch_get_dtype(call->owned[name], &dtype)) ||
      !allocate(call, view->ndim, view->shape, view, dtype, &copy))
    return false;
  const bool is_copied = torch_done(call, torch.aoti_torch_copy_(copy, call->owned[name], 0));
  torch.aoti_torch_delete_tensor_object(call->owned[name]);
  call->owned[name] = copy;
  return is_copied && describe(call, copy, false, view);
}

/* Arguments off the stack, where each is the call's to free. */

static torch_value take_optional(torch_value argument) {
  uint64_t *cell = (uint64_t *)(uintptr_t)argument;
  if (!cell)
    return 0;
  const torch_value value = *cell;
  nysjit_hosts_delete_cell(cell);
  return value;
}

/* Whether there is a number; any may be given, a NaN too, which is then the library's to refuse. */
static bool take_number(torch_value argument, double *number) {
  if (!argument)
    return false;
  const torch_value bits = take_optional(argument);
  memcpy(number, &bits, sizeof *number);
  return true;
}

void take_arguments(struct call *call, const torch_value *stack, enum kind kind,
                    enum hosts_pass pass) {
  const torch_value *next = stack;
#define TAKE(name) call->owned[name] = (torch_tensor)(uintptr_t)*next++
#define TAKE_OPTIONAL(name) call->owned[name] = (torch_tensor)(uintptr_t)take_optional(*next++)
  if (pass == HOSTS_BACKWARD) {
    TAKE(DOUT);
    TAKE(O);
    TAKE_OPTIONAL(SAVED);
  }
  TAKE(Q);
  TAKE(K);
  TAKE(V);
  if (kind == PADDED) {
    TAKE(SEQLENS);
    TAKE_OPTIONAL(SEQ_STARTS);
  }
  if (kind == PACKED)
    TAKE(CU_SEQLENS);
  if (pass == HOSTS_BACKWARD)
    call->wanted = (int64_t)*next++;
  if (kind == PADDED || kind == PACKED)
    call->max_length = (int64_t)*next++;
  call->spec = (torch_string)(uintptr_t)*next++;
  call->has_scale = take_number(*next++, &call->scale);
  if (kind != PLAIN) {
    TAKE_OPTIONAL(LANDMARK_Q);
    TAKE_OPTIONAL(LANDMARK_K);
    TAKE_OPTIONAL(CONV);
    TAKE_OPTIONAL(SOURCE_LEN);
  }
#undef TAKE
#undef TAKE_OPTIONAL
}

void release(struct call *call) {
  for (size_t i = 0; i < TENSOR_COUNT; ++i)
    if (call->owned[i])
      torch.aoti_torch_delete_tensor_object(call->owned[i]);
  if (call->workspace)
    torch.aoti_torch_delete_tensor_object(call->workspace);
  torch.torch_delete_string(call->spec);
  if (call->guard)
    torch_cuda.aoti_torch_delete_cuda_guard(call->guard);
  if (!call->message)
    return;
  for (size_t i = 0; i < call->result_count; ++i)
    if (call->results[i])
      torch.aoti_torch_delete_tensor_object(call->results[i]);
}

/* Makes q's device current and finds its stream. */
static bool enter_cuda(struct call *call) {
  if (!atomic_load(&has_cuda_shims)) {
    const char *missing = find_torch_cuda_shims(); /* the same bytes from any thread */
    if (missing)
      return fail(call, missing);
    atomic_store(&has_cuda_shims, 1);
  }
  return torch_done(call,
                    torch_cuda.aoti_torch_create_cuda_guard(call->device_index, &call->guard)) &&
         torch_done(call, torch_cuda.aoti_torch_get_current_cuda_stream(call->device_index,
                                                                        &call->stream));
}

bool describe_arguments(struct call *call) {
  if (!torch_done(call, torch.aoti_torch_get_dtype(call->owned[Q], &call->dtype)) ||
      !torch_done(call, torch.aoti_torch_get_device_type(call->owned[Q], &call->device_type)) ||
      !torch_done(call, torch.aoti_torch_get_device_index(call->owned[Q], &call->device_index)))
    return false;
  if (call->device_type == torch.aoti_torch_device_type_cuda() && !enter_cuda(call))
    return false;
  for (int name = 0; name < TENSOR_COUNT; ++name)
    if (call->owned[name] && (!describe(call, call->owned[name], false, &call->views[name]) ||
                              !make_rows_compact(call, (enum tensor_name)name)))
      return false;
  return true;
}

/* nysjit::attention, _with_parameters, _padded and _packed as operators of PyTorch, each with a
 * _saving that keeps what gradients need and a _backward that computes them.
 *
 * Arguments come in one order, of which each operator has its part:
 *   backward: dout, o, saved; all: q, k, v; padded: seqlens, seq_starts; packed: cu_seqlens;
 *   backward: wanted; padded, packed: max_length; all: spec, scale; all but the plain one:
 *   landmark_q, landmark_k, conv, source_len
 * From scale on they may be left out, which costs a call less than a None. The tensors bear the
 * names of nysjit_run_args, and so do its messages. spec is a KernelSpec without `pass`; head_dim
 * and dtype are q's where it has none. wanted has a bit for each of q, k, v, landmark_q,
 * landmark_k, conv whose gradient is wanted, and the others come as tensors without elements.
 * Outputs are compact; in the order of q's memory where q is a view of [B, n, H, d]. A saving
 * operator's o is float32, for gradients are differences from it; other outputs have q's dtype.
 */
#include "runtime/hosts/hosts.h"
#include "runtime/hosts/raise.h"
#include "runtime/hosts/torch_call.h"

#include <stdio.h>
#include <string.h>

/* Of torch/csrc/stable: the version whose conventions the operators follow. */
static const uint64_t torch_2_10 = ((uint64_t)2 << 56) | ((uint64_t)10 << 48);

/* Runs of so few elements of q stay on the calling thread: others take longer to begin. */
static const int64_t serial_elements = 16384;
static _Thread_local bool is_small;

static struct hosts_programs programs;

/* q's dtype in a spec's words; NULL after an error, for there are three. */
static const char *dtype_of_spec(struct call *call) {
#define REFUSED(found) "q.dtype: expected float32, float16 or bfloat16, found " found
  static const char *const names[] = {"float32", "float16", "bfloat16"};
  if (call->dtype == torch.aoti_torch_dtype_float32())
    return names[0];
  if (call->dtype == torch.aoti_torch_dtype_float16())
    return names[1];
  if (call->dtype == torch.aoti_torch_dtype_bfloat16())
    return names[2];
  fail(call, call->dtype == torch.aoti_torch_dtype_float64() ? REFUSED("float64")
             : call->dtype == torch.aoti_torch_dtype_int32() ? REFUSED("int32")
             : call->dtype == torch.aoti_torch_dtype_int64() ? REFUSED("int64")
                                                             : REFUSED("another"));
  return NULL;
#undef REFUSED
}

static const nysjit_program *find_program(struct call *call, enum hosts_pass pass) {
  const DLTensor *q = &call->views[Q];
  struct hosts_request request = {.device = call->guard ? HOSTS_CUDA : HOSTS_CPU,
                                  .device_index = call->guard ? call->device_index : 0,
                                  .pass = pass,
                                  .head_dim = q->ndim > 0 ? q->shape[q->ndim - 1] : 0,
                                  .dtype = dtype_of_spec(call)};
  if (!request.dtype)
    return NULL;
  if (!torch_done(call, torch.torch_string_c_str(call->spec, &request.spec)) ||
      !torch_done(call, torch.torch_string_length(call->spec, &request.length)))
    return NULL;
  const nysjit_program *program = hosts_program(&programs, &request);
  if (!program)
    fail(call, nysjit_last_error());
  return program;
}

static const DLTensor *given(const struct call *call, enum tensor_name name) {
  return call->owned[name] ? &call->views[name] : NULL;
}

static nysjit_run_args arguments_of(struct call *call, const float *scale) {
  nysjit_run_args args = {.size = sizeof args};
  for (enum tensor_name name = 0; name < TENSOR_COUNT; ++name)
    if (field_of(&args, name))
      *field_of(&args, name) = given(call, name);
  args.scale = call->has_scale ? scale : NULL;
  /* Of all sequences the rows that there are, so that sizes depend on shapes alone. */
  const DLTensor *q = &call->views[Q];
  const bool has_lengths = args.cu_seqlens || args.seqlens;
  if (has_lengths)
    args.max_length = call->max_length;
  if (has_lengths && args.max_length == 0 && q->ndim >= 3)
    args.max_length = args.cu_seqlens ? q->shape[0] : q->shape[2];
  return args;
}

/* The new output o, and of a saving run the memory of what it keeps. */
static bool make_outputs(struct call *call, const nysjit_program *program, bool is_saving,
                         nysjit_run_args *args) {
  const DLTensor *q = &call->views[Q];
  const int32_t dtype = is_saving ? torch.aoti_torch_dtype_float32() : call->dtype;
  call->result_count = is_saving ? 2 : 1;
  if (!allocate(call, q->ndim, q->shape, q, dtype, &call->results[0]) ||
      !describe(call, call->results[0], true, &call->views[O]))
    return false;
  args->o = &call->views[O];
  if (!is_saving)
    return true;
  size_t bytes = 0;
  if (!nysjit_done(call, nysjit_saved_size(program, args, &bytes)))
    return false;
  const int64_t shape = (int64_t)bytes;
  if (!allocate(call, 1, &shape, NULL, torch.aoti_torch_dtype_uint8(), &call->results[1]) ||
      !torch_done(call, torch.torch_get_mutable_data_ptr(call->results[1], &args->saved)))
    return false;
  args->saved_size = args->saved ? bytes : 0;
  return true;
}

/* The gradients that are wanted, of the shapes of what they are by. */
static bool make_gradients(struct call *call, nysjit_run_args *args) {
  call->result_count = GRADIENT_COUNT;
  for (int i = 0; i < GRADIENT_COUNT; ++i) {
    const DLTensor *by = given(call, with_gradient[i]);
    const bool is_wanted = by && (call->wanted >> i & 1);
    const int64_t nothing = 0;
    const bool is_made =
        is_wanted ? allocate(call, by->ndim, by->shape, by, call->dtype, &call->results[i])
                  : allocate(call, 1, &nothing, NULL, call->dtype, &call->results[i]);
    if (!is_made)
      return false;
    if (is_wanted && !describe(call, call->results[i], true, &call->gradients[i]))
      return false;
    if (is_wanted)
      *gradient_field(args, i) = &call->gradients[i];
  }
  if (call->owned[SAVED] && call->views[SAVED].ndim == 1 && call->views[SAVED].shape[0] > 0) {
    args->saved = call->views[SAVED].data;
    args->saved_size = (size_t)call->views[SAVED].shape[0];
  }
  return true;
}

/* On a GPU memory between kernels is PyTorch's, which knows streams and graphs. */
static bool make_workspace(struct call *call, const nysjit_program *program,
                           nysjit_run_args *args) {
  size_t bytes = 0;
  if (!call->guard)
    return true;
  if (!nysjit_done(call, nysjit_workspace_size(program, args, &bytes)))
    return false;
  const int64_t shape = (int64_t)bytes;
  if (bytes == 0)
    return true;
  args->workspace_size = bytes;
  return allocate(call, 1, &shape, NULL, torch.aoti_torch_dtype_uint8(), &call->workspace) &&
         torch_done(call, torch.torch_get_mutable_data_ptr(call->workspace, &args->workspace));
}

static int64_t element_count(const DLTensor *tensor) {
  int64_t count = 1;
  for (int32_t i = 0; i < tensor->ndim; ++i)
    count *= tensor->shape[i];
  return count;
}

static void run(struct call *call, enum hosts_pass pass) {
  if (!describe_arguments(call))
    return;
  const nysjit_program *program = find_program(call, pass);
  if (!program)
    return;
  const float scale = (float)call->scale;
  nysjit_run_args args = arguments_of(call, &scale);
  const bool is_made = pass == HOSTS_BACKWARD
                           ? make_gradients(call, &args)
                           : make_outputs(call, program, pass == HOSTS_SAVING, &args);
  is_small = call->views[Q].ndim >= 3 && element_count(&call->views[Q]) <= serial_elements;
  if (is_made && make_workspace(call, program, &args))
    nysjit_done(call, nysjit_run(program, &args, call->stream));
}

/* Throws the call's message; what a C host calls NULL is None to this one's. */
static void raise_message(const char *message) {
  char text[2048];
  snprintf(text, sizeof text, "%s", *message ? message : "nysjit: out of memory");
  for (char *found = text; (found = strstr(found, "NULL")) != NULL; ++found)
    memcpy(found, "None", 4);
  nysjit_hosts_raise(text);
}

static void run_operator(torch_value *stack, enum kind kind, enum hosts_pass pass) {
  struct call call = {.message = NULL};
  take_arguments(&call, stack, kind, pass);
  run(&call, pass);
  release(&call);
  if (call.message)
    raise_message(call.message);
  for (size_t i = 0; i < call.result_count; ++i)
    stack[i] = (torch_value)(uintptr_t)call.results[i];
}

#define TENSORS "Tensor q, Tensor k, Tensor v, "
#define PADDING "Tensor seqlens, Tensor? seq_starts, "
#define PACKING "Tensor cu_seqlens, "
#define LENGTH "int max_length, "
#define OPTIONS "str spec, float? scale=None"
#define PARAMETERS                                                                                 \
  ", Tensor? landmark_q=None, Tensor? landmark_k=None, Tensor? conv=None, Tensor? source_len=None"
#define OPERATORS(name, sequences, length, parameters)                                             \
  #name "(" TENSORS sequences length OPTIONS parameters ") -> Tensor",                             \
      #name "_saving(" TENSORS sequences length OPTIONS parameters ") -> (Tensor, Tensor)",        \
      #name "_backward(Tensor dout, Tensor o, Tensor? saved, " TENSORS sequences                   \
            "int wanted, " length OPTIONS parameters                                               \
            ") -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
static const char *const schemas[] = {OPERATORS(attention, "", "", ""),
                                      OPERATORS(attention_with_parameters, "", "", PARAMETERS),
                                      OPERATORS(attention_padded, PADDING, LENGTH, PARAMETERS),
                                      OPERATORS(attention_packed, PACKING, LENGTH, PARAMETERS)};

#define FUNCTION(name, kind, pass)                                                                 \
  static void name(torch_value *stack, uint64_t inputs, uint64_t outputs) {                        \
    (void)inputs;                                                                                  \
    (void)outputs;                                                                                 \
    run_operator(stack, kind, pass);                                                               \
  }
#define FUNCTIONS(name, kind)                                                                      \
  FUNCTION(name, kind, HOSTS_FORWARD)                                                              \
  FUNCTION(name##_saving, kind, HOSTS_SAVING)                                                      \
  FUNCTION(name##_backward, kind, HOSTS_BACKWARD)
FUNCTIONS(attention, PLAIN)
FUNCTIONS(attention_with_parameters, DENSE)
FUNCTIONS(attention_padded, PADDED)
FUNCTIONS(attention_packed, PACKED)

#define NAMED(name)                                                                                \
  {#name, name}, {#name "_saving", name##_saving}, { #name "_backward", name##_backward }
static const struct {
  const char *name;
  torch_operator function;
} operators[] = {NAMED(attention), NAMED(attention_with_parameters), NAMED(attention_padded),
                 NAMED(attention_packed)};
enum { OPERATOR_COUNT = sizeof operators / sizeof operators[0] };
_Static_assert(OPERATOR_COUNT == sizeof schemas / sizeof schemas[0], "a schema an operator");

/* A launch's shares, as PyTorch's threads take them. */
struct shares {
  nysjit_task task;
  void *context;
};

static void run_shares(int64_t begin, int64_t end, void *context) {
  const struct shares *shares = context;
  for (int64_t i = begin; i < end; ++i)
    shares->task(shares->context, (size_t)i);
}

static void parallel_for(void *context, nysjit_task task, void *task_context, size_t count) {
  (void)context;
  struct shares shares = {task, task_context};
  if (is_small)
    run_shares(0, (int64_t)count, &shares);
  else
    torch.torch_parallel_for(0, (int64_t)count, 1, run_shares, &shares);
}

static const char *register_operators(void) {
  static const char refused[] = "PyTorch: refused to register nysjit's operators, and printed why";
  const char *missing = find_torch_shims();
  if (missing)
    return missing;
  programs.parallel_for = parallel_for;
  torch_library library = NULL; /* kept: an operator lives as long as its library's object */
  if (torch.aoti_torch_library_init_fragment("nysjit", __FILE__, __LINE__, &library))
    return refused;
  for (int i = 0; i < OPERATOR_COUNT; ++i)
    if (torch.aoti_torch_library_def(library, schemas[i]))
      return refused;
  static const char *const keys[] = {"CPU", "CUDA"};
  for (int key = 0; key < 2; ++key) {
    if (torch.aoti_torch_library_init_impl("nysjit", keys[key], __FILE__, __LINE__, &library))
      return refused;
    for (int i = 0; i < OPERATOR_COUNT; ++i)
      if (torch.torch_library_impl(library, operators[i].name, operators[i].function, torch_2_10))
        return refused;
  }
  return NULL;
}

const char *nysjit_torch_register(void) {
  static _Atomic(int) turn; /* 0: nobody's yet, 1: under way, 2: done */
  static const char *_Atomic problem;
  int expected = 0;
  if (atomic_compare_exchange_strong(&turn, &expected, 1)) {
    atomic_store(&problem, register_operators());
    atomic_store(&turn, 2);
  }
  while (atomic_load(&turn) != 2) { /* another thread registers, for some milliseconds */
  }
  return atomic_load(&problem);
}

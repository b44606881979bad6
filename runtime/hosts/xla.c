/* nysjit's programs as one function of XLA's foreign function interface, for CPUs.
 *
 * Attributes: spec, a KernelSpec without `pass`; pass, a hosts_pass; given, a bit for each tensor
 * of tensors.h that is an argument; max_length; scale, absent for 1 / sqrt(d). Arguments come
 * in the enum's order. Results: of a forward run o; of a saving one o and saved; of a backward one
 * the gradients by q, k, v and the parameters that are given.
 *
 * Tensors of [B, H, n, d] lie in memory as [B, n, H, d], as projections write them; all others as
 * their shapes read. vmap puts axes in front, of size 1 where an argument has none: a forward run
 * takes them as more of the batch where it can, else there is a run for each of their elements.
 */
#include "runtime/hosts/hosts.h"
#include "runtime/hosts/programs.h"
#include "runtime/hosts/tensors.h"
#include "runtime/hosts/xla_ffi.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MOST_RANK = 4 };

static struct hosts_programs programs; /* with the library's own threads */

/* A tensor of one run: the buffer without the axes in front. */
struct view {
  const struct xla_buffer *buffer; /* NULL: not given */
  DLTensor tensor;
  int64_t shape[MOST_RANK];
  int64_t strides[MOST_RANK];
  int64_t front; /* how many axes are in front */
};

struct run {
  const struct xla_call *call;
  const struct xla_string *spec;
  enum hosts_pass pass;
  int64_t max_length;
  const float *scale; /* NULL: not given */
  bool is_packed;
  struct view arguments[TENSOR_COUNT];
  struct view results[GRADIENT_COUNT];
  const char *message; /* NULL: all is well so far */
};

static bool fail(struct run *run, const char *message) {
  if (!run->message)
    run->message = message;
  return false;
}

static const void *attribute(const struct xla_call *call, const char *name, int kind) {
  const struct xla_attributes *all = &call->attributes;
  for (int64_t i = 0; i < all->count; ++i)
    if (all->kinds[i] == kind && all->names[i]->length == strlen(name) &&
        memcmp(all->names[i]->text, name, all->names[i]->length) == 0)
      return all->values[i];
  return NULL;
}

/* Of a scalar attribute of that type; NULL: it is not there. */
static const void *number(const struct xla_call *call, const char *name, int type) {
  const struct xla_scalar *scalar = attribute(call, name, XLA_ATTRIBUTE_SCALAR);
  return scalar && scalar->type == type ? scalar->value : NULL;
}

static DLDataType element_type(int type) {
  switch (type) {
  case XLA_TYPE_F32: return (DLDataType){kDLFloat, 32, 1};
  case XLA_TYPE_F16: return (DLDataType){kDLFloat, 16, 1};
  case XLA_TYPE_BF16: return (DLDataType){kDLBfloat, 16, 1};
  case XLA_TYPE_S32: return (DLDataType){kDLInt, 32, 1};
  case XLA_TYPE_U8: return (DLDataType){kDLUInt, 8, 1};
  default: /* the library has no name for it, and refuses it */
    return (DLDataType){kDLOpaqueHandle, 64, 1};
  }
}

/* Views the last `rank` dimensions; those of four are heads first, in memory positions first. */
static bool describe(struct run *run, const struct xla_buffer *buffer, int rank,
                     struct view *view) {
  view->buffer = buffer;
  view->front = buffer->rank - rank;
  if (view->front < 0)
    return fail(run, "tensors: expected as many dimensions as documented, found fewer");
  const int64_t *shape = buffer->shape + view->front;
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    view->shape[i] = shape[i];
    view->strides[i] = step;
    step *= shape[i];
  }
  if (rank == 4) {
    view->strides[1] = shape[3];
    view->strides[2] = shape[1] * shape[3];
  }
  view->tensor = (DLTensor){.data = buffer->data,
                            .device = {kDLCPU, 0},
                            .ndim = rank,
                            .dtype = element_type(buffer->type),
                            .shape = view->shape,
                            .strides = view->strides};
  return true;
}

static int rank_of(const struct run *run, enum tensor_name name) {
  switch (name) {
  case SAVED:
  case SEQLENS:
  case SEQ_STARTS:
  case CU_SEQLENS:
  case SOURCE_LEN: return 1;
  case CONV: return 2;
  case LANDMARK_Q:
  case LANDMARK_K: return 3;
  default: return run->is_packed ? 3 : 4;
  }
}

static bool read_attributes(struct run *run, int64_t *given) {
  const int64_t *pass = number(run->call, "pass", XLA_TYPE_S64);
  const int64_t *bits = number(run->call, "given", XLA_TYPE_S64);
  const int64_t *most = number(run->call, "max_length", XLA_TYPE_S64);
  run->spec = attribute(run->call, "spec", XLA_ATTRIBUTE_STRING);
  run->scale = number(run->call, "scale", XLA_TYPE_F32);
  if (!run->spec || !pass || *pass < 0 || *pass >= HOSTS_PASS_COUNT || !bits || !most)
    return fail(run, "nysjit_attention: expected the attributes spec, pass, given and max_length, "
                     "found others");
  run->pass = (enum hosts_pass) * pass;
  run->max_length = *most;
  run->is_packed = *bits >> CU_SEQLENS & 1;
  *given = *bits;
  return true;
}

static bool describe_arguments(struct run *run, int64_t given) {
  const struct xla_buffers *all = &run->call->arguments;
  int64_t next = 0;
  for (int name = 0; name < TENSOR_COUNT; ++name) {
    if (!(given >> name & 1))
      continue;
    if (next == all->count)
      return fail(run, "nysjit_attention: expected an argument for each bit of given, found fewer");
    if (!describe(run, all->buffers[next++], rank_of(run, (enum tensor_name)name),
                  &run->arguments[name]))
      return false;
  }
  return next == all->count ||
         fail(run, "nysjit_attention: expected an argument for each bit of given, found more");
}

/* Views results by the tensors that they are like; `names` has `count` of them. */
static bool describe_results(struct run *run, const enum tensor_name *names, int64_t count) {
  const struct xla_buffers *all = &run->call->results;
  if (all->count != count)
    return fail(run, "nysjit_attention: expected as many results as the pass has, found others");
  for (int64_t i = 0; i < count; ++i)
    if (!describe(run, all->buffers[i], rank_of(run, names[i]), &run->results[i]))
      return false;
  return true;
}

/* The bytes before a tensor of run `index`, counted over the axes in front of the results. */
static size_t offset_of(const struct view *view, const struct xla_buffer *result, int64_t index) {
  int64_t elements = 1;
  for (int32_t i = 0; i < view->tensor.ndim; ++i)
    elements *= view->shape[i];
  size_t offset = 0;
  for (int64_t axis = view->front - 1; axis >= 0; --axis) {
    const int64_t size = view->buffer->shape[axis];
    if (size > 1)
      offset += (size_t)(index % result->shape[axis] * elements);
    elements *= size;
    index /= result->shape[axis];
  }
  return offset * view->tensor.dtype.bits / 8;
}

static const DLTensor *given(const struct run *run, enum tensor_name name) {
  return run->arguments[name].buffer ? &run->arguments[name].tensor : NULL;
}

static nysjit_run_args arguments_of(const struct run *run) {
  nysjit_run_args args = {.size = sizeof args, .scale = run->scale};
  for (enum tensor_name name = 0; name < TENSOR_COUNT; ++name)
    if (field_of(&args, name))
      *field_of(&args, name) = given(run, name);
  args.max_length = run->max_length;
  return args;
}

static void give_saved(const struct view *view, nysjit_run_args *args) {
  args->saved = view->tensor.data;
  args->saved_size = (size_t)view->shape[0];
}

static void give_results(struct run *run, nysjit_run_args *args) {
  if (run->pass != HOSTS_BACKWARD) {
    args->o = &run->results[0].tensor;
    if (run->pass == HOSTS_SAVING)
      give_saved(&run->results[1], args);
    return;
  }
  int next = 0;
  for (int i = 0; i < GRADIENT_COUNT; ++i)
    if (given(run, with_gradient[i]))
      *gradient_field(args, i) = &run->results[next++].tensor;
  give_saved(&run->arguments[SAVED], args);
}

/* Takes `count` runs as one of so many times the batch, if all tensors allow it. */
static bool fold(struct run *run, int64_t count) {
  if (run->pass != HOSTS_FORWARD || run->is_packed)
    return false;
  for (int name = 0; name < TENSOR_COUNT; ++name) {
    const struct view *view = &run->arguments[name];
    int64_t own = 1;
    for (int64_t i = 0; view->buffer && i < view->front; ++i)
      own *= view->buffer->shape[i];
    const bool is_parameter = name == LANDMARK_Q || name == LANDMARK_K || name == CONV;
    if (view->buffer && own != (is_parameter ? 1 : count))
      return false;
  }
  for (int name = 0; name < TENSOR_COUNT; ++name)
    if (name != LANDMARK_Q && name != LANDMARK_K && name != CONV)
      run->arguments[name].shape[0] *= count;
  run->results[0].shape[0] *= count;
  return true;
}

static void run_all(struct run *run, const nysjit_program *program, int result_count) {
  const struct xla_buffer *result = run->results[0].buffer;
  int64_t count = 1;
  for (int64_t i = 0; i < run->results[0].front; ++i)
    count *= result->shape[i];
  if (fold(run, count))
    count = count > 0;
  for (int64_t index = 0; index < count && !run->message; ++index) {
    for (int name = 0; name < TENSOR_COUNT; ++name)
      if (run->arguments[name].buffer)
        run->arguments[name].tensor.data = (char *)run->arguments[name].buffer->data +
                                           offset_of(&run->arguments[name], result, index);
    for (int i = 0; i < result_count; ++i)
      run->results[i].tensor.data =
          (char *)run->results[i].buffer->data + offset_of(&run->results[i], result, index);
    nysjit_run_args args = arguments_of(run);
    give_results(run, &args);
    if (nysjit_run(program, &args, NULL) != NYSJIT_OK)
      fail(run, nysjit_last_error());
  }
}

static void execute(struct run *run) {
  int64_t bits = 0;
  if (!read_attributes(run, &bits) || !describe_arguments(run, bits))
    return;
  enum tensor_name results[GRADIENT_COUNT] = {O, SAVED};
  int64_t count = run->pass == HOSTS_SAVING ? 2 : 1;
  if (run->pass == HOSTS_BACKWARD) {
    count = 0;
    for (int i = 0; i < GRADIENT_COUNT; ++i)
      if (given(run, with_gradient[i]))
        results[count++] = with_gradient[i];
  }
  if (!describe_results(run, results, count))
    return;
  char spec[4096]; /* with the NUL that XLA's text has not */
  const size_t length = run->spec->length;
  if (length >= sizeof spec) {
    fail(run, "spec: expected at most 4095 characters, found more");
    return;
  }
  memcpy(spec, run->spec->text, length);
  spec[length] = '\0';
  const struct hosts_request request = {
      .device = HOSTS_CPU, .pass = run->pass, .spec = spec, .length = length};
  const nysjit_program *program = hosts_program(&programs, &request);
  if (program)
    run_all(run, program, (int)count);
  else
    fail(run, nysjit_last_error());
}

/* What a C host calls NULL is None to this one's. */
static xla_error error_of(const struct xla_api *api, const char *message) {
  char text[2048];
  snprintf(text, sizeof text, "%s", *message ? message : "nysjit: out of memory");
  for (char *found = text; (found = strstr(found, "NULL")) != NULL; ++found)
    memcpy(found, "None", 4);
  struct xla_error_arguments arguments = {
      .size = sizeof arguments, .message = text, .code = XLA_INVALID_ARGUMENT};
  return api->make_error(&arguments);
}

/* The version is the caller's where that is older: what is used here has been there since 0.0. */
static void describe_function(const struct xla_call *call, struct xla_metadata *metadata) {
  const int theirs = call->api->version.minor;
  metadata->version = (struct xla_version){.size = sizeof metadata->version,
                                           .major = XLA_MAJOR,
                                           .minor = theirs < XLA_MINOR ? theirs : XLA_MINOR};
  metadata->traits = 0;
}

void *nysjit_xla_attention(void *frame) {
  const struct xla_call *call = frame;
  if (call->extensions && call->extensions->type == XLA_EXTENSION_METADATA) {
    describe_function(call, ((struct xla_metadata_extension *)call->extensions)->metadata);
    return NULL;
  }
  if (call->stage != XLA_STAGE_EXECUTE)
    return NULL;
  struct run run = {.call = call};
  execute(&run);
  return run.message ? error_of(call->api, run.message) : NULL;
}

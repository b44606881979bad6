/* PyTorch's stable C functions (torch/csrc/inductor/aoti_torch/c/shim.h and
 * torch/csrc/stable/c/shim.h of 2.10), found by name in the libtorch_cpu.so and libtorch_cuda.so
 * that the process has loaded. Their declarations stand here, so that neither PyTorch's headers nor
 * its libraries are needed to build (docs/decisions/0021-hosts.md).
 *
 * All but getters of constants return 0, or 1 after an error.
 */
#ifndef NYSJIT_HOSTS_TORCH_SHIMS_H
#define NYSJIT_HOSTS_TORCH_SHIMS_H

#include <stddef.h>
#include <stdint.h>

/* One argument or result of an operator: a tensor or string handle, an integer, a double's bits; of
 * an optional one 0 or a pointer to such a value. An operator owns its arguments' handles, and its
 * caller its results'. */
typedef uint64_t torch_value;
typedef struct torch_tensor_object *torch_tensor;
typedef struct torch_string_object *torch_string;
typedef struct torch_library_object *torch_library;
typedef void (*torch_operator)(torch_value *stack, uint64_t inputs, uint64_t outputs);
typedef void (*torch_range)(int64_t begin, int64_t end, void *context);

/* result, name in libtorch_cpu.so, parameters */
#define TORCH_SHIMS(SHIM)                                                                          \
  SHIM(int32_t, aoti_torch_device_type_cpu, (void))                                                \
  SHIM(int32_t, aoti_torch_device_type_cuda, (void))                                               \
  SHIM(int32_t, aoti_torch_dtype_float16, (void))                                                  \
  SHIM(int32_t, aoti_torch_dtype_bfloat16, (void))                                                 \
  SHIM(int32_t, aoti_torch_dtype_float32, (void))                                                  \
  SHIM(int32_t, aoti_torch_dtype_float64, (void))                                                  \
  SHIM(int32_t, aoti_torch_dtype_uint8, (void))                                                    \
  SHIM(int32_t, aoti_torch_dtype_int32, (void))                                                    \
  SHIM(int32_t, aoti_torch_dtype_int64, (void))                                                    \
  SHIM(int32_t, aoti_torch_get_dim, (torch_tensor, int64_t *))                                     \
  SHIM(int32_t, aoti_torch_get_sizes, (torch_tensor, int64_t **))                                  \
  SHIM(int32_t, aoti_torch_get_strides, (torch_tensor, int64_t **))                                \
  SHIM(int32_t, aoti_torch_get_dtype, (torch_tensor, int32_t *))                                   \
  SHIM(int32_t, aoti_torch_get_device_type, (torch_tensor, int32_t *))                             \
  SHIM(int32_t, aoti_torch_get_device_index, (torch_tensor, int32_t *))                            \
  SHIM(int32_t, torch_get_const_data_ptr, (torch_tensor, const void **))                           \
  SHIM(int32_t, torch_get_mutable_data_ptr, (torch_tensor, void **))                               \
  SHIM(int32_t, aoti_torch_empty_strided,                                                          \
       (int64_t, const int64_t *, const int64_t *, int32_t, int32_t, int32_t, torch_tensor *))     \
  SHIM(int32_t, aoti_torch_copy_, (torch_tensor, torch_tensor, int32_t))                           \
  SHIM(int32_t, aoti_torch_delete_tensor_object, (torch_tensor))                                   \
  SHIM(int32_t, torch_string_length, (torch_string, size_t *))                                     \
  SHIM(int32_t, torch_string_c_str, (torch_string, const char **))                                 \
  SHIM(int32_t, torch_delete_string, (torch_string))                                               \
  SHIM(int32_t, torch_parallel_for, (int64_t, int64_t, int64_t, torch_range, void *))              \
  SHIM(int32_t, aoti_torch_library_init_fragment,                                                  \
       (const char *, const char *, uint32_t, torch_library *))                                    \
  SHIM(int32_t, aoti_torch_library_init_impl,                                                      \
       (const char *, const char *, const char *, uint32_t, torch_library *))                      \
  SHIM(int32_t, aoti_torch_library_def, (torch_library, const char *))                             \
  SHIM(int32_t, torch_library_impl, (torch_library, const char *, torch_operator, uint64_t))

/* The same in libtorch_cuda.so. A guard makes a device current while it lives. */
#define TORCH_CUDA_SHIMS(SHIM)                                                                     \
  SHIM(int32_t, aoti_torch_create_cuda_guard, (int32_t, void **))                                  \
  SHIM(int32_t, aoti_torch_delete_cuda_guard, (void *))                                            \
  SHIM(int32_t, aoti_torch_get_current_cuda_stream, (int32_t, void **))

#define TORCH_SHIM_MEMBER(result, name, parameters) result(*name) parameters;
struct torch_shims {
  TORCH_SHIMS(TORCH_SHIM_MEMBER)
  /* The text of the calling thread's last error; NULL before 2.13. */
  const char *(*torch_exception_get_what_without_backtrace)(void);
};
struct torch_cuda_shims {
  TORCH_CUDA_SHIMS(TORCH_SHIM_MEMBER)
};

/* The two tables, filled once by what follows. */
extern struct torch_shims torch;
extern struct torch_cuda_shims torch_cuda;

/* Fill the tables from what the process has loaded. NULL, or what is missing, a static string. */
const char *find_torch_shims(void);
const char *find_torch_cuda_shims(void);

#endif /* NYSJIT_HOSTS_TORCH_SHIMS_H */

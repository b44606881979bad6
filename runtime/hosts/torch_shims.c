/* Looks PyTorch's functions up. ISO C has no conversion from an object's address to a function's;
 * POSIX promises that memcpy makes one. */
#include "runtime/hosts/torch_shims.h"

#include <dlfcn.h>
#include <string.h>

struct torch_shims torch;
struct torch_cuda_shims torch_cuda;

#define FIND_SHIM(result, name, parameters)                                                        \
  address = dlsym(library, #name);                                                                 \
  if (!address)                                                                                    \
    return "PyTorch: expected 2.10 or later, found one without " #name;                            \
  memcpy(&table->name, &address, sizeof address);

const char *find_torch_shims(void) {
  void *library = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
  if (!library)
    return "PyTorch: expected libtorch_cpu.so to be loaded before, found that it is not";
  struct torch_shims *const table = &torch;
  void *address = NULL;
  TORCH_SHIMS(FIND_SHIM)
  address = dlsym(library, "torch_exception_get_what_without_backtrace");
  memcpy(&torch.torch_exception_get_what_without_backtrace, &address, sizeof address);
  return NULL;
}

const char *find_torch_cuda_shims(void) {
  void *library = dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD);
  if (!library)
    return "PyTorch: expected libtorch_cuda.so to be loaded, found that it is not";
  struct torch_cuda_shims *const table = &torch_cuda;
  void *address = NULL;
  TORCH_CUDA_SHIMS(FIND_SHIM)
  return NULL;
}

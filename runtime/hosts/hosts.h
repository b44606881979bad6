/* libnysjit_hosts.so: nysjit's programs as operators of frameworks, over the C API and nothing else
 * of nysjit. C11, and one file of C++ for the one exception that PyTorch wants.
 *
 * It neither includes nor links a framework: what it needs of one it finds by name in the library
 * that the process has loaded already.
 */
#ifndef NYSJIT_HOSTS_H
#define NYSJIT_HOSTS_H

#if defined(__GNUC__)
#define NYSJIT_HOSTS_EXPORT __attribute__((visibility("default")))
#else
#define NYSJIT_HOSTS_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the operators nysjit::attention, attention_with_parameters, attention_padded and
 * attention_packed known to the PyTorch (2.10 or later) that is loaded, each with _saving and
 * _backward, for CPU and CUDA tensors; python adds what they do with fake tensors, and the
 * gradient. A second call does nothing. NULL, or what is wrong, a static string. Any thread. */
NYSJIT_HOSTS_EXPORT const char *nysjit_torch_register(void);

/* A handler of XLA's foreign function interface for CPUs (XLA_FFI_Handler: it takes a call frame,
 * and returns NULL or an error of XLA's); xla.c says what its arguments are. Any thread. */
NYSJIT_HOSTS_EXPORT void *nysjit_xla_attention(void *frame);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* NYSJIT_HOSTS_H */

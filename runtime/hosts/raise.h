/* What C cannot say of PyTorch's conventions. */
#ifndef NYSJIT_HOSTS_RAISE_H
#define NYSJIT_HOSTS_RAISE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Throws std::runtime_error, through frames of C that are compiled with -fexceptions. */
__attribute__((noreturn)) void nysjit_hosts_raise(const char *message);

/* Frees what C++ made by `new uint64_t`: an optional argument of an operator. */
void nysjit_hosts_delete_cell(uint64_t *cell);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* NYSJIT_HOSTS_RAISE_H */

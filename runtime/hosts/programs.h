/* The programs of a host, found by the text of their spec: prepared when first asked for, kept
 * until the process ends. One context for each kind of device. */
#ifndef NYSJIT_HOSTS_PROGRAMS_H
#define NYSJIT_HOSTS_PROGRAMS_H

#include "runtime/include/nysjit.h"

#include <stdatomic.h>

enum hosts_device { HOSTS_CPU, HOSTS_CUDA, HOSTS_DEVICE_COUNT };
enum hosts_pass { HOSTS_FORWARD, HOSTS_SAVING, HOSTS_BACKWARD, HOSTS_PASS_COUNT };
enum { HOSTS_BUCKETS = 64 };

struct hosts_entry;

/* Static storage, zero but for parallel_for. */
struct hosts_programs {
  nysjit_parallel_for parallel_for; /* of CPU runs; NULL: the library's own threads */
  _Atomic(nysjit_context *) contexts[HOSTS_DEVICE_COUNT];
  _Atomic(struct hosts_entry *) buckets[HOSTS_BUCKETS];
};

/* What is asked for: a spec without `pass`, `length` characters with a NUL after them, and what it
 * takes from tensors where it has no such key of its own. */
struct hosts_request {
  enum hosts_device device;
  int32_t device_index; /* programs of two GPUs are two */
  enum hosts_pass pass;
  int64_t head_dim;  /* 0: only the spec's */
  const char *dtype; /* one of a few static strings; NULL: only the spec's */
  const char *spec;
  size_t length;
};

/* Finds or prepares the program; NULL, and nysjit_last_error() has the message. Any number of
 * threads at once, none of which waits for another but for the same compile; works on after a fork.
 * A CUDA program is prepared in the calling thread's current CUDA context. */
const nysjit_program *hosts_program(struct hosts_programs *programs,
                                    const struct hosts_request *request);

#endif /* NYSJIT_HOSTS_PROGRAMS_H */

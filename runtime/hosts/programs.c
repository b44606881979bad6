/* A table of chains that only grow, at their heads and by compare-and-swap: it is read without a
 * lock, so a fork cannot leave one behind. Two threads that miss the same spec at once both prepare
 * it, which the library does once, and both enter it: the later entry is never found, and small. */
#include "runtime/hosts/programs.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hosts_entry {
  struct hosts_entry *next;
  nysjit_program *program;
  enum hosts_device device;
  int32_t device_index;
  enum hosts_pass pass;
  int64_t head_dim;
  const char *dtype;
  size_t length;
  char spec[]; /* with its NUL */
};

static const char *const device_names[] = {"cpu", "cuda"};
static const char *const pass_keys[] = {"", "\"pass\":\"saving\",", "\"pass\":\"backward\","};

/* FNV-1a over words, then over what is left. */
static size_t bucket_of(const struct hosts_request *request) {
  uint64_t hash =
      14695981039346656037u ^ (uint64_t)request->pass ^ (uint64_t)request->head_dim << 8;
  const char *at = request->spec;
  size_t left = request->length;
  for (; left >= sizeof hash; at += sizeof hash, left -= sizeof hash) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    hash = (hash ^ word) * 1099511628211u;
  }
  for (; left > 0; ++at, --left)
    hash = (hash ^ (unsigned char)*at) * 1099511628211u;
  return (size_t)(hash >> 32) % HOSTS_BUCKETS;
}

static bool is_asked_for(const struct hosts_entry *entry, const struct hosts_request *request) {
  return entry->length == request->length && entry->pass == request->pass &&
         entry->head_dim == request->head_dim && entry->dtype == request->dtype &&
         entry->device == request->device && entry->device_index == request->device_index &&
         memcmp(entry->spec, request->spec, request->length) == 0;
}

/* The one context of a kind of device; NULL after an error. */
static nysjit_context *context_of(struct hosts_programs *programs, enum hosts_device device) {
  nysjit_context *known = atomic_load_explicit(&programs->contexts[device], memory_order_acquire);
  if (known)
    return known;
  const nysjit_context_options options = {.size = sizeof options,
                                          .device = device_names[device],
                                          .parallel_for = programs->parallel_for};
  nysjit_context *made = NULL;
  if (nysjit_context_create(&options, &made) != NYSJIT_OK)
    return NULL;
  if (atomic_compare_exchange_strong(&programs->contexts[device], &known, made))
    return made;
  nysjit_context_destroy(made);
  return known;
}

/* The spec, allocated, with its `pass` and what it takes from tensors. What is no object with a key
 * is left for the library to refuse. */
static char *completed(const struct hosts_request *request) {
  char keys[128] = "";
  int count = 0;
  const size_t before = strspn(request->spec, " \t\r\n");
  const bool is_object =
      request->spec[before] == '{' &&
      request->spec[before + 1 + strspn(request->spec + before + 1, " \t\r\n")] == '"';
  const size_t head = is_object ? before + 1 : 0;
  if (is_object && request->head_dim > 0 && !strstr(request->spec, "\"head_dim\""))
    count += snprintf(keys, sizeof keys, "\"head_dim\":%" PRId64 ",", request->head_dim);
  if (is_object && request->dtype && !strstr(request->spec, "\"dtype\""))
    count +=
        snprintf(keys + count, sizeof keys - (size_t)count, "\"dtype\":\"%s\",", request->dtype);
  if (is_object)
    count += snprintf(keys + count, sizeof keys - (size_t)count, "%s", pass_keys[request->pass]);
  char *text = malloc(request->length + (size_t)count + 1);
  if (!text)
    return NULL;
  memcpy(text, request->spec, head);
  memcpy(text + head, keys, (size_t)count);
  memcpy(text + head + count, request->spec + head, request->length - head + 1);
  return text;
}

static nysjit_program *prepare(struct hosts_programs *programs,
                               const struct hosts_request *request) {
  nysjit_context *context = context_of(programs, request->device);
  char *spec = context ? completed(request) : NULL;
  nysjit_program *program = NULL;
  if (spec && nysjit_prepare(context, spec, NULL, NULL, &program) != NYSJIT_OK)
    program = NULL;
  free(spec);
  return program;
}

const nysjit_program *hosts_program(struct hosts_programs *programs,
                                    const struct hosts_request *request) {
  _Atomic(struct hosts_entry *) *bucket = &programs->buckets[bucket_of(request)];
  struct hosts_entry *first = atomic_load_explicit(bucket, memory_order_acquire);
  for (const struct hosts_entry *entry = first; entry; entry = entry->next)
    if (is_asked_for(entry, request))
      return entry->program;

  nysjit_program *program = prepare(programs, request);
  if (!program)
    return NULL;
  struct hosts_entry *entry = malloc(sizeof *entry + request->length + 1);
  if (!entry)
    return program; /* it works, and is prepared again the next time */
  *entry = (struct hosts_entry){.next = first,
                                .program = program,
                                .device = request->device,
                                .device_index = request->device_index,
                                .pass = request->pass,
                                .head_dim = request->head_dim,
                                .dtype = request->dtype,
                                .length = request->length};
  memcpy(entry->spec, request->spec, request->length + 1);
  while (!atomic_compare_exchange_weak(bucket, &entry->next, entry)) {
  }
  return program;
}

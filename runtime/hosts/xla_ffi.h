/* What is used here of XLA's C interface for foreign functions (xla/ffi/api/c_api.h, version 0.3),
 * in declarations of nysjit's own, so that building needs neither XLA nor jaxlib
 * (docs/decisions/0021-hosts.md). Structures begin with their size; XLA only appends to them.
 */
#ifndef NYSJIT_HOSTS_XLA_FFI_H
#define NYSJIT_HOSTS_XLA_FFI_H

#include <stddef.h>
#include <stdint.h>

enum { XLA_MAJOR = 0, XLA_MINOR = 3 };
enum { XLA_INVALID_ARGUMENT = 3 };
enum { XLA_EXTENSION_METADATA = 1 };
enum { XLA_STAGE_EXECUTE = 3 };
enum { XLA_BUFFER = 1 };
enum { XLA_ATTRIBUTE_SCALAR = 3, XLA_ATTRIBUTE_STRING = 4 };
enum {
  XLA_TYPE_U8 = 6,
  XLA_TYPE_S32 = 4,
  XLA_TYPE_S64 = 5,
  XLA_TYPE_F16 = 10,
  XLA_TYPE_F32 = 11,
  XLA_TYPE_BF16 = 16
};

/* Whatever else comes with a structure; of use here only where a call asks for metadata. */
struct xla_extension {
  size_t size;
  int type;
  struct xla_extension *next;
};

struct xla_version {
  size_t size;
  struct xla_extension *extensions;
  int major;
  int minor;
};

/* What a function says of itself when it is registered. */
struct xla_metadata {
  size_t size;
  struct xla_version version;
  uint32_t traits;
  int64_t state_type;
};

struct xla_metadata_extension {
  struct xla_extension base;
  struct xla_metadata *metadata;
};

struct xla_buffer {
  size_t size;
  struct xla_extension *extensions;
  int type;
  void *data;
  int64_t rank;
  int64_t *shape;
};

/* Arguments, or results. */
struct xla_buffers {
  size_t size;
  struct xla_extension *extensions;
  int64_t count;
  int *kinds;
  struct xla_buffer **buffers;
};

struct xla_string {
  const char *text; /* without a NUL */
  size_t length;
};

struct xla_scalar {
  int type;
  void *value;
};

struct xla_attributes {
  size_t size;
  struct xla_extension *extensions;
  int64_t count;
  int *kinds;
  struct xla_string **names;
  void **values; /* an xla_string or an xla_scalar, as kinds say */
};

struct xla_error_arguments {
  size_t size;
  struct xla_extension *extensions;
  const char *message; /* copied */
  int code;
};

typedef struct xla_error_object *xla_error;

struct xla_api {
  size_t size;
  struct xla_extension *extensions;
  struct xla_version version;
  const void *internal;
  xla_error (*make_error)(struct xla_error_arguments *arguments);
};

struct xla_call {
  size_t size;
  struct xla_extension *extensions;
  const struct xla_api *api;
  void *context;
  int stage;
  struct xla_buffers arguments;
  struct xla_buffers results;
  struct xla_attributes attributes;
};

#endif /* NYSJIT_HOSTS_XLA_FFI_H */

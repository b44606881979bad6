/* nysjit: compiles, caches and runs causal Nystrom attention programs. The C API, C99.
 *
 * In a few words:
 *   a context   holds the cache folder, the threads and the compiler worker; make one and keep it
 *   a program   is one KernelSpec compiled for one target: prepare it once, run it often
 *   a run       takes tensors as DLPack DLTensor*, of any batch, head count, length and strides
 *   a device    is the context's: the CPU, the GPUs of the CUDA driver, or a PTX emulator
 *
 *   nysjit_context *context = NULL;
 *   nysjit_program *program = NULL;
 *   nysjit_context_create(NULL, &context);
 *   nysjit_prepare(context, "{\"layout\":\"causal\",\"head_dim\":64,\"landmarks\":16}", NULL, NULL,
 *                  &program);
 *   nysjit_run_args args = {.size = sizeof args, .q = &q, .k = &k, .v = &v, .o = &o};
 *   if (nysjit_run(program, &args, NULL) != NYSJIT_OK)
 *     fprintf(stderr, "%s\n", nysjit_last_error());
 *   nysjit_program_release(program);
 *   nysjit_context_destroy(context);
 *
 * Errors. Every function that can fail returns a nysjit_status; on failure nysjit_last_error() has
 *   the message for the calling thread, which names what was expected, what was found and where (a
 *   JSON key, an argument as "q.shape[3]"). No function aborts, exits, prints, raises a signal or
 *   lets a C++ exception out; a crash or a kill of the compiler worker is a status like any other.
 *   Outputs of a failed call (*context, *program, *bytes) are left untouched.
 *
 * Strings are NUL-terminated UTF-8, read during the call only; those handed out belong to the
 *   object they came from and live as long as it does.
 *
 * Threads. A context and a program may be used from any number of threads at once, without locks of
 *   the caller's; only destroy and release must come last. Two threads may run one program at the
 *   same time; they share the context's threads, and neither waits for the other. After a fork()
 *   the child may go on using both, with threads and a worker of its own; it may prepare programs
 *   only if no other thread was doing so during the fork. Not so on "cuda": the CUDA driver does
 *   not survive a fork, and calls in the child are errors. The library's threads are named
 *   nysjit-1, ..., take no signals of the host's, and end when the context is destroyed and the
 *   last of its programs is released. dlclose leaves the library mapped.
 *
 * Floating point. Calls compute in the default environment (rounding to nearest, subnormal numbers
 *   kept, no exception trapped) and leave the host's, sticky flags included, as they found it.
 *
 * CUDA. The library opens the driver at run time and calls cuInit when a context of device "cuda"
 *   first prepares a program, never later. Everything happens in the calling thread's current CUDA
 *   context, which is left as it was. Where none is current, the library retains the primary
 *   context of the tensors' device (device_id), keeps it until the nysjit context and its programs
 *   are gone, and makes it current for the length of the call only. A program is loaded once into
 *   each CUDA context: by nysjit_prepare if one is current, else by the first run there, which may
 *   then take long (without a cubin the driver compiles the PTX) and must not be captured. CUDA
 *   contexts in which a program was prepared or run must outlive it, and streams must not be
 *   destroyed before their runs have finished. A CUresult that is not CUDA_SUCCESS becomes an error
 *   "CALL: CUDA_ERROR_NAME (number): text". A run returns when its launches are enqueued, so what
 *   goes wrong in a kernel shows as the error of a later call.
 *
 * ABI. Structs begin with their `size`, the caller's sizeof. A library newer than its caller reads
 *   absent fields as zero; an older one refuses a struct only if a field that it does not know is
 *   not zero. So zero-initialise structs, set `size`, then what you need. NYSJIT_ABI_VERSION
 *   changes only when a caller compiled against the old header could no longer run.
 */
#ifndef NYSJIT_H
#define NYSJIT_H

/* DLPack: the host's own where it has one, else the copy that is installed beside this header. */
#ifndef __has_include
#include <dlpack/dlpack.h>
#elif __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#else
#include "nysjit/dlpack.h"
#endif
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define NYSJIT_EXPORT __attribute__((visibility("default")))
#else
#define NYSJIT_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the binary interface below, and the one that the library was built with. */
#define NYSJIT_ABI_VERSION 1
NYSJIT_EXPORT uint32_t nysjit_abi_version(void);

typedef int32_t nysjit_status; /* the numbers never change; later versions may add some */
enum {
  NYSJIT_OK = 0,
  /* The request is wrong; asking again gives the same answer. */
  NYSJIT_INVALID_JSON = 1, /* a spec or config that is not JSON, or not an object */
  /* a key that is unknown, missing, unused by the layout, of a wrong type or out of range */
  NYSJIT_INVALID_KEY = 2,
  /* an argument of the call: NULL, a wrong size, a field that must be NULL */
  NYSJIT_INVALID_ARGUMENT = 3,
  NYSJIT_INVALID_FILE = 4, /* a file that cannot be read as asked (not from this API today) */
  /* a tensor's rank, shape, strides, dtype, device or alignment; n over the program's limit */
  NYSJIT_INVALID_SHAPE = 5,
  NYSJIT_UNKNOWN_DEVICE = 6, /* no such target or device name */
  /* the CPU or GPU lacks what the target needs, there is no driver, or no compiler was found and
   * the cache has no entry */
  NYSJIT_UNAVAILABLE = 7,
  /* the compiler refused, crashed twice, was killed twice or ran out of time */
  NYSJIT_COMPILE_FAILED = 8,
  NYSJIT_CHECK_FAILED = 9, /* not from this API today */
  /* the operating system refused memory, a file or a process, or the CUDA driver a call */
  NYSJIT_IO = 10,
  NYSJIT_INTERNAL = 11, /* a bug in this library; the message says what was caught */
  NYSJIT_CANCELLED = 12 /* nysjit_context_options.progress asked for the end of a compile */
};

/* The message of the calling thread's last failed call, "" if none failed yet; valid until this
 * thread's next failed call. */
NYSJIT_EXPORT const char *nysjit_last_error(void);

/* The same as JSON: {"kind", "where", "expected", "found", "message"}, all strings, "" where the
 * message has none; "{}" if nothing failed yet. Same lifetime. */
NYSJIT_EXPORT const char *nysjit_last_error_json(void);

/* "ok", "invalid_json", ...; "unknown" for a number that is not a status. A static string. */
NYSJIT_EXPORT const char *nysjit_status_name(nysjit_status status);

typedef struct nysjit_context nysjit_context;

/* One share of a parallel run: called once for each index in [0, count), on any threads. */
typedef void (*nysjit_task)(void *task_context, size_t index);

/* The host's own parallel-for. It must call task(task_context, i) for every i in [0, count), at
 * most once each, and return only when all calls have returned. The calls may run one after the
 * other (then the first does all the work). It is called from inside nysjit_run on the calling
 * thread, in that thread's own floating-point environment, possibly from several threads at once.
 */
typedef void (*nysjit_parallel_for)(void *context, nysjit_task task, void *task_context,
                                    size_t count);

/* The host's callbacks, each given the context's callback_context. None may call this library with
 * the same context, and none may leave by longjmp or an exception.
 *
 * log: one line, without a newline, that is no error of the call it comes from: an entry that could
 * not be kept in the cache, a compiler worker that was started again. Valid during the call; from
 * any thread that is inside a function of this library, several at once. */
typedef void (*nysjit_log)(void *callback_context, const char *line);

/* progress: called by nysjit_prepare on its own thread while it waits for a compile, its own or
 * that of another process, at least every 200 ms; never on a hit that needs no wait. `stage` is
 * "compile" or, while another thread or process compiles the same program, "wait"; `elapsed_ms` is
 * the time since the call began. Not 0: the call ends with NYSJIT_CANCELLED, the worker's compile
 * with it; another's goes on. */
typedef int32_t (*nysjit_progress)(void *callback_context, const char *stage, double elapsed_ms);

/* allocate: `bytes` (not 0) at a multiple of `alignment`, 64, or NULL if there are none. release:
 * gives it back, with the same `bytes`. Both are called by nysjit_run on its own thread, several
 * threads at once: one block for each run. */
typedef void *(*nysjit_allocate)(void *callback_context, size_t bytes, size_t alignment);
typedef void (*nysjit_release)(void *callback_context, void *memory, size_t bytes);

typedef struct nysjit_context_options {
  size_t size; /* sizeof(nysjit_context_options) */
  /* Where compiled programs are kept. NULL: $NYSJIT_CACHE_DIR, else $XDG_CACHE_HOME/nysjit, else
   * ~/.cache/nysjit. It is made when first needed. Programs in it are run, so what another user
   * than this one or root could have written is not loaded, and such a folder not written into. A
   * folder that cannot be used is no error: each context then compiles anew. At most 2 GiB and
   * 20000 entries are kept, or $NYSJIT_CACHE_MAX_BYTES and $NYSJIT_CACHE_MAX_ENTRIES (0: no limit).
   * "" keeps nothing on disk. */
  const char *cache_dir;

  /* The compiler worker's executable. NULL: $NYSJIT_COMPILER, else nysjit-compiler beside this
   * library or the running executable, or in ../bin, ../libexec or ../../libexec from there. It is
   * started on the first compile, not before, and ends after $NYSJIT_WORKER_IDLE_MS (60000) without
   * one. It is no child of this process: wait() does not see it, and no SIGCHLD comes. */
  const char *compiler;

  /* The most threads of a run, the calling one included. 0: one for each CPU this process may use,
   * by its affinity and its cgroups' quotas. 1: everything runs on the calling thread. The
   * library's threads start with the first run that needs them, as many as there are CPUs for and
   * as the system grants; where it grants none, the calling thread does everything. */
  uint32_t threads;

  /* 1: what neither bundle nor cache has is not compiled but NYSJIT_UNAVAILABLE, the message naming
   * the nearest there is. 0: as $NYSJIT_SEALED says, 0 or 1. */
  uint32_t sealed;

  /* NULL: the library's own threads. Otherwise `parallel_for` is given parallel_for_context and a
   * count of at most `threads`. */
  nysjit_parallel_for parallel_for;
  void *parallel_for_context;

  /* What programs run on: "cpu" (NULL, too), "cuda" or "ptx-emulator"; another is
   * NYSJIT_UNKNOWN_DEVICE. It says which targets nysjit_prepare takes and which library runs them,
   * opened by the first nysjit_prepare:
   *   "cuda"          libcuda.so.1, or the library $NYSJIT_CUDA_DRIVER names
   *   "ptx-emulator"  libnysjit_ptx_emulator.so beside this library or the running executable or in
   *                   ../lib, ../lib64 or ../lib/x86_64-linux-gnu from there, or
   *                   $NYSJIT_PTX_EMULATOR: the same kernels run on the CPU, checked, and slowly.
   *                   Its device memory is its own (cuMemAlloc), and its tensors are kDLCUDA
   *                   tensors of device 0. */
  const char *device;

  /* The callbacks, described above; all may be NULL. */
  void *callback_context;
  nysjit_log log;           /* NULL: such lines are dropped */
  nysjit_progress progress; /* NULL: a compile ends by itself or at the time limit */
  /* Workspace and scratch on the CPU. Both or neither; NULL: the library's own, kept for each
   * thread between runs. Where allocate gives NULL the run is NYSJIT_IO. */
  nysjit_allocate allocate;
  nysjit_release release;

  /* Bundles (`nysjit bundle`): files of compiled programs, asked in this order before the cache.
   * NULL: those in $NYSJIT_BUNDLES, separated by colons. The first nysjit_prepare reads them whole;
   * one that was changed, or made by another version, is NYSJIT_INVALID_FILE. They must stay as
   * they are while the context lives. */
  const char *const *bundles;
  size_t bundle_count;
  /* One more, asked first: bundle_size bytes, as `nysjit bundle --emit c` writes them. */
  const void *bundle_data;
  size_t bundle_size;
} nysjit_context_options;

/* `options` NULL: all defaults. Starts no thread or process, touches no file. The caller owns
 * *context. */
NYSJIT_EXPORT nysjit_status nysjit_context_create(const nysjit_context_options *options,
                                                  nysjit_context **context);

/* Gives the context up and ends its worker; NULL is fine. No other call with it may be in progress.
 * Programs of it stay valid until released; a host's parallel_for must be callable until then. */
NYSJIT_EXPORT void nysjit_context_destroy(nysjit_context *context);

typedef struct nysjit_program nysjit_program;

/* Finds or makes the program for a spec: in this context's memory, else in a bundle, else on disk,
 * else by compiling it. It blocks until the program can be run. Many threads and processes that ask
 * for one new program at once compile it once.
 *   spec_json    a KernelSpec, e.g. {"layout": "causal", "head_dim": 64, "landmarks": 64}
 *   config_json  a KernelConfig by kernel name, e.g. {"causal_output": {"block_m": 64}}; "{}": the
 *                defaults; a configs.json, docs/configs.md; NULL: what is found on this machine
 *   target       on device "cpu" "cpu:native", "cpu:x86-64-v3" or "cpu:x86-64-v4"; on "cuda" and
 *                "ptx-emulator" "cuda:sm_80", 86, 89, 90, 100 or 120; NULL: "cpu:native", on "cuda"
 *                what suits the current context's device best (the first device's without one), on
 *                "ptx-emulator" "cuda:sm_80". With NULL a bundle's program for another target is
 *                taken where it has none for this one: the newest that the device runs
 * For a GPU, ptxas is used where it is found ($CUDA_HOME, $CUDA_PATH, PATH; pip's nvidia and
 * triton packages), the first that knows the target; without one, and on other GPUs than the
 * target's, the driver compiles the PTX. $NYSJIT_PTXAS names the one to use, or "none"; it is an
 * error (NYSJIT_INVALID_ARGUMENT) where it names no ptxas. The caller owns *program and releases
 * it. Batch, heads, lengths, strides and scale are given at run time and never cause a compile. A
 * compile is stopped after $NYSJIT_COMPILE_TIMEOUT_MS (120000 ms unless set), or when
 * options.progress asks for it. */
NYSJIT_EXPORT nysjit_status nysjit_prepare(nysjit_context *context, const char *spec_json,
                                           const char *config_json, const char *target,
                                           nysjit_program **program);

/* Gives one nysjit_prepare's program up, of which no run is in progress; NULL is fine. */
NYSJIT_EXPORT void nysjit_program_release(nysjit_program *program);

/* What a program is; the strings and the object live as long as it does. */
typedef struct nysjit_program_info {
  size_t size; /* in: sizeof(nysjit_program_info) */
  const char
      *cache;     /* where this nysjit_prepare found it: "memory", "bundle", "disk" or "compiled" */
  double load_ms; /* reading and loading the binary; the whole call on a hit */
  /* from the call to a callable program, the compiler's start included; 0 on a hit */
  double compile_ms;
  const char *key;         /* 32 hex digits: the name of the cache entry */
  const char *target;      /* "cpu:native", ... */
  const char *spec_json;   /* the spec in canonical form: every key the layout uses, keys sorted */
  const char *config_json; /* the block sizes in use, by kernel name */
  /* arguments, buffers, kernels, launches: enough to run the binary by other means */
  const char *plan_json;
  /* [{"name", "object_bytes"}, ...]; for a GPU "registers" and more instead of "object_bytes" */
  const char *kernels_json;
  /* what a run takes for each of its threads, kept between runs; 0 on GPUs */
  size_t scratch_bytes_per_thread;
  /* the shared object that holds the kernels, object_size bytes; for a GPU the cubin, NULL if there
   * was no ptxas */
  const void *object;
  size_t object_size;
  const char *stages_ms_json; /* {"STAGE": ms, ...} of this compile; "{}" on a hit */
  const char *ptx;            /* for a GPU the kernels' PTX; NULL on the CPU */
  const char *config_source;  /* the config's: "given", "default", "bundle PATH", a file's path */
} nysjit_program_info;

/* Fills *info, as far as info->size says. */
NYSJIT_EXPORT nysjit_status nysjit_program_get_info(const nysjit_program *program,
                                                    nysjit_program_info *info);

typedef struct nysjit_launch_timing {
  const char *kernel; /* lives as long as the program */
  int64_t grid;       /* cells run, blocks on a GPU; a launch with nothing to do does not appear */
  double ms;          /* wall time; on a GPU between CUDA events before and after it */
} nysjit_launch_timing;

/* The tensors and numbers of one run.
 *
 * Every tensor: in CPU memory (kDLCPU), on GPUs and the emulator in memory of the CUDA context's
 * device (kDLCUDA, its number as device_id), lanes 1, data + byte_offset aligned to the element.
 * `strides` are in elements; NULL means row-major and compact. The last dimension has stride 1, the
 * others any strides (negative ones, and 0 in inputs, too). data may be NULL only where the tensor
 * has no elements, which is no error; the run then does nothing. An output must not overlap an
 * input or itself. Inputs may overlap. The DLTensor structs are read during the call only.
 *
 * B batch, Hq query heads, Hkv key/value heads (Hkv divides Hq), n positions, d head dimension (as
 * in the spec). */
typedef struct nysjit_run_args {
  size_t size;       /* sizeof(nysjit_run_args) */
  const DLTensor *q; /* [B, Hq, n, d], the spec's dtype */
  const DLTensor *k; /* [B, Hkv, n, d], the spec's dtype */
  const DLTensor *v; /* [B, Hkv, n, d], the spec's dtype */
  /* [B, Hq, n, d], written: float32 or the spec's dtype. All of it is written. */
  const DLTensor *o;

  /* The softmax scale; NULL: 1 / sqrt(d). Finite, at most 2.35e38 in size. Where scale q.k is
   * beyond 2.35e38, outputs are not finite. Read during the call. */
  const float *scale;

  /* Memory between the program's kernels: at least nysjit_workspace_size bytes at a 64-byte
   * boundary that are no tensor's, contents of no matter before and after, for one run at a time.
   * NULL (then workspace_size is 0): the library's own, one for each calling thread, grown when
   * needed and kept until the thread ends; the host's for the run's length, if it gave `allocate`.
   * On GPUs it is device memory at a 256-byte boundary (cuMemAlloc's are), in use until the run has
   * finished on its stream. The library's own is then one for each CUDA context and stream, shared
   * by all programs; runs on one stream from several threads take turns. It grows by cuMemAlloc,
   * never while the stream is being captured (an error: pass a workspace, or run once before), and
   * all of it, outgrown blocks too, is kept until the nysjit context and its programs are gone. A
   * graph captured with it uses it at each launch: launch it on that stream, or give the run a
   * workspace of its own. */
  void *workspace;
  size_t workspace_size; /* bytes */

  /* Room for measurements, or NULL. timing_count gets the number of launches, which may be over the
   * capacity; only the first timing_capacity are written. On GPUs a run that is measured makes
   * events and waits for its last launch: it cannot be captured. */
  nysjit_launch_timing *timings;
  size_t timing_capacity;
  size_t *timing_count;

  /* For layouts that have them; NULL for a program that has no such argument (anything else is an
   * error). */
  const DLTensor *landmark_q; /* [Hq, m, d]; causal: the probes, [Hq, r, d] */
  const DLTensor *landmark_k; /* [Hkv, m, d] */
  const DLTensor *conv;       /* [Hq, c] */
  /* Sequences of their own lengths, in every layout; both NULL: each has all n positions.
   *   cu_seqlens  q, k, v and o are packed, [total, H, d]: sequence b has positions cu_seqlens[b]
   *               to cu_seqlens[b + 1]
   *   seqlens     padded: sequence b has the first seqlens[b] of the n positions, or those from
   *               seq_starts[b] on
   * What lies outside the sequences is not read, and there o is 0. A length may be 0. On the CPU
   * values are checked before anything runs; on GPUs they lie on the device: what exceeds the
   * tensors or max_length is neither read nor computed, and packed rows of o there are not written.
   */
  const DLTensor *cu_seqlens; /* [B + 1], int32, ascending */
  const DLTensor *seqlens;    /* [B], int32 */
  const DLTensor *source_len; /* [B], int32: the source's positions of each sequence (prefix_lm) */
  /* Of a spec with "pass": "backward", which reads q, k, v, o, dout, the gradient of a loss by o,
   * [B, Hq, n, d] of the spec's dtype, and writes the gradients by q, k, v and those below that are
   * not NULL, in the shapes of what they are by: float32 or the spec's dtype. */
  const DLTensor *dout;
  const DLTensor *dq;
  const DLTensor *dk;
  const DLTensor *dv;

  /* No sequence is longer than this, where cu_seqlens or seqlens are given; it sizes grids and
   * workspace. 0: on the CPU what they say, on GPUs n (packed: total). */
  int64_t max_length;
  uint64_t seed; /* kept for later, as the next; must be 0 */
  uint64_t offset;
  const DLTensor *seq_starts; /* [B], int32, with seqlens; NULL: 0 */
  const DLTensor *dlandmark_q;
  const DLTensor *dlandmark_k;
  const DLTensor *dconv;
  /* What a "saving" run of the same spec and tensors writes for backward runs: nysjit_saved_size
   * bytes or more, aligned as a workspace and apart from it and from the tensors. "saving" needs
   * it; a backward run without it (NULL, saved_size 0) computes it again, in its workspace. */
  void *saved;
  size_t saved_size;
} nysjit_run_args;

/* The bytes of workspace a run with these tensors takes; scale, workspace and data pointers are not
 * looked at, but whether `saved` is NULL, and on the CPU those of cu_seqlens, seqlens, seq_starts
 * and source_len that are not NULL. */
NYSJIT_EXPORT nysjit_status nysjit_workspace_size(const nysjit_program *program,
                                                  const nysjit_run_args *args, size_t *bytes);

/* The same of `saved`, equal for "saving" and "backward" programs of a spec; 0 for "forward". */
NYSJIT_EXPORT nysjit_status nysjit_saved_size(const nysjit_program *program,
                                              const nysjit_run_args *args, size_t *bytes);

/* Runs the program. On the CPU it returns when all is written, and `stream` is NULL. On GPUs it
 * enqueues the launches on `stream`, a CUstream of the current context (NULL: the legacy default
 * stream); after a first run of that size on that stream it neither allocates nor synchronises, so
 * it may be captured into a graph. Everything is checked before anything is launched: after an
 * error nothing is written, except that NYSJIT_IO may come in the middle when no thread of a host's
 * parallel_for has memory, or when the CUDA driver refuses a launch after others. On the CPU a run
 * like one before it on that thread, of sizes no larger, neither allocates (but by the host's
 * `allocate`) nor makes a system call but futex. Results are the same for any number of threads. */
NYSJIT_EXPORT nysjit_status nysjit_run(const nysjit_program *program, const nysjit_run_args *args,
                                       void *stream);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* NYSJIT_H */

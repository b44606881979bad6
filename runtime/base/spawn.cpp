// clone as posix_spawn does it: the new process shares this one's memory, on a stack of its own,
// and the caller sleeps until it has become the program (CLONE_VFORK). For a program that is to be
// nobody's child there is a process in between, which ends at once: its own end is announced by no
// signal, and only a wait for such clones sees it. It shares the table of open files, so that the
// pidfd arrives here.
//
// What runs in the new processes uses system calls alone.
#include "runtime/base/spawn.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__clang__)
#define NYSJIT_PLAIN __attribute__((disable_sanitizer_instrumentation))
#else
#define NYSJIT_PLAIN __attribute__((no_sanitize("address", "thread", "undefined")))
#endif

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NYSJIT_THREAD_SANITIZED
#include <dlfcn.h>
#endif
#endif

extern char **environ;

namespace nysjit {

namespace {

constexpr size_t stackBytes = 64 << 10;
constexpr size_t signalSetBytes = 8; // the system's, not the C library's

using Clone = int (*)(int (*)(void *), void *, int, void *, ...);

/// ThreadSanitizer's clone keeps account of threads, which the new processes are not.
Clone systemClone() {
#ifdef NYSJIT_THREAD_SANITIZED
  return reinterpret_cast<Clone>(dlsym(RTLD_NEXT, "clone"));
#else
  return &::clone;
#endif
}

struct Spawn {
  Clone clone;
  const ProgramToStart *program;
  Started *started;
  char *stacks; // two
  int failure = 0;
};

/// As the system takes it; all zero: the default.
struct SystemAction {
  void *handler;
  unsigned long flags;
  void *restorer;
  unsigned long mask;
};

NYSJIT_PLAIN void closeFrom(unsigned first) {
  if (syscall(SYS_close_range, first, ~0U, 0) == 0)
    return;
  rlimit limit = {};
  syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
  for (unsigned file = first; file < limit.rlim_cur && file < 65536; ++file)
    syscall(SYS_close, file);
}

/// In the new process: becomes the program.
NYSJIT_PLAIN int becomeProgram(void *given) {
  Spawn &spawn = *static_cast<Spawn *>(given);
  const ProgramToStart &program = *spawn.program;
  const SystemAction byDefault = {};
  for (int number = 1; number <= 64; ++number)
    syscall(SYS_rt_sigaction, number, &byDefault, nullptr, signalSetBytes);
  if (program.isChild) {
    syscall(SYS_setpgid, 0, 0);
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  } else {
    syscall(SYS_setsid);
  }
  long done = 0;
  unsigned count = 0;
  for (; count < 4 && program.files[count] >= 0 && done >= 0; ++count)
    done = syscall(SYS_dup3, program.files[count], count, 0);
  closeFrom(count);
  if (program.folder && done >= 0)
    done = syscall(SYS_chdir, program.folder);
  syscall(SYS_umask, 077);
  const unsigned long none = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, signalSetBytes);
  if (done >= 0)
    syscall(SYS_execve, program.path, program.arguments, environ);
  spawn.failure = errno;
  syscall(SYS_exit_group, 127);
  return 127;
}

NYSJIT_PLAIN int cloneProgram(void *given) {
  Spawn &spawn = *static_cast<Spawn *>(given);
  char *const stack = spawn.stacks + stackBytes;
  int file = -1;
  pid_t process = spawn.clone(&becomeProgram, stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                              &spawn, &file);
  if (process < 0 && errno == EINVAL) // before Linux 5.2
    process = spawn.clone(&becomeProgram, stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &spawn);
  if (process < 0)
    spawn.failure = errno;
  else if (spawn.failure != 0) // nobody else's to reap
    syscall(SYS_wait4, process, nullptr, 0, nullptr);
  *spawn.started = {process, file};
  return 0;
}

} // namespace

int startProgram(const ProgramToStart &program, Started &started) noexcept {
  void *stacks = mmap(nullptr, 2 * stackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stacks == MAP_FAILED)
    return errno;
  Spawn spawn = {systemClone(), &program, &started, static_cast<char *>(stacks)};
  // No handler of the host's may run in a process that shares its memory.
  const unsigned long all = ~0UL;
  unsigned long before = 0;
  int cancel = 0;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, signalSetBytes);
  if (program.isChild) {
    cloneProgram(&spawn);
  } else {
    const pid_t between = spawn.clone(&cloneProgram, spawn.stacks + 2 * stackBytes,
                                      CLONE_VM | CLONE_VFORK | CLONE_FILES, &spawn);
    if (between < 0)
      spawn.failure = errno;
    else
      while (waitpid(between, nullptr, __WCLONE) < 0 && errno == EINTR) {
      }
  }
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, signalSetBytes);
  pthread_setcancelstate(cancel, nullptr);
  munmap(stacks, 2 * stackBytes);
  if (spawn.failure != 0 && started.processFile >= 0)
    close(started.processFile);
  if (spawn.failure != 0)
    started = {};
  return spawn.failure;
}

} // namespace nysjit

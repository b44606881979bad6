// Starting another program from a process that is not ours.
#pragma once
#include "runtime/base/descriptor.h"

#include <sys/types.h>

namespace nysjit {

struct ProgramToStart {
  const char *path;
  const char *const *arguments; // of main, a null last
  const char *folder = nullptr; // to work in; null: the starter's
  // Files 0 to 3 of the program, numbers of at least 10; -1: none. It has no others.
  int files[4] = {-1, -1, -1, -1};
  // A child that wait() sees, in a group of its own, killed when the starting thread ends; or
  // nobody's child, in a session of its own: the starter's wait() does not see it and no SIGCHLD
  // comes (a starter that is the init process, or a PR_SET_CHILD_SUBREAPER, adopts it as it adopts
  // every orphan).
  bool isChild = false;
};

struct Started {
  pid_t process = 0;
  int processFile = -1; // a pidfd, closed on exec; -1 where the system has none
};

/// Starts the program with no signal blocked or ignored and umask 077. 0, or the number of what
/// went wrong (execve's errors included). Takes no memory of the heap, copies none of the
/// process's, and no other thread is stopped.
int startProgram(const ProgramToStart &program, Started &started) noexcept;

} // namespace nysjit

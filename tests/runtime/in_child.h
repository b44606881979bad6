// Runs a part of a test in a forked child, where it may change limits, hang or die.
#pragma once
#include <csignal>
#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

namespace nysjit {

/// body() in a child that is killed after a minute; its value as the child's exit status, 128 + the
/// signal if one killed it.
template <typename Body> int inChildStatus(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(60);
    _exit(body());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child)
    return -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// The same for a body that says whether all is well: 0 if it is.
template <typename Body> int inChild(Body body) {
  return inChildStatus([&] { return body() ? 0 : 1; });
}

} // namespace nysjit

// A process of a test's own, for what would change the test's process for good: limits, signals,
// system calls that are refused, another root of the file system.
#pragma once
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <initializer_list>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nysjit {

/// What a process of its own had to say, "" for nothing: then all was well. Killed by a signal, or
/// after a minute, it says that.
inline std::string inProcess(const std::function<std::string()> &body) {
  int ends[2];
  if (pipe(ends) != 0)
    return std::string("no pipe: ") + std::strerror(errno);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 200); // out of the way of what the body closes
    close(ends[0]);
    close(ends[1]);
    alarm(60);
    const std::string said = body();
    (void)!write(200, said.data(), said.size());
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char bytes[4096];
  for (ssize_t got; (got = read(ends[0], bytes, sizeof bytes)) > 0;)
    text.append(bytes, static_cast<size_t>(got));
  close(ends[0]);
  int status = 0;
  if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
    text += " killed by signal " + std::to_string(WTERMSIG(status));
  return text;
}

/// From now on these system calls of this process fail with `failure`. False: no seccomp here.
inline bool refuse(std::initializer_list<int> calls, int failure) {
  sock_filter filter[32] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offsetof(seccomp_data, nr)))};
  unsigned short count = 1;
  for (const int call : calls) {
    filter[count++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1);
    filter[count++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(failure));
  }
  filter[count++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog program = {count, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

} // namespace nysjit

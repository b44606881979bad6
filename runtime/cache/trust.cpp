// Owner and mode, from the status of a file that is open.
#include "runtime/cache/trust.h"

#include <unistd.h>

namespace nysjit {

std::string whyNotTrusted(const struct stat &status, uid_t self) {
  if (status.st_uid != self && status.st_uid != 0)
    return "owned by user " + std::to_string(status.st_uid);
  // An access list's writers show as the group's bit.
  if (status.st_mode & S_IWOTH)
    return "writable by everyone";
  if (status.st_mode & S_IWGRP)
    return "writable by its group";
  return "";
}

std::string whyNotTrusted(const struct stat &status) { return whyNotTrusted(status, geteuid()); }

} // namespace nysjit

// An abstract Unix socket: its name belongs to whoever bound it first, and goes with the process.
// Who connects to it learns the process that listens.
#include "runtime/tune/machine_lock.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace nysjit::tune {

Result<MachineLock> MachineLock::take(const std::string &name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // The first byte is 0: the name is no path.
  const std::string whole = "nysjit-tune-" + name;
  const size_t length = std::min(whole.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path + 1, whole.data(), length);
  const auto size = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + length);
  const auto *generic = reinterpret_cast<const sockaddr *>(&address);

  Descriptor own(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (own.isOpen() && bind(own.get(), generic, size) == 0 && listen(own.get(), 1) == 0)
    return MachineLock(std::move(own));
  if (errno != EADDRINUSE)
    return Error::plain(ErrorKind::Io, "tune",
                        std::string("tune: no lock for this machine: ") + std::strerror(errno));
  std::string who = "another process";
  const Descriptor asking(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ucred holder = {};
  socklen_t holderSize = sizeof holder;
  if (asking.isOpen() && connect(asking.get(), generic, size) == 0 &&
      getsockopt(asking.get(), SOL_SOCKET, SO_PEERCRED, &holder, &holderSize) == 0)
    who = "process " + std::to_string(holder.pid);
  return Error::mismatch(ErrorKind::Unavailable, "tune", "no other tune on this machine", who);
}

} // namespace nysjit::tune

// The worker's own side of its life: a small process beside it says how it ended, and ends it and
// all that it started when the host is gone or asks for it. The host cannot: the worker is not its
// child.
#pragma once

namespace nysjit {

/// To be called first in a worker's main, with one thread. Forks, and returns in the process that
/// is to serve. Its parent writes "worker: was killed by signal 6 (Aborted)" to standard error if
/// that fails, kills it when the socket's other end is gone, kills whatever it leaves behind and
/// removes its ScratchFolders.
/// SIGPIPE and SIGXFSZ are ignored afterwards.
void superviseWorker(int socket);

/// Waits for a request, at most $NYSJIT_WORKER_IDLE_MS (60000), for the first one longer. False:
/// none came, or the host is gone.
bool awaitRequest(int socket, bool isFirst);

/// What superviseWorker's line begins with.
inline constexpr const char *workerEndMark = "worker: ";

} // namespace nysjit

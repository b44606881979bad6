// The wire between runtime and compiler worker: framed messages over a stream socket.
//
// Frame: 8 bytes "nysjit01", u32 length of the JSON, u32 number of blobs, u64 length of each blob,
// JSON, blobs; all little endian. More than 16 blobs, or lengths over 1 GiB in all, are refused.
//
// Requests, to the worker, and its replies:
//   {"request":"hello"}
//     {"status":"ok","llvm":"22.1.8"}
//   {"request":"compile","spec":{..},"config":{..},"target":"cpu:native"}
//       optional: "emit":STAGE; "from":STAGE with blob 0 the stage's text or bytes;
//       for a cuda target "assembler": paths of ptxas, one a line, to be tried in order; absent:
//       there is none, or none is to be used; "assembler_limit_ms", how long they may take of the
//       compile; "assembler_variable", the variable that named it, if one did
//     {"status":"ok","stages_ms":{..},"kernels":[{"name","object_bytes"}],"config":{..}} and blobs
//       optional: "note", a line on what failed and was not needed; "is_note_lasting": another
//       compile would say it too
//       with emit  0 the stage's text or bytes
//       for CPUs   0 the plan's JSON text, 1 the shared object
//       for cuda   0 the plan's JSON text, 1 the cubin, empty without an assembler, 2 the PTX
//   any failure
//     {"status":"error","error":{"kind","where","expected","found","message"}}
// The worker serves requests until end of file, one at a time.
#pragma once
#include "runtime/base/json.h"
#include "runtime/base/progress.h"
#include "runtime/base/result.h"

#include <string>
#include <vector>

namespace nysjit {

struct Message {
  Json header;
  std::vector<std::string> blobs;
};

/// Sends one frame; handles short writes and EINTR; never raises SIGPIPE. `timeoutMs` < 0 waits for
/// ever; past it, an error.
Status sendMessage(int socket, const Message &message, int timeoutMs = -1);
/// Receives one frame. `timeoutMs` < 0 waits for ever; past it, or at end of file, an error; so is
/// what `progress`, asked as "compile" while there is nothing to read, wants the end for.
Result<Message> receiveMessage(int socket, int timeoutMs, const Progress *progress = nullptr);
/// Was the error of receiveMessage the peer's orderly end, before the first byte of a frame?
bool isEndOfStream(const Error &error);

/// The contract's error object, both ways.
Json errorToJson(const Error &error);
Error errorFromJson(const Json &json);

} // namespace nysjit

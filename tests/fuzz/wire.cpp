// A stream of bytes between runtime and worker, read as frames; each frame then as the worker reads
// a request and as the client reads an answer.
#include "runtime/worker/wire.h"
#include "runtime/plan/plan.h"
#include "runtime/spec/spec.h"
#include "runtime/spec/stage.h"
#include "tests/fuzz/property.h"

#include <sys/socket.h>
#include <unistd.h>

using namespace nysjit;
using namespace nysjit::fuzz;

namespace {

using Json = decltype(Message::header);

/// Two ends of a stream.
class Stream {
public:
  Stream() { require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "there is a socket pair"); }
  ~Stream() {
    close(ends[0]);
    close(ends[1]);
  }
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  int ends[2] = {};
};

void readRequest(const Json &header) {
  const auto member = [&](const char *key) { return header.contains(key) ? header[key] : Json(); };
  if (auto spec = parseKernelSpec(member("spec")); !spec)
    requireNamed(spec.error());
  if (auto config = parseKernelConfig(member("config")); !config)
    requireNamed(config.error());
  if (const Json name = member("target"); name.is_string())
    if (auto target = parseTarget(name.get<std::string>()); !target)
      requireNamed(target.error());
  if (const Json name = member("emit"); name.is_string())
    (void)stageFromName(name.get<std::string>());
}

void readAnswer(const Message &message) {
  const Json &header = message.header;
  const Error told = errorFromJson(header.contains("error") ? header["error"] : Json());
  require(!told.message.empty(), "an error that was sent has a message");
  for (const std::string &blob : message.blobs)
    if (Result<Plan> plan = planFromJson(blob); !plan)
      requireNamed(plan.error());
}

/// Sent again it is received the same. What a socket holds without a reader is no more than this.
void sendAgain(const Message &message) {
  size_t size = message.header.dump().size();
  for (const std::string &blob : message.blobs)
    size += blob.size();
  if (size > 1 << 15)
    return;
  Stream stream;
  require(sendMessage(stream.ends[0], message).ok(), "a message that was received can be sent");
  Result<Message> again = receiveMessage(stream.ends[1], 0);
  require(again.ok(), "and received");
  require(again->header == message.header && again->blobs == message.blobs, "as it was");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Stream stream;
  if (send(stream.ends[0], bytes, count, MSG_DONTWAIT) != ssize_t(count))
    return 0; // longer than a socket holds
  shutdown(stream.ends[0], SHUT_WR);
  while (true) {
    Result<Message> message = receiveMessage(stream.ends[1], 1000);
    if (!message) {
      requireNamed(message.error());
      return 0;
    }
    readRequest(message->header);
    readAnswer(*message);
    sendAgain(*message);
  }
}

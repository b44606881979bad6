// Frames over a stream socket. The peer is not trusted: lengths are checked before use and memory
// grows only with the bytes that arrive, so a lying length costs nothing.
#include "runtime/worker/wire.h"
#include "runtime/spec/json_text.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>

namespace nysjit {

using Clock = std::chrono::steady_clock;

namespace {

constexpr char magic[] = "nysjit01";
constexpr size_t magicSize = 8;
constexpr uint32_t maxBlobs = 16;
constexpr uint64_t maxBytes = uint64_t(1) << 30;
constexpr const char *where = "compiler worker";
constexpr const char *endOfStream = "end of stream";

Error wireError(std::string expected, std::string found) {
  return Error::mismatch(ErrorKind::Io, where, std::move(expected), std::move(found));
}
Error systemError(const char *expected, int number) {
  return wireError(expected, std::strerror(number));
}

template <typename T> void appendNumber(std::string &out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i)
    out += char(uint8_t(value >> (8 * i)));
}
template <typename T> T readNumber(const char *bytes) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i)
    value |= T(uint8_t(bytes[i])) << (8 * i);
  return value;
}

/// How long a message may take, and who is told of it.
struct Limit {
  std::optional<Clock::time_point> deadline; // none: for ever
  const Progress *progress = nullptr;
  Limit(int timeoutMs, const Progress *told)
      : progress(told && told->isWatched() ? told : nullptr) {
    if (timeoutMs >= 0)
      deadline = Clock::now() + std::chrono::milliseconds(timeoutMs);
  }
};

/// Waits until the socket can do what `events` asks, as long as the limit allows.
Status await(int socket, short events, const Limit &limit) {
  while (true) {
    int timeout = -1;
    if (limit.deadline) {
      auto left =
          std::chrono::ceil<std::chrono::milliseconds>(*limit.deadline - Clock::now()).count();
      timeout = int(std::clamp<int64_t>(left, 0, INT32_MAX));
    }
    const bool isStep = limit.progress && (timeout < 0 || timeout > Progress::stepMs);
    pollfd entry{socket, events, 0};
    int ready = poll(&entry, 1, isStep ? Progress::stepMs : timeout);
    if (ready > 0)
      return {};
    if (ready == 0 && isStep) {
      NYSJIT_RETURN_IF_ERROR(limit.progress->go("compile"));
      continue;
    }
    if (ready == 0)
      return wireError("a message in time", "none before the time limit");
    if (errno != EINTR)
      return systemError("a socket that can be waited for", errno);
  }
}

Status sendBytes(int socket, const std::string &bytes, const Limit &limit) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t sent =
        send(socket, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
      done += size_t(sent);
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
      NYSJIT_RETURN_IF_ERROR(await(socket, POLLOUT, limit));
    else if (errno != EINTR)
      return systemError("a peer that takes the message", errno);
  }
  return {};
}

class Receiver {
public:
  Receiver(int socket, Limit limit) : socket(socket), limit(limit) {}

  Result<std::string> read(uint64_t size) {
    constexpr uint64_t step = 1 << 18;
    std::string bytes;
    while (bytes.size() < size) {
      NYSJIT_RETURN_IF_ERROR(await(socket, POLLIN, limit));
      size_t done = bytes.size();
      bytes.resize(done + std::min(step, size - done));
      ssize_t got = recv(socket, bytes.data() + done, bytes.size() - done, MSG_DONTWAIT);
      int failure = errno;
      bytes.resize(done + size_t(std::max<ssize_t>(got, 0)));
      total += uint64_t(std::max<ssize_t>(got, 0));
      if (got == 0)
        return wireError("a message",
                         total == 0 ? endOfStream : "the end of the stream inside one");
      if (got < 0 && failure != EINTR && failure != EAGAIN && failure != EWOULDBLOCK)
        return systemError("a message", failure);
    }
    return bytes;
  }

private:
  int socket;
  Limit limit;
  uint64_t total = 0;
};

} // namespace

Status sendMessage(int socket, const Message &message, int timeoutMs) {
  const Limit limit(timeoutMs, nullptr);
  std::string text = message.header.dump();
  uint64_t size = text.size();
  for (const std::string &blob : message.blobs)
    size += blob.size();
  if (message.blobs.size() > maxBlobs || size > maxBytes)
    return wireError("a message of at most 16 blobs and 1 GiB",
                     std::to_string(message.blobs.size()) + " blobs, " + std::to_string(size) +
                         " bytes");
  std::string head(magic, magicSize);
  appendNumber(head, uint32_t(text.size()));
  appendNumber(head, uint32_t(message.blobs.size()));
  for (const std::string &blob : message.blobs)
    appendNumber(head, uint64_t(blob.size()));
  NYSJIT_RETURN_IF_ERROR(sendBytes(socket, head + text, limit));
  for (const std::string &blob : message.blobs)
    NYSJIT_RETURN_IF_ERROR(sendBytes(socket, blob, limit));
  return {};
}

Result<Message> receiveMessage(int socket, int timeoutMs, const Progress *progress) {
  Receiver receiver(socket, Limit(timeoutMs, progress));
  Result<std::string> head = receiver.read(magicSize + 8);
  if (!head)
    return head.takeError();
  if (head->compare(0, magicSize, magic) != 0)
    return wireError("a frame that starts with nysjit01",
                     "\"" + describeName(head->substr(0, magicSize)) + "\"");
  uint64_t textSize = readNumber<uint32_t>(head->data() + magicSize);
  uint32_t blobCount = readNumber<uint32_t>(head->data() + magicSize + 4);
  if (blobCount > maxBlobs)
    return wireError("at most 16 blobs", std::to_string(blobCount));

  // All lengths are known and bounded before the first of them is believed.
  Result<std::string> lengths = receiver.read(8 * uint64_t(blobCount));
  if (!lengths)
    return lengths.takeError();
  std::vector<uint64_t> sizes;
  uint64_t total = textSize;
  for (uint32_t i = 0; i < blobCount; ++i) {
    sizes.push_back(readNumber<uint64_t>(lengths->data() + 8 * i));
    total = sizes.back() > maxBytes ? maxBytes + 1 : total + sizes.back();
    if (total > maxBytes)
      break;
  }
  if (total > maxBytes)
    return wireError("lengths of at most 1 GiB in all", "more");

  Result<std::string> text = receiver.read(textSize);
  if (!text)
    return text.takeError();
  Result<Json> header = parseJsonObject(*text);
  if (!header)
    return wireError("a frame with a JSON object", header.error().message);
  Message message{std::move(*header), {}};
  for (uint64_t size : sizes) {
    Result<std::string> blob = receiver.read(size);
    if (!blob)
      return blob.takeError();
    message.blobs.push_back(std::move(*blob));
  }
  return message;
}

bool isEndOfStream(const Error &error) {
  return error.kind == ErrorKind::Io && error.found == endOfStream;
}

Json errorToJson(const Error &error) {
  return {{"kind", kindName(error.kind)},
          {"where", error.where},
          {"expected", error.expected},
          {"found", error.found},
          {"message", error.message}};
}

Error errorFromJson(const Json &value) {
  auto text = [&value](const char *key) -> std::string {
    const Json *entry = value.find(key);
    return entry && entry->is_string() ? entry->text() : "";
  };
  Error error{kindFromName(text("kind")).value_or(ErrorKind::CompileFailed), text("where"),
              text("expected"), text("found"), text("message")};
  if (error.message.empty())
    error.message = "the compiler worker failed and did not say why";
  return error;
}

} // namespace nysjit

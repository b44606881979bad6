// Frames over a socket pair: what is sent arrives, and a damaged or silent peer is an error.
#include "runtime/worker/wire.h"
#include "tests/spec/own_json.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace nysjit;

namespace {

class Wire : public testing::Test {
protected:
  void SetUp() override { ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }
  void TearDown() override {
    close(ends[0]);
    closePeer();
  }
  void closePeer() {
    if (ends[1] >= 0)
      close(ends[1]);
    ends[1] = -1;
  }
  void sendRaw(const std::string &bytes) {
    ASSERT_EQ(write(ends[1], bytes.data(), bytes.size()), ssize_t(bytes.size()));
  }
  Error failure(int timeoutMs = -1) {
    Result<Message> message = receiveMessage(ends[0], timeoutMs);
    EXPECT_FALSE(message.ok());
    return message.ok() ? Error{} : message.error();
  }
  int ends[2] = {-1, -1};
};

std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i)
    text += char(uint8_t(value >> (8 * i)));
  return text;
}

std::string frameHead(uint64_t textSize, uint64_t blobs) {
  return "nysjit01" + number(textSize, 4) + number(blobs, 4);
}

TEST_F(Wire, TheFrameIsTheDocumentedOne) {
  sendRaw(frameHead(7, 1) + number(3, 8) + "{\"a\":1}" + "xyz");
  Result<Message> message = receiveMessage(ends[0], -1);
  ASSERT_TRUE(message.ok()) << message.error().message;
  EXPECT_EQ(message->header["a"], 1);
  EXPECT_EQ(message->blobs, std::vector<std::string>{"xyz"});
}

TEST_F(Wire, BigBlobsArriveWhole) {
  Message sent{{{"request", "compile"}}, {std::string(5 << 20, '\0'), "", std::string(1000, 'b')}};
  for (size_t i = 0; i < sent.blobs[0].size(); ++i)
    sent.blobs[0][i] = char(i * 31 >> 3);
  std::thread sender([&] { EXPECT_TRUE(sendMessage(ends[1], sent).ok()); });
  Result<Message> received = receiveMessage(ends[0], 60000);
  sender.join();
  ASSERT_TRUE(received.ok()) << received.error().message;
  EXPECT_EQ(received->header, sent.header);
  EXPECT_TRUE(received->blobs == sent.blobs);
}

TEST_F(Wire, MessagesFollowEachOtherThenTheStreamEnds) {
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(sendMessage(ends[1], {{{"i", i}}, {"blob"}}).ok());
  closePeer();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(receiveMessage(ends[0], -1)->header["i"], i);
  EXPECT_TRUE(isEndOfStream(failure()));
}

TEST_F(Wire, ATruncatedFrameIsAnErrorButNoOrderlyEnd) {
  std::string frame = frameHead(7, 1) + number(3, 8) + "{\"a\":1}" + "xyz";
  for (size_t size = 1; size < frame.size(); ++size) {
    sendRaw(frame.substr(0, size));
    closePeer();
    EXPECT_FALSE(isEndOfStream(failure())) << size;
    close(ends[0]);
    SetUp();
  }
}

TEST_F(Wire, LyingLengthsAreRefusedBeforeAnythingIsRead) {
  for (const std::string &head : {frameHead(0xffffffff, 0), frameHead(2, 0xffffffff),
                                  frameHead(2, 1) + number(uint64_t(1) << 40, 8),
                                  frameHead(2, 2) + number(~uint64_t(0), 8) + number(2, 8)}) {
    sendRaw(head);
    EXPECT_EQ(failure(10000).kind, ErrorKind::Io);
    TearDown();
    SetUp();
  }
}

TEST_F(Wire, APromisedGigabyteThatNeverComesEndsAtTheTimeLimit) {
  sendRaw(frameHead(uint64_t(1) << 30, 0) + "{");
  EXPECT_NE(failure(50).message.find("time limit"), std::string::npos);
}

TEST_F(Wire, ASilentPeerEndsAtTheTimeLimit) {
  EXPECT_NE(failure(20).message.find("time limit"), std::string::npos);
  EXPECT_FALSE(isEndOfStream(failure(0)));
}

TEST_F(Wire, AForeignFrameIsNamed) {
  sendRaw("HTTP/1.1 200 OK\r\n");
  EXPECT_EQ(failure().expected, "a frame that starts with nysjit01");
}

TEST_F(Wire, AHeaderThatIsNoObjectIsAnError) {
  for (const char *text : {"[1]", "{\"a\"", "nul"}) {
    sendRaw(frameHead(strlen(text), 0) + text);
    EXPECT_EQ(failure().expected, "a frame with a JSON object") << text;
  }
}

TEST_F(Wire, SendingToAClosedPeerIsAnErrorNotASignal) {
  closePeer();
  Status sent = sendMessage(ends[0], {{{"request", "hello"}}, {}});
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().kind, ErrorKind::Io);
}

TEST_F(Wire, InvalidUtf8InAHeaderDoesNotThrow) {
  ASSERT_TRUE(sendMessage(ends[1], {{{"text", "\xff"}}, {}}).ok());
  EXPECT_EQ(receiveMessage(ends[0], -1)->header["text"], "\xef\xbf\xbd");
}

TEST(WireError, GoesBothWays) {
  Error error = Error::mismatch(ErrorKind::InvalidShape, "--q", "rank 4", "rank 3");
  Error back = errorFromJson(errorToJson(error));
  EXPECT_EQ(back.kind, error.kind);
  EXPECT_EQ(back.where, error.where);
  EXPECT_EQ(back.expected, error.expected);
  EXPECT_EQ(back.found, error.found);
  EXPECT_EQ(back.message, error.message);
}

TEST(WireError, ForeignJsonIsStillAnError) {
  for (const char *text :
       {"null", "{}", "[]", R"({"kind":7,"message":[]})", R"({"kind":"nonsense"})"}) {
    Error error = errorFromJson(ownJson(nlohmann::json::parse(text)));
    EXPECT_EQ(error.kind, ErrorKind::CompileFailed);
    EXPECT_FALSE(error.message.empty());
  }
}

} // namespace

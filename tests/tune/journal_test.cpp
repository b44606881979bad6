// The journal: what is cut off, what is an error, who holds it.
#include "runtime/tune/journal.h"
#include "runtime/tune/machine_lock.h"
#include "tests/runtime/in_child.h"
#include "tests/runtime/temporary_folder.h"

#include <gtest/gtest.h>

#include <sys/resource.h>

using namespace nysjit;
using namespace nysjit::tune;

namespace {

Json session(int pid = 4711) {
  return {{"kind", "session"}, {"session", "2026-11-28T13:40:08Z"}, {"pid", pid}};
}
Json group(int number, int of) {
  return {{"kind", "group"}, {"group", "g" + std::to_string(number)}, {"of", of}};
}

std::string linesOf(const Journal &journal) {
  std::string text;
  for (const Json &line : journal.lines())
    text += line.dump() + "\n";
  return text;
}

TEST(Journal, WhatIsAppendedIsThereAgain) {
  TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  {
    Result<std::unique_ptr<Journal>> journal = Journal::open(path, JournalStart::New);
    ASSERT_TRUE(journal.ok()) << journal.error().message;
    ASSERT_TRUE((*journal)->append({session()}).ok());
    ASSERT_TRUE((*journal)->append({group(1, 2), group(2, 2)}, true).ok());
  }
  Result<std::unique_ptr<Journal>> again = Journal::open(path, JournalStart::Resume);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(linesOf(**again),
            session().dump() + "\n" + group(1, 2).dump() + "\n" + group(2, 2).dump() + "\n");
}

TEST(Journal, TheLineThatWasBeingWrittenIsCutOff) {
  TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  const std::string whole = session().dump() + "\n";
  for (const char *torn : {"{", "{\"kind\":\"group\"}", "\xff"}) {
    writeAll(path, whole + torn);
    Result<std::unique_ptr<Journal>> journal = Journal::open(path, JournalStart::Resume);
    ASSERT_TRUE(journal.ok()) << journal.error().message;
    EXPECT_EQ(linesOf(**journal), whole);
    EXPECT_EQ(readAll(path), whole);
  }
}

TEST(Journal, AFileThatIsNoneIsLeftAsItIs) {
  TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  for (const std::string text : {"{\"of\": 1}", "my notes", "one line\nand half a"}) {
    for (const JournalStart start : {JournalStart::New, JournalStart::Resume}) {
      writeAll(path, text);
      const Result<std::unique_ptr<Journal>> journal = Journal::open(path, start);
      ASSERT_FALSE(journal.ok()) << text;
      EXPECT_NE(journal.error().message.find("a session in line 1"), std::string::npos);
      EXPECT_EQ(readAll(path), text);
    }
  }
  for (const std::string torn : {"", "{", "{\"abo", "{\"about\":{\"cpu\""}) {
    writeAll(path, torn);
    EXPECT_TRUE(Journal::open(path, JournalStart::Resume).ok()) << torn;
    EXPECT_EQ(readAll(path), "");
  }
}

TEST(Journal, RoundsAndPartsOfGroupsAreLeftOut) {
  TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  const std::string round = R"({"kind":"round","round":1})";
  writeAll(path, session().dump() + "\n" + round + "\n" + group(1, 2).dump() + "\n" +
                     session().dump() + "\n" + group(1, 1).dump() + "\n" + group(1, 3).dump() +
                     "\n" + group(2, 3).dump() + "\n");
  Result<std::unique_ptr<Journal>> journal = Journal::open(path, JournalStart::Resume);
  ASSERT_TRUE(journal.ok()) << journal.error().message;
  EXPECT_EQ(linesOf(**journal),
            session().dump() + "\n" + session().dump() + "\n" + group(1, 1).dump() + "\n");
}

TEST(Journal, ADamagedLineIsNamedByItsNumber) {
  TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  for (const char *damaged : {"{\"kind\":", "[]", "{}", "", "nonsense"}) {
    writeAll(path, session().dump() + "\n" + damaged + "\n" + group(1, 1).dump() + "\n");
    Result<std::unique_ptr<Journal>> journal = Journal::open(path, JournalStart::Resume);
    ASSERT_FALSE(journal.ok()) << damaged;
    EXPECT_EQ(journal.error().kind, ErrorKind::Unavailable);
    EXPECT_NE(journal.error().message.find("line 2"), std::string::npos);
    EXPECT_NE(journal.error().message.find("--restart"), std::string::npos);
    EXPECT_TRUE(Journal::open(path, JournalStart::Restart).ok());
    EXPECT_EQ(readAll(path), "");
  }
  writeAll(path, group(1, 1).dump() + "\n");
  EXPECT_FALSE(Journal::open(path, JournalStart::Resume).ok()); // does not begin with a session
}

TEST(Journal, AnUnfinishedOneIsNotBegunAnewByItself) {
  TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  const std::string unfinished = session().dump() + "\n" + group(1, 1).dump() + "\n";
  writeAll(path, unfinished);
  Result<std::unique_ptr<Journal>> journal = Journal::open(path, JournalStart::New);
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.error().kind, ErrorKind::Unavailable);
  EXPECT_NE(journal.error().message.find("--resume"), std::string::npos);
  EXPECT_NE(journal.error().message.find("2026-11-28T13:40:08Z"), std::string::npos);
  EXPECT_EQ(readAll(path), unfinished);
  // Nothing is lost with one that has no measurements.
  writeAll(path, session().dump() + "\n" + R"({"kind":"candidate"})" + "\n");
  journal = Journal::open(path, JournalStart::New);
  ASSERT_TRUE(journal.ok()) << journal.error().message;
  EXPECT_TRUE((*journal)->lines().empty());
  EXPECT_EQ(readAll(path), "");
  journal->reset();
  writeAll(path, unfinished + "{\"kind\":\"end\"}\n");
  journal = Journal::open(path, JournalStart::New);
  ASSERT_TRUE(journal.ok()) << journal.error().message;
  EXPECT_TRUE((*journal)->lines().empty());
}

TEST(Journal, ASecondProcessLearnsWhoHasIt) {
  TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  Result<std::unique_ptr<Journal>> journal = Journal::open(path, JournalStart::New);
  ASSERT_TRUE(journal.ok());
  ASSERT_TRUE((*journal)->append({session(getpid()), group(1, 1)}).ok());
  const std::string expected =
      "process " + std::to_string(getpid()) + " since 2026-11-28T13:40:08Z";
  EXPECT_EQ(inChild([&] {
              for (const JournalStart start :
                   {JournalStart::New, JournalStart::Resume, JournalStart::Restart}) {
                Result<std::unique_ptr<Journal>> second = Journal::open(path, start);
                if (second.ok() || second.error().kind != ErrorKind::Unavailable ||
                    second.error().found != expected)
                  return false;
              }
              return true;
            }),
            0);
  EXPECT_NE(readAll(path), "");
}

TEST(Journal, AFullDiskLeavesWholeLines) {
  TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  const std::string whole = session().dump() + "\n";
  EXPECT_EQ(inChild([&] {
              Result<std::unique_ptr<Journal>> journal = Journal::open(path, JournalStart::New);
              if (!journal || !(*journal)->append({session()}).ok())
                return false;
              const rlimit limit = {whole.size() + 5, whole.size() + 5};
              setrlimit(RLIMIT_FSIZE, &limit);
              const Status failed = (*journal)->append({group(1, 1)});
              return !failed.ok() && failed.error().kind == ErrorKind::Io;
            }),
            0);
  EXPECT_EQ(readAll(path), whole);
}

TEST(Journal, AFolderThatIsNotThereIsNamed) {
  TemporaryFolder folder;
  Result<std::unique_ptr<Journal>> journal =
      Journal::open(folder / "absent/t.jsonl", JournalStart::New);
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.error().kind, ErrorKind::Io);
  EXPECT_NE(journal.error().message.find("absent/t.jsonl"), std::string::npos);
}

TEST(MachineLock, ASecondProcessLearnsWhoHasIt) {
  const std::string name = "test-" + std::to_string(getpid());
  Result<MachineLock> first = MachineLock::take(name);
  ASSERT_TRUE(first.ok()) << first.error().message;
  const std::string expected = "process " + std::to_string(getpid());
  EXPECT_EQ(inChild([&] {
              Result<MachineLock> second = MachineLock::take(name);
              return !second && second.error().kind == ErrorKind::Unavailable &&
                     second.error().found == expected && MachineLock::take(name + "-other").ok();
            }),
            0);
}

TEST(MachineLock, GoesWithItsProcess) {
  const std::string name = "test-gone-" + std::to_string(getpid());
  EXPECT_EQ(inChildStatus([&] {
              Result<MachineLock> held = MachineLock::take(name);
              raise(SIGKILL);
              return 0;
            }),
            128 + SIGKILL);
  EXPECT_TRUE(MachineLock::take(name).ok());
}

} // namespace

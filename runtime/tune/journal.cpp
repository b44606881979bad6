// Reading and appending lines.
#include "runtime/tune/journal.h"
#include "runtime/base/quiet_write.h"
#include "runtime/spec/json_text.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <iterator>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nysjit::tune {

namespace {

/// All of a file; false if it cannot be read.
bool readAll(int file, std::string &text) {
  char buffer[1 << 16];
  for (off_t at = 0;;) {
    const ssize_t count = pread(file, buffer, sizeof buffer, at);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return count == 0;
    text.append(buffer, size_t(count));
    at += count;
  }
}

/// The last line of a kind; null if there is none.
const Json *lastOf(const std::vector<Json> &lines, const char *kind) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line)
    if (textOf(*line, "kind") == kind)
      return &*line;
  return nullptr;
}

/// Leaves out groups of which not all are there, and rounds that no group followed: they say
/// nothing alone. With `keepsRounds` those of whole groups stay, and the last, to be followed.
std::vector<Json> wholeParts(std::vector<Json> lines, bool keepsRounds) {
  std::vector<Json> kept;
  std::vector<Json> rounds;
  const auto keepRounds = [&] {
    if (keepsRounds)
      std::ranges::move(rounds, std::back_inserter(kept));
    rounds.clear();
  };
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string kind = textOf(lines[i], "kind");
    if (kind == "round") {
      rounds.push_back(std::move(lines[i]));
      continue;
    }
    if (kind != "group") {
      rounds.clear();
      kept.push_back(std::move(lines[i]));
      continue;
    }
    const Json *of = lines[i].find("of");
    const size_t count = of && of->is_number_integer() ? of->get<size_t>() : 1;
    size_t there = 0;
    while (there < count && i + there < lines.size() && textOf(lines[i + there], "kind") == "group")
      ++there;
    if (there == count)
      keepRounds();
    rounds.clear();
    for (size_t j = i; there == count && j < i + count; ++j)
      kept.push_back(std::move(lines[j]));
    i += there ? there - 1 : 0;
  }
  keepRounds();
  return kept;
}

/// Up to the last end of a line.
size_t wholeSize(std::string_view text) {
  const size_t last = text.rfind('\n');
  return last == std::string_view::npos ? 0 : last + 1;
}

/// Whether a text that ends no line may be a session's that was being written.
bool mayBeginSession(std::string_view text) {
  constexpr std::string_view begin = R"({"about":)";
  return text.substr(0, begin.size()) == begin.substr(0, text.size());
}

Error wrongLine(const std::string &path, size_t number, std::string found) {
  return Error::mismatch(ErrorKind::Unavailable, path,
                         std::string(number == 1 ? "a session" : "a journal's") + " in line " +
                             std::to_string(number) + " (--restart begins anew)",
                         std::move(found));
}

/// The lines of a text that ends with one.
Result<std::vector<Json>> linesOf(std::string_view text, const std::string &path) {
  std::vector<Json> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string_view line = text.substr(begin, end - begin);
    Result<Json> object = parseJsonObject(line);
    const bool isFirst = lines.empty();
    if (!object || textOf(*object, "kind").empty() ||
        (isFirst && textOf(*object, "kind") != "session"))
      return wrongLine(path, lines.size() + 1,
                       object ? "\"" + describeName(line) + "\"" : object.error().found);
    lines.push_back(std::move(*object));
    begin = end + 1;
  }
  return lines;
}

} // namespace

Error Journal::failed(const char *what) const {
  return Error::plain(ErrorKind::Io, path,
                      path + ": the journal cannot be " + what + ": " + std::strerror(errno));
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string &path, JournalStart start) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
  std::unique_ptr<Journal> journal(new Journal(path, std::move(file)));
  if (!journal->file.isOpen())
    return journal->failed("written");
  NYSJIT_RETURN_IF_ERROR(journal->lock());
  if (start == JournalStart::Restart) {
    NYSJIT_RETURN_IF_ERROR(journal->cutOff(0));
    return journal;
  }
  NYSJIT_RETURN_IF_ERROR(journal->read());
  if (start == JournalStart::Resume || journal->old.empty())
    return journal;
  const Json &session = *lastOf(journal->old, "session");
  if (lastOf(journal->old, "group") && textOf(journal->old.back(), "kind") != "end")
    return Error::mismatch(ErrorKind::Unavailable, path,
                           "--resume, which goes on with what is there, or --restart, which begins "
                           "anew",
                           "a tune of " + textOf(session, "session") + " that did not end");
  journal->old.clear();
  NYSJIT_RETURN_IF_ERROR(journal->cutOff(0));
  return journal;
}

Status Journal::lock() {
  if (flock(file.get(), LOCK_EX | LOCK_NB) == 0)
    return {};
  if (errno != EWOULDBLOCK)
    return failed("locked");
  // Its holder's session is the last.
  std::string text;
  std::string who = "one of another process";
  (void)readAll(file.get(), text);
  for (size_t end = text.rfind('\n'); end != std::string::npos && end > 0;) {
    const size_t before = text.rfind('\n', end - 1);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    Result<Json> line = parseJsonObject(std::string_view(text).substr(begin, end - begin));
    const Json *pid = line && textOf(*line, "kind") == "session" ? line->find("pid") : nullptr;
    if (pid) {
      who = "process " + pid->dump() + " since " + textOf(*line, "session");
      break;
    }
    end = before;
  }
  return Error::mismatch(ErrorKind::Unavailable, path, "a journal that no other tune writes", who);
}

Status Journal::cutOff(size_t size) {
  return ftruncate(file.get(), off_t(size)) == 0 ? Status() : failed("cut off");
}

Status Journal::read() {
  std::string text;
  if (!readAll(file.get(), text))
    return failed("read");
  // What is no journal is left as it is.
  const size_t whole = wholeSize(text);
  if (whole == 0 && !mayBeginSession(text))
    return wrongLine(path, 1, "\"" + describeName(text) + "\"");
  Result<std::vector<Json>> lines = linesOf(std::string_view(text).substr(0, whole), path);
  NYSJIT_RETURN_IF_ERROR(lines);
  if (whole != text.size())
    NYSJIT_RETURN_IF_ERROR(cutOff(whole));
  old = wholeParts(std::move(*lines), /*keepsRounds=*/false);
  return {};
}

Result<std::vector<Json>> readJournal(std::string_view text, const std::string &path) {
  Result<std::vector<Json>> lines = linesOf(text.substr(0, wholeSize(text)), path);
  NYSJIT_RETURN_IF_ERROR(lines);
  return wholeParts(std::move(*lines), /*keepsRounds=*/true);
}

Status Journal::append(const std::vector<Json> &lines, bool isVerdict) {
  std::string text;
  for (const Json &line : lines)
    text += line.dump() + "\n";
  struct stat before = {};
  const bool isKnown = fstat(file.get(), &before) == 0;
  if (!writeQuietly(file.get(), text)) {
    Error error = failed("written");
    if (isKnown)
      (void)cutOff(size_t(before.st_size));
    return error;
  }
  if (isVerdict && fsync(file.get()) != 0 && errno != EINVAL && errno != EROFS)
    return failed("brought to the disk");
  return {};
}

std::string textOf(const Json &line, const char *name) {
  const Json *found = line.find(name);
  return found && found->is_string() ? found->text() : "";
}

double numberOf(const Json &line, const char *name, double otherwise) {
  const Json *found = line.find(name);
  return found && found->is_number() ? found->get<double>() : otherwise;
}

} // namespace nysjit::tune

// A line on standard error.
#include "runtime/tune/progress.h"
#include "runtime/base/format.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sys/ioctl.h>
#include <unistd.h>

namespace nysjit::tune {

ProgressLine::ProgressLine(std::FILE *file) : file(file) {
  const char *term = std::getenv("TERM");
  isTerminal = file && isatty(fileno(file)) && (!term || std::strcmp(term, "dumb") != 0);
}

ProgressLine::~ProgressLine() {
  if (isLineOpen)
    std::fputs("\r\x1B[K", file);
}

void ProgressLine::overwrite(const std::string &text) {
  winsize size = {};
  const bool isKnown = ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  std::fprintf(file, "\r%s\x1B[K", elide(text, isKnown ? size.ws_col : 80).c_str());
  std::fflush(file);
  isLineOpen = true;
}

void ProgressLine::beginPhase(const std::string &text) {
  if (!file)
    return;
  if (isTerminal)
    overwrite("nysjit: " + text);
  else
    std::fprintf(file, "nysjit: %s\n", text.c_str());
}

void ProgressLine::update(const std::string &text, double seconds) {
  constexpr double shortest = 0.1;
  if (!isTerminal || (last >= 0 && seconds - last < shortest))
    return;
  last = seconds;
  overwrite("nysjit: " + text);
}

void ProgressLine::say(const std::string &text) {
  if (!file)
    return;
  std::fprintf(file, "%snysjit: %s\n", isLineOpen ? "\r\x1B[K" : "", text.c_str());
  isLineOpen = false;
}

std::string elide(const std::string &text, size_t width) {
  if (text.size() <= width)
    return text;
  if (width <= 5)
    return text.substr(0, width);
  const size_t tail = (width - 3) / 2;
  return text.substr(0, width - 3 - tail) + "..." + text.substr(text.size() - tail);
}

std::string minutes(double seconds) {
  const auto whole = static_cast<long>(std::lround(seconds));
  return format("%ld:%02ld", whole / 60, whole % 60);
}

std::string timesText(double passed, double left) {
  return minutes(passed) + ", at most " + minutes(left) + " left";
}

} // namespace nysjit::tune

// What the user sees while a tune goes on: one line that is written over on a terminal, a line a
// phase elsewhere, nothing where it was not asked for.
#pragma once
#include <cstdio>
#include <string>

namespace nysjit::tune {

class ProgressLine {
public:
  /// `file` null: silent. Whether it is a terminal is looked at once.
  explicit ProgressLine(std::FILE *file);
  ~ProgressLine();
  ProgressLine(const ProgressLine &) = delete;
  ProgressLine &operator=(const ProgressLine &) = delete;

  /// A new phase: its line appears at once.
  void beginPhase(const std::string &text);
  /// The phase's line now, at most ten times a second and on a terminal alone.
  void update(const std::string &text, double seconds);
  /// A line that stays.
  void say(const std::string &text);

private:
  void overwrite(const std::string &text);

  std::FILE *file;
  bool isTerminal = false;
  bool isLineOpen = false;
  double last = -1;
};

/// The text with its middle left out, so that it has at most `width` characters.
std::string elide(const std::string &text, size_t width);
/// "0:41"
std::string minutes(double seconds);
/// "0:41, at most 1:20 left"
std::string timesText(double passed, double left);

} // namespace nysjit::tune

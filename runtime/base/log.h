// Log: where lines go that are no errors. The host's callback, or nowhere.
#pragma once
#include <string>

namespace nysjit {

struct Log {
  void (*write)(void *context, const char *line) = nullptr;
  void *context = nullptr;

  void line(const std::string &text) const {
    if (write)
      write(context, text.c_str());
  }
};

} // namespace nysjit

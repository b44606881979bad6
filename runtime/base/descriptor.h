// Descriptor: an open file of the library's in a process that belongs to somebody else. Its number
// is at least 10, so that it never stands where a standard stream was closed; and since a host may
// close files that it does not know, and open others under their numbers, it is closed only while
// it is still the file that it was.
#pragma once
#include <cstddef>
#include <string_view>
#include <sys/types.h>

namespace nysjit {

class Descriptor {
public:
  Descriptor() = default;
  /// Takes over an open file, or -1; moves it up. Without a number for it isOpen is false, and
  /// errno says why.
  explicit Descriptor(int opened) noexcept;
  Descriptor(Descriptor &&other) noexcept;
  Descriptor &operator=(Descriptor &&other) noexcept;
  ~Descriptor() { close(); }

  bool isOpen() const { return number >= 0; }
  int get() const { return number; }
  /// Whether the number still is the file that it was.
  bool isUntouched() const noexcept;
  void close() noexcept;
  /// Leaves the number to whoever has it now.
  void forget() noexcept { number = -1; }

private:
  int number = -1;
  dev_t device = 0;
  ino_t node = 0;
};

/// A file without a name: anonymous memory, else a file in $TMPDIR, /tmp, /var/tmp or /dev/shm
/// whose name is gone. Closes on exec. If there is none isOpen is false, and errno says why.
Descriptor anonymousFile(const char *name) noexcept;

} // namespace nysjit

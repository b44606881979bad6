// The border between C and C++: statuses, the calling thread's last error, structs of other
// versions.
#pragma once
#include "runtime/base/result.h"
#include "runtime/include/nysjit.h"

#include <cstddef>
#include <exception>
#include <new>

namespace nysjit {

/// Keeps the error for nysjit_last_error and gives its status. Never throws.
nysjit_status keepError(const Error &error) noexcept;
/// Out of memory, said without any.
nysjit_status keepMemoryFailure() noexcept;
/// keepError without a C++ Error at hand: a bug.
nysjit_status keepFailure(nysjit_status status, const char *message) noexcept;

/// Runs `body`, which returns a Status, and turns whatever happens into a nysjit_status.
template <typename Body> nysjit_status atBorder(Body body) noexcept {
  try {
    Status status = body();
    return status.ok() ? NYSJIT_OK : keepError(status.error());
  } catch (const std::bad_alloc &) {
    return keepMemoryFailure();
  } catch (const std::exception &exception) {
    return keepFailure(NYSJIT_INTERNAL, exception.what());
  } catch (...) {
    return keepFailure(NYSJIT_INTERNAL, "an exception of unknown type");
  }
}

/// readStruct, whatever the struct: `to` has the `known` bytes of this version's, all zero.
Status readStructBytes(const void *from, const char *name, size_t least, void *to, size_t known);

/// Copies a caller's struct, of `from->size` bytes, into one of this version: what it lacks is
/// zero, what this version does not know must be zero. `least` is the size of the fields that every
/// version has.
template <typename Struct>
Status readStruct(const Struct *from, const char *name, size_t least, Struct &to) {
  static_assert(offsetof(Struct, size) == 0);
  to = Struct();
  return readStructBytes(from, name, least, &to, sizeof(Struct));
}

} // namespace nysjit

// Memory that is kept between runs: 64-byte aligned, grown when needed, one scratch and one
// workspace a thread.
#pragma once
#include <cstddef>

namespace nysjit {

constexpr size_t memoryAlignment = 64;

/// A block that only grows. Contents are lost when it does.
class AlignedMemory {
public:
  AlignedMemory() = default;
  ~AlignedMemory();
  AlignedMemory(const AlignedMemory &) = delete;
  AlignedMemory &operator=(const AlignedMemory &) = delete;

  /// At least `bytes`, 64-byte aligned; null if there is no memory. Never null otherwise, 0 bytes
  /// included.
  void *reserve(size_t bytes) noexcept;

private:
  void *block = nullptr;
  size_t capacity = 0;
};

/// The calling thread's scratch, valid until its next call. Null if there is no memory.
void *threadScratch(size_t bytes) noexcept;

/// The calling thread's workspace while one run lasts. A run nested in another on the same thread
/// (a host whose parallel-for takes up other work while it waits) gets memory of its own.
class WorkspaceLease {
public:
  explicit WorkspaceLease(size_t bytes) noexcept;
  ~WorkspaceLease();
  WorkspaceLease(const WorkspaceLease &) = delete;
  WorkspaceLease &operator=(const WorkspaceLease &) = delete;
  void *memory() const { return block; } // null if there is no memory

private:
  void *block = nullptr;
  bool isThreads = false;
  AlignedMemory own;
};

} // namespace nysjit

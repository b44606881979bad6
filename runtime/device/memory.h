// Memory of runs on the CPU: 64-byte aligned. By default kept between runs and grown when needed,
// one scratch and one workspace a thread; or the host's, given back after each run.
#pragma once
#include <cstddef>

namespace nysjit {

constexpr size_t memoryAlignment = 64;

/// The host's allocator. Any thread that runs a program calls it.
struct HostMemory {
  void *(*allocate)(void *context, size_t bytes, size_t alignment) = nullptr; // null: there is none
  void (*release)(void *context, void *memory, size_t bytes) = nullptr;
  void *context = nullptr;
};

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

/// Scratch for the threads of one run: thread i's lies i strides from the first. Null: each thread
/// has its own.
struct RunScratch {
  char *first = nullptr;
  size_t stride = 0;
  void *of(size_t thread) const { return first + thread * stride; }
};

/// The calling thread's scratch, valid until its next call. Null if there is no memory.
void *threadScratch(size_t bytes) noexcept;

/// The calling thread's workspace while one run lasts. A run nested in another on the same thread
/// (a host whose parallel-for takes up other work while it waits) gets memory of its own. Of the
/// host's memory, if it gave an allocator, the lease has scratch for each thread of a run, too.
class WorkspaceLease {
public:
  /// `scratchBytes` a thread; not looked at without an allocator of the host's.
  explicit WorkspaceLease(size_t bytes, const HostMemory &host = {}, size_t scratchBytes = 0,
                          size_t threads = 0) noexcept;
  ~WorkspaceLease();
  WorkspaceLease(const WorkspaceLease &) = delete;
  WorkspaceLease &operator=(const WorkspaceLease &) = delete;
  void *memory() const { return block; } // null if there is no memory
  RunScratch scratch() const { return threadScratches; }

private:
  void *block = nullptr;
  bool isThreads = false;
  AlignedMemory own;
  HostMemory host;
  size_t hostBytes = 0;
  RunScratch threadScratches;
};

} // namespace nysjit

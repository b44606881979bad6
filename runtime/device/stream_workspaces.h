// StreamWorkspaces: the library's own memory between kernels on GPUs, one block for each context
// and stream. A stream runs its work in order, so all programs share its block, as long as the
// launches of one run are enqueued together: whoever has a lease is alone with the block. Blocks
// grow; the old ones are kept, because launches in flight and captured graphs may still use them.
#pragma once
#include "runtime/cuda/driver.h"

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

namespace nysjit {

class StreamWorkspaces {
public:
  /// Memory for the launches that are enqueued while this lives. 256-byte aligned.
  struct Lease {
    std::unique_lock<std::mutex> lock;
    CUdeviceptr memory = 0;
  };
  /// `context` is current. Allocates where the block is absent or too small, which is an error
  /// while the stream is being captured. Nothing of the driver's is called otherwise.
  Result<Lease> reserve(const CudaDriver &driver, CUcontext context, CUstream stream, size_t bytes);
  /// Frees all. No lease may be alive.
  void release(const CudaDriver &driver);

private:
  struct Block {
    std::mutex mutex; // guards what follows
    CUdeviceptr memory = 0;
    size_t bytes = 0;
    std::vector<CUdeviceptr> outgrown;
  };
  /// The per-thread default stream has one handle and many streams: there the thread counts, too.
  using Place = std::tuple<CUcontext, CUstream, uintptr_t>;
  Block &blockOf(CUcontext context, CUstream stream);
  static Status grow(Block &block, const CudaDriver &driver, CUstream stream, size_t bytes);

  std::mutex mutex; // guards the map, not the blocks
  std::map<Place, std::unique_ptr<Block>> blocks;
};

} // namespace nysjit

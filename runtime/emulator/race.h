// Data races, by happens-before (FastTrack, Flanagan and Freund 2009, with whole read vectors for
// shared memory).
//
// Time is a counter of each block that moves on at every release. A warp acts at `now`, and
// `known[v]` is the time up to which what warp v did happened before it; a barrier joins its
// participants', an mbarrier's arrivals are acquired by those that see its phase end, a fence
// followed by an atomic is acquired by an atomic on the same address followed by a fence.
//
// A cell stands for 4 bytes; from the first access narrower than that to them, four cells of a byte
// each do. A cell's last writer is (time, warp, whether atomic); the destination of an asynchronous
// copy has a time that nobody knows of until the copy was waited for, so that any access to it is a
// race.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace nysjit::emulator {

using std::size_t;
constexpr uint32_t maxWarps = 32;
constexpr uint32_t inFlightTime = (1u << 26) - 1;

struct Clock {
  uint32_t known[maxWarps] = {};
  void join(const Clock &other) {
    for (uint32_t v = 0; v < maxWarps; ++v)
      known[v] = known[v] > other.known[v] ? known[v] : other.known[v];
  }
};

/// A writer in 32 bits; 0: none.
constexpr uint32_t packWriter(uint32_t time, uint32_t warp, bool atomic) {
  return time << 6 | warp << 1 | uint32_t(atomic);
}
constexpr uint32_t writerTime(uint32_t writer) { return writer >> 6; }
constexpr uint32_t writerWarp(uint32_t writer) { return writer >> 1 & 31; }
constexpr bool writerAtomic(uint32_t writer) { return writer & 1; }

/// Who acts.
struct Actor {
  uint32_t warp;
  uint32_t now;
  uint32_t pc;
  const uint32_t *known;
};

enum class Touch : uint8_t {
  Read,
  Write,
  StrongRead,
  StrongWrite,
  Copy
}; // Copy: an asynchronous copy's write, at its issue

/// What an access collides with.
struct Collision {
  bool found = false;
  bool wasWrite = false;
  bool inFlight = false;
  uint32_t warp = 0;
  uint32_t pc = 0;
};

/// Of a block's shared memory.
class SharedShadow {
public:
  SharedShadow(uint32_t bytes, uint32_t warps);
  /// Records the access and says what it collides with. `offset` is aligned to `bytes` if that is
  /// below 4, else to 4.
  Collision touch(uint32_t offset, uint32_t bytes, Touch touch, const Actor &actor);
  /// The asynchronous copy of `actor` to these bytes has been waited for.
  void land(uint32_t offset, uint32_t bytes, const Actor &actor);

private:
  struct Plane {
    uint32_t cells = 0;
    std::vector<uint32_t> writers;
    std::vector<uint32_t> writerPcs;
    std::vector<uint32_t> readPcs;
    std::vector<uint32_t> reads; // [warp][cell]: the time of its last
    void resize(uint32_t count, uint32_t warps);
  };
  void split(uint32_t granule);
  template <uint32_t count> bool readCells(Plane &plane, uint32_t first, const Actor &actor);
  Collision touchCells(Plane &plane, uint32_t first, uint32_t count, Touch touch,
                       const Actor &actor);

  uint32_t warps;
  uint32_t bytes;
  Plane words;
  Plane single;
  std::vector<uint8_t> splits; // of each granule; empty: none
};

} // namespace nysjit::emulator

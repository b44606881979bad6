// A launch being run: its blocks, their warps, and what was found. A warp's lanes are in fragments,
// sets of lanes at one pc; one fragment is the rule. Everything hangs off the Execution; nothing
// here is thread-safe.
#pragma once
#include "runtime/emulator/code.h"
#include "runtime/emulator/machine.h"
#include "runtime/emulator/memory_state.h"
#include "runtime/emulator/race.h"

#include <deque>
#include <memory>
#include <set>
#include <unordered_map>

namespace nysjit::emulator {

class Block;
class Execution;

/// xorshift64*; a seed gives the same schedule everywhere.
struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15u + 0x1234567887654321u) {}
  uint32_t below(uint32_t bound) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return uint32_t((state * 0x2545f4914f6cdd1du >> 32) * bound >> 32);
  }
};

struct Fragment {
  enum class State : uint8_t { Running, Converging, AtBarrier, AtMbarrier };
  uint32_t pc = 0;
  uint32_t mask = 0;
  State state = State::Running;
  uint32_t barrier = 0; // AtBarrier
  // Converging: lanes it waited for that went on to do something else, then exited
  uint32_t missed = 0;
  uint64_t lastRun = 0;
  std::vector<uint32_t> stack; // pcs to return to
};

/// What one cp.async instruction copies; lanes that are done leave `mask`.
struct CopyBatch {
  uint32_t mask = 0;
  uint32_t pc = 0;
  uint32_t to[32];   // in shared memory
  uint64_t from[32]; // in global memory
  uint8_t bytes = 0;
  uint8_t take[32]; // take: bytes read; the rest is zero
};
/// cp.async.bulk from shared to global memory.
struct BulkStore {
  uint32_t lane = 0;
  uint32_t from = 0;
  uint32_t bytes = 0;
  uint32_t pc = 0;
  uint64_t to = 0;
};
struct CopyGroup {
  uint32_t lanes = 0; // that committed
  std::vector<CopyBatch> batches;
};

class Warp {
public:
  uint8_t *registers = nullptr;
  Fragment *current = nullptr; // while an instruction runs
  Execution *execution = nullptr;
  Block *block = nullptr;
  uint32_t index = 0;
  uint32_t valid = 0;
  uint32_t live = 0; // lanes that exist; that have not exited
  uint32_t pc = 0;   // of the instruction that runs
  // lanes that may run beside the launch before: they have not waited for it
  uint32_t early = 0;
  // lanes that did something while others of the warp waited for them
  uint32_t strayed = 0;
  void noteStray(uint32_t mask);
  void noteExit(uint32_t mask);
  bool yield = false; // ends the slice
  std::vector<Fragment> fragments;
  std::vector<uint8_t> frame;
  std::vector<uint8_t> frameWritten; // [lane][frameBytes]
  // Time.
  uint32_t now = 1;
  Clock clock;
  Clock fenced;
  Clock
      heard; // fenced: at the last fence; heard: what relaxed reads saw, acquired by the next fence
  bool hasFenced = false;
  bool hasHeard = false;
  // Asynchronous copies.
  std::vector<CopyBatch> open;
  std::deque<CopyGroup> groups;
  std::vector<BulkStore> openStores;
  std::deque<std::vector<BulkStore>> storeGroups;

  Actor actor() const { return {index, now, pc, clock.known}; }
  template <typename T> T *lanes(uint32_t offset) {
    return reinterpret_cast<T *>(registers + offset);
  }
  uint32_t &predicate(uint32_t offset) { return *reinterpret_cast<uint32_t *>(registers + offset); }
  /// An operand as 64-bit values.
  uint64_t value(const Instruction &i, uint32_t operand, uint32_t lane) {
    return i.wide >> operand & 1 ? lanes<uint64_t>(i.op[operand])[lane]
                                 : lanes<uint32_t>(i.op[operand])[lane];
  }
  void setValue(const Instruction &i, uint32_t operand, uint32_t lane, uint64_t value) {
    if (i.op[operand] == noOperand)
      return;
    if (i.wide >> operand & 1)
      lanes<uint64_t>(i.op[operand])[lane] = value;
    else
      lanes<uint32_t>(i.op[operand])[lane] = uint32_t(value);
  }
  /// What others acquire from this warp; it acts later from now on.
  Clock release();
  void acquire(const Clock &clock);
  /// The current fragment keeps the lanes of `mask`; others go on at `otherPc`.
  void isolate(uint32_t mask, uint32_t otherPc);

  bool runnable() const;
  /// At most `budget` instructions; fewer if it blocks, yields, exits or the launch stops.
  void run(uint32_t budget);

private:
  bool select();
  void mergeFragments();
  bool arrive(const Instruction &i, uint32_t mask);
  uint32_t required(const Instruction &i, uint32_t mask);
  void reportStuck();
  std::vector<uint8_t> storage;
  Fragment *turnOf = nullptr; // a fragment other than the lowest, for `turn` more choices
  uint64_t turn = 0;
  friend class Block;
};

struct Barrier {
  uint32_t arrived = 0;
  uint32_t expected = 0; // threads; expected 0: all that live
  uint32_t pc = 0;       // of the first arrival
  uint32_t warpsArrived = 0;
  uint32_t warpsSyncing = 0;
  uint32_t lanesArrived[maxWarps] = {};
  Clock joined;
  // bar.red
  uint32_t count = 0;
  bool all = true;
  bool any = false;
};

/// Copies that arrive at an mbarrier when they have ended: those before a cp.async.mbarrier.arrive,
/// or one bulk copy.
struct PendingArrival {
  Warp *warp = nullptr;
  Clock clock; // the warp's at the issue
  uint32_t time = 0;
  uint32_t pc = 0;
  uint32_t arrivals = 0;
  std::vector<CopyBatch> batches;
  uint64_t from = 0; // a bulk copy of `bytes`
  uint32_t to = 0;
  uint32_t bytes = 0;
};

struct Mbarrier {
  uint32_t expected = 0;
  uint32_t pending = 0;
  uint32_t phase = 0;
  int64_t transactions = 0;
  Clock arriving;
  Clock ended; // of the arrivals in this phase; of the phases that ended
  // asynchronous copies, which end when someone looks at the phase
  std::vector<PendingArrival> awaited;
};

/// The clocks that atomics on one address pass on.
struct SyncAddress {
  Clock clock; // of the block that released last
  uint32_t block = 0;
  std::unordered_map<uint32_t, Clock> blocks; // by block
};

class Block {
public:
  Block(Execution &execution, uint32_t number, const uint32_t id[3]);
  Execution &execution;
  uint32_t number; // from 1
  uint32_t id[3];
  uint32_t time = 1; // of the race check
  std::vector<uint8_t> shared;
  std::vector<uint8_t> sharedWritten;
  std::unique_ptr<SharedShadow> shadow;
  std::vector<std::unique_ptr<Warp>> warps;
  Barrier barriers[16];
  std::unordered_map<uint32_t, Mbarrier> mbarriers;
  std::unordered_map<uint32_t, SyncAddress> sharedSync;
  std::unordered_map<uint32_t, Clock> acquired; // of other blocks

  uint32_t liveThreads() const;
  bool finished() const { return liveThreads() == 0; }
  /// Lets warps run in random order and slices until the block ends, the launch stops, or `budget`
  /// instructions are spent.
  void run(uint64_t budget);
  /// Ends barriers that wait for no one any more, after an arrival or an exit.
  void settleBarriers();
  void wakeMbarrierWaiters();

private:
  void completeBarrier(Barrier &barrier);
  void reportDeadlock();
};

class Execution {
public:
  Execution(const Launch &launch, Memory &memory, const Options &options, const Code &code);
  const Launch &launch;
  Memory::State &memory;
  const Options &options;
  const Code &code;
  Outcome outcome;
  Counts &counts;
  Random random;
  bool stop = false;
  uint64_t clock = 0; // instructions so far, for %clock
  std::unordered_map<uint64_t, SyncAddress> globalSync;
  Allocation *lastAllocation = nullptr;

  void run();
  /// "sentence at k.ptx:12 (f:3)": ends the launch.
  void fault(Fault fault, const Warp &warp, const std::string &sentence);
  /// Goes on; the launch fails at its end if `fails`.
  void report(const Warp &warp, const std::string &sentence, bool fails);
  void race(const Warp &warp, const std::string &what, const Collision &collision,
            uint32_t otherBlock);
  void uninitialised(const Warp &warp, uint32_t lane, const char *space, uint64_t address,
                     uint32_t bytes);
  Allocation *find(uint64_t address, uint64_t bytes) {
    if (lastAllocation && address - lastAllocation->address < lastAllocation->bytes &&
        bytes <= lastAllocation->bytes - (address - lastAllocation->address))
      return lastAllocation;
    Allocation *found = memory.find(address, bytes);
    if (found)
      lastAllocation = found;
    return found;
  }
  std::string threadName(const Warp &warp, uint32_t lane) const;

private:
  void countSectors();
  bool failed = false;
  std::set<std::string> said;
  std::set<uint32_t> racing;
  std::set<uint32_t> unwritten; // pcs
};

} // namespace nysjit::emulator

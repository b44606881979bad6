// Every handler that the decoder may choose.
#pragma once
#include "runtime/emulator/execution.h"

namespace nysjit::emulator {

// execute_control.cpp
void executeBranch(Warp &, const Instruction &, uint32_t); // immediate: the target
// op[0]: index; list: immediate targets
void executeIndexedBranch(Warp &, const Instruction &, uint32_t);
// list: before, copies in; immediate: the target
void executeCall(Warp &, const Instruction &, uint32_t);
void executeReturn(Warp &, const Instruction &, uint32_t);
void executeExit(Warp &, const Instruction &, uint32_t);
void executeTrap(Warp &, const Instruction &, uint32_t); // flag: an assertion failed
void executeNothing(Warp &, const Instruction &, uint32_t);
void executeYield(Warp &, const Instruction &, uint32_t);
void executeDependencyWait(Warp &, const Instruction &, uint32_t); // griddepcontrol.wait
void executeClock(Warp &, const Instruction &, uint32_t);

// execute_sync.cpp
void executeBarrier(Warp &, const Instruction &, uint32_t);
void executeFence(Warp &, const Instruction &, uint32_t);
void executeWarpBarrier(Warp &, const Instruction &, uint32_t);

// execute_mbarrier.cpp
void executeMbarrier(Warp &, const Instruction &, uint32_t);
/// The object at `offset`; a fault and null if none was initialised there.
Mbarrier *findMbarrier(Warp &warp, uint32_t lane, uint64_t offset);

// execute_exchange.cpp: between the lanes of a warp
void executeShuffle(Warp &, const Instruction &, uint32_t);
void executeVote(Warp &, const Instruction &, uint32_t);
void executeActiveMask(Warp &, const Instruction &, uint32_t);
void executeMatch(Warp &, const Instruction &, uint32_t);
void executeReduce(Warp &, const Instruction &, uint32_t);
void executeElect(Warp &, const Instruction &, uint32_t);

// execute_memory.cpp
void executeLoad(Warp &, const Instruction &, uint32_t);
void executeStore(Warp &, const Instruction &, uint32_t);
void executeLoadParameter(Warp &, const Instruction &, uint32_t);

// execute_atomic.cpp
void executeAtomic(Warp &, const Instruction &, uint32_t);

// execute_async.cpp
void executeCopy(Warp &, const Instruction &, uint32_t);
void executeCopyCommit(Warp &, const Instruction &, uint32_t);
// immediate: groups left; -1: all, uncommitted ones too
void executeCopyWait(Warp &, const Instruction &, uint32_t);
void executeCopyArrive(Warp &, const Instruction &, uint32_t);
/// Ends the copies of `batch` that lanes of `mask` asked for, as of the warp's `time`.
void landCopies(Warp &warp, CopyBatch &batch, uint32_t mask, uint32_t time);

// execute_bulk.cpp
void executeBulkLoad(Warp &, const Instruction &, uint32_t);
void executeBulkStore(Warp &, const Instruction &, uint32_t);
void executeBulkCommit(Warp &, const Instruction &, uint32_t);
void executeBulkWait(Warp &, const Instruction &, uint32_t); // immediate: groups left
/// Moves a bulk load's bytes.
bool actBulkLoad(PendingArrival &load);
void actBulkStores(Warp &warp);

// execute_matrix.cpp
void executeLoadMatrix(Warp &, const Instruction &, uint32_t);
void executeStoreMatrix(Warp &, const Instruction &, uint32_t);
void executeMoveMatrix(Warp &, const Instruction &, uint32_t);
void executeMma(Warp &, const Instruction &, uint32_t); // immediate: its FLOPs

} // namespace nysjit::emulator

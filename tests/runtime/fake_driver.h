// A CUDA driver for tests: exports the driver's symbols, counts calls, fails on demand. Device
// memory is host memory, and a "module" holds the kernels of fake_kernels.c, whatever its text
// says, so that programs really compute.
#pragma once
#include "runtime/cuda/driver_api.h"

#include <cstddef>

extern "C" {
#define FAKE_DECLARE(name, symbol, parameters) CUresult symbol parameters;
NYSJIT_CUDA_SYMBOLS(FAKE_DECLARE)
#undef FAKE_DECLARE

/// Forgets calls, injected failures and refusals. Contexts and memory stay.
void fake_driver_reset();
/// Calls of a function, by its name in driver_api.h, since the last reset.
int fake_driver_calls(const char *name);
/// Names of all functions called since the last reset, each once, "a b c"; valid until the next
/// call.
const char *fake_driver_called();
/// The `after`-th next call of `name` (0: the next) does nothing and returns `result`.
void fake_driver_inject(const char *name, int after, CUresult result);
/// Cubins are refused as for another GPU.
void fake_driver_refuse_cubins(bool refuse);
inline constexpr int fake_multiprocessors = 132; // of each device
/// From now on devices say they are of this capability; for drivers opened later.
void fake_driver_capability(int capability);
/// From now on the driver says it is of this version, 13000 for 13.0; for drivers opened later.
void fake_driver_version(int version);
/// A context of its own on a device, not current anywhere.
CUcontext fake_driver_new_context(int device);
/// Allocations, modules and primary contexts that were not given back.
int fake_driver_live();
/// Whether some thread's launches on a stream came between those of another's run: set by launches
/// of kernels other than the first two in turn.
int fake_driver_interleaved();
}

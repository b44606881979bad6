// CudaDriver: the CUDA driver's library, or the PTX emulator's, opened at run time, and its
// functions in one table. The same code opens both.
#pragma once
#include "runtime/base/result.h"
#include "runtime/cuda/driver_api.h"

#include <memory>
#include <string>
#include <vector>

namespace nysjit {

/// The driver's functions by their names in driver_api.h.
struct CudaSymbols {
#define NYSJIT_MEMBER(name, symbol, parameters) CUresult(*name) parameters = nullptr;
  NYSJIT_CUDA_SYMBOLS(NYSJIT_MEMBER)
#undef NYSJIT_MEMBER
};

/// A device as the driver knows it.
struct CudaGpu {
  CUdevice handle = 0;
  std::string name;
  int capability = 0; // 80 for 8.0
  int multiprocessors = 0;
  size_t memoryBytes = 0;
};

class CudaDriver {
public:
  /// Opens the first of `libraries` (paths, or names for the system's search) that is there, calls
  /// cuInit and lists the devices. Unavailable if there is no library or no device, Io if the
  /// process lacks what it takes to look; a missing symbol is named. The library stays loaded.
  static Result<std::shared_ptr<const CudaDriver>> open(const std::vector<std::string> &libraries);

  const CudaSymbols &api() const { return symbols; }
  const std::vector<CudaGpu> &gpus() const { return devices; }
  const std::string &library() const { return path; }
  int version() const { return newest; } // 12030: the newest CUDA it serves is 12.3

  /// OK for CUDA_SUCCESS, else "CALL: CUDA_ERROR_NAME: text", and what the emulator reported.
  Status check(CUresult result, const std::string &call) const;
  Error failure(CUresult result, const std::string &call) const;

  /// A function that only the emulator has, null elsewhere.
  void *symbol(const char *name) const;
  /// What the emulator found since the last reset, "" elsewhere.
  std::string emulatorReport() const;

private:
  CudaDriver() = default;
  Status resolve();
  Status listDevices();

  void *handle = nullptr;
  std::string path;
  CudaSymbols symbols;
  const char *(*report)() = nullptr;
  std::vector<CudaGpu> devices;
  int newest = 0;
};

/// Where the GPU driver's library is looked for: $NYSJIT_CUDA_DRIVER, else libcuda.so.1.
std::vector<std::string> cudaDriverPlaces();
/// And the emulator's: $NYSJIT_PTX_EMULATOR, else libnysjit_ptx_emulator.so beside this library or
/// the running executable, or in ../lib from there.
Result<std::vector<std::string>> ptxEmulatorPlaces();

} // namespace nysjit

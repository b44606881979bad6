// dlopen, dlsym, cuInit; and results in words.
#include "runtime/cuda/driver.h"
#include "runtime/base/environment.h"
#include "runtime/base/installed_paths.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <unistd.h>

namespace nysjit {

namespace {

/// Whether the loader's words are of what the process lacks, not of the library. Without memory the
/// loader may say of a file that is there that it is not.
bool isLack(const std::string &library, const std::string &reason) {
  const auto says = [&](const char *words) { return reason.find(words) != std::string::npos; };
  for (const int failure : {ENOMEM, EMFILE, ENFILE})
    if (says(std::strerror(failure)))
      return true;
  return says("cannot create shared object") || says("cannot allocate") || says("out of memory") ||
         (says(std::strerror(ENOENT)) && reason.starts_with(library + ": ") &&
          access(library.c_str(), F_OK) == 0);
}

Error unavailable(const std::string &expected, const std::string &found) {
  return Error::mismatch(ErrorKind::Unavailable, "device", expected, found);
}

/// The contract's exit codes by kind: the driver refuses what the machine lacks, what it was given,
/// or fails.
ErrorKind kindOf(CUresult result) {
  switch (result) {
  case CUDA_ERROR_NO_DEVICE:
  case CUDA_ERROR_INVALID_DEVICE:
  case CUDA_ERROR_NO_BINARY_FOR_GPU:
  case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
  case CUDA_ERROR_NOT_SUPPORTED: return ErrorKind::Unavailable;
  case CUDA_ERROR_INVALID_IMAGE:
  case CUDA_ERROR_INVALID_PTX: return ErrorKind::CompileFailed;
  default: return ErrorKind::Io;
  }
}

} // namespace

std::vector<std::string> cudaDriverPlaces() {
  const std::string set = environmentSetting("NYSJIT_CUDA_DRIVER");
  return {set.empty() ? "libcuda.so.1" : set};
}

Result<std::vector<std::string>> ptxEmulatorPlaces() {
  const std::string set = environmentSetting("NYSJIT_PTX_EMULATOR");
  if (!set.empty())
    return std::vector{set};
  return installedPaths({"/", "/../lib/", "/../lib64/", "/../lib/x86_64-linux-gnu/"},
                        "libnysjit_ptx_emulator.so");
}

Result<std::shared_ptr<const CudaDriver>>
CudaDriver::open(const std::vector<std::string> &libraries) {
  std::shared_ptr<CudaDriver> driver(new CudaDriver);
  std::string reasons;
  for (const std::string &library : libraries) {
    driver->handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (driver->handle) {
      driver->path = library;
      break;
    }
    const char *said = dlerror();
    const std::string reason = said ? said : library + " cannot be opened";
    if (isLack(library, reason))
      return Error::plain(ErrorKind::Io, "driver", reason);
    reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  if (!driver->handle)
    return unavailable("the driver's library at " + joined(libraries),
                       reasons.empty() ? "no place to look" : reasons);
  NYSJIT_RETURN_IF_ERROR(driver->resolve());
  NYSJIT_RETURN_IF_ERROR(driver->check(driver->symbols.cuInit(0), "cuInit"));
  NYSJIT_RETURN_IF_ERROR(
      driver->check(driver->symbols.cuDriverGetVersion(&driver->newest), "cuDriverGetVersion"));
  NYSJIT_RETURN_IF_ERROR(driver->listDevices());
  return std::shared_ptr<const CudaDriver>(std::move(driver));
}

Status CudaDriver::resolve() {
  struct Row {
    const char *symbol;
    void **function;
  };
  const Row rows[] = {
#define NYSJIT_ROW(name, symbol, parameters) {#symbol, reinterpret_cast<void **>(&symbols.name)},
      NYSJIT_CUDA_SYMBOLS(NYSJIT_ROW)
#undef NYSJIT_ROW
  };
  for (const Row &row : rows) {
    *row.function = dlsym(handle, row.symbol);
    if (!*row.function)
      return unavailable("a driver that has " + std::string(row.symbol), path + ", which lacks it");
  }
  report = reinterpret_cast<const char *(*)()>(symbol("nysjit_emulator_report"));
  return {};
}

Status CudaDriver::listDevices() {
  int count = 0;
  NYSJIT_RETURN_IF_ERROR(check(symbols.cuDeviceGetCount(&count), "cuDeviceGetCount"));
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CudaGpu gpu;
    char name[256] = "";
    int major = 0;
    int minor = 0;
    NYSJIT_RETURN_IF_ERROR(check(symbols.cuDeviceGet(&gpu.handle, ordinal), "cuDeviceGet"));
    NYSJIT_RETURN_IF_ERROR(
        check(symbols.cuDeviceGetName(name, sizeof name, gpu.handle), "cuDeviceGetName"));
    for (const auto &[value, attribute] :
         {std::pair(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
          std::pair(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
          std::pair(&gpu.multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)})
      NYSJIT_RETURN_IF_ERROR(check(symbols.cuDeviceGetAttribute(value, attribute, gpu.handle),
                                   "cuDeviceGetAttribute"));
    NYSJIT_RETURN_IF_ERROR(
        check(symbols.cuDeviceTotalMem(&gpu.memoryBytes, gpu.handle), "cuDeviceTotalMem"));
    gpu.name = name;
    gpu.capability = 10 * major + minor;
    devices.push_back(std::move(gpu));
  }
  return devices.empty() ? unavailable("a GPU", "none (by " + path + ")") : Status();
}

Error CudaDriver::failure(CUresult result, const std::string &call) const {
  const char *name = nullptr;
  const char *text = nullptr;
  if (symbols.cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
    name = "unknown CUresult";
  if (symbols.cuGetErrorString(result, &text) != CUDA_SUCCESS || !text)
    text = "";
  std::string message = call + ": " + name + " (" + std::to_string(result) + ")";
  if (*text)
    message += std::string(": ") + text;
  if (const std::string found = emulatorReport(); !found.empty())
    message += "\n" + found;
  return Error::plain(kindOf(result), call, std::move(message));
}

Status CudaDriver::check(CUresult result, const std::string &call) const {
  return result == CUDA_SUCCESS ? Status() : Status(failure(result, call));
}

void *CudaDriver::symbol(const char *name) const { return dlsym(handle, name); }

std::string CudaDriver::emulatorReport() const {
  std::string text = report ? report() : "";
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

} // namespace nysjit

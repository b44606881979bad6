// `nysjit devices`: what there is to run on.
#include "runtime/cli/commands.h"
#include "runtime/device/cpu_identity.h"
#include "runtime/device/cpus.h"
#include "runtime/device/cuda_device.h"

namespace nysjit::cli {

using nlohmann::json;

namespace {

struct Listing {
  json object;
  std::string text;
};

/// Adds a line for the target.
void addTarget(Listing &listing, const Target &target, const Status &runs) {
  listing.object["targets"].push_back({{"name", targetName(target)}, {"available", runs.ok()}});
  listing.text +=
      std::string("  ") + targetName(target) + (runs ? "\n" : " (" + runs.error().message + ")\n");
}

Listing listCpu() {
  const size_t threads = availableCpus();
  Listing listing{{{"name", "cpu"}, {"available", true}, {"threads", threads}},
                  "cpu: " + std::to_string(threads) + " CPUs\n"};
  for (const TargetRow &row : targetTable())
    if (!row.target.isCuda())
      addTarget(listing, row.target, checkTargetRunsOn(row.target, hostCpu()));
  return listing;
}

/// GPUs, or the emulator: each device's name and capability, or why there is none.
Listing listCuda(DeviceKind kind) {
  const std::string name = deviceName(kind);
  Result<std::shared_ptr<CudaDevice>> device = CudaDevice::open(kind);
  Listing listing{{{"name", name}, {"available", device.ok()}}, name + ": "};
  if (!device) {
    listing.object["reason"] = device.error().message;
    listing.text += "not available (" + device.error().message + ")\n";
  } else {
    listing.text += (*device)->driver().library() + "\n";
    for (const CudaGpu &gpu : (*device)->driver().gpus()) {
      const std::string capability =
          std::to_string(gpu.capability / 10) + "." + std::to_string(gpu.capability % 10);
      listing.object["gpus"].push_back({{"name", gpu.name}, {"compute_capability", capability}});
      listing.text += "  " + gpu.name + ", compute capability " + capability + "\n";
    }
  }
  for (const TargetRow &row : targetTable())
    if (row.target.isCuda() && device)
      addTarget(listing, row.target, (*device)->checkRuns(row.target));
    else if (row.target.isCuda())
      listing.object["targets"].push_back({{"name", row.name}, {"available", false}});
  return listing;
}

} // namespace

Result<Reply> runDevices(const DevicesOptions &) {
  Reply reply;
  reply.json["devices"] = json::array();
  for (const Listing &listing : std::initializer_list<Listing>{
           listCpu(), listCuda(DeviceKind::Cuda), listCuda(DeviceKind::PtxEmulator)}) {
    reply.json["devices"].push_back(listing.object);
    reply.text += listing.text;
  }
  return reply;
}

} // namespace nysjit::cli

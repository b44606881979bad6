// `nysjit devices`: what there is to run on.
#include "runtime/cli/commands.h"
#include "runtime/device/cpu_identity.h"

#include <sched.h>
#include <thread>

namespace nysjit::cli {

namespace {

int usableCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return CPU_COUNT(&set);
  return int(std::thread::hardware_concurrency());
}

} // namespace

Result<Reply> runDevices(const DevicesOptions &) {
  nlohmann::json targets = nlohmann::json::array();
  std::string text = "cpu: " + std::to_string(usableCpus()) + " CPUs\n";
  for (CpuLevel level : {CpuLevel::Native, CpuLevel::V3, CpuLevel::V4}) {
    const char *name = targetName(Target{level});
    bool isAvailable = checkTargetRunsOn(Target{level}, hostCpu()).ok();
    targets.push_back({{"name", name}, {"available", isAvailable}});
    text += std::string("  ") + name + (isAvailable ? "\n" : " (this CPU lacks its instructions)\n");
  }
  nlohmann::json cpu = {{"name", "cpu"}, {"available", true}, {"threads", usableCpus()}, {"targets", targets}};
  Reply reply;
  reply.json["devices"] = nlohmann::json::array({cpu});
  reply.text = text;
  return reply;
}

} // namespace nysjit::cli

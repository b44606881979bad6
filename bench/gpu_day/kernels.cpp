// The PTX of the day's own kernels, and what goes wrong on purpose.
#include "bench/gpu_day/kernels.h"
#include "bench/gpu_day/steps.h"
#include "runtime/gpu/gpu_kernel.h"
#include "runtime/gpu/gpu_peaks.h"

#include <csignal>
#include <unistd.h>

namespace nysjit::gpu_day {

const char *const nothingPtx = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry nothing()
{
  ret;
}
)";

const char *const faultPtx = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry fault()
{
  .reg .u64 %a;
  .reg .u32 %v;
  mov.u64 %a, 16;
  mov.u32 %v, 1;
  st.global.u32 [%a], %v;
  ret;
}
)";

std::vector<std::string> ownKernels() { return {mmaLoopPtx(), nothingPtx, faultPtx}; }

bool isBrokenHere(const Options &options, const Session &session, const std::string &name) {
  std::string kind;
  for (const std::string &one : options.breaks)
    if (const size_t colon = one.find(':');
        colon != std::string::npos && one.substr(colon + 1) == name)
      kind = one.substr(0, colon);
  if (kind == "hang")
    for (;;)
      pause();
  if (kind == "crash")
    (void)raise(SIGSEGV);
  if (kind == "fault")
    if (const auto kernel = GpuKernel::load(session.driver(), faultPtx, "fault"))
      (void)(*kernel)->launch(session.stream, 1, 1, {});
  return kind == "wrong";
}

} // namespace nysjit::gpu_day

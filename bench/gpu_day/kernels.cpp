// The PTX of the day's own kernels, and what goes wrong on purpose.
#include "bench/gpu_day/kernels.h"
#include "bench/gpu_day/steps.h"

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

Result<std::unique_ptr<Kernel>> Kernel::load(const Session &session, const std::string &ptx,
                                             const char *name) {
  std::unique_ptr<Kernel> kernel(new Kernel(session));
  NYSJIT_RETURN_IF_ERROR(session.driver().check(
      session.api().cuModuleLoadData(&kernel->module, ptx.c_str()), "cuModuleLoadData"));
  NYSJIT_RETURN_IF_ERROR(session.driver().check(
      session.api().cuModuleGetFunction(&kernel->function, kernel->module, name),
      "cuModuleGetFunction"));
  return kernel;
}

Status Kernel::launch(int blocks, int threads, std::vector<void *> parameters) const {
  return session.driver().check(
      session.api().cuLaunchKernel(function, static_cast<unsigned>(blocks), 1, 1,
                                   static_cast<unsigned>(threads), 1, 1, 0, session.stream,
                                   parameters.data(), nullptr),
      "cuLaunchKernel");
}

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
    if (const auto kernel = Kernel::load(session, faultPtx, "fault"))
      (void)(*kernel)->launch(1, 1, {});
  return kind == "wrong";
}

} // namespace nysjit::gpu_day

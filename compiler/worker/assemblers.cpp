// One after the other, within one time limit.
#include "compiler/worker/assemblers.h"

#include <algorithm>
#include <chrono>

namespace nysjit {

namespace {

/// "it exited with status 255: ptxas fatal: ...", one line.
std::string reasonOf(const Error &error) {
  constexpr std::string_view that = "that ";
  const std::string &text = error.found.empty() ? error.message : error.found;
  const size_t start = text.starts_with(that) ? that.size() : 0;
  return text.substr(start, text.find('\n') - start);
}

} // namespace

Result<CubinAttempt> tryAssemblers(const Assemblers &assemblers, const std::string &ptx, int sm) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(assemblers.limitMs);
  CubinAttempt attempt;
  for (const std::string &path : assemblers.paths) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    AssemblerFault fault;
    Result<AssembledCubin> made =
        assembleCubin(ptx, sm, path, std::max(static_cast<int>(left), 1), &fault);
    if (made)
      return CubinAttempt{std::move(*made)};
    const Error &error = made.error();
    if (fault == AssemblerFault::Refused)
      return error;
    const std::string reason = reasonOf(error);
    if (fault == AssemblerFault::Broken && !assemblers.variable.empty() && !isPtxas(path))
      return Error::mismatch(ErrorKind::InvalidArgument, assemblers.variable,
                             "the path of a ptxas, or none", "\"" + path + "\": " + reason);
    attempt.isLasting = attempt.isLasting && fault == AssemblerFault::Old;
    attempt.reason += (attempt.reason.empty() ? "" : "; ") + path + ": " + reason;
  }
  return attempt;
}

} // namespace nysjit

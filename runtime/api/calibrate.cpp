// nysjit_calibrate.h: reads its arguments, has the probes found on the context's threads.
#include "runtime/calibrate/calibrate.h"
#include "runtime/api/border.h"
#include "runtime/api/handles.h"
#include "runtime/base/float_environment.h"

#include <cstddef>
#include <string>
#include <vector>

using namespace nysjit;

namespace {

Error isNull(const char *argument, const char *expected) {
  return Error::mismatch(ErrorKind::InvalidArgument, argument, expected, "NULL");
}

/// The runs' structs, whole.
Status readRuns(const nysjit_calibrate_args &args, std::vector<nysjit_run_args> &runs) {
  if (args.run_count > 0 && !args.runs)
    return isNull("runs", "run_count pointers");
  for (size_t i = 0; i < args.run_count; ++i) {
    const std::string name = "runs[" + std::to_string(i) + "]";
    NYSJIT_RETURN_IF_ERROR(readStruct(args.runs[i], name.c_str(), offsetof(nysjit_run_args, scale),
                                      runs.emplace_back()));
  }
  return {};
}

Status calibrateWith(RuntimeContext &context, const char *specJson,
                     const nysjit_calibrate_args &args) {
  Result<KernelSpec> spec = parseKernelSpec(std::string_view(specJson));
  NYSJIT_RETURN_IF_ERROR(spec);
  std::vector<nysjit_run_args> runs;
  NYSJIT_RETURN_IF_ERROR(readRuns(args, runs));
  if (!args.heads != (args.head_count == 0))
    return isNull("heads", "room for head_count of them, or none and 0");
  return calibrate({.spec = *spec,
                    .runs = runs,
                    .probes = args.probes,
                    .seed = args.seed,
                    .heads = args.heads,
                    .headCount = args.head_count},
                   context.runners());
}

} // namespace

extern "C" nysjit_status nysjit_calibrate(nysjit_context *context, const char *spec_json,
                                          const nysjit_calibrate_args *args) {
  const DefaultFloatEnvironment environment; // of the numbers in JSON
  return atBorder([&]() -> Status {
    if (!context)
      return isNull("context", "a pointer");
    if (!spec_json)
      return isNull("spec_json", "a pointer");
    nysjit_calibrate_args whole;
    NYSJIT_RETURN_IF_ERROR(readStruct(args, "args", offsetof(nysjit_calibrate_args, seed), whole));
    return calibrateWith(context->context, spec_json, whole);
  });
}

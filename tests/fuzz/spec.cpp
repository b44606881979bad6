// A spec's JSON text.
#include "runtime/spec/request.h"
#include "tests/fuzz/property.h"

using namespace nysjit;
using namespace nysjit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Result<KernelSpec> spec = parseKernelSpec(textOf(bytes, count));
  if (!spec) {
    requireNamed(spec.error());
    return 0;
  }
  const std::string canonical = canonicalJson(*spec);
  Result<KernelSpec> again = parseKernelSpec(canonical);
  require(again.ok(), "the canonical form is a spec: " + canonical);
  require(canonicalJson(*again) == canonical, "the canonical form is its own: " + canonical);
  require(ProgramRequest(*spec, {}, Target()).specJson == canonical, "a request holds it");
  return 0;
}

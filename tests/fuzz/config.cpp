// A config's JSON text, with block sizes by kernel.
#include "runtime/spec/block_config.h"
#include "tests/fuzz/property.h"

using namespace nysjit;
using namespace nysjit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Result<KernelConfig> config = parseKernelConfig(textOf(bytes, count));
  if (!config) {
    requireNamed(config.error());
    return 0;
  }
  const std::string canonical = canonicalJson(*config);
  Result<KernelConfig> again = parseKernelConfig(canonical);
  require(again.ok(), "the canonical form is a config: " + canonical);
  require(*again == *config, "the canonical form says the same: " + canonical);
  return 0;
}

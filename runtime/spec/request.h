// A request, whole: which program is asked for, with the canonical texts that name it. A spec is
// parsed once in a process and its canonical form made once, here; the cache key, the request to
// the worker and the check of the plan that comes back read this.
#pragma once
#include "runtime/spec/spec.h"

#include <string>

namespace nysjit {

struct ProgramRequest {
  ProgramRequest(KernelSpec spec, KernelConfig config, Target target);

  KernelSpec spec;
  KernelConfig config;
  Target target;
  Json specObject; // canonical, as is configObject
  Json configObject;
  std::string specJson; // canonicalJson of the spec
  std::string configJson;
};

} // namespace nysjit

// Layout to template.
#include "templates/templates.h"

namespace nysjit {

void buildTemplate(Program &program) {
  switch (program.spec().layout) {
  case Layout::ExactCausal: return exactCausal(program);
  case Layout::Causal: return causal(program);
  case Layout::Bidirectional: return bidirectional(program);
  case Layout::SegmentCausal: return segmentCausal(program);
  case Layout::PrefixLm: return prefixLm(program);
  case Layout::Scan: return scan(program);
  }
}

} // namespace nysjit

// Layout to template.
#include "templates/templates.h"

namespace nysjit {

void buildTemplate(Program &program) {
  switch (program.spec().layout) {
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach)                               \
  case Layout::id: return function(program);
#include "runtime/spec/layouts.def"
  }
}

} // namespace nysjit

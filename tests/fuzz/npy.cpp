// A .npy file's bytes.
#include "runtime/npy/npy.h"
#include "tests/fuzz/property.h"

using namespace nysjit;
using namespace nysjit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Result<NpyArray> array = parseNpy(textOf(bytes, count), "input.npy");
  if (!array) {
    requireNamed(array.error());
    return 0;
  }
  require(array->bytes.size() <= count, "no more is held than the file has");
  if (array->isFloating())
    require(int64_t(array->toDouble().size()) == array->elements(), "as many as the shape says");
  else
    require(int64_t(array->toInt64().size()) == array->elements(), "as many as the shape says");
  Result<NpyArray> again = parseNpy(formatNpy(*array), "written.npy");
  require(again.ok(), "what is written can be read: " + (again ? "" : again.error().message));
  require(again->dtype == array->dtype && again->shape == array->shape &&
              again->bytes == array->bytes,
          "what is written reads the same");
  return 0;
}

// TUNE.json's text. Paths of specs lead into a folder that is not there, or to files of the system.
#include "runtime/tune/tune_file.h"
#include "tests/fuzz/property.h"

#include <numeric>

using namespace nysjit;
using namespace nysjit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  Result<tune::TuneFile> file = tune::parseTuneFile(textOf(bytes, count), "/nysjit-is-not-there");
  if (!file) {
    requireNamed(file.error());
    return 0;
  }
  require(!file->specs.empty() && !file->shapes.empty() && !file->threads.empty(),
          "there is something to tune");
  for (const tune::TuneShape &shape : file->shapes) {
    require(shape.length >= 1 && shape.weight > 0, "a shape has positions and a weight");
    require(shape.heads % shape.kvHeads == 0, "heads of keys serve whole numbers of heads");
    if (!shape.sequences.empty())
      require(std::accumulate(shape.sequences.begin(), shape.sequences.end(), int64_t(0)) ==
                  shape.length,
              "packed sequences are all positions");
  }
  return 0;
}

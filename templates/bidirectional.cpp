// bidirectional: the Nystromformer, O = F A+ (B V) with
//   F = softmax(tau Q Ktilde^T), A = softmax(tau Qtilde Ktilde^T), B = softmax(tau Qtilde K^T)
// over segment means Qtilde, Ktilde; A+ is the iterated inverse. The whole sequence is a source
// (see segments.h).
//
// Kernels: segment_summary, (landmark_past,) source_past, source_inverse, and
//   source_output  a cell for block_m query rows: F U, block_n landmarks at a time
#include "templates/gradients.h"
#include "templates/query_sums.h"
#include "templates/templates.h"

namespace nysjit {

void bidirectional(Program &program) {
  const Attention attention(program);
  const Convolution convolution(program);
  auto wholeLength = [](Kernel &, const Head &head) { return head.length; };
  Landmarks landmarks(program, attention,
                      {.segments = {.hasTarget = false, .sourceLen = wholeLength}});
  const SavedRows saved(program, attention);
  const int ahead = convolution.count / 2;
  attention.clearPadding(program);
  program.writeForward([&] {
    landmarks.writeKernels();
    writeSourceOutput(landmarks, saved, convolution, ahead);
  });
  if (program.spec().pass == Pass::Backward)
    segmentsGradient(program, landmarks, saved, convolution, ahead);
}

} // namespace nysjit

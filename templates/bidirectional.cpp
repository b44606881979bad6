// bidirectional: the Nystromformer, O = F A+ (B V) with
//   F = softmax(tau Q Ktilde^T), A = softmax(tau Qtilde Ktilde^T), B = softmax(tau Qtilde K^T)
// over segment means Qtilde, Ktilde; A+ is the iterated inverse. The whole sequence is a source
// (see landmarks.h).
//
// Kernels: segment_summary, (landmark_past,) source_past, source_inverse, and
//   source_output  block_m query rows a program: F U, block_n landmarks at a time
#include "templates/landmarks.h"
#include "templates/templates.h"

namespace nysjit {

void bidirectional(Program &program) {
  const Attention attention(program);
  const Convolution convolution(program, attention);
  Landmarks landmarks(
      program, attention,
      {.hasTarget = false, .sourceLen = [](Kernel &, const Head &head) { return head.length; }});
  attention.clearPadding(program);
  landmarks.summarize();
  landmarks.solve();
  writeSourceOutput(program, attention, landmarks, convolution, convolution.count / 2);
}

} // namespace nysjit

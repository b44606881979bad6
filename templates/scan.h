// What scan's kernels share: landmarks that do not depend on later positions, and the state of the
// running sums before each part of the positions.
#pragma once
#include "templates/inverse.h"

namespace nysjit {

struct Scan {
  Program &program;
  const KernelSpec &spec;
  const Attention attention;
  const Convolution convolution;
  const bool isFirstK;
  const int landmarks;
  const int headDim;
  const int firstK; // 0 unless isFirstK
  const bool isBackward;
  BlockConfig blocks;      // of scan_output, or of scan_columns
  TensorRef landmarkQuery; // learned: [Hq, m, d], else [heads, m, d]
  TensorRef landmarkKey;   // learned: [Hkv, m, d], else [heads, m, d]
  bool isKept = false;     // one tile holds all landmarks: their queries and keys are loaded once
  PartialSums states;      // what lies before each part; carried instead if one part is all

  explicit Scan(Program &program);
  int split() const { return *blocks.split; }
  /// Whether one tile of a kernel with these blocks holds all landmarks.
  bool isKeptBy(const BlockConfig &of) const { return landmarks <= *of.blockN; }
  /// The state stays in a loop's tiles: one tile of landmarks, one part.
  bool isCarried() const { return isKept && !split(); }
  Scalar parts() const;
  View queryRows(Kernel &k, const Head &head) const;
  View keyRows(Kernel &k, const Head &head) const;
  /// Means are float32.
  DotPrecision precision() const { return isFirstK ? DotPrecision::TwoTerms : DotPrecision::Input; }
  /// Rows that landmarks serve: all of them, or those from k0 on.
  Scalar scanned(const Head &head) const {
    return isFirstK ? select(Scalar(firstK) < head.length, head.length, 0) : head.length;
  }
  /// Those of a part.
  Range positionsOf(const Head &head, const Scalar &part) const;
  /// A+ is of each query head, or of each sequence's, too.
  Scalar inverses() const { return isFirstK ? attention.heads() : attention.queryHeads; }
};

/// The kernels' pages: scan.cpp, scan_states.cpp, scan_output.cpp.
void writeScanStates(const Scan &scan);
void writeScanOutput(const Scan &scan, const InverseWorkspace &inverse);

/// Writes the kernel first_output: O_i = sum over t <= i of e^{tau q_i.k_t} v_t / sum over t <= i
/// of e^{tau q_i.k_t} for i < k0, a tile of rows each time, with which `finish` does what it will.
using FirstRows = std::function<void(Kernel &, const OnlineSoftmax &, const Head &, Scalar row0)>;
void writeFirstRows(const Scan &scan, const FirstRows &finish);

} // namespace nysjit

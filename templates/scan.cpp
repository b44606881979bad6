// scan: prefix sums under landmarks that do not depend on later positions: learned, or the segment
// means of the first k0 positions (first_k), which then are exact causal attention themselves. With
// P = softmax(tau Q Ktilde^T) A+ and x_jt = tau qtilde_j.k_t
//   O_i = sum over j of P_ij (sum over t <= i of e^{x_jt} v_t) / (sum over t <= i of e^{x_jt}).
//
// Kernels (with a split, parts of that many positions run side by side):
//   landmark_means  first_k only: a cell for each landmark
//   scan_inverse    a cell for each head: A+ (see inverse.h)
//   scan_sums       with a split only: block_m landmarks over a part          scan_states.cpp
//   scan_states     with a split only: block_m landmarks, the states before each part, in order
//   scan_output     a cell for each part: block_m positions, block_n landmarks at a time
//                                                                             scan_output.cpp
//   first_output    first_k only: exact causal attention of block_m of the first rows
#include "templates/scan.h"
#include "templates/gradients.h"
#include "templates/query_sums.h"
#include "templates/templates.h"

#include <algorithm>
#include <bit>

namespace nysjit {

Scan::Scan(Program &p)
    : program(p), spec(p.spec()), attention(p), convolution(p),
      isFirstK(spec.landmarkSource == LandmarkSource::FirstK), landmarks(spec.landmarks),
      headDim(spec.headDim), firstK(isFirstK ? spec.firstK : 0),
      isBackward(spec.pass == Pass::Backward) {
  if (isFirstK) {
    landmarkQuery = program.buffer("landmark_query", {attention.heads(), landmarks, headDim});
    landmarkKey = program.buffer("landmark_key", {attention.heads(), landmarks, headDim});
  } else {
    landmarkQuery = program.tensor("landmark_q");
    landmarkKey = program.tensor("landmark_k");
  }
  // All landmarks at once, where a tile of theirs is not too large.
  const int whole = static_cast<int>(std::bit_ceil(static_cast<unsigned>(landmarks)));
  const int landmarkTile = landmarks > 256 ? 64 : std::max(16, whole);
  const char *const kernel = isBackward ? "scan_columns" : "scan_output";
  blocks = program.blocks(kernel, {.blockM = 32, .blockN = landmarkTile, .split = 0});
  if (split()) // many cells side by side, each with less memory of its own
    blocks = program.blocks(kernel, {.blockM = 32, .blockN = 32, .split = 0});
  isKept = isKeptBy(blocks);
}

Scalar Scan::parts() const {
  return split() ? ceilDiv(attention.maxLength, split()) : min(attention.maxLength, 1);
}

Range Scan::positionsOf(const Head &head, const Scalar &part) const {
  const Scalar begin = part * split();
  const Scalar left = max(scanned(head) - begin, 0);
  return {begin, begin + (split() ? min(left, split()) : left)};
}

View Scan::queryRows(Kernel &k, const Head &head) const {
  return k.view(landmarkQuery, {isFirstK ? head.pair : head.queryHead});
}

View Scan::keyRows(Kernel &k, const Head &head) const {
  return k.view(landmarkKey, {isFirstK ? head.pair : head.keyHead});
}

namespace {

void writeMeans(const Scan &scan) {
  const int length = scan.firstK / scan.landmarks;
  constexpr int block = 8;
  const Scalar cells = scan.attention.heads() * scan.landmarks;
  scan.program.kernel("landmark_means", cells, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar g = cell % scan.landmarks;
    const Head head = headOf(k, scan.attention, cell / scan.landmarks);
    for (const auto &[from, to] :
         {std::pair(head.query, scan.landmarkQuery), {head.key, scan.landmarkKey}}) {
      const Scalar left = max(min(from.length - g * length, length), 0);
      const View segment = k.slice(from, g * length, left);
      Tile sum = k.fill(scan.headDim, 0);
      k.forRange({0, length}, block, {&sum},
                 [&](Scalar t0) { sum = sum + columnSum(k.load(segment, t0, block)); });
      k.store(sum * (1.0 / length), k.view(to, {head.pair, g}), 0);
    }
  });
}

void writeInverse(const Scan &scan, const InverseWorkspace &inverse, const Scalar &count) {
  const Attention &attention = scan.attention;
  // Learned landmarks have gradients, 0, also where there are no positions.
  const Scalar isUsed = scan.isBackward && !scan.isFirstK ? 1 : min(attention.maxLength, 1);
  const Scalar cells = count * isUsed;
  scan.program.kernel("scan_inverse", cells, [&](Kernel &k) {
    const Scalar number = k.cell();
    const Scalar queryHead = number % attention.queryHeads;
    const Scalar keyHead = queryHead / (attention.queryHeads / max(attention.keyHeads, 1));
    const View queries = k.view(scan.landmarkQuery, {number});
    const View keys = k.view(scan.landmarkKey, {scan.isFirstK ? number : keyHead});
    inverse.invert(k, number, queries, keys, scan.landmarks);
  });
}

} // namespace

void writeFirstRows(const Scan &scan, const FirstRows &finish) {
  const BlockConfig blocks =
      scan.program.blocks("first_output", {.blockM = 64, .blockN = 64}, {.hasDiagonal = true});
  const int blockM = *blocks.blockM;
  auto body = [&](Kernel &k, const Head &head, const Scalar &i0) {
    const QueryTile rows(k, head, i0, blockM, min(head.length, scan.firstK));
    const Mask past = Mask::upTo(rows.i).allSee({0, i0 + 1});
    OnlineSoftmax softmax(k, blockM, scan.headDim);
    addNear(k, softmax, head, rows.query, past, {0, rows.end}, *blocks.blockN);
    finish(k, softmax, head, i0);
  };
  writeRowTiles(scan.program, "first_output", scan.attention,
                min(scan.attention.maxLength, scan.firstK), blockM, RowOrder::LastRowFirst, body);
}

void scan(Program &program) {
  Scan scan(program);
  const Attention &attention = scan.attention;
  const BlockConfig blocks = inverseBlocks(program, "scan_inverse", scan.landmarks, false);
  BlockConfig rowBlocks = scan.blocks;
  if (scan.isBackward && scan.split())
    rowBlocks = program.blocks("scan_rows", {.blockM = 32, .blockN = *scan.blocks.blockN});
  const InverseWorkspace inverse(program, scan.inverses(), scan.landmarks, *blocks.blockM,
                                 std::max(*scan.blocks.blockN, *rowBlocks.blockN));
  if (scan.split() || (!scan.isBackward && !scan.isCarried()))
    scan.states = PartialSums(program, "state", attention.heads(),
                              scan.split() ? scan.parts() : Scalar(1), scan.landmarks);
  attention.clearPadding(program);
  if (scan.isFirstK)
    writeMeans(scan);
  writeInverse(scan, inverse, scan.inverses());
  if (scan.split())
    writeScanStates(scan);
  if (scan.isBackward)
    return scanGradient(scan, inverse, rowBlocks);
  writeScanOutput(scan, inverse);
  if (!scan.isFirstK)
    return;
  writeFirstRows(scan, [&](Kernel &k, const OnlineSoftmax &softmax, const Head &head, Scalar i0) {
    const Tile o = scan.convolution.addTo(k, softmax.result(), head, i0);
    k.store(o, k.slice(head.output, 0, min(head.length, scan.firstK)), i0);
  });
}

} // namespace nysjit

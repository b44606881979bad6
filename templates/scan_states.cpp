// scan with a split: each part's own sums, side by side, then the state before each part, in order.
#include "templates/scan.h"

namespace nysjit {

void writeScanStates(const Scan &scan) {
  Program &program = scan.program;
  const BlockConfig blocks = program.blocks("scan_sums", {.blockM = 32, .blockN = 64});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const int split = scan.split();
  const Scalar heads = scan.attention.heads();
  const Scalar parts = scan.parts();
  const int tiles = (scan.landmarks + blockM - 1) / blockM;

  // scan_sums: nobody comes after the last part.
  program.kernel("scan_sums", heads * max(parts - 1, 0) * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar rest = cell / heads;
    const Scalar part = rest / tiles;
    const Scalar g0 = rest % tiles * blockM;
    const Scalar t0 = part * split;
    const Head head = headOf(k, scan.attention, cell % heads);
    const Scalar end = t0 + min(max(scan.scanned(head) - t0, 0), split);
    const Tile query = k.load(scan.queryRows(k, head), g0, blockM);
    const Tile scale = logitScale(k);
    OnlineSoftmax state(k, blockM, scan.headDim);
    const Mask inPart = Mask::below(end).allSee({t0, end});
    k.forTiles({t0, end}, inPart, blockN, state.carry(), [&](Scalar t, const TileMask &seen) {
      const Tile key = k.load(head.key, t, blockN);
      const Tile logits = dot(query, transposed(key), scan.precision()) * scale;
      state.add(where(seen, logits, negativeInfinity), k.load(head.value, t, blockN));
    });
    scan.states.store(k, state, {head.pair, part, g0, scan.landmarks});
  });

  program.kernel("scan_states", heads * tiles * min(parts, 1), [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar pair = cell % heads;
    const Scalar g0 = cell / heads * blockM;
    auto at = [&](const Scalar &part) { return PartialRows{pair, part, g0, scan.landmarks}; };
    OnlineSoftmax before(k, blockM, scan.headDim);
    k.forRange({0, parts - 1}, 1, before.carry(), [&](Scalar part) {
      const OnlineSoftmax own = scan.states.load(k, at(part), before);
      scan.states.store(k, before, at(part));
      before.merge(own);
    });
    scan.states.store(k, before, at(parts - 1));
  });
}

} // namespace nysjit

// exact_causal: O = softmax(tau Q K^T + M) V with M the causal mask; the quadratic baseline, tiled
// with an online softmax.
//
// Kernel exact_causal, one program a tile of block_m query rows:
//   block_m  query rows a program                       block_n  keys an iteration
#include "templates/building_blocks.h"
#include "templates/templates.h"

namespace nysjit {

void exactCausal(Program &program) {
  const Attention attention(program);
  const BlockConfig blocks =
      program.blocks("exact_causal", {.blockM = 64, .blockN = 64}, {.meetsFloat32 = false});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar rowTiles = ceilDiv(attention.maxLength, blockM);
  attention.clearPadding(program);

  program.kernel("exact_causal", attention.heads() * rowTiles, [&](Kernel &k) {
    // The tile slowest and from the end: the longest rows start first.
    const Scalar id = k.cell();
    const Scalar tile = rowTiles - 1 - id / attention.heads();
    const Head head = headOf(k, attention, id % attention.heads());
    const Scalar i0 = tile * blockM;
    const Tile i = i0 + k.iota(blockM);
    const Tile query = k.load(head.query, i0, blockM);
    const Tile scale = logitScale(k);

    // O_i = sum over t <= i of e^{tau q_i.k_t} v_t / sum over t <= i of e^{tau q_i.k_t}
    OnlineSoftmax softmax(k, blockM, program.spec().headDim);
    k.forTiles({0, min(i0 + blockM, head.length) * (i0 < head.length)}, {0, i0 + 1}, blockN,
               softmax.carry(), [&](Scalar t0, bool masked) {
                 Tile logits = dotT(query, k.load(head.key, t0, blockN)) * scale;
                 if (masked)
                   logits = where(cols(t0 + k.iota(blockN)) <= rows(i), logits, negativeInfinity);
                 softmax.add(logits, k.load(head.value, t0, blockN));
               });
    k.store(softmax.result(), head.output, i0);
  });
}

} // namespace nysjit

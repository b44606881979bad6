// exact_causal: O = softmax(tau Q K^T + M) V with M the causal mask; the quadratic baseline, tiled
// with an online softmax.
//
// Kernel exact_causal, a cell for each tile of block_m query rows:
//   block_m  query rows of a cell
//   block_n  keys of an iteration
#include "templates/gradients.h"
#include "templates/templates.h"

namespace nysjit {

void exactCausal(Program &program) {
  const Attention attention(program);
  const SavedRows saved(program, attention);
  const Convolution none(program);
  const RowEnds ends(program.spec(), attention, saved, none);
  const BlockConfig blocks = program.blocks("exact_causal", {.blockM = 64, .blockN = 64},
                                            {.hasFloat32Operand = false, .hasDiagonal = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  attention.clearPadding(program); // a kernel of its own, where rows are padded

  auto body = [&](Kernel &k, const Head &head, const Scalar &i0) {
    const QueryTile rows(k, head, i0, blockM, head.length);
    const Tile scale = logitScale(k);

    // O_i = sum over t <= i of e^{tau q_i.k_t} v_t / sum over t <= i of e^{tau q_i.k_t}
    const Mask past = Mask::upTo(rows.i).allSee({0, i0 + 1});
    OnlineSoftmax softmax(k, blockM, program.spec().headDim);
    k.forTiles({0, rows.end}, past, blockN, softmax.carry(), [&](Scalar t0, const TileMask &seen) {
      const Tile key = k.load(head.key, t0, blockN);
      const Tile logits = dot(rows.query, transposed(key), seen) * scale;
      softmax.add(logits, k.load(head.value, t0, blockN), seen);
    });
    ends.store(k, softmax, head, i0);
  };
  program.writeForward([&] {
    writeRowTiles(program, "exact_causal", attention, attention.maxLength, blockM,
                  RowOrder::LastRowFirst, body);
  });
  if (ends.isBackward)
    exactCausalGradient(program, attention, saved, none);
}

} // namespace nysjit

// exact_causal, backward: gradients of O = softmax(tau Q K^T + M) V (formulas: gradients.h).
//
// Kernels: exact_causal (where the caller has not kept what it leaves), output_delta, and
//   position_gradient  a cell for block_m positions of a key head, block_n columns an iteration:
//                      dq of its rows from the positions before, dk and dv from the rows after
#include "templates/near_gradient.h"
#include "templates/templates.h"

namespace nysjit {

void exactCausalGradient(Program &program, const Attention &attention, const SavedRows &saved,
                         const Convolution &none) {
  const Gradients gradients(program, attention, saved, none);
  gradients.writeFirst();
  const BlockConfig blocks =
      program.blocks("position_gradient", {.blockM = 64, .blockN = 64},
                     {.hasFloat32Operand = false, .hasDiagonal = true, .keepsMore = true});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  gradients.writePositions(
      "position_gradient", blockM, [&](Kernel &k, const Head &group, const Scalar &t0) {
        gradients.forQueryHeads(k, group, {}, [&](const Head &head) {
          const GradientRows rows = gradients.rowsOf(k, head);
          const QueryTile queries(k, head, t0, blockM, head.length);
          const Mask past = Mask::upTo(queries.i).allSee({0, t0 + 1});
          Tile dq = k.fill(blockM, program.spec().headDim, 0);
          addNearQueryGradient(k, dq, head, rows, queries, past, {0, queries.end}, blockN);
          k.store(dq * k.scale(), rows.dq, t0);
        });

        KeyGradient sums(k, group, t0, blockM);
        const Mask future = Mask::below(group.length)
                                .from(t0 + k.iota(blockM))
                                .allSee({t0 + blockM - 1, group.length});
        gradients.forQueryHeads(k, group, sums.carry(), [&](const Head &head) {
          addNearKeyGradient(k, sums, head, gradients.rowsOf(k, head), future, {t0, head.length},
                             blockN);
        });
        sums.store(k, gradients, group, t0);
      });
}

} // namespace nysjit

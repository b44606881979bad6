// exact_causal, backward: gradients of O = softmax(tau Q K^T + M) V (formulas: gradients.h).
//
// Kernels: exact_causal (where the caller has not kept what it leaves), output_delta, and
//   position_gradient  a cell for block_m positions of a key head, block_n columns an iteration:
//                      dq of its rows from the positions before, dk and dv from the rows after.
//                      Fused: a cell for a key head, block_m positions after the other; what a tile
//                      of weights has for dq of later rows is added to that in memory
#include "templates/near_gradient.h"
#include "templates/templates.h"

namespace nysjit {

namespace {

class PositionGradient {
public:
  PositionGradient(Program &program, Gradients &gradients)
      : spec(program.spec()), gradients(gradients),
        blocks(program.blocks("position_gradient", {.blockM = 64, .blockN = 64, .fused = 0},
                              {.hasFloat32Operand = false,
                               .hasDiagonal = true,
                               .keepsMore = true,
                               .keepsTwoSums = true,
                               .rereadsColumns = true})),
        blockM(*blocks.blockM), blockN(*blocks.blockN), isFused(blocks.fused.value_or(0)) {}

  void write() {
    if (!isFused) {
      gradients.writePositions("position_gradient", blockM,
                               [&](Kernel &k, const Head &group, const Scalar &t0) {
                                 storeQueries(k, group, t0);
                                 storeKeys(k, group, t0);
                               });
      return;
    }
    gradients.allocateQuerySums();
    gradients.writeHeads("position_gradient", [&](Kernel &k, const Head &group) {
      gradients.clearQuerySums(k, group, {0, group.length}, blockM);
      k.forRange({0, group.length}, blockM, {}, [&](Scalar t0) {
        storeKeys(k, group, t0);
        storeSums(k, group, t0); // later positions are not seen by these rows
      });
    });
  }

private:
  void storeQueries(Kernel &k, const Head &group, const Scalar &t0) const {
    gradients.forQueryHeads(k, group, {}, [&](const Head &head) {
      const GradientRows rows = gradients.rowsOf(k, head);
      const QueryTile queries(k, head, t0, blockM, head.length);
      const Mask past = Mask::upTo(queries.i).allSee({0, t0 + 1});
      Tile dq = k.fill(blockM, spec.headDim, 0);
      addNearQueryGradient(k, dq, head, rows, queries, past, {0, queries.end}, blockN);
      k.store(dq * k.scale(), rows.dq, t0);
    });
  }

  void storeKeys(Kernel &k, const Head &group, const Scalar &t0) const {
    KeyGradient sums(k, group, t0, blockM);
    const Mask future =
        Mask::below(group.length).from(t0 + k.iota(blockM)).allSee({t0 + blockM - 1, group.length});
    gradients.forQueryHeads(k, group, sums.carry(), [&](const Head &head) {
      const GradientRows rows = gradients.rowsOf(k, head);
      const QuerySums fused{rows.querySum, t0,
                            [](const Tile &i) { return Mask::rowsBelow(i + 1); }};
      addNearKeyGradient(k, sums, head, rows, future, {t0, head.length}, blockN,
                         isFused ? &fused : nullptr);
    });
    sums.store(k, gradients, group, t0);
  }

  void storeSums(Kernel &k, const Head &group, const Scalar &t0) const {
    gradients.forQueryHeads(k, group, {}, [&](const Head &head) {
      const GradientRows rows = gradients.rowsOf(k, head);
      k.store(k.load(rows.querySum, t0, blockM) * k.scale(), rows.dq, t0);
    });
  }

  const KernelSpec &spec;
  Gradients &gradients;
  const BlockConfig blocks;
  const int blockM;
  const int blockN;
  const bool isFused;
};

} // namespace

void exactCausalGradient(Program &program, const Attention &attention, const SavedRows &saved,
                         const Convolution &none) {
  Gradients gradients(program, attention, saved, none);
  gradients.writeFirst();
  PositionGradient(program, gradients).write();
}

} // namespace nysjit

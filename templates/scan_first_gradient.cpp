// first_k, backward: exact causal attention of the first k0 rows (gradients.h), and what landmarks
// make of their means: dq_t += dqtilde_g / len, dk_t += dktilde_g / len for t in segment g.
#include "templates/query_sums.h"
#include "templates/scan_gradient.h"

namespace nysjit {

namespace {

/// Those of a query head among the first rows.
GradientRows firstRows(Kernel &k, const GradientRows &rows, const Scalar &count) {
  auto first = [&](const View &view) { return k.slice(view, 0, count); };
  return {first(rows.dout), first(rows.maximum), first(rows.share), first(rows.delta),
          first(rows.dq)};
}

class FirstGradient {
public:
  FirstGradient(Kernel &k, const ScanGradient &of, const Head &group, const Scalar &t0,
                const BlockConfig &blocks)
      : k(k), of(of), scan(of.scan), gradients(of.gradients), group(group), t0(t0),
        blockM(*blocks.blockM), blockN(*blocks.blockN), count(min(group.length, scan.firstK)),
        isScanned(Scalar(scan.firstK) < group.length) {}

  void storeQueryGradients() const;
  void storeKeyGradients() const;

private:
  /// What the means make of the tile's positions.
  Tile throughMeans(const TensorRef &sums, const Head &head) const {
    const int length = scan.firstK / scan.landmarks;
    const View rows = k.slice(k.view(sums, {head.pair}), 0, select(isScanned, scan.landmarks, 0));
    return k.gather(rows, (t0 + k.iota(blockM)) / length) * (1.0 / length);
  }
  /// What scan_columns has left of them.
  Tile fromColumns(const TensorRef &tensor) const {
    const Scalar number = group.sequence * scan.attention.keyHeads + group.keyHead;
    return k.load(k.slice(k.view(tensor, {number}), 0, select(isScanned, scan.firstK, 0)), t0,
                  blockM);
  }

  Kernel &k;
  const ScanGradient &of;
  const Scan &scan;
  const Gradients &gradients;
  const Head &group;
  const Scalar t0;
  const int blockM;
  const int blockN;
  const Scalar count; // of the first rows
  const Scalar isScanned;
};

void FirstGradient::storeQueryGradients() const {
  gradients.forQueryHeads(k, group, {}, [&](const Head &head) {
    const GradientRows rows = firstRows(k, gradients.rowsOf(k, head), count);
    const QueryTile queries(k, head, t0, blockM, count);
    const Mask past = Mask::upTo(queries.i).allSee({0, t0 + 1});
    Tile dq = k.fill(blockM, scan.headDim, 0);
    addNearQueryGradient(k, dq, head, rows, queries, past, {0, queries.end}, blockN);
    k.store((dq + throughMeans(of.querySums, head)) * k.scale(), rows.dq, t0);
  });
}

void FirstGradient::storeKeyGradients() const {
  KeyGradient sums(k, group, t0, blockM);
  const Mask future = Mask::below(count).from(t0 + k.iota(blockM)).allSee({t0 + blockM - 1, count});
  gradients.forQueryHeads(k, group, sums.carry(), [&](const Head &head) {
    const GradientRows rows = firstRows(k, gradients.rowsOf(k, head), count);
    addNearKeyGradient(k, sums, head, rows, future, {t0, count}, blockN);
    sums.dk = sums.dk + throughMeans(of.keySums, head);
    sums.dv = gradients.addConvolution(k, sums.dv, head, t0);
  });
  auto result = [&](const TensorRef &tensor) {
    return k.slice(gradients.keyRowsOf(k, tensor, group), 0, count);
  };
  k.store((sums.dk + fromColumns(of.firstKey)) * k.scale(), result(gradients.dk), t0);
  k.store(sums.dv + fromColumns(of.firstValue), result(gradients.dv), t0);
}

} // namespace

void writeFirstGradient(const ScanGradient &gradient) {
  const Scan &scan = gradient.scan;
  writeFirstRows(scan, [&](Kernel &k, const OnlineSoftmax &softmax, const Head &head, Scalar i0) {
    gradient.gradients.storeRows(k, softmax, head, i0);
  });
  const BlockConfig blocks =
      scan.program.blocks("position_gradient", {.blockM = 64, .blockN = 64},
                          {.hasDiagonal = true, .keepsMore = true, .keepsTwoSums = true});
  const Scalar rows = min(scan.attention.maxLength, scan.firstK);
  auto body = [&](Kernel &k, const Head &group, const Scalar &t0) {
    const FirstGradient first(k, gradient, group, t0, blocks);
    first.storeQueryGradients();
    first.storeKeyGradients();
  };
  gradient.gradients.writePositions("position_gradient", *blocks.blockM, body, rows);
}

} // namespace nysjit

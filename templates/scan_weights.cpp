// What rows give P's factors F and A+ (formulas: scan_gradient.h).
#include "templates/scan_gradient.h"

namespace nysjit {

constexpr DotPrecision full = DotPrecision::Full;

void ScanWeights::begin() const {
  const int blockN = tiles.blockN;
  k.forRange({0, tiles.all()}, blockN, {}, [&](Scalar j0) {
    k.store(k.fill(blockN, of.scan.headDim, 0), partOf(of.keyParts), j0);
    k.forRange({0, of.columns}, blockN, {}, [&](Scalar l0) {
      k.store(k.fill(blockN, blockN, 0), k.columns(partOf(of.inverseParts), l0, blockN), j0);
    });
  });
  k.sync();
}

void ScanWeights::keep(const Tile &dP, const Scalar &j0) const {
  if (!tiles.isKept)
    k.store(dP, scratch(of.dWeights, j0), 0);
}

ScanTiles::WeightsOf ScanWeights::kept(const Tile &dWeights) const {
  if (tiles.isKept)
    return [dWeights](const Scalar &) { return dWeights; };
  k.sync();
  return [this](const Scalar &j0) { return k.load(scratch(of.dWeights, j0), 0, tiles.blockM); };
}

/// dF of landmarks l0 on.
Tile ScanWeights::inverseGradient(const ScanTiles::WeightsOf &dWeights, const Scalar &l0) const {
  Tile sum = k.fill(tiles.blockM, tiles.blockN, 0);
  tiles.forLandmarks({&sum}, [&](const Scalar &j0) {
    const Tile dP = dWeights(j0);
    sum = dotAdd(sum, dP, transposed(tiles.inverseTile(l0, j0)), full);
  });
  return sum;
}

void ScanWeights::add(const Scalar &i0, const Tile &query, const ScanTiles::WeightsOf &weights,
                      const ScanTiles::WeightsOf &dWeights, const View &dq) const {
  const int blockM = tiles.blockM;
  const int blockN = tiles.blockN;
  // The mean is that of the same dF, rounding included.
  Tile mean = k.fill(blockM, 0);
  Tile kept;
  tiles.forLandmarks({&mean}, [&](const Scalar &l0) {
    const Tile dF = inverseGradient(dWeights, l0);
    mean = mean + rowSum(weights(l0) * dF);
    if (tiles.isKept)
      kept = dF;
    else
      k.store(dF, scratch(of.dShares, l0), 0);
  });
  k.sync();
  Tile sum = k.fill(blockM, of.scan.headDim, 0);
  tiles.forLandmarks({&sum}, [&](const Scalar &l0) {
    const Tile weight = weights(l0);
    const Tile dF = tiles.isKept ? kept : k.load(scratch(of.dShares, l0), 0, blockM);
    const Tile dY = weight * (dF - rows(mean));
    sum = dotAdd(sum, dY, tiles.keysFrom(l0), full);
    of.addTo(k, partOf(of.keyParts), l0, dot(transpose(dY), query, full));
    tiles.forLandmarks({}, [&](const Scalar &j0) {
      of.addTo(k, k.columns(partOf(of.inverseParts), l0, blockN), j0,
               dot(transpose(dWeights(j0)), weight, full));
    });
  });
  k.store(sum * k.scale(), dq, i0 - of.scan.firstK);
}

} // namespace nysjit

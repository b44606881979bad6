// scan_rows: one part of a head's rows, block_m at a time, in the forward's passes; scan_suffixes:
// S and h after each chunk.
#include "templates/scan_gradient.h"

namespace nysjit {

namespace {

constexpr DotPrecision full = DotPrecision::Full;

/// One cell's work.
class ScanRows {
public:
  ScanRows(Kernel &k, const ScanGradient &of, const Head &head, const Scalar &part)
      : k(k), of(of), scan(of.scan), head(head), part(part),
        positions(scan.positionsOf(head, part)), tiles(k, scan, scan.blocks, of.inverse, head),
        blockM(tiles.blockM), blockN(tiles.blockN),
        dout(of.served(k, of.gradients.dout, head, positions.end)),
        dq(of.served(k, of.gradients.dq, head, positions.end)), none(k, blockN, scan.headDim) {}

  void run();

private:
  PartialRows stateOf(const Scalar &j0) const { return {head.pair, part, j0, scan.landmarks}; }
  View partOf(const TensorRef &tensor) const { return of.landmarksOf(k, tensor, head.pair, part); }
  /// A tile of rows, landmarks j0 on.
  View scratch(const TensorRef &tensor, const Scalar &j0) const {
    return k.columns(k.view(tensor, {head.pair, part}), j0, blockN);
  }
  void begin();
  void beginChunk(const Scalar &chunk);
  void addTile(const Scalar &i0, const Scalar &chunk);
  Tile addLandmarks(const Scalar &i0, const Scalar &chunk, const Scalar &j0, const Tile &p,
                    const Tile &dO);
  void addWeights(const Scalar &i0, const Tile &query, const ScanTiles::WeightsOf &weights,
                  const ScanTiles::WeightsOf &dWeights);

  Kernel &k;
  const ScanGradient &of;
  const Scan &scan;
  const Head &head;
  const Scalar part;
  const Range positions;
  const ScanTiles tiles;
  const int blockM;
  const int blockN;
  const View dout;
  const View dq;
  const OnlineSoftmax none; // no position
};

void ScanRows::run() {
  begin();
  k.sync();
  k.forRange(positions, of.chunkLength, {}, [&](Scalar c0) {
    const Scalar chunk = c0 / of.chunkLength;
    beginChunk(chunk);
    k.sync();
    const Scalar end = min(c0 + of.chunkLength, positions.end);
    k.forRange({c0, end}, blockM, {}, [&](Scalar i0) { addTile(i0, chunk); });
  });
}

void ScanRows::begin() {
  const Tile zeros = k.fill(blockN, scan.headDim, 0);
  k.forRange({0, tiles.all()}, blockN, {}, [&](Scalar j0) {
    if (!scan.split())
      scan.states.store(k, none, stateOf(j0));
    k.store(zeros, partOf(of.keyParts), j0);
    k.forRange({0, tiles.all()}, blockN, {}, [&](Scalar l0) {
      k.store(k.fill(blockN, blockN, 0), k.columns(partOf(of.inverseParts), l0, blockN), j0);
    });
  });
}

void ScanRows::beginChunk(const Scalar &chunk) {
  const ScanSuffix zeros{k.fill(blockN, 0), k.fill(blockN, scan.headDim, 0), k.fill(blockN, 0)};
  k.forRange({0, tiles.all()}, blockN, {}, [&](Scalar j0) {
    const OnlineSoftmax state = scan.states.load(k, stateOf(j0), none);
    of.chunkStates.store(k, state, {head.pair, chunk, j0, scan.landmarks});
    of.store(k, {state.maximum, zeros.sum, zeros.mean}, head.pair, chunk, j0);
  });
}

void ScanRows::addTile(const Scalar &i0, const Scalar &chunk) {
  const Tile query = k.load(head.query, i0, blockM);
  const Tile dO = k.load(dout, i0 - scan.firstK, blockM);
  const auto weights = tiles.weights(query);
  if (scan.isKept) {
    const Tile dP = addLandmarks(i0, chunk, 0, tiles.product(weights, 0), dO);
    addWeights(i0, query, weights, [dP](const Scalar &) { return dP; });
  } else {
    tiles.forLandmarks({}, [&](const Scalar &j0) {
      const Tile dP = addLandmarks(i0, chunk, j0, tiles.product(weights, j0), dO);
      k.store(dP, scratch(of.dWeights, j0), 0);
    });
    k.sync();
    addWeights(i0, query, weights,
               [&](const Scalar &j0) { return k.load(scratch(of.dWeights, j0), 0, blockM); });
  }
  k.sync();
}

/// Landmarks j0 on: adds to the chunk's share of S and h, and their states take in the tile's
/// positions. Returns dP.
Tile ScanRows::addLandmarks(const Scalar &i0, const Scalar &chunk, const Scalar &j0, const Tile &p,
                            const Tile &dO) {
  const TileMask past(Mask::upTo(tiles.row), 0);
  const Tile key = k.load(head.key, i0, blockM);
  const Tile value = k.load(head.value, i0, blockM);
  const Tile x = tiles.logits(key, i0, j0, positions.end);
  const Tile products = where(past, dot(dO, transposed(value), past), 0.0); // dO_i.v_t
  const OnlineSoftmax before = scan.states.load(k, stateOf(j0), none);
  const Tile carried = dot(dO, transposed(before.sum), full);
  const ScanSuffix suffix = of.load(k, head.pair, chunk, j0, blockN);
  Tile dP = k.fill(blockM, blockN, 0);
  Tile share = dP; // P / z in the chunk's unit
  tiles.forPasses(x, before, {&dP, &share}, [&](const ScanPass &pass) {
    const Tile within =
        dot(products, pass.weight, DotOptions::zeroElsewhere(past, DotPrecision::Full));
    dP = dP + pass.own((carried * cols(pass.shrink) + within) / pass.masses);
    const Tile unit = exp2(min(suffix.unit - pass.maximum, 0.0));
    share = share + pass.own(p / pass.masses) * cols(unit);
  });
  of.store(k,
           {suffix.unit, suffix.sum + dot(transpose(share), dO, full),
            suffix.mean + columnSum(share * dP)},
           head.pair, chunk, j0);
  OnlineSoftmax state = scan.states.load(k, stateOf(j0), none); // again: as in scan_output
  state.add(transpose(x), value);
  scan.states.store(k, state, stateOf(j0));
  return dP;
}

/// dq, and what A+ and ktilde are given.
void ScanRows::addWeights(const Scalar &i0, const Tile &query, const ScanTiles::WeightsOf &weights,
                          const ScanTiles::WeightsOf &dWeights) {
  auto dShare = [&](const Scalar &l0) { // dF
    Tile sum = k.fill(blockM, blockN, 0);
    tiles.forLandmarks({&sum}, [&](const Scalar &j0) {
      const Tile dP = dWeights(j0);
      sum = dotAdd(sum, dP, transposed(tiles.inverseTile(l0, j0)), full);
    });
    return sum;
  };
  Tile mean = k.fill(blockM, 0);
  Tile kept;
  tiles.forLandmarks({&mean}, [&](const Scalar &l0) {
    const Tile dF = dShare(l0);
    mean = mean + rowSum(weights(l0) * dF);
    if (scan.isKept)
      kept = dF;
    else
      k.store(dF, scratch(of.dShares, l0), 0);
  });
  k.sync();
  Tile sum = k.fill(blockM, scan.headDim, 0);
  tiles.forLandmarks({&sum}, [&](const Scalar &l0) {
    const Tile weight = weights(l0);
    const Tile dF = scan.isKept ? kept : k.load(scratch(of.dShares, l0), 0, blockM);
    const Tile dY = weight * (dF - rows(mean));
    sum = dotAdd(sum, dY, tiles.keysFrom(l0), full);
    of.addTo(k, partOf(of.keyParts), l0, dot(transpose(dY), query, full));
    tiles.forLandmarks({}, [&](const Scalar &j0) {
      of.addTo(k, k.columns(partOf(of.inverseParts), l0, blockN), j0,
               dot(transpose(dWeights(j0)), weight, full));
    });
  });
  k.store(sum * k.scale(), dq, i0 - scan.firstK);
}

} // namespace

void writeScanRows(const ScanGradient &gradient) {
  const Scan &scan = gradient.scan;
  const Scalar heads = scan.attention.heads();
  scan.program.kernel("scan_rows", heads * scan.parts(), [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, scan.attention, cell % heads);
    ScanRows(k, gradient, head, cell / heads).run();
  });
}

/// From the last chunk on: what later chunks share, in units of the state before the next one.
void writeScanSuffixes(const ScanGradient &gradient) {
  const Scan &scan = gradient.scan;
  const int block = 16;
  const Scalar heads = scan.attention.heads();
  const int tilesOfHead = (scan.landmarks + block - 1) / block;
  const Scalar cells = heads * tilesOfHead * min(scan.parts(), 1);
  scan.program.kernel("scan_suffixes", cells, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, scan.attention, cell % heads);
    const Scalar j0 = cell / heads * block;
    const Scalar count = ceilDiv(scan.scanned(head), gradient.chunkLength);
    ScanSuffix after{k.fill(block, lowestMaximum), k.fill(block, scan.headDim, 0),
                     k.fill(block, 0)};
    const Carry carry{&after.unit, &after.sum, &after.mean};
    k.forRange({0, count}, 1, carry, [&](Scalar turn) {
      const Scalar chunk = count - 1 - turn;
      const ScanSuffix own = gradient.load(k, head.pair, chunk, j0, block);
      gradient.store(k, after, head.pair, chunk, j0);
      // The first unit is below all others, and its sums are 0.
      const Tile shrink = exp2(min(own.unit - after.unit, 0.0));
      after.sum = after.sum * rows(shrink) + own.sum;
      after.mean = after.mean * shrink + own.mean;
      after.unit = own.unit;
    });
  });
}

} // namespace nysjit

// scan_rows: one part of a head's rows, block_m at a time, in the forward's passes; scan_suffixes:
// S and h after each chunk; scan_chunks: the states before them, of landmarks that wait for no
// part.
#include "templates/scan_gradient.h"

namespace nysjit {

namespace {

constexpr DotPrecision full = DotPrecision::Full;

/// One cell's work.
class ScanRows {
public:
  ScanRows(Kernel &k, const ScanGradient &of, const Head &head, const Scalar &part)
      : k(k), of(of), scan(of.scan), head(head), part(part),
        positions(scan.positionsOf(head, part)), tiles(k, scan, of.rowBlocks, of.inverse, head),
        weightsOf{k, of, tiles, head, part}, blockM(tiles.blockM), blockN(tiles.blockN),
        dout(of.served(k, of.gradients.dout, head, positions.end)),
        dq(of.served(k, of.gradients.dq, head, positions.end)), none(k, blockN, scan.headDim) {}

  void run();

private:
  PartialRows stateOf(const Scalar &j0) const { return {head.pair, part, j0, scan.landmarks}; }
  void beginChunk(const Scalar &chunk);
  void addTile(const Scalar &i0, const Scalar &chunk);
  Tile addLandmarks(const Scalar &i0, const Scalar &chunk, const Scalar &j0, const Tile &p,
                    const Tile &dO);

  Kernel &k;
  const ScanGradient &of;
  const Scan &scan;
  const Head &head;
  const Scalar part;
  const Range positions;
  const ScanTiles tiles;
  const ScanWeights weightsOf;
  const int blockM;
  const int blockN;
  const View dout;
  const View dq;
  const OnlineSoftmax none; // no position
};

void ScanRows::run() {
  weightsOf.begin();
  k.forRange(positions, of.chunkLength, {}, [&](Scalar c0) {
    const Scalar chunk = c0 / of.chunkLength;
    beginChunk(chunk);
    k.sync();
    const Scalar end = min(c0 + of.chunkLength, positions.end);
    k.forRange({c0, end}, blockM, {}, [&](Scalar i0) { addTile(i0, chunk); });
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
  Tile dWeights;
  tiles.forLandmarks({}, [&](const Scalar &j0) {
    dWeights = addLandmarks(i0, chunk, j0, tiles.product(weights, j0), dO);
    weightsOf.keep(dWeights, j0);
  });
  weightsOf.add(i0, query, weights, weightsOf.kept(dWeights), dq);
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

void writeScanChunks(const ScanGradient &gradient) {
  const Scan &scan = gradient.scan;
  const Scalar heads = scan.attention.heads();
  const int blockN = *scan.blocks.blockN;
  const int tilesOfHead = (scan.landmarks + blockN - 1) / blockN;
  const Scalar cells = heads * tilesOfHead * scan.parts();
  scan.program.kernel("scan_chunks", cells, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, scan.attention, cell % heads);
    const Scalar j0 = cell / heads * blockN;
    const ScanTiles tiles(k, scan, scan.blocks, gradient.inverse, head);
    OnlineSoftmax state(k, blockN, scan.headDim);
    const Scalar end = scan.scanned(head);
    k.forRange({0, end}, gradient.chunkLength, state.carry(), [&](Scalar c0) {
      const Scalar chunk = c0 / gradient.chunkLength;
      gradient.chunkStates.store(k, state, {head.pair, chunk, j0, scan.landmarks});
      k.forRange({c0, min(c0 + gradient.chunkLength, end)}, tiles.blockM, state.carry(),
                 [&](Scalar t0) { tiles.advance(state, t0, j0, end); });
    });
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

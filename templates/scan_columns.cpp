// scan_columns: dk and dv of one part of a key head's positions, block_m at a time from the last
// on, in the forward's passes; the states before the blocks of a chunk are summed again.
#include "templates/scan_gradient.h"

namespace nysjit {

namespace {

constexpr DotPrecision full = DotPrecision::Full;

/// What one tile of positions shares among its query heads.
struct Columns {
  Scalar i0;
  Scalar end;    // of the part
  Scalar block;  // of its chunk
  Scalar suffix; // where S and h after it lie
  Tile key;
  Tile value;
  Tile dk; // without tau
  Tile dv;
};

/// One query head's share of a tile.
class ScanColumns {
public:
  ScanColumns(Kernel &k, const ScanGradient &of, const Head &head, const Scalar &part, Columns &to)
      : k(k), of(of), scan(of.scan), head(head), part(part), to(to),
        tiles(k, scan, scan.blocks, of.inverse, head), blockM(tiles.blockM), blockN(tiles.blockN),
        none(k, blockN, scan.headDim),
        dO(k.load(of.served(k, of.gradients.dout, head, to.end), to.i0 - scan.firstK, blockM)),
        past(Mask::upTo(tiles.row), 0), future(Mask::below(Scalar(blockM)).from(tiles.row), 0),
        products(where(past, dot(dO, transposed(to.value), past), 0.0)),
        turned(transpose(products)) {}

  void run();

private:
  Tile addLandmarks(const Scalar &j0, const Tile &p);

  Kernel &k;
  const ScanGradient &of;
  const Scan &scan;
  const Head &head;
  const Scalar part;
  Columns &to;
  const ScanTiles tiles;
  const int blockM;
  const int blockN;
  const OnlineSoftmax none; // no position
  const Tile dO;
  const TileMask past;   // row i sees positions up to itself
  const TileMask future; // position t is seen by rows from its own on
  const Tile products;   // dO_i.v_t of t <= i
  const Tile turned;
};

void ScanColumns::run() {
  const Tile query = k.load(head.query, to.i0, blockM);
  const auto weights = tiles.weights(query);
  const ScanWeights weightsOf{k, of, tiles, head, part};
  Tile dWeights;
  tiles.forLandmarks({&to.dk, &to.dv}, [&](const Scalar &j0) {
    dWeights = addLandmarks(j0, tiles.product(weights, j0));
    if (of.isOneSweep)
      weightsOf.keep(dWeights, j0);
  });
  if (of.isOneSweep)
    weightsOf.add(to.i0, query, weights, weightsOf.kept(dWeights),
                  of.served(k, of.gradients.dq, head, to.end));
}

/// Returns dP.
Tile ScanColumns::addLandmarks(const Scalar &j0, const Tile &p) {
  const Scalar slot = part * of.blocksOfChunk() + to.block;
  const OnlineSoftmax before = of.blockStates.load(k, {head.pair, slot, j0, scan.landmarks}, none);
  const Tile x = tiles.logits(to.key, to.i0, j0, to.end);
  const Tile carried = dot(dO, transposed(before.sum), full);

  // Rows of its own.
  const Tile ones = where(future, k.fill(blockM, blockM, 1), 0.0);
  const DotOptions later = DotOptions::zeroElsewhere(future, full);
  Tile dP = k.fill(blockM, blockN, 0);
  Tile share = dP;                          // P / z in units of the state before
  Tile weights = k.fill(blockM, blockM, 0); // sum over j of P_ij W_jit, [t, i]
  Tile dX = dP;
  tiles.forPasses(x, before, {&dP, &share, &weights, &dX}, [&](const ScanPass &pass) {
    const Tile within =
        dot(products, pass.weight, DotOptions::zeroElsewhere(past, DotPrecision::Full));
    const Tile dOwn = pass.own((carried * cols(pass.shrink) + within) / pass.masses);
    const Tile own = pass.own(p / pass.masses);
    dP = dP + dOwn;
    share = share + own * cols(pass.shrink);
    weights = weights + where(future, dot(pass.weight, transposed(own), {full, future}), 0.0);
    dX = dX + pass.weight * (dot(turned, own, later) - dot(ones, own * dOwn, later));
  });
  to.dv = dotAdd(to.dv, weights, dO, later);

  // Rows of later tiles, whose sums do not live through the passes.
  const ScanSuffix after = of.load(k, head.pair, to.suffix, j0, blockN);
  const Tile w = exp2(min(x - cols(after.unit), 0.0));
  to.dv = dotAdd(to.dv, w, after.sum, full);
  dX = dX + w * (dot(to.value, transposed(after.sum), full) - cols(after.mean));
  const Tile shrink = exp2(min(before.maximum - after.unit, 0.0));
  of.store(k,
           {before.maximum, after.sum * rows(shrink) + dot(transpose(share), dO, full),
            after.mean * shrink + columnSum(share * dP)},
           head.pair, to.suffix, j0);
  to.dk = dotAdd(to.dk, dX, tiles.queriesFrom(j0), full);
  of.addTo(k, of.landmarksOf(k, of.queryParts, head.pair, part), j0,
           dot(transpose(dX), to.key, full));
  return dP;
}

/// The states before the blocks of a chunk.
void storeStates(Kernel &k, const ScanGradient &of, const Head &head, const Scalar &part,
                 const Scalar &chunk, const Scalar &end) {
  const Scan &scan = of.scan;
  const ScanTiles tiles(k, scan, scan.blocks, of.inverse, head);
  const OnlineSoftmax none(k, tiles.blockN, scan.headDim);
  const Scalar begin = chunk * of.chunkLength;
  const Scalar chunkEnd = min(begin + of.chunkLength, end);
  tiles.forLandmarks({}, [&](const Scalar &j0) {
    OnlineSoftmax state = of.chunkStates.load(k, {head.pair, chunk, j0, scan.landmarks}, none);
    k.forRange({begin, chunkEnd}, tiles.blockM, state.carry(), [&](Scalar t0) {
      const Scalar slot = part * of.blocksOfChunk() + (t0 - begin) / tiles.blockM;
      of.blockStates.store(k, state, {head.pair, slot, j0, scan.landmarks});
      tiles.advance(state, t0, j0, end);
    });
  });
}

/// Sums of nothing, and nothing after the last chunk.
void beginPart(Kernel &k, const ScanGradient &of, const Head &head, const Scalar &part) {
  const Scan &scan = of.scan;
  const ScanTiles tiles(k, scan, scan.blocks, of.inverse, head);
  const int blockN = tiles.blockN;
  const Tile zeros = k.fill(blockN, scan.headDim, 0);
  k.forRange({0, scan.landmarks}, blockN, {}, [&](Scalar j0) {
    k.store(zeros, of.landmarksOf(k, of.queryParts, head.pair, part), j0);
    if (of.isOneSweep)
      of.store(k, {k.fill(blockN, lowestMaximum), zeros, k.fill(blockN, 0)}, head.pair, 0, j0);
  });
  if (of.isOneSweep)
    ScanWeights{k, of, tiles, head, part}.begin();
}

/// A cell: the positions of one part, for all query heads of the key head.
void addPart(Kernel &k, const ScanGradient &of, const Head &group, const Scalar &part) {
  const Scan &scan = of.scan;
  const Gradients &gradients = of.gradients;
  const int blockM = *scan.blocks.blockM;
  const Range positions = scan.positionsOf(group, part);
  gradients.forQueryHeads(k, group, {}, [&](const Head &head) { beginPart(k, of, head, part); });
  k.sync();
  const Scalar firstChunk = positions.begin / of.chunkLength;
  const Scalar chunks = ceilDiv(positions.end - positions.begin, of.chunkLength);
  k.forRange({0, chunks}, 1, {}, [&](Scalar chunksDone) {
    const Scalar chunk = firstChunk + chunks - 1 - chunksDone;
    const Scalar begin = chunk * of.chunkLength;
    const Scalar blocks = ceilDiv(min(positions.end - begin, of.chunkLength), blockM);
    gradients.forQueryHeads(k, group, {}, [&](const Head &head) {
      storeStates(k, of, head, part, chunk, positions.end);
    });
    k.sync();
    k.forRange({0, blocks}, 1, {}, [&](Scalar blocksDone) {
      const Scalar block = blocks - 1 - blocksDone;
      const Scalar t0 = begin + block * blockM;
      Columns to{t0,
                 positions.end,
                 block,
                 of.isOneSweep ? Scalar(0) : chunk,
                 k.load(group.key, t0, blockM),
                 k.load(group.value, t0, blockM),
                 k.fill(blockM, scan.headDim, 0),
                 k.fill(blockM, scan.headDim, 0)};
      Tile taps = to.dv;
      gradients.forQueryHeads(k, group, {&to.dk, &to.dv, &taps}, [&](const Head &head) {
        ScanColumns(k, of, head, part, to).run();
        taps = gradients.addConvolution(k, taps, head, t0);
      });
      if (scan.isFirstK) {
        auto first = [&](const TensorRef &tensor) {
          return k.view(tensor, {group.sequence * scan.attention.keyHeads + group.keyHead});
        };
        k.store(to.dk, first(of.firstKey), t0);
        k.store(to.dv, first(of.firstValue), t0);
      }
      auto result = [&](const TensorRef &tensor) {
        const View all = gradients.keyRowsOf(k, tensor, group);
        return k.slice(all, scan.firstK, max(positions.end - scan.firstK, 0));
      };
      k.store(to.dk * k.scale(), result(gradients.dk), t0 - scan.firstK);
      k.store(to.dv + taps, result(gradients.dv), t0 - scan.firstK);
      k.sync();
    });
  });
}

} // namespace

void writeScanColumns(const ScanGradient &gradient) {
  const Scan &scan = gradient.scan;
  const Attention &attention = scan.attention;
  const Scalar heads = attention.batch * attention.keyHeads;
  scan.program.kernel("scan_columns", heads * scan.parts(), [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head group = gradient.gradients.groupOf(k, cell % heads);
    addPart(k, gradient, group, cell / heads);
  });
}

} // namespace nysjit

// scan_output: the outputs of one part of the positions, block_m at a time, in passes
// (scan_tiles.h).
#include "templates/scan_tiles.h"

namespace nysjit {

namespace {

/// One cell's work, with what it keeps from tile to tile.
class ScanOutput {
public:
  ScanOutput(Kernel &k, const Scan &scan, const InverseWorkspace &inverse, const Head &head,
             const Scalar &part)
      : k(k), scan(scan), head(head), part(part), tiles(k, scan, scan.blocks, inverse, head),
        blockM(tiles.blockM), blockN(tiles.blockN),
        output(k.slice(head.output, scan.firstK, max(head.length - scan.firstK, 0))),
        none(k, blockN, scan.headDim) {}

  void run();

private:
  PartialRows stateOf(const Scalar &j0) const { return {head.pair, part, j0, scan.landmarks}; }
  OnlineSoftmax loadState(const Scalar &j0) { return scan.states.load(k, stateOf(j0), none); }
  void outputTile(const Scalar &i0, OnlineSoftmax &carried);
  void addLandmarks(const Scalar &i0, const Scalar &j0, const Tile &p, OnlineSoftmax &carried,
                    Tile &o);
  Tile passes(const Tile &x, const Tile &value, const Tile &p, const OnlineSoftmax &before,
              const Tile &soFar);
  void advanceStates(const Scalar &i0);

  Kernel &k;
  const Scan &scan;
  const Head &head;
  const Scalar part;
  const ScanTiles tiles;
  const int blockM;
  const int blockN;
  const View output;        // after the first k
  const OnlineSoftmax none; // no position
  Scalar end;
};

void ScanOutput::run() {
  const int split = scan.split();
  const Range positions = scan.positionsOf(head, part);
  end = positions.end;
  if (!split && !scan.isCarried())
    tiles.forLandmarks({}, [&](const Scalar &j0) { scan.states.store(k, none, stateOf(j0)); });
  k.sync();
  OnlineSoftmax carried = none;
  k.forRange(positions, blockM, scan.isCarried() ? carried.carry() : Carry{},
             [&](Scalar i0) { outputTile(i0, carried); });
}

void ScanOutput::outputTile(const Scalar &i0, OnlineSoftmax &carried) {
  const auto weights = tiles.weights(k.load(head.query, i0, blockM));
  Tile o = k.fill(blockM, scan.headDim, 0);
  tiles.forLandmarks({&o}, [&](const Scalar &j0) {
    addLandmarks(i0, j0, tiles.product(weights, j0), carried, o);
  });
  k.store(scan.convolution.addTo(k, o, head, i0), output, i0 - scan.firstK);
  k.sync();
  if (!scan.isKept)
    advanceStates(i0);
  k.sync();
}

/// Adds landmarks j0 on to the outputs; where one tile holds all, they also take in the tile's
/// positions.
void ScanOutput::addLandmarks(const Scalar &i0, const Scalar &j0, const Tile &p,
                              OnlineSoftmax &carried, Tile &o) {
  const Tile key = k.load(head.key, i0, blockM);
  const Tile value = k.load(head.value, i0, blockM);
  const Tile x = tiles.logits(key, i0, j0, end);
  const OnlineSoftmax before = scan.isCarried() ? carried : loadState(j0);
  o = passes(x, value, p, before, o);
  if (scan.isCarried()) {
    carried.add(transpose(x), value);
  } else if (scan.isKept) {
    k.sync();
    OnlineSoftmax state = loadState(j0); // again: it does not live through the passes
    state.add(transpose(x), value);
    scan.states.store(k, state, stateOf(j0));
  }
}

/// soFar_i + sum over j of P_ij times landmark j's running mean at row i.
Tile ScanOutput::passes(const Tile &x, const Tile &value, const Tile &p,
                        const OnlineSoftmax &before, const Tile &soFar) {
  const TileMask past(Mask::upTo(tiles.row), 0); // row i of the tile sees rows up to itself
  Tile o = soFar;
  tiles.forPasses(x, before, {&o}, [&](const ScanPass &pass) {
    const Tile share = pass.own(p / pass.masses);
    const Tile products = dot(share, transposed(pass.weight), {DotPrecision::Full, past});
    const Tile within = where(past, pass.own(products), 0.0);
    o = dotAdd(o, pass.own(share * cols(pass.shrink)), before.sum, DotPrecision::Full);
    o = dotAdd(o, within, value, DotOptions::zeroElsewhere(past, DotPrecision::Full));
  });
  return o;
}

/// The states of all landmarks take in the tile's positions: a loop of its own, for what it needs
/// does not live through the passes.
void ScanOutput::advanceStates(const Scalar &i0) {
  tiles.forLandmarks({}, [&](const Scalar &j0) {
    OnlineSoftmax state = loadState(j0);
    tiles.advance(state, i0, j0, end);
    scan.states.store(k, state, stateOf(j0));
  });
}

} // namespace

void writeScanOutput(const Scan &scan, const InverseWorkspace &inverse) {
  const Scalar heads = scan.attention.heads();
  scan.program.kernel("scan_output", heads * scan.parts(), [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, scan.attention, cell % heads);
    ScanOutput(k, scan, inverse, head, cell / heads).run();
  });
}

} // namespace nysjit

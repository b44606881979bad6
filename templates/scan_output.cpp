// scan_output: the outputs of one part of the positions, block_m at a time.
//
// A landmark's state, its OnlineSoftmax over all positions before, has the running maximum r_j. In
// a tile of positions, rows from `start` on are relative to R_j = max(r_j, x_jt for t <= start): no
// weight e^{x - R} exceeds 2^jump up to the row `next` at which some landmark's does, and there the
// next pass starts. So a row's arithmetic depends on the rows up to it only, all rows of a pass are
// dots, and a tile takes one pass unless scores leap.
#include "templates/scan.h"

namespace nysjit {

namespace {

constexpr double jump = 32;

/// One cell's work, with what it keeps from tile to tile.
class ScanOutput {
public:
  ScanOutput(Kernel &k, const Scan &scan, const InverseWorkspace &inverse, const Head &head,
             const Scalar &part)
      : k(k), scan(scan), head(head), part(part), blockM(*scan.blocks.blockM),
        blockN(*scan.blocks.blockN), queries(scan.queryRows(k, head)), keys(scan.keyRows(k, head)),
        output(k.slice(head.output, scan.firstK, max(head.length - scan.firstK, 0))),
        none(k, blockN, scan.headDim) {
    const Scalar number = scan.isFirstK ? head.pair : head.queryHead;
    inverted = k.slice(inverse.result(k, number), 0, scan.landmarks);
    scale = logitScale(k);
    row = k.iota(blockM);
    if (scan.isKept) {
      keptQueries = k.load(queries, 0, blockN);
      keptKeys = k.load(keys, 0, blockN);
    }
  }

  void run();

private:
  Scalar all() const { return scan.landmarks; }
  PartialRows stateOf(const Scalar &j0) const { return {head.pair, part, j0, scan.landmarks}; }
  OnlineSoftmax loadState(const Scalar &j0) { return scan.states.load(k, stateOf(j0), none); }
  Tile queriesFrom(const Scalar &j0) {
    return scan.isKept ? keptQueries : k.load(queries, j0, blockN);
  }
  Tile landmarkLogits(const Tile &query, const Scalar &l0);
  Tile inverseTile(const Scalar &l0, const Scalar &j0) {
    return k.load(k.columns(inverted, j0, blockN), l0, blockN);
  }
  void outputTile(const Scalar &i0, OnlineSoftmax &carried);
  std::function<Tile(const Scalar &)> weightsOfP(const Tile &query);
  void addLandmarks(const Scalar &i0, const Scalar &j0, const Tile &p, OnlineSoftmax &carried,
                    Tile &o);
  Tile passes(const Tile &x, const Tile &value, const Tile &p, const OnlineSoftmax &before,
              const Tile &soFar);
  void advanceStates(const Scalar &i0);

  Kernel &k;
  const Scan &scan;
  const Head &head;
  const Scalar part;
  const int blockM;
  const int blockN;
  const View queries; // of the landmarks
  const View keys;
  const View output;        // after the first k
  const OnlineSoftmax none; // no position
  View inverted;            // A+
  Tile scale;
  Tile row; // of a tile of positions
  Tile keptQueries;
  Tile keptKeys;
  Scalar end;
};

void ScanOutput::run() {
  const int split = scan.split();
  const Scalar begin = part * split;
  const Scalar left = max(scan.scanned(head) - begin, 0);
  end = begin + (split ? min(left, split) : left);
  if (!split && !scan.isCarried())
    k.forRange({0, all()}, blockN, {}, [&](Scalar j0) { scan.states.store(k, none, stateOf(j0)); });
  k.sync();
  OnlineSoftmax carried = none;
  k.forRange({begin, end}, blockM, scan.isCarried() ? carried.carry() : Carry{},
             [&](Scalar i0) { outputTile(i0, carried); });
}

/// tau q_i.ktilde_l of landmarks l0 on; beyond the last -infinity.
Tile ScanOutput::landmarkLogits(const Tile &query, const Scalar &l0) {
  const Tile key = scan.isKept ? keptKeys : k.load(keys, l0, blockN);
  const Tile x = dot(query, transposed(key), scan.precision()) * scale;
  return where(cols(l0 + k.iota(blockN)) < all(), x, negativeInfinity);
}

/// softmax(tau Q Ktilde^T) of landmarks l0 on: kept where one tile holds all, else computed again.
std::function<Tile(const Scalar &)> ScanOutput::weightsOfP(const Tile &query) {
  if (scan.isKept) {
    const Tile x = landmarkLogits(query, 0);
    const Tile weight = exp2(x - rows(rowMax(x)));
    const Tile kept = weight * rows(1.0 / rowSum(weight));
    return [kept](const Scalar &) { return kept; };
  }
  OnlineMass total(k, blockM);
  k.forRange({0, all()}, blockN, total.carry(),
             [&](Scalar l0) { total.add(landmarkLogits(query, l0)); });
  const Tile maximum = total.maximum;
  const Tile share = 1.0 / total.mass;
  return [this, query, maximum, share](const Scalar &l0) {
    return exp2(min(landmarkLogits(query, l0) - rows(maximum), 0.0)) * rows(share);
  };
}

void ScanOutput::outputTile(const Scalar &i0, OnlineSoftmax &carried) {
  const auto weights = weightsOfP(k.load(head.query, i0, blockM));
  Tile o = k.fill(blockM, scan.headDim, 0);
  auto add = [&](const Scalar &j0) {
    Tile p = k.fill(blockM, blockN, 0); // P of landmarks j0 on
    if (scan.isKept)
      p = dot(weights(0), inverseTile(0, j0), DotPrecision::Full);
    else
      k.forRange({0, all()}, blockN, {&p}, [&](Scalar l0) {
        const Tile weight = weights(l0);
        p = dotAdd(p, weight, inverseTile(l0, j0), DotPrecision::Full);
      });
    addLandmarks(i0, j0, p, carried, o);
  };
  if (scan.isKept)
    add(0);
  else
    k.forRange({0, all()}, blockN, {&o}, add);
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
  // x_jt, positions by rows
  const Tile key = k.load(head.key, i0, blockM);
  const Tile value = k.load(head.value, i0, blockM);
  const Tile scores = dot(key, transposed(queriesFrom(j0)), scan.precision()) * scale;
  const Tile x = where(rows(i0 + row < end), scores, negativeInfinity);
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

/// soFar_i + sum over j of P_ij times landmark j's running mean at row i. At most one pass a row,
/// mostly one in all.
Tile ScanOutput::passes(const Tile &x, const Tile &value, const Tile &p,
                        const OnlineSoftmax &before, const Tile &soFar) {
  const TileMask past(Mask::upTo(row), 0); // row i of the tile sees rows up to itself
  const Tile floatRow = toFloat(row);
  Tile o = soFar;
  Tile start = k.number(0); // the first row without an output
  auto isLeft = [&] { return k.toInteger(start) < blockM; };
  k.whileLoop({&o, &start}, isLeft, [&] {
    const Scalar first = k.toInteger(start);
    const Tile known = where(rows(row) <= first, x, negativeInfinity);
    const Tile R = max(before.maximum, columnMax(known));
    const Tile shrink = exp2(before.maximum - R);
    const Tile above = x - cols(R);
    const Tile weight = exp2(where(jump < above, jump, above)); // a NaN stays one
    const Tile leaps = rowMax(where(rows(row) >= first + 1, above, negativeInfinity));
    const Tile next = minOf(where(jump < leaps, floatRow, double(blockM)));
    const Tile masses = cumulativeSum(weight, Axis::Rows) + cols(before.mass * shrink);
    const Tile isOfPass = (row >= first) & (floatRow < next);
    // Selected, not multiplied by 0: where this pass's first row is not finite, R may be a NaN.
    auto ofPass = [&](const Tile &values) { return where(rows(isOfPass), values, 0.0); };
    const Tile share = ofPass(p / masses);
    const Tile products = dot(share, transposed(weight), {DotPrecision::Full, past});
    const Tile within = where(past, ofPass(products), 0.0);
    o = dotAdd(o, ofPass(share * cols(shrink)), before.sum, DotPrecision::Full);
    o = dotAdd(o, within, value, DotOptions::zeroElsewhere(past, DotPrecision::Full));
    start = next;
  });
  return o;
}

/// The states of all landmarks take in the tile's positions: a loop of its own, for what it needs
/// does not live through the passes.
void ScanOutput::advanceStates(const Scalar &i0) {
  k.forRange({0, all()}, blockN, {}, [&](Scalar j0) {
    OnlineSoftmax state = loadState(j0);
    const Tile query = k.load(queries, j0, blockN);
    const Tile key = k.load(head.key, i0, blockM);
    const Tile x = dot(query, transposed(key), scan.precision()) * scale;
    const Tile isThere = cols(i0 + row < end);
    state.add(where(isThere, x, negativeInfinity), k.load(head.value, i0, blockM));
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

// scan: prefix sums under landmarks that do not depend on later positions: learned, or the segment
// means of the first k0 positions (first_k), which then are exact causal attention themselves. With
// P = softmax(tau Q Ktilde^T) A+ and x_jt = tau qtilde_j.k_t
//   O_i = sum over j of P_ij (sum over t <= i of e^{x_jt} v_t) / (sum over t <= i of e^{x_jt}).
//
// Positions go by in blocks. A landmark's state, its OnlineSoftmax over all blocks before, has the
// running maximum r_j. In a block, rows from `start` on are relative to R_j = max(r_j, x_jt for t
// <= start): no weight e^{x - R} exceeds 2^jump up to the row `next` at which some landmark's does,
// and there the next pass starts. So a row's arithmetic depends on the rows up to it only, all rows
// of a pass are dots, and a block takes one pass unless scores leap.
//
// Kernels (with a split, parts of that many positions run side by side):
//   landmark_means  first_k only: one program a landmark
//   scan_inverse    one program a head: A+ (see inverse.h)
//   scan_sums       with a split only: block_m landmarks over a part
//   scan_states     with a split only: block_m landmarks, the states before each part, one after
//                   the other
//   scan_output     one program a part: block_m positions at a time, block_n landmarks at a time
//   first_output    first_k only: exact causal attention of block_m of the first rows
#include "templates/inverse.h"
#include "templates/landmarks.h"
#include "templates/templates.h"

#include <bit>

namespace nysjit {

namespace {

constexpr double jump = 32;

struct Scan {
  Program &program;
  const KernelSpec &spec;
  const Attention attention;
  const Convolution convolution;
  const bool isFirstK;
  const int landmarks;
  const int headDim;
  const int firstK;
  TensorRef landmarkQuery;
  TensorRef landmarkKey; // learned: [Hq, m, d] and [Hkv, m, d], else [heads, m, d]
  // one tile holds all landmarks: their queries and keys are loaded once
  bool isKept = false;
  // of each part, what lies before the block at hand; carried if that is all of one tile
  PartialSums states;

  explicit Scan(Program &p);
  View queryRows(Kernel &k, const Head &head) const {
    return k.view(landmarkQuery, {isFirstK ? head.pair : head.queryHead});
  }
  View keyRows(Kernel &k, const Head &head) const {
    return k.view(landmarkKey, {isFirstK ? head.pair : head.keyHead});
  }
  // means are float32
  DotPrecision precision() const { return isFirstK ? DotPrecision::TwoTerms : DotPrecision::Input; }
  /// Rows that landmarks serve: all of them, or those from k0 on.
  Scalar scanned(const Head &head) const {
    return isFirstK ? head.length * (Scalar(firstK) < head.length) : head.length;
  }

  void means();
  void sums(int split);
  void output(const BlockConfig &blocks, const InverseWorkspace &inverse);
  void firstRows();
};

Scan::Scan(Program &p)
    : program(p), spec(p.spec()), attention(p), convolution(p, attention),
      isFirstK(*spec.landmarkSource == LandmarkSource::FirstK), landmarks(spec.landmarks),
      headDim(spec.headDim), firstK(isFirstK ? spec.firstK : 0) {
  const Expression m(landmarks);
  const Expression d(headDim);
  landmarkQuery = isFirstK
                      ? program.buffer("landmark_query", {attention.heads(), landmarks, headDim})
                      : program.input("landmark_q", {attention.queryHeads.expression(), m, d});
  landmarkKey = isFirstK ? program.buffer("landmark_key", {attention.heads(), landmarks, headDim})
                         : program.input("landmark_k", {attention.keyHeads.expression(), m, d});
}

void Scan::means() {
  const int length = firstK / landmarks;
  const int block = 8;
  program.kernel("landmark_means", attention.heads() * landmarks, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar g = id % landmarks;
    const Head head = headOf(k, attention, id / landmarks);
    for (const auto &[from, to] : {std::pair(head.query, landmarkQuery), {head.key, landmarkKey}}) {
      const View segment = k.slice(from, g * length, max(min(from.length - g * length, length), 0));
      Tile sum = k.fill(headDim, 0);
      k.forRange({0, length}, block, {&sum},
                 [&](Scalar t0) { sum = sum + columnSum(k.load(segment, t0, block)); });
      k.store(sum * (1.0 / length), k.view(to, {head.pair, g}), 0);
    }
  });
}

/// The state before each part.
void Scan::sums(int split) {
  const BlockConfig blocks = program.blocks("scan_sums", {.blockM = 32, .blockN = 64});
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar heads = attention.heads();
  const Scalar parts = ceilDiv(attention.maxLength, split);
  const int tiles = (landmarks + blockM - 1) / blockM;
  // nobody comes after the last
  program.kernel("scan_sums", heads * max(parts - 1, 0) * tiles, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar rest = id / heads;
    const Scalar part = rest / tiles;
    const Scalar g0 = rest % tiles * blockM;
    const Scalar t0 = part * split;
    const Head head = headOf(k, attention, id % heads);
    const Scalar end = t0 + min(max(scanned(head) - t0, 0), split);
    const Tile query = k.load(queryRows(k, head), g0, blockM);
    const Tile scale = logitScale(k);
    OnlineSoftmax state(k, blockM, headDim);
    k.forTiles({t0, end}, {t0, end}, blockN, state.carry(), [&](Scalar t, bool masked) {
      Tile logits = dotT(query, k.load(head.key, t, blockN), precision()) * scale;
      if (masked)
        logits = where(cols(t + k.iota(blockN)) < end, logits, negativeInfinity);
      state.add(logits, k.load(head.value, t, blockN));
    });
    states.store(k, state, head.pair, part, g0, landmarks);
  });
  program.kernel("scan_states", heads * tiles * min(parts, 1), [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar pair = id % heads;
    const Scalar g0 = id / heads * blockM;
    OnlineSoftmax before(k, blockM, headDim);
    k.forRange({0, parts - 1}, 1, before.carry(), [&](Scalar part) {
      const OnlineSoftmax own = states.load(k, pair, part, g0, landmarks, before);
      states.store(k, before, pair, part, g0, landmarks);
      before.merge(own);
    });
    states.store(k, before, pair, parts - 1, g0, landmarks);
  });
}

void Scan::output(const BlockConfig &blocks, const InverseWorkspace &inverse) {
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const int split = *blocks.split;
  const Scalar heads = attention.heads();
  const Scalar parts = split ? ceilDiv(attention.maxLength, split) : min(attention.maxLength, 1);
  program.kernel("scan_output", heads * parts, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar part = id / heads;
    const Scalar begin = part * split;
    const Head head = headOf(k, attention, id % heads);
    const Scalar left = max(scanned(head) - begin, 0);
    const Scalar end = begin + (split ? min(left, split) : left);
    const View queries = queryRows(k, head);
    const View keys = keyRows(k, head);
    const View inverted =
        k.slice(inverse.result(k, isFirstK ? head.pair : head.queryHead), 0, landmarks);
    const View output = k.slice(head.output, firstK, max(head.length - firstK, 0));
    const Tile scale = logitScale(k);
    const Tile row = k.iota(blockM);
    const Tile floatRow = row * 1.0;
    const Tile isBefore = cols(row) <= rows(row); // of a block
    const bool isCarried = isKept && !split;
    Tile keptQueries;
    Tile keptKeys;
    if (isKept) {
      keptQueries = k.load(queries, 0, blockN);
      keptKeys = k.load(keys, 0, blockN);
    }
    const OnlineSoftmax none(k, blockN, headDim);
    if (!split && !isCarried)
      k.forRange({0, landmarks}, blockN, {},
                 [&](Scalar j0) { states.store(k, none, head.pair, part, j0, landmarks); });
    k.sync();

    OnlineSoftmax carried = none;
    k.forRange({begin, end}, blockM, isCarried ? carried.carry() : Carry{}, [&](Scalar i0) {
      const Tile query = k.load(head.query, i0, blockM);
      auto logits = [&](Scalar l0) {
        const Tile x =
            dotT(query, isKept ? keptKeys : k.load(keys, l0, blockN), precision()) * scale;
        return where(cols(l0 + k.iota(blockN)) < landmarks, x, negativeInfinity);
      };
      // softmax(tau Q Ktilde^T): kept likewise, else computed again for each j0
      Tile kept;
      Tile logTotal;
      if (isKept) {
        const Tile x = logits(0);
        const Tile weight = exp2(x - rows(rowMax(x)));
        kept = weight * rows(1.0 / rowSum(weight));
      } else {
        OnlineMass total(k, blockM);
        k.forRange({0, landmarks}, blockN, total.carry(),
                   [&](Scalar l0) { total.add(logits(l0)); });
        logTotal = total.logOfMass();
      }
      Tile o = k.fill(blockM, headDim, 0);
      auto addLandmarks = [&](Scalar j0) {
        auto inverse = [&](Scalar l0) {
          return k.load(k.columns(inverted, j0, blockN), l0, blockN);
        };
        Tile p = k.fill(blockM, blockN, 0); // P of landmarks j0 on
        if (isKept)
          p = dot(kept, inverse(0), DotPrecision::Full);
        else
          k.forRange({0, landmarks}, blockN, {&p}, [&](Scalar l0) {
            p = dotAdd(p, exp2(min(logits(l0) - rows(logTotal), 0.0)), inverse(l0),
                       DotPrecision::Full);
          });
        // x_jt of the block, positions by rows
        const Tile key = k.load(head.key, i0, blockM);
        const Tile value = k.load(head.value, i0, blockM);
        const Tile x = where(
            rows(i0 + row < end),
            dotT(key, isKept ? keptQueries : k.load(queries, j0, blockN), precision()) * scale,
            negativeInfinity);
        const OnlineSoftmax before =
            isCarried ? carried : states.load(k, head.pair, part, j0, landmarks, none);

        Tile start = k.number(0); // the first row without an output
        auto pass = [&](Scalar first) {
          const Tile R =
              max(before.maximum, columnMax(where(rows(row) <= first, x, negativeInfinity)));
          const Tile shrink = exp2(before.maximum - R);
          const Tile above = x - cols(R);
          const Tile weight = exp2(min(above, jump));
          const Tile leaps = rowMax(where(rows(row) >= first + 1, above, negativeInfinity));
          const Tile next = 0.0 - maxOf(where(jump < leaps, 0.0 - floatRow, double(-blockM)));
          const Tile masses =
              dot(where(isBefore, k.fill(blockM, blockM, 1), 0.0), weight, DotPrecision::Full) +
              cols(before.mass * shrink);
          const Tile share = where(rows((row >= first) & (floatRow < next)), p / masses, 0.0);
          const Tile within = where(isBefore, dotT(share, weight, DotPrecision::Full), 0.0);
          o = dotAdd(dotAdd(o, share * cols(shrink), before.sum, DotPrecision::Full), within, value,
                     DotPrecision::Full);
          start = next;
        };
        // While there are rows: at most one pass a row, mostly one in all.
        auto whileRows = [&](int times, const std::function<void()> &body) {
          k.forRange({0, times}, 1, {&o, &start}, [&](Scalar) {
            const Scalar first = k.toInteger(start);
            k.forRange({first, min(first + 1, blockM)}, 1, {&o, &start}, [&](Scalar) { body(); });
          });
        };
        whileRows(blockM / 8, [&] { whileRows(8, [&] { pass(k.toInteger(start)); }); });
        if (!isKept)
          return;
        if (isCarried) {
          carried.add(transpose(x), value);
          return;
        }
        k.sync();
        // again: it does not live through the passes
        OnlineSoftmax state = states.load(k, head.pair, part, j0, landmarks, none);
        state.add(transpose(x), value);
        states.store(k, state, head.pair, part, j0, landmarks);
      };
      if (isKept)
        addLandmarks(0);
      else
        k.forRange({0, landmarks}, blockN, {&o}, addLandmarks);
      k.store(convolution.addTo(k, o, head, i0), output, i0 - firstK);
      k.sync();
      if (!isKept) // a loop of its own: what it needs does not live through the passes either
        k.forRange({0, landmarks}, blockN, {}, [&](Scalar j0) {
          OnlineSoftmax state = states.load(k, head.pair, part, j0, landmarks, none);
          const Tile x =
              dotT(k.load(queries, j0, blockN), k.load(head.key, i0, blockM), precision()) * scale;
          state.add(where(cols(i0 + row < end), x, negativeInfinity),
                    k.load(head.value, i0, blockM));
          states.store(k, state, head.pair, part, j0, landmarks);
        });
      k.sync();
    });
  });
}

void Scan::firstRows() {
  const BlockConfig blocks = program.blocks("first_output", {.blockM = 64, .blockN = 64});
  const int blockM = *blocks.blockM;
  const Scalar heads = attention.heads();
  const Scalar rowTiles = ceilDiv(min(attention.maxLength, firstK), blockM);
  program.kernel("first_output", heads * rowTiles, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar i0 = (rowTiles - 1 - id / heads) * blockM;
    const Head head = headOf(k, attention, id % heads);
    const Scalar count = min(head.length, firstK);
    const Tile i = i0 + k.iota(blockM);
    OnlineSoftmax softmax(k, blockM, headDim);
    addNear(k, softmax, head, k.load(head.query, i0, blockM), i * 0, i,
            {0, min(i0 + blockM, count) * (i0 < count)}, {0, i0 + 1}, *blocks.blockN);
    k.store(convolution.addTo(k, softmax.result(), head, i0), k.slice(head.output, 0, count), i0);
  });
}

} // namespace

void scan(Program &program) {
  Scan layout(program);
  const Attention &attention = layout.attention;
  // All landmarks at once, where a tile of theirs is not too large.
  const int landmarkTile =
      layout.landmarks > 256
          ? 64
          : std::max(16, static_cast<int>(std::bit_ceil(static_cast<unsigned>(layout.landmarks))));
  BlockConfig blocks =
      program.blocks("scan_output", {.blockM = 64, .blockN = landmarkTile, .split = 0});
  if (*blocks.split) // many programs side by side, each with less memory of its own
    blocks = program.blocks("scan_output", {.blockM = 32, .blockN = 32, .split = 0});
  const BlockConfig inverseBlocks = program.blocks("scan_inverse", {.blockM = 32});
  const Scalar inverses = layout.isFirstK ? attention.heads() : attention.queryHeads;
  const InverseWorkspace inverse(program, inverses, layout.landmarks, *inverseBlocks.blockM,
                                 *blocks.blockN);
  layout.isKept = layout.landmarks <= *blocks.blockN;
  if (!layout.isKept || *blocks.split)
    layout.states = PartialSums(
        program, "state", attention.heads(),
        *blocks.split ? ceilDiv(attention.maxLength, *blocks.split) : Scalar(1), layout.landmarks);

  attention.clearPadding(program);
  if (layout.isFirstK)
    layout.means();
  program.kernel("scan_inverse", inverses * min(attention.maxLength, 1), [&](Kernel &k) {
    const Scalar number = k.cell();
    const Scalar queryHead = number % attention.queryHeads;
    const Scalar keyHead = queryHead / (attention.queryHeads / max(attention.keyHeads, 1));
    inverse.invert(k, number, k.view(layout.landmarkQuery, {number}),
                   k.view(layout.landmarkKey, {layout.isFirstK ? number : keyHead}),
                   layout.landmarks);
  });
  if (*blocks.split)
    layout.sums(*blocks.split);
  layout.output(blocks, inverse);
  if (layout.isFirstK)
    layout.firstRows();
}

} // namespace nysjit

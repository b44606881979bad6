// causal: strictly causal Nystrom attention. Near positions are exact, each far segment j is one landmark whose logit
//   l_j(q) = tau q.khat_j + c_j
// is the tangent, at the segment's mean query, of the logarithm of the segment's mass (landmark_weight tangent), or its
// tangent at q = 0 (count). Only complete segments make landmarks. All logits below are base 2, c included.
//
// Kernels, in order (landmark_value streaming needs the first and the last only):
//   segment_summary  one program a segment: qtilde, khat, c, and pool, the segment's own softmax value (into u)
//   landmark_past    with a split only: block_m landmarks and `split` positions a program, partial sums of B V
//   landmark_target  block_m landmarks a program: what the solve starts from, (1 - D a) pool + D B V (into u)
//   landmark_solve   one program a head: U of (I + D L) U = that, block_m landmarks at a time
//   causal_output    block_m query rows a program: one softmax over near positions and far landmarks
#include "templates/building_blocks.h"
#include "templates/templates.h"

#include <algorithm>
#include <bit>

namespace nysjit {

namespace {

/// What the kernels share: the arguments, the segments, and one row a (head, complete segment) of workspace.
struct Causal {
  Program &program;
  const KernelSpec &spec;
  Attention attention;
  Scalar segmentLen, landmarks; // landmarks: complete segments only
  TensorRef landmarkQuery, landmarkKey, landmarkBias, landmarkLogMass, landmarkValue; // qtilde, khat, c, A's row mass, pool then U

  explicit Causal(Program &p);
  bool isNystrom() const { return spec.landmarkValue == LandmarkValue::Nystrom; }
  void segmentSummary();
  void addPast(Kernel &k, OnlineSoftmax &past, const Scalar &pair, const Scalar &g0, const BlockConfig &blocks, const Range &positions) const;
  void landmarkPast(const PartialSums &partial, int split);
  void landmarkTarget();
  void landmarkSolve();
  void output();
};

Causal::Causal(Program &p) : program(p), spec(p.spec()), attention(p) {
  // Without segment_len, s = ceil(n / landmarks) of the sequence at hand.
  segmentLen = spec.segmentLen ? Scalar(*spec.segmentLen) : max(ceilDiv(attention.length, spec.landmarks), 1);
  landmarks = attention.length / segmentLen;
  if (spec.segmentLen) {
    const int64_t longest = int64_t(spec.landmarks) * *spec.segmentLen;
    program.require(attention.length <= longest, "q",
                    "a length of at most landmarks * segment_len = " + std::to_string(longest) + " positions", "{n}");
  }
  const Scalar heads = attention.heads();
  landmarkKey = program.buffer("landmark_key", {heads, landmarks, spec.headDim});
  landmarkBias = program.buffer("landmark_bias", {heads, landmarks});
  landmarkValue = program.buffer("landmark_value", {heads, landmarks, spec.headDim});
  if (!isNystrom())
    return;
  landmarkQuery = program.buffer("landmark_query", {heads, landmarks, spec.headDim});
  landmarkLogMass = program.buffer("landmark_log_mass", {heads, landmarks});
}

void Causal::segmentSummary() {
  const int d = spec.headDim;
  const int block = spec.segmentLen ? std::clamp<int>(std::bit_ceil(unsigned(*spec.segmentLen)), 8, 64) : 64; // positions an iteration
  program.kernel("segment_summary", attention.heads() * landmarks, [&](Kernel &k) {
    const Scalar id = k.programId(), pair = id / landmarks, g = id % landmarks;
    const Head head = headOf(k, attention, pair);
    const View query = k.slice(head.query, g * segmentLen, segmentLen), key = k.slice(head.key, g * segmentLen, segmentLen),
               value = k.slice(head.value, g * segmentLen, segmentLen);

    // qtilde_g, ktilde_g: means of q and k over the segment
    Tile meanQuery = k.fill(d, 0), meanKey = k.fill(d, 0);
    k.forRange({0, segmentLen}, block, {&meanQuery, &meanKey}, [&](Scalar t0) {
      meanQuery = meanQuery + columnSum(k.load(query, t0, block));
      if (spec.landmarkWeight == LandmarkWeight::Count)
        meanKey = meanKey + columnSum(k.load(key, t0, block));
    });
    const Tile share = 1.0 / (k.number(0) + segmentLen);
    meanQuery = meanQuery * share;

    // w = softmax over the segment of tau qtilde.k_t; khat = sum w k, pool = sum w v, and with x = tau qtilde.k_t
    // c = ln z - sum w (x - max x), z = sum e^{x - max x}: the entropy of w
    Tile maximum = k.number(lowestMaximum), mass = k.number(0), excess = k.number(0);
    Tile weightedKey = k.fill(d, 0), pool = k.fill(d, 0);
    k.forRange({0, segmentLen}, block, {&maximum, &mass, &excess, &weightedKey, &pool}, [&](Scalar t0) {
      const Tile keys = k.load(key, t0, block);
      const Tile x = where(t0 + k.iota(block) < segmentLen, rowSum(keys * cols(meanQuery)) * logitScale(k), negativeInfinity);
      const Tile newMaximum = max(maximum, maxOf(x)), shrink = exp2(maximum - newMaximum);
      const Tile weight = exp2(x - newMaximum);
      // excess = sum weight (x - maximum): it moves with the maximum, and a masked position adds 0 rather than 0 * infinity
      const Tile below = where(t0 + k.iota(block) < segmentLen, x - newMaximum, 0.0);
      excess = (excess + mass * max(maximum - newMaximum, -1e30)) * shrink + sumOf(weight * below);
      mass = mass * shrink + sumOf(weight);
      weightedKey = weightedKey * shrink + columnSum(keys * rows(weight));
      pool = pool * shrink + columnSum(k.load(value, t0, block) * rows(weight));
      maximum = newMaximum;
    });
    const bool tangent = spec.landmarkWeight == LandmarkWeight::Tangent;
    k.store(tangent ? weightedKey / mass : meanKey * share, k.view(landmarkKey, {pair, g}), 0);
    k.store(tangent ? log2(mass) - excess / mass : log2(k.number(0) + segmentLen), k.view(landmarkBias, {pair}), g);
    k.store(finite(pool / mass), k.view(landmarkValue, {pair, g}), 0);
    if (isNystrom())
      k.store(meanQuery, k.view(landmarkQuery, {pair, g}), 0);
  });
}

/// Rows of the landmarks' workspace of one head.
struct LandmarkRows {
  View query, key, bias, logMass, value;
};
LandmarkRows landmarkRows(Kernel &k, const Causal &c, const Scalar &pair) {
  return {k.view(c.landmarkQuery, {pair}), k.view(c.landmarkKey, {pair}), k.view(c.landmarkBias, {pair}),
          k.view(c.landmarkLogMass, {pair}), k.view(c.landmarkValue, {pair})};
}

/// l_j(qtilde_g) in base 2 for landmarks j0 on. Both kernels of the solve take A from here: to the last bit the same
/// logits, or a logit of 1e20 and its row's mass would be 1e13 apart.
Tile landmarkLogits(Kernel &k, const LandmarkRows &landmark, const Tile &query, const Scalar &j0, int block) {
  return dotT(query, k.load(landmark.key, j0, block), DotPrecision::Full) * logitScale(k) + cols(k.load(landmark.bias, j0, block));
}

/// (BV)_g, the softmax over t of segments <= g of tau qtilde_g.k_t, times v_t: adds those of `positions` for landmarks g0 on.
void Causal::addPast(Kernel &k, OnlineSoftmax &past, const Scalar &pair, const Scalar &g0, const BlockConfig &blocks, const Range &positions) const {
  const int blockM = *blocks.blockM, blockN = *blocks.blockN;
  const Head head = headOf(k, attention, pair);
  const Tile query = k.load(k.view(landmarkQuery, {pair}), g0, blockM), scale = logitScale(k);
  const Tile end = (g0 + k.iota(blockM) + 1) * segmentLen;
  k.forTiles(positions, {positions.begin, (g0 + 1) * segmentLen}, blockN, past.carry(), [&](Scalar t0, bool masked) {
    Tile logits = dotT(query, k.load(head.key, t0, blockN), DotPrecision::Split) * scale;
    if (masked)
      logits = where(cols(t0 + k.iota(blockN)) < rows(end), logits, negativeInfinity);
    past.add(logits, k.load(head.value, t0, blockN));
  });
}

/// Longest first: tiles from the end.
void Causal::landmarkPast(const PartialSums &partial, int split) {
  const BlockConfig blocks = program.blocks("landmark_past", {.blockM = 64, .blockN = 64});
  const Scalar tiles = ceilDiv(landmarks, *blocks.blockM), parts = ceilDiv(attention.length, split);
  program.kernel("landmark_past", attention.heads() * tiles * parts, [&](Kernel &k) {
    const Scalar id = k.programId(), pair = id % attention.heads(), rest = id / attention.heads(), part = rest % parts;
    const Scalar g0 = (tiles - 1 - rest / parts) * *blocks.blockM;
    const Scalar end = min(g0 + *blocks.blockM, landmarks) * segmentLen, t0 = part * split;
    OnlineSoftmax past(k, *blocks.blockM, spec.headDim);
    addPast(k, past, pair, g0, blocks, {t0, t0 + min(end - t0, split)});
    partial.store(k, past, pair, part, g0, t0 < end);
  });
}

void Causal::landmarkTarget() {
  const BlockConfig blocks = program.blocks("landmark_target", {.blockM = 32, .blockN = 64, .split = 0});
  const int blockM = *blocks.blockM, blockN = *blocks.blockN, split = *blocks.split;
  const Scalar tiles = ceilDiv(landmarks, blockM);
  PartialSums partial;
  if (split) {
    partial = PartialSums(program, "landmark_past", attention.heads(), ceilDiv(attention.length, split), landmarks);
    landmarkPast(partial, split);
  }
  program.kernel("landmark_target", attention.heads() * tiles, [&](Kernel &k) {
    const Scalar id = k.programId(), pair = id % attention.heads();
    const Scalar g0 = (tiles - 1 - id / attention.heads()) * blockM;
    const LandmarkRows landmark = landmarkRows(k, *this, pair);
    const Tile g = g0 + k.iota(blockM);
    const Scalar end = min(g0 + blockM, landmarks) * segmentLen;

    OnlineSoftmax past(k, blockM, spec.headDim); // B V
    if (split)
      partial.mergeInto(k, past, pair, ceilDiv(end, split), g0);
    else
      addPast(k, past, pair, g0, blocks, {0, end});

    // A_gj = e^{l_j(qtilde_g)} / sum over j' <= g; only the rows' masses and diagonal logits are kept
    const Tile query = k.load(landmark.query, g0, blockM);
    OnlineMass row(k, blockM);
    Tile own = k.fill(blockM, lowestMaximum);
    k.forTiles({0, min(g0 + blockM, landmarks)}, {0, 0}, blockN, {&row.maximum, &row.mass, &own}, [&](Scalar j0, bool) {
      const Tile j = j0 + k.iota(blockN);
      const Tile logits = where(cols(j) <= rows(g), landmarkLogits(k, landmark, query, j0, blockN), negativeInfinity);
      row.add(logits);
      own = max(own, rowMax(where(cols(j) >= rows(g), logits, negativeInfinity)));
    });
    const Tile logMass = row.logOfMass(), a = exp2(own - logMass); // a_gg

    // pool + D (BV - a pool), D = a / (a^2 + lambda)
    const Tile pool = k.load(landmark.value, g0, blockM), gain = a / (a * a + spec.stabilizer);
    k.store(logMass, landmark.logMass, g0);
    k.store(pool + (past.result() - pool * rows(a)) * rows(gain), landmark.value, g0);
  });
}

void Causal::landmarkSolve() {
  const BlockConfig blocks = program.blocks("landmark_solve", {.blockM = 64});
  const int block = *blocks.blockM;
  program.kernel("landmark_solve", attention.heads(), [&](Kernel &k) {
    const LandmarkRows landmark = landmarkRows(k, *this, k.programId());
    k.forRange({0, landmarks}, block, {}, [&](Scalar g0) {
      const Tile query = k.load(landmark.query, g0, block), logMass = k.load(landmark.logMass, g0, block);
      auto weights = [&](Scalar j0) { return exp2(landmarkLogits(k, landmark, query, j0, block) - rows(logMass)); }; // A_gj
      const Tile g = k.iota(block), own = weights(g0);
      const Tile a = rowSum(where((cols(g) <= rows(g)) & (cols(g) >= rows(g)), own, 0.0)), gain = a / (a * a + spec.stabilizer);
      // U_g = target_g - D_g sum over j < g of A_gj U_j: whole blocks by dots, the block's own triangle by substitution
      Tile known = k.fill(block, spec.headDim, 0);
      k.forRange({0, g0}, block, {&known}, [&](Scalar j0) {
        known = dotAdd(known, weights(j0), k.load(landmark.value, j0, block), DotPrecision::Full);
      });
      const Tile target = k.load(landmark.value, g0, block) - known * rows(gain);
      k.store(finite(triangularSolve(own * rows(gain), target)), landmark.value, g0); // stabilizer 0 may overflow
      k.sync();
    });
  });
}

void Causal::output() {
  const BlockConfig blocks = program.blocks("causal_output", {.blockM = 64, .blockN = 64});
  const int blockM = *blocks.blockM, blockN = *blocks.blockN;
  const Scalar rowTiles = ceilDiv(attention.length, blockM);
  program.kernel("causal_output", attention.heads() * rowTiles, [&](Kernel &k) {
    const Scalar id = k.programId(), pair = id % attention.heads();
    const Scalar i0 = (rowTiles - 1 - id / attention.heads()) * blockM, iLast = min(i0 + blockM, attention.length) - 1;
    const Head head = headOf(k, attention, pair);
    const Tile i = i0 + k.iota(blockM), query = k.load(head.query, i0, blockM), scale = logitScale(k);
    // far: landmarks j < seg(i) - window; near: from the first position of segment seg(i) - window on
    auto farEnd = [&](Scalar position) { return max(position / segmentLen - spec.window, 0); };
    const Tile farCount = max(i / segmentLen - spec.window, 0), nearStart = farCount * segmentLen;
    const View landmarkKeys = k.view(landmarkKey, {pair}), bias = k.view(landmarkBias, {pair}), values = k.view(landmarkValue, {pair});

    OnlineSoftmax softmax(k, blockM, spec.headDim);
    // far: weight e^{tau q.khat_j + c_j}, value U_j
    k.forTiles({0, farEnd(iLast)}, {0, farEnd(i0)}, blockN, softmax.carry(), [&](Scalar j0, bool masked) {
      Tile logits = dotT(query, k.load(landmarkKeys, j0, blockN), DotPrecision::Split) * scale + cols(k.load(bias, j0, blockN));
      if (masked)
        logits = where(cols(j0 + k.iota(blockN)) < rows(farCount), logits, negativeInfinity);
      softmax.add(logits, k.load(values, j0, blockN));
    });
    // near: weight e^{tau q.k_t}, value v_t, nearStart(i) <= t <= i; a few tiles at most are not worth an unmasked loop. The
    // tiles after an unmasked loop begin where all rows' near positions have begun.
    const bool isShort = spec.segmentLen && int64_t(spec.window + 1) * *spec.segmentLen <= 2 * blockN;
    const Range inside = isShort ? Range{0, 0} : Range{farEnd(iLast) * segmentLen, i0 + 1};
    bool hasBegun = false;
    k.forTiles({farEnd(i0) * segmentLen, iLast + 1}, inside, blockN, softmax.carry(), [&](Scalar t0, bool masked) {
      Tile logits = dotT(query, k.load(head.key, t0, blockN)) * scale;
      hasBegun |= !masked;
      if (masked) {
        const Tile t = t0 + k.iota(blockN), isPast = cols(t) <= rows(i);
        logits = where(hasBegun ? isPast : isPast & (cols(t) >= rows(nearStart)), logits, negativeInfinity);
      }
      softmax.add(logits, k.load(head.value, t0, blockN));
    });
    k.store(softmax.result(), head.output, i0);
  });
}

} // namespace

void causal(Program &program) {
  Causal layout(program);
  layout.segmentSummary();
  if (layout.isNystrom()) {
    layout.landmarkTarget();
    layout.landmarkSolve();
  }
  layout.output();
}

} // namespace nysjit

// The kernels over landmarks, and how queries see them.
#include "templates/landmarks.h"
#include "templates/inverse.h"

#include <algorithm>
#include <bit>

namespace nysjit {

//===- Segments -------------------------------------------------------------------------------===//

Scalar Segments::startOf(const Scalar &j) const {
  return hasSource ? min(min(j, source) * len, sourceLen) + max(j - source, 0) * len : j * len;
}

Tile Segments::pastEnds(const Tile &j) const {
  const Tile next = j + 1;
  const Tile end =
      hasSource
          ? max(min(min(next, source) * len, sourceLen) + max(next - source, 0) * len, sourceLen)
          : next * len;
  return mayBeShort ? min(end, length) : end;
}

Landmarks::Landmarks(Program &p, const Attention &a, Options o)
    : program(p), spec(p.spec()), attention(a), options(std::move(o)),
      isSolved(options.hasTarget && options.isNystrom) {
  const Scalar most = attention.maxLength;
  const Scalar variable = attention.isVariable();
  const bool countsShort = options.keepsShort || options.sourceLen;
  auto segments = [&](const Scalar &n, const Scalar &s) {
    return countsShort ? ceilDiv(n, s) : n / s;
  };
  if (spec.segmentLen) {
    const int64_t longest = int64_t(spec.landmarks) * *spec.segmentLen;
    program.require(most <= longest, "q",
                    "a length of at most landmarks * segment_len = " + std::to_string(longest) +
                        " positions",
                    "{max_length}");
    capacity = segments(most, *spec.segmentLen);
  } else {
    capacity = variable * min(most, spec.landmarks) +
               (1 - variable) * segments(most, max(ceilDiv(most, spec.landmarks), 1));
  }
  const bool hasSource = bool(options.sourceLen);
  const bool isPlain = options.weight == Weight::Plain;
  auto vectors = [&](const char *name) {
    return program.buffer(name, {attention.heads(), capacity, spec.headDim});
  };
  auto numbers = [&](const char *name) {
    return program.buffer(name, {attention.heads(), capacity});
  };
  key = vectors("landmark_key");
  value = vectors("landmark_value");
  if (!isPlain)
    bias = numbers("landmark_bias");
  if (isSolved || hasSource)
    query = vectors("landmark_query");
  if (isSolved)
    logMass = numbers("landmark_log_mass");
  if (hasSource) {
    meanKey = options.weight == Weight::Tangent ? vectors("landmark_mean_key") : key;
    sourcePastValue = vectors("source_past_value");
    sourceValue = options.isNystrom ? value : vectors("source_value");
  }
  chooseBlocks();
}

void Landmarks::chooseBlocks() {
  const bool hasSource = bool(options.sourceLen);
  if (!isSolved && !hasSource)
    return;
  // Sums over the past, split at fixed positions where the config of the first kernel that reads
  // them says so.
  // few landmarks still make a program for each of some threads
  const int rows = spec.landmarks < 128 ? 32 : 64;
  BlockConfig defaults{.blockM = rows, .blockN = 64, .split = 0};
  if (hasSource) {
    sourceBlocks = program.blocks("source_past", defaults, {.hasFewCells = true});
    defaults.split.reset();
  }
  if (isSolved)
    targetBlocks = program.blocks("landmark_target", defaults, {.hasFewCells = true});
  split = *(hasSource ? sourceBlocks : targetBlocks).split;
  if (split)
    pastBlocks = program.blocks("landmark_past", {.blockM = 64, .blockN = 64}, {.keepsMore = true});
  if (isSolved && spec.segmentLen && (split || !hasSource))
    poolsInPast = *spec.segmentLen % *(split ? pastBlocks : targetBlocks).blockN == 0 &&
                  split % *spec.segmentLen == 0;
}

Segments Landmarks::segmentsOf(Kernel &k, const Head &head) const {
  Segments s;
  s.length = head.length;
  // Without segment_len, s = ceil(n / landmarks) of the sequence at hand.
  s.len = spec.segmentLen ? Scalar(*spec.segmentLen) : max(ceilDiv(s.length, spec.landmarks), 1);
  s.hasSource = bool(options.sourceLen);
  s.mayBeShort = options.keepsShort;
  if (s.hasSource) {
    s.sourceLen = options.sourceLen(k, head);
    s.source = ceilDiv(s.sourceLen, s.len);
  }
  s.count = s.source;
  if (options.hasTarget)
    s.count = s.source + (options.keepsShort ? ceilDiv(s.length - s.sourceLen, s.len)
                                             : (s.length - s.sourceLen) / s.len);
  return s;
}

View Landmarks::rowsOf(Kernel &k, const TensorRef &tensor, const Head &head,
                       const Scalar &count) const {
  return k.slice(k.view(tensor, {head.pair}), 0, count);
}

LandmarkRows Landmarks::target(Kernel &k, const Head &head, const Segments &segments) const {
  auto rows = [&](const TensorRef &tensor) {
    return tensor.name.empty() ? View() : rowsOf(k, tensor, head, segments.count);
  };
  return {rows(query), rows(key),     rows(bias),
          rows(value), rows(logMass), options.weight != Weight::Plain};
}

LandmarkRows Landmarks::source(Kernel &k, const Head &head, const Segments &segments) const {
  auto rows = [&](const TensorRef &tensor) { return rowsOf(k, tensor, head, segments.source); };
  return {rows(query), rows(meanKey), View(), rows(sourceValue), View(), false};
}

Tile LandmarkRows::logits(Kernel &k, const Tile &of, const Scalar &j0, int block,
                          DotPrecision precision) const {
  const Tile scores = dotT(of, k.load(key, j0, block), precision) * logitScale(k);
  return hasBias ? scores + cols(k.load(bias, j0, block)) : scores;
}

void Landmarks::summarize() {
  const int d = spec.headDim;
  // positions an iteration
  const int block =
      spec.segmentLen ? std::clamp<int>(std::bit_ceil(unsigned(*spec.segmentLen)), 8, 64) : 64;
  const bool isTangent = options.weight == Weight::Tangent;
  const bool needsMeanKey = !isTangent || options.sourceLen;
  const bool needsPool = !poolsInPast;
  program.kernel("segment_summary", attention.heads() * capacity, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar pair = id / capacity;
    const Scalar g = id % capacity;
    const Head head = headOf(k, attention, pair);
    const Segments segments = segmentsOf(k, head);
    const Scalar start = segments.startOf(g);
    const Scalar length =
        max(min(segments.endOf(g) - start, segments.len * (g < segments.count)), 0);
    // a source's value is U alone
    const Scalar pooled = options.isNystrom ? length * (segments.source <= g) : length;
    const View query = k.slice(head.query, start, length);
    const View key = k.slice(head.key, start, length);
    const View value = k.slice(head.value, start, pooled);
    // Rows beyond a sequence's landmarks are written, too, and nobody reads them.
    auto storeRow = [&](const Tile &x, const TensorRef &tensor) {
      k.store(x, k.view(tensor, {pair, g}), 0);
    };

    // qtilde_g, ktilde_g: means of q and k over the segment
    Tile meanQuery = k.fill(d, 0);
    Tile meanOfKeys = k.fill(d, 0);
    k.forRange({0, length}, block, {&meanQuery, &meanOfKeys}, [&](Scalar t0) {
      meanQuery = meanQuery + columnSum(k.load(query, t0, block));
      if (needsMeanKey)
        meanOfKeys = meanOfKeys + columnSum(k.load(key, t0, block));
    });
    const Tile share = 1.0 / (k.number(0) + length);
    meanQuery = meanQuery * share;
    if (!this->query.name.empty())
      storeRow(meanQuery, this->query);
    if (needsMeanKey)
      storeRow(meanOfKeys * share, isTangent ? meanKey : this->key);
    if (!options.hasTarget)
      return;

    // w = softmax over the segment of tau qtilde.k_t; khat = sum w k, pool = sum w v, and with x =
    // tau qtilde.k_t c = ln z - sum w (x - max x), z = sum e^{x - max x}: the entropy of w
    Tile maximum = k.number(lowestMaximum);
    Tile mass = k.number(0);
    Tile excess = k.number(0);
    Tile weightedKey = k.fill(d, 0);
    Tile pool = k.fill(d, 0);
    k.forRange({0, isTangent || needsPool ? length : Scalar(0)}, block,
               {&maximum, &mass, &excess, &weightedKey, &pool}, [&](Scalar t0) {
                 const Tile keys = k.load(key, t0, block);
                 const Tile x =
                     where(t0 + k.iota(block) < length,
                           rowSum(keys * cols(meanQuery)) * logitScale(k), negativeInfinity);
                 const Tile newMaximum = max(maximum, maxOf(x));
                 const Tile shrink = exp2(maximum - newMaximum);
                 const Tile weight = exp2(x - newMaximum);
                 // excess = sum weight (x - maximum): it moves with the maximum, and a masked
                 // position adds 0 rather than 0 * infinity
                 const Tile below = where(t0 + k.iota(block) < length, x - newMaximum, 0.0);
                 excess = (excess + mass * max(maximum - newMaximum, -1e30)) * shrink +
                          sumOf(weight * below);
                 mass = mass * shrink + sumOf(weight);
                 weightedKey = weightedKey * shrink + columnSum(keys * rows(weight));
                 if (needsPool)
                   pool = pool * shrink + columnSum(k.load(value, t0, block) * rows(weight));
                 maximum = newMaximum;
               });
    if (isTangent)
      storeRow(weightedKey / mass, this->key);
    if (options.weight != Weight::Plain)
      k.store(isTangent ? log2(mass) - excess / mass : log2(k.number(0) + length),
              rowsOf(k, bias, head, segments.count), g);
    if (needsPool)
      storeRow(finite(pool / mass), this->value);
  });
}

void Landmarks::solve() {
  if (!isSolved && !options.sourceLen)
    return;
  if (split)
    landmarkPast(std::max(sourceBlocks.blockM.value_or(0), targetBlocks.blockM.value_or(0)));
  if (options.sourceLen) {
    sourcePast();
    sourceInverse();
  }
  if (isSolved) {
    landmarkTarget();
    landmarkSolve();
  }
}

//===- B V ------------------------------------------------------------------------------------===//

/// Part `part` of the positions, `split` of them at most. Where pools are summed, those of the
/// target begin at n1, as its segments do.
Range Landmarks::partOf(const Segments &segments, const Scalar &part) const {
  const Scalar first = part * split;
  if (!startsAtTarget())
    return {first, first + split};
  const Scalar sourceParts = ceilDiv(segments.sourceLen, split);
  const Scalar isTarget = sourceParts <= part;
  const Scalar begin =
      isTarget * (segments.sourceLen + max(part - sourceParts, 0) * split) + (1 - isTarget) * first;
  return {begin, max(begin + split * isTarget, min(begin + split, segments.sourceLen))};
}

/// How many of them have positions below `end`.
Scalar Landmarks::partsBelow(const Segments &segments, const Scalar &end) const {
  if (!startsAtTarget())
    return ceilDiv(end, split);
  return ceilDiv(min(end, segments.sourceLen), split) +
         ceilDiv(max(end - segments.sourceLen, 0), split);
}

/// (BV)_g, the softmax over t < pastEnd(g) of tau qtilde_g.k_t, times v_t: adds those of
/// `positions` for landmarks g0 on. With poolsInPast a row's sums begin anew at its own segment, so
/// that they end as its pool, which is stored; what came before is kept where `value` and `logMass`
/// are to be, and merged.
void Landmarks::addPast(Kernel &k, OnlineSoftmax &sums, const Head &head, const Segments &segments,
                        const Scalar &g0, const BlockConfig &blocks, const Range &positions) const {
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const View values = rowsOf(k, value, head, segments.count);
  const View numbers = poolsInPast ? rowsOf(k, logMass, head, segments.count) : View();
  const Tile pastEnds = segments.pastEnds(g0 + k.iota(blockM));
  const Tile end = startsAtTarget() ? min(pastEnds, positions.end) : pastEnds;
  const Tile queries = k.load(rowsOf(k, query, head, segments.count), g0, blockM);
  const Tile scale = logitScale(k);
  auto in = [&](const View &rows, const Range &range) {
    return k.slice(rows, range.begin, range.end - range.begin);
  };

  OnlineSoftmax before = sums;
  Carry carry = sums.carry();
  if (poolsInPast)
    carry.push_back(&before.maximum);
  Scalar seenByAll = poolsInPast ? segments.startOf(g0) : segments.pastEnd(g0);
  if (startsAtTarget())
    seenByAll = min(max(seenByAll, segments.sourceLen), positions.end);
  // Landmarks from 0 or the target's first on, and where they begin.
  const Scalar firstLandmark = segments.hasSource ? segments.source : Scalar(0);
  const Scalar first = segments.hasSource ? segments.sourceLen : Scalar(0);
  auto ofTarget = [&](const Scalar &position) {
    return segments.hasSource ? max(position - first, 0) : position;
  };
  k.forTiles(positions, {positions.begin, seenByAll}, blockN, carry, [&](Scalar t0, bool masked) {
    if (masked && poolsInPast) {
      const Scalar j = firstLandmark + ofTarget(t0) / segments.len;
      const Scalar isOnBorder = ofTarget(t0) % segments.len == 0;
      const Scalar isFirst = segments.hasSource ? isOnBorder * (first <= t0) : isOnBorder;
      const Range begins{j, j + isFirst}; // the landmark whose segment begins with this tile
      const Tile isNew = (pastEnds >= t0 + 1) & (pastEnds <= t0 + segments.len * isFirst);
      k.store(sums.sum, in(values, begins), g0 - begins.begin);
      k.store(sums.mass, in(numbers, begins), g0 - begins.begin);
      before.maximum = where(isNew, sums.maximum, before.maximum);
      // what was summed shrinks to 0
      sums.maximum = where(isNew, k.fill(blockM, lowestMaximum), sums.maximum);
    }
    Tile logits = dotT(queries, k.load(head.key, t0, blockN), DotPrecision::TwoTerms) * scale;
    if (masked)
      logits = where(cols(t0 + k.iota(blockN)) < rows(end), logits, negativeInfinity);
    sums.add(logits, k.load(head.value, t0, blockN));
  });
  if (!poolsInPast)
    return;
  // Those whose segments lie in `positions`.
  const Range own{firstLandmark + ofTarget(positions.begin) / segments.len,
                  firstLandmark + ceilDiv(ofTarget(positions.end), segments.len)};
  k.sync();
  before.sum = k.load(in(values, own), g0 - own.begin, blockM);
  before.mass = k.load(in(numbers, own), g0 - own.begin, blockM);
  k.sync();
  k.store(finite(sums.result()), in(values, own), g0 - own.begin);
  k.sync();
  sums.merge(before);
}

/// All positions below `end`, from the partial sums where there are some.
void Landmarks::past(Kernel &k, OnlineSoftmax &sums, const Head &head, const Segments &segments,
                     const Scalar &g0, const BlockConfig &blocks, const Scalar &end) const {
  if (split)
    partial.mergeInto(k, sums, head.pair, partsBelow(segments, end), g0, segments.count);
  else
    addPast(k, sums, head, segments, g0, blocks, {0, end});
}

/// Longest first: tiles from the end. A row that shares a reader's tile of `readBlock` rows with
/// later ones has empty sums where only those have positions.
void Landmarks::landmarkPast(int readBlock) {
  const int blockM = *pastBlocks.blockM;
  const Scalar heads = attention.heads();
  const Scalar tiles = ceilDiv(capacity, blockM);
  const Scalar parts = ceilDiv(attention.maxLength, split) + startsAtTarget();
  partial = PartialSums(program, "landmark_past", heads, parts, capacity);
  program.kernel("landmark_past", heads * tiles * parts, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar rest = id / heads;
    const Scalar part = rest % parts;
    const Scalar g0 = (tiles - 1 - rest / parts) * blockM;
    const Head head = headOf(k, attention, id % heads);
    const Segments segments = segmentsOf(k, head);
    const Scalar isUsed = g0 < segments.count;
    const Range all = partOf(segments, part);
    const Scalar end = segments.pastEnd(min(g0 + blockM, segments.count) - 1) * isUsed;
    OnlineSoftmax sums(k, blockM, spec.headDim);
    addPast(k, sums, head, segments, g0, pastBlocks,
            {all.begin, max(min(end, all.end), all.begin)});
    const Scalar readEnd =
        segments.pastEnd(min(g0 + (blockM + readBlock - 1), segments.count) - 1) * isUsed;
    partial.store(k, sums, head.pair, part, g0, segments.count * (all.begin < readEnd));
  });
}

void Landmarks::sourcePast() {
  const BlockConfig &blocks = sourceBlocks;
  const int blockM = *blocks.blockM;
  const Scalar heads = attention.heads();
  program.kernel("source_past", heads * ceilDiv(capacity, blockM), [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar g0 = id / heads * blockM;
    const Head head = headOf(k, attention, id % heads);
    const Segments segments = segmentsOf(k, head);
    OnlineSoftmax sums(k, blockM, spec.headDim);
    past(k, sums, head, segments, g0, blocks, segments.sourceLen * (g0 < segments.source));
    k.store(finite(sums.result()), rowsOf(k, sourcePastValue, head, segments.source), g0);
  });
}

//===- The iterated inverse -------------------------------------------------------------------===//

void Landmarks::sourceInverse() {
  const BlockConfig blocks = program.blocks("source_inverse", {.blockM = 32});
  const int block = *blocks.blockM;
  InverseWorkspace inverse(program, attention.heads(), capacity, block, block);
  program.kernel("source_inverse", attention.heads() * min(capacity, 1), [&](Kernel &k) {
    const Head head = headOf(k, attention, k.cell());
    const Segments segments = segmentsOf(k, head);
    const LandmarkRows rows = source(k, head, segments);
    const View inverted = inverse.invert(k, head.pair, rows.query, rows.key, segments.source);
    const View past = rowsOf(k, sourcePastValue, head, segments.source);
    k.forRange({0, segments.source}, block, {}, [&](Scalar g0) { // U = A+ (B V)
      Tile u = k.fill(block, spec.headDim, 0);
      k.forRange({0, segments.source}, block, {&u}, [&](Scalar j0) {
        u = dotAdd(u, k.load(k.columns(inverted, j0, block), g0, block), k.load(past, j0, block),
                   DotPrecision::Full);
      });
      k.store(finite(u), rows.value, g0);
    });
  });
}

//===- The stabilized solve -------------------------------------------------------------------===//

void Landmarks::landmarkTarget() {
  const BlockConfig &blocks = targetBlocks;
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar heads = attention.heads();
  const Scalar tiles = ceilDiv(capacity, blockM);
  program.kernel("landmark_target", heads * tiles, [&](Kernel &k) {
    const Scalar id = k.cell();
    const Head head = headOf(k, attention, id / tiles);
    const Segments segments = segmentsOf(k, head);
    const LandmarkRows landmarks = target(k, head, segments);
    const Scalar g0 = segments.source + (tiles - 1 - id % tiles) * blockM;
    const Scalar isUsed = g0 < segments.count;
    const Scalar last = min(g0 + blockM, segments.count);
    const Tile g = g0 + k.iota(blockM);

    OnlineSoftmax sums(k, blockM, spec.headDim); // B V
    past(k, sums, head, segments, g0, blocks, segments.pastEnd(last - 1) * isUsed);

    // A_gj = e^{l_j(qtilde_g)} / sum over j' <= g; only the rows' masses and diagonal logits are
    // kept
    const Tile query = k.load(landmarks.query, g0, blockM);
    OnlineMass row(k, blockM);
    Tile own = k.fill(blockM, lowestMaximum);
    k.forTiles(
        {0, last * isUsed}, {0, 0}, blockN, {&row.maximum, &row.mass, &own}, [&](Scalar j0, bool) {
          const Tile j = j0 + k.iota(blockN);
          const Tile logits =
              where(cols(j) <= rows(g), landmarks.logits(k, query, j0, blockN, DotPrecision::Full),
                    negativeInfinity);
          row.add(logits);
          own = max(own, rowMax(where(cols(j) >= rows(g), logits, negativeInfinity)));
        });
    const Tile logMass = row.logOfMass();
    const Tile a = exp2(own - logMass); // a_gg

    // pool + D (BV - a pool), D = a / (a^2 + lambda)
    const Tile pool = k.load(landmarks.value, g0, blockM);
    const Tile gain = a / (a * a + spec.stabilizer);
    k.store(logMass, landmarks.logMass, g0);
    k.store(pool + (sums.result() - pool * rows(a)) * rows(gain), landmarks.value, g0);
  });
}

void Landmarks::landmarkSolve() {
  const BlockConfig blocks = program.blocks("landmark_solve", {.blockM = 64});
  const int block = *blocks.blockM;
  program.kernel("landmark_solve", attention.heads() * min(capacity, 1), [&](Kernel &k) {
    const Head head = headOf(k, attention, k.cell());
    const Segments segments = segmentsOf(k, head);
    const LandmarkRows landmarks = target(k, head, segments);
    k.forRange({segments.source, segments.count}, block, {}, [&](Scalar g0) {
      const Tile query = k.load(landmarks.query, g0, block);
      const Tile logMass = k.load(landmarks.logMass, g0, block);
      // A_gj, at most 1: logits of 1e20 may be rounded otherwise than their masses, and then are
      // 1e13 apart
      auto weights = [&](Scalar j0) {
        return exp2(
            min(landmarks.logits(k, query, j0, block, DotPrecision::Full) - rows(logMass), 0.0));
      };
      // U_g = target_g - D_g sum over j < g of A_gj U_j: whole blocks by dots, the block's own
      // triangle by substitution
      Tile known = k.fill(block, spec.headDim, 0);
      auto addKnown = [&](Scalar j0, bool masked) {
        const Tile a =
            masked ? where(cols(j0 + k.iota(block)) < g0, weights(j0), 0.0) : weights(j0);
        // no weight, not even 0, for what may overflow
        const View solved = masked ? k.slice(landmarks.value, 0, g0) : landmarks.value;
        known = dotAdd(known, a, k.load(solved, j0, block), DotPrecision::Full);
      };
      if (segments.hasSource)
        k.forTiles({0, g0}, {0, g0}, block, {&known}, addKnown);
      else // g0 is a multiple of the block
        k.forWholeTiles({0, g0}, block, {&known}, [&](Scalar j0) { addKnown(j0, false); });
      const Tile g = k.iota(block);
      const Tile own = weights(g0);
      const Tile a = rowSum(where((cols(g) <= rows(g)) & (cols(g) >= rows(g)), own, 0.0));
      const Tile gain = a / (a * a + spec.stabilizer);
      const Tile right = k.load(landmarks.value, g0, block) - known * rows(gain);
      // stabilizer 0 may overflow
      k.store(finite(triangularSolve(own * rows(gain), right)), landmarks.value, g0);
      k.sync();
    });
  });
}

//===- What queries see -----------------------------------------------------------------------===//

void addFar(Kernel &k, OnlineSoftmax &softmax, const LandmarkRows &landmarks, const Tile &query,
            const Tile &farCount, const Scalar &forAll, const Scalar &end, int block) {
  k.forTiles({0, end}, {0, forAll}, block, softmax.carry(), [&](Scalar j0, bool masked) {
    Tile logits = landmarks.logits(k, query, j0, block, DotPrecision::TwoTerms);
    if (masked)
      logits = where(cols(j0 + k.iota(block)) < rows(farCount), logits, negativeInfinity);
    softmax.add(logits, k.load(landmarks.value, j0, block));
  });
}

void writeSourceOutput(Program &program, const Attention &attention, const Landmarks &landmarks,
                       const Convolution &convolution, int ahead) {
  const BlockConfig blocks = program.blocks("source_output", {.blockM = 64, .blockN = 64});
  const int blockM = *blocks.blockM;
  const Scalar heads = attention.heads();
  program.kernel("source_output", heads * ceilDiv(attention.maxLength, blockM), [&](Kernel &k) {
    const Scalar id = k.cell();
    const Scalar i0 = id / heads * blockM;
    const Head head = headOf(k, attention, id % heads);
    const Segments segments = landmarks.segmentsOf(k, head);
    const LandmarkRows source = landmarks.source(k, head, segments);
    const Scalar seen = segments.source * (i0 < segments.sourceLen);
    OnlineSoftmax softmax(k, blockM, program.spec().headDim);
    addFar(k, softmax, source, k.load(k.slice(head.query, 0, segments.sourceLen), i0, blockM),
           k.iota(blockM) * 0 + segments.source, seen, seen, *blocks.blockN);
    const Tile o = convolution.addTo(k, softmax.result(), head, i0, ahead);
    k.store(o, k.slice(head.output, 0, segments.sourceLen), i0);
  });
}

void addNear(Kernel &k, OnlineSoftmax &softmax, const Head &head, const Tile &query,
             const Tile &nearStart, const Tile &i, const Range &positions, const Range &inside,
             int block) {
  const Tile scale = logitScale(k);
  bool hasBegun = false; // tiles after the unmasked ones begin where all rows' near positions have
  k.forTiles(positions, inside, block, softmax.carry(), [&](Scalar t0, bool masked) {
    Tile logits = dotT(query, k.load(head.key, t0, block)) * scale;
    hasBegun |= !masked;
    if (masked) {
      const Tile t = t0 + k.iota(block);
      const Tile isPast = cols(t) <= rows(i);
      logits = where(hasBegun ? isPast : isPast & (cols(t) >= rows(nearStart)), logits,
                     negativeInfinity);
    }
    softmax.add(logits, k.load(head.value, t0, block));
  });
}

} // namespace nysjit

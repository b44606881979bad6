// far_gradient: rows that see landmarks from afar, by landmarks: for rows i >= startOf(j + lead)
//   G_j = sum of dX_ij q_i,  dc_j = sum of dX_ij,  dU_j = sum of P_ij dO_i
// A cell: block_m landmarks and `split` rows, block_n an iteration. With a split the sums of parts
// are added in their order by far_gradient_sum.
#include "templates/landmark_gradients.h"

namespace nysjit {

namespace {

/// Rows of landmarks that sums are stored to.
struct FarRows {
  View keys;
  View values;
  View biases;
};

struct FarSums {
  Tile key;
  Tile value;
  Tile bias;

  FarSums(Kernel &k, int count, int headDim)
      : key(k.fill(count, headDim, 0)), value(k.fill(count, headDim, 0)), bias(k.fill(count, 0.0)) {
  }
  Carry carry() { return {&key, &value, &bias}; }
  void store(Kernel &k, const FarRows &rows, const Scalar &j0) const {
    k.store(key, rows.keys, j0);
    k.store(value, rows.values, j0);
    k.store(bias, rows.biases, j0);
  }
};

/// Adds rows [begin, end).
void addRows(Kernel &k, FarSums &sums, const LandmarkGradients &of, const Head &head,
             const Segments &segments, const Scalar &j0, int block, const Range &part) {
  const int count = sums.bias.rows();
  const LandmarkRows landmarks = of.landmarks.target(k, head, segments);
  const GradientRows rowsOfHead = of.gradients.rowsOf(k, head);
  const Tile key = k.load(landmarks.key, j0, count);
  const Tile value = k.load(landmarks.value, j0, count);
  const std::optional<Tile> counts = landmarks.counts(k, j0, count);
  const Tile scale = logitScale(k);

  auto firstRow = [&](const Scalar &j) -> Scalar {
    return segments.targetStart() + max(j - segments.firstTarget() + of.lead, 0) * segments.len;
  };
  const Tile j = j0 + k.iota(count);
  const Tile firstRows =
      segments.targetStart() + max(j - segments.firstTarget() + of.lead, 0) * segments.len;
  // Tiles lie where the part's do, whatever comes first.
  const Scalar skipped = max(min(firstRow(j0), part.end) - part.begin, 0) / block * block;
  const Scalar begin = part.begin + skipped;
  const Mask after =
      Mask::below(part.end).from(firstRows).allSee({firstRow(j0 + count - 1), part.end});
  k.forTiles({begin, part.end}, after, block, sums.carry(), [&](Scalar i0, const TileMask &seen) {
    const Tile query = k.load(head.query, i0, block);
    const Tile dO = k.load(rowsOfHead.dout, i0, block);
    const Tile x = dot(key, transposed(query), {DotPrecision::TwoTerms, seen}) * scale;
    const Tile dWeights = dot(value, transposed(dO), seen);
    const SoftmaxGradient gradient = SoftmaxGradient::ofColumns(
        x, dWeights, SoftmaxRows(k, rowsOfHead, i0, block), seen, counts);
    const DotOptions zeros = DotOptions::zeroElsewhere(seen);
    sums.key = dotAdd(sums.key, gradient.logits, query, zeros);
    sums.value = dotAdd(sums.value, gradient.weights, dO, zeros);
    sums.bias = sums.bias + rowSum(gradient.logits);
  });
}

/// The sums of each part of the rows.
struct FarParts {
  TensorRef keys;
  TensorRef values;
  TensorRef biases;

  FarParts() = default;
  FarParts(const LandmarkGradients &of, const Scalar &heads, const Scalar &parts) {
    const Scalar &capacity = of.landmarks.segmentation.capacity();
    keys = of.program.buffer("far_key_gradient", {heads, parts, capacity, of.spec.headDim});
    values = of.program.buffer("far_value_gradient", {heads, parts, capacity, of.spec.headDim});
    biases = of.program.buffer("far_bias_gradient", {heads, parts, capacity});
  }
  FarRows rowsOf(Kernel &k, const Head &head, const Scalar &part, const Scalar &count) const {
    auto of = [&](const TensorRef &tensor) {
      return k.slice(k.view(tensor, {head.pair, part}), 0, count);
    };
    return {of(keys), of(values), of(biases)};
  }
};

/// far_gradient_sum: a cell: 16 landmarks, their parts in order.
void writeSums(const LandmarkGradients &of, const FarParts &partial, int split) {
  constexpr int block = 16;
  const Attention &attention = of.landmarks.attention;
  const Scalar heads = attention.heads();
  const Scalar tiles = ceilDiv(of.landmarks.segmentation.capacity(), block);
  of.program.kernel("far_gradient_sum", heads * tiles, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Segments segments = of.landmarks.segmentation.of(k, head);
    const Scalar j0 = cell / heads * block;
    FarSums sums(k, block, of.spec.headDim);
    k.forRange({0, ceilDiv(head.length, split)}, 1, sums.carry(), [&](Scalar part) {
      const FarRows rows = partial.rowsOf(k, head, part, segments.count);
      sums.key = sums.key + k.load(rows.keys, j0, block);
      sums.value = sums.value + k.load(rows.values, j0, block);
      sums.bias = sums.bias + k.load(rows.biases, j0, block);
    });
    const LandmarkGradientRows rows = of.rowsOf(k, head, segments);
    sums.store(k, {rows.key, rows.value, rows.bias}, j0);
  });
}

} // namespace

void writeFarGradient(const LandmarkGradients &of) {
  Program &program = of.program;
  const Attention &attention = of.landmarks.attention;
  const BlockConfig blocks = program.blocks(
      "far_gradient", {.blockM = 32, .blockN = 64, .split = 0},
      {.hasFewCells = true, .mayHaveFewRows = of.landmarks.mayBeFew(), .keepsMore = true});
  const int blockM = *blocks.blockM;
  const int split = *blocks.split;
  const Scalar heads = attention.heads();
  const Scalar &capacity = of.landmarks.segmentation.capacity();
  const Scalar tiles = ceilDiv(capacity, blockM);
  const Scalar parts = split ? ceilDiv(attention.maxLength, split) : Scalar(1);
  const FarParts partial = split ? FarParts(of, heads, parts) : FarParts();
  program.kernel("far_gradient", heads * tiles * parts, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Segments segments = of.landmarks.segmentation.of(k, head);
    const Scalar rest = cell / heads;
    const Scalar j0 = rest / parts * blockM; // the first landmarks have the most rows
    const Scalar part = rest % parts;
    const Scalar isUsed = j0 < segments.count;
    const Scalar end = split ? min((part + 1) * split, head.length) : head.length;
    FarSums sums(k, blockM, of.spec.headDim);
    addRows(k, sums, of, head, segments, j0, *blocks.blockN,
            {part * split, select(isUsed, end, 0)});
    if (split)
      return sums.store(k, partial.rowsOf(k, head, part, segments.count), j0);
    const LandmarkGradientRows rows = of.rowsOf(k, head, segments);
    sums.store(k, {rows.key, rows.value, rows.bias}, j0);
  });
  if (split)
    writeSums(of, partial, split);
}

void addFarQueryGradient(Kernel &k, Tile &dq, const LandmarkRows &landmarks,
                         const GradientRows &rows, const QueryTile &queries, const Mask &mask,
                         const Scalar &end, int block) {
  const int count = queries.i.rows();
  const Tile dO = k.load(rows.dout, queries.i0, count);
  const SoftmaxRows numbers(k, rows, queries.i0, count);
  k.forTiles({0, end}, mask, block, {&dq}, [&](Scalar j0, const TileMask &seen) {
    const Tile key = k.load(landmarks.key, j0, block);
    const Tile x = landmarks.logits(k, queries.query, j0, block, {DotPrecision::TwoTerms, seen});
    const Tile dWeights = dot(dO, transposed(k.load(landmarks.value, j0, block)), seen);
    const Tile dX =
        SoftmaxGradient::ofRows(x, dWeights, numbers, seen, landmarks.counts(k, j0, block)).logits;
    dq = dotAdd(dq, dX, key, DotOptions::zeroElsewhere(seen));
  });
}

} // namespace nysjit

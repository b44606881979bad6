// far_gradient: rows that see landmarks from afar, by landmarks: for rows i >= startOf(j + lead)
//   G_j = sum of dX_ij q_i,  dc_j = sum of dX_ij,  dU_j = sum of P_ij dO_i
// A cell: block_m landmarks and `split` rows, block_n an iteration. With a split the sums of parts
// are added in their order by far_gradient_sum.
#include "templates/landmark_gradients.h"

namespace nysjit {

namespace {

struct FarSums {
  Tile key;
  Tile value;
  Tile bias;

  FarSums(Kernel &k, int count, int headDim)
      : key(k.fill(count, headDim, 0)), value(k.fill(count, headDim, 0)), bias(k.fill(count, 0.0)) {
  }
  Carry carry() { return {&key, &value, &bias}; }
  void store(Kernel &k, const View &keys, const View &values, const View &biases,
             const Scalar &j0) const {
    k.store(key, keys, j0);
    k.store(value, values, j0);
    k.store(bias, biases, j0);
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
  TensorRef keys;
  TensorRef values;
  TensorRef biases;
  if (split) {
    keys = program.buffer("far_key_gradient", {heads, parts, capacity, of.spec.headDim});
    values = program.buffer("far_value_gradient", {heads, parts, capacity, of.spec.headDim});
    biases = program.buffer("far_bias_gradient", {heads, parts, capacity});
  }
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
    if (!split) {
      const LandmarkGradientRows rows = of.rowsOf(k, head, segments);
      return sums.store(k, rows.key, rows.value, rows.bias, j0);
    }
    auto partOf = [&](const TensorRef &tensor) {
      return k.slice(k.view(tensor, {head.pair, part}), 0, segments.count);
    };
    sums.store(k, partOf(keys), partOf(values), partOf(biases), j0);
  });
  if (!split)
    return;
  const int block = 16;
  program.kernel("far_gradient_sum", heads * ceilDiv(capacity, block), [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Segments segments = of.landmarks.segmentation.of(k, head);
    const Scalar j0 = cell / heads * block;
    FarSums sums(k, block, of.spec.headDim);
    k.forRange({0, ceilDiv(head.length, split)}, 1, sums.carry(), [&](Scalar part) {
      auto load = [&](const TensorRef &tensor) {
        return k.load(k.slice(k.view(tensor, {head.pair, part}), 0, segments.count), j0, block);
      };
      sums.key = sums.key + load(keys);
      sums.value = sums.value + load(values);
      sums.bias = sums.bias + load(biases);
    });
    const LandmarkGradientRows rows = of.rowsOf(k, head, segments);
    sums.store(k, rows.key, rows.value, rows.bias, j0);
  });
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

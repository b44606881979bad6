// far_gradient: rows that see landmarks from afar, by landmarks: for rows i >= startOf(j + lead)
//   G_j = sum of dX_ij q_i,  dc_j = sum of dX_ij,  dU_j = sum of P_ij dO_i
// source_far_gradient: the same of a source's rows, all of which see all of its landmarks, by their
// mean keys: dktilde_j / tau and dU_1.
// A cell: block_m landmarks and `split` rows, block_n an iteration. With a split the sums of parts
// are added in their order by far_gradient_sum, source_far_gradient_sum. Fused, by rows: a cell
// walks `split` rows, whose dq it keeps, and adds to its part's sums in memory.
#include "templates/landmark_gradients.h"
#include "templates/query_sums.h"

namespace nysjit {

namespace {

struct FarSums {
  Tile key;
  Tile value;
  Tile bias;
  bool hasBias;

  FarSums(Kernel &k, int count, int headDim, RowPart part)
      : key(k.fill(count, headDim, 0)), value(k.fill(count, headDim, 0)), bias(k.fill(count, 0.0)),
        hasBias(part == RowPart::Target) {}
  Carry carry() { return hasBias ? Carry{&key, &value, &bias} : Carry{&key, &value}; }
  void store(Kernel &k, const FarViews &views, const Scalar &j0) const {
    k.store(key, views.key, j0);
    k.store(value, views.value, j0);
    if (hasBias)
      k.store(bias, views.bias, j0);
  }
};

class FarGradient {
public:
  FarGradient(const LandmarkGradients &gradients, RowPart rowPart)
      : of(gradients), part(rowPart), isSource(rowPart == RowPart::Source),
        name(isSource ? "source_far_gradient" : "far_gradient"),
        blocks(of.isFused
                   ? of.program.blocks(name, {.blockM = 64, .blockN = 64, .split = fusedSplit})
                   : of.program.blocks(name, {.blockM = 32, .blockN = 64, .split = 0},
                                       {.hasFewCells = true,
                                        .mayHaveFewRows = of.landmarks.mayBeFew(),
                                        .keepsMore = true,
                                        .keepsTwoSums = true})),
        split(*blocks.split), capacity(of.landmarks.segmentation.capacity()),
        parts(split ? ceilDiv(of.landmarks.attention.maxLength, split) : Scalar(1)) {}

  void write();

private:
  FarSums begin(Kernel &k, const FarViews &views, const Scalar &j0, int count) const;
  void writeByLandmarks();
  void writeByRows();
  struct SeenFar {
    LandmarkRows landmarks;
    Mask mask;
    Scalar end;
  };
  SeenFar farOf(Kernel &k, const Head &head, const Segments &segments,
                const QueryTile &queries) const;
  Mask rowsThatSee(const Segments &segments, const Tile &j) const;
  /// The first row that sees landmark j, of a target.
  template <typename Number> Number firstRow(const Segments &segments, const Number &j) const {
    const Number segment = max(j - segments.firstTarget() + of.lead, 0);
    return segment * segments.len + segments.targetStart();
  }
  void addRows(Kernel &k, FarSums &sums, const Head &head, const Segments &segments,
               const Scalar &j0, const Range &rows) const;
  FarViews viewsOf(Kernel &k, const Head &head, const Segments &segments) const;
  FarViews viewsOfPart(Kernel &k, const Head &head, const Segments &segments,
                       const Scalar &number) const;
  Scalar countOf(const Segments &segments) const {
    return isSource ? segments.source : segments.count;
  }
  Scalar endOf(const Segments &segments) const {
    return isSource ? segments.sourceLen : segments.length;
  }
  /// The first row of the first part.
  Scalar beginOf(const Segments &segments) const {
    return of.isFused && !isSource ? segments.targetStart() : Scalar(0);
  }
  void writeSum() const;

  const LandmarkGradients &of;
  const RowPart part;
  const bool isSource;
  const char *name;
  const BlockConfig blocks;
  const int split;
  const Scalar capacity;
  const Scalar parts;
  TensorRef keys; // of parts
  TensorRef values;
  TensorRef biases;
};

FarViews FarGradient::viewsOf(Kernel &k, const Head &head, const Segments &segments) const {
  const LandmarkGradientRows rows = of.rowsOf(k, head, segments);
  return isSource ? FarViews{rows.meanKey, rows.sourceValue, View()}
                  : FarViews{rows.key, rows.value, rows.bias};
}

FarViews FarGradient::viewsOfPart(Kernel &k, const Head &head, const Segments &segments,
                                  const Scalar &number) const {
  auto partOf = [&](const TensorRef &tensor) {
    return k.slice(k.view(tensor, {head.pair, number}), 0, countOf(segments));
  };
  return {partOf(keys), partOf(values), isSource ? View() : partOf(biases)};
}

/// Where keys are ktilde, a source's rows add to what the target's have left.
FarSums FarGradient::begin(Kernel &k, const FarViews &views, const Scalar &j0, int count) const {
  FarSums sums(k, count, of.spec.headDim, part);
  const bool isSecond = isSource && of.landmarks.segmentation.hasTarget() && !of.isTangent();
  if (isSecond)
    sums.key = k.load(views.key, j0, count);
  return sums;
}

/// Adds rows [begin, end).
void FarGradient::addRows(Kernel &k, FarSums &sums, const Head &head, const Segments &segments,
                          const Scalar &j0, const Range &rows) const {
  const int count = sums.bias.rows();
  const int block = *blocks.blockN;
  const LandmarkRows landmarks =
      isSource ? of.landmarks.source(k, head, segments) : of.landmarks.target(k, head, segments);
  const GradientRows rowsOfHead = of.gradients.rowsOf(k, head);
  const Tile key = k.load(landmarks.key, j0, count);
  const Tile value = k.load(landmarks.value, j0, count);
  const std::optional<Tile> counts = landmarks.counts(k, j0, count);
  const Tile scale = logitScale(k);

  Scalar begin = rows.begin;
  Mask seenRows = Mask::below(rows.end);
  if (isSource) {
    seenRows = seenRows.allSee(rows);
  } else {
    // Tiles lie where the part's do, whatever comes first.
    begin = rows.begin + max(min(firstRow(segments, j0), rows.end) - rows.begin, 0) / block * block;
    seenRows = seenRows.from(firstRow(segments, j0 + k.iota(count)))
                   .allSee({firstRow(segments, j0 + count - 1), rows.end});
  }
  const Range tiles{begin, rows.end};
  k.forTiles(tiles, seenRows, block, sums.carry(), [&](Scalar i0, const TileMask &seen) {
    const Tile query = k.load(head.query, i0, block);
    const Tile dO = k.load(rowsOfHead.dout, i0, block);
    const Tile x = dot(key, transposed(query), {DotPrecision::TwoTerms, seen}) * scale;
    const Tile dWeights = dot(value, transposed(dO), seen);
    const SoftmaxGradient gradient = SoftmaxGradient::ofColumns(
        x, dWeights, SoftmaxRows(k, rowsOfHead, i0, block), seen, counts);
    const DotOptions zeros = DotOptions::zeroElsewhere(seen);
    sums.key = dotAdd(sums.key, gradient.logits, query, zeros);
    sums.value = dotAdd(sums.value, gradient.weights, dO, zeros);
    if (sums.hasBias)
      sums.bias = sums.bias + rowSum(gradient.logits);
  });
}

void FarGradient::write() {
  const Scalar heads = of.landmarks.attention.heads();
  auto buffer = [&](const char *what, std::vector<Scalar> shape) {
    return of.program.buffer((isSource ? "source_far_" : "far_") + std::string(what), shape);
  };
  if (split) {
    keys = buffer("key_gradient", {heads, parts, capacity, of.spec.headDim});
    values = buffer("value_gradient", {heads, parts, capacity, of.spec.headDim});
    if (!isSource)
      biases = buffer("bias_gradient", {heads, parts, capacity});
  }
  of.isFused ? writeByRows() : writeByLandmarks();
  if (split)
    writeSum();
}

void FarGradient::writeByLandmarks() {
  const Attention &attention = of.landmarks.attention;
  const int blockM = *blocks.blockM;
  const Scalar heads = attention.heads();
  const Scalar tiles = ceilDiv(capacity, blockM);
  of.program.kernel(name, heads * tiles * parts, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Segments segments = of.landmarks.segmentation.of(k, head);
    const Scalar rest = cell / heads;
    const Scalar j0 = rest / parts * blockM; // the first landmarks have the most rows
    const Scalar number = rest % parts;
    const Scalar isUsed = j0 < countOf(segments);
    const Scalar end = split ? min((number + 1) * split, endOf(segments)) : endOf(segments);
    const FarViews views =
        split ? viewsOfPart(k, head, segments, number) : viewsOf(k, head, segments);
    FarSums sums = split ? FarSums(k, blockM, of.spec.headDim, part) : begin(k, views, j0, blockM);
    addRows(k, sums, head, segments, j0, {number * split, select(isUsed, end, 0)});
    sums.store(k, views, j0);
  });
}

/// Each weight once: a cell walks `split` rows, block_m at a time, block_n landmarks an iteration.
void FarGradient::writeByRows() {
  const Attention &attention = of.landmarks.attention;
  const int blockM = *blocks.blockM;
  const int blockN = *blocks.blockN;
  const Scalar heads = attention.heads();
  of.program.kernel(name, heads * parts, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Segments segments = of.landmarks.segmentation.of(k, head);
    const Scalar number = parts - 1 - cell / heads; // the last rows see the most
    const LandmarkSums sums{split ? viewsOfPart(k, head, segments, number)
                                  : viewsOf(k, head, segments),
                            [&](const Tile &j) { return rowsThatSee(segments, j); }};
    k.forRange({0, countOf(segments)}, blockN, {}, [&](Scalar j0) {
      const FarSums none =
          split ? FarSums(k, blockN, of.spec.headDim, part) : begin(k, sums.views, j0, blockN);
      none.store(k, sums.views, j0);
    });
    k.sync();
    const Scalar first = beginOf(segments) + number * split;
    const Scalar end = split ? min(first + split, endOf(segments)) : endOf(segments);
    const GradientRows all = of.gradients.rowsOf(k, head);
    const GradientRows rows = isSource ? all.until(k, end) : all; // a target's come after them
    k.forRange({first, end}, blockM, {}, [&](Scalar i0) {
      const QueryTile queries(k, head, i0, blockM, end);
      Tile dq = k.fill(blockM, of.spec.headDim, 0);
      const auto [landmarks, mask, farEnd] = farOf(k, head, segments, queries);
      addFarQueryGradient(k, dq, landmarks, rows, queries, mask, farEnd, blockN, &sums);
      k.store(dq, rows.querySum, i0);
    });
  });
}

/// What a tile of rows sees from afar.
FarGradient::SeenFar FarGradient::farOf(Kernel &k, const Head &head, const Segments &segments,
                                        const QueryTile &queries) const {
  if (isSource)
    return {of.landmarks.source(k, head, segments),
            Mask::below(segments.source).allSee({0, segments.source}), segments.source};
  const LandmarkRows landmarks = of.landmarks.target(k, head, segments);
  const NearAndFar seen(of.spec, segments, queries);
  const Scalar end =
      of.hasNear() ? seen.farEnd(queries.last) : upToOwnSegmentEnd(segments, queries);
  if (of.isOneSegment(queries.i.rows()))
    return {landmarks, Mask::below(end).allSee({0, end}), end};
  return {landmarks, of.hasNear() ? seen.far() : upToOwnSegment(segments, queries), end};
}

/// The same by landmarks.
Mask FarGradient::rowsThatSee(const Segments &segments, const Tile &j) const {
  const Mask rows = Mask::rowsBelow(endOf(segments));
  return isSource || of.isOneSegment(*blocks.blockM) ? rows : rows.from(firstRow(segments, j));
}

void FarGradient::writeSum() const {
  const Attention &attention = of.landmarks.attention;
  const int block = 16;
  const Scalar heads = attention.heads();
  of.program.kernel(name + std::string("_sum"), heads * ceilDiv(capacity, block), [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Head head = headOf(k, attention, cell % heads);
    const Segments segments = of.landmarks.segmentation.of(k, head);
    const Scalar j0 = cell / heads * block;
    const FarViews views = viewsOf(k, head, segments);
    FarSums sums = begin(k, views, j0, block);
    const Scalar rows = endOf(segments) - beginOf(segments);
    k.forRange({0, ceilDiv(rows, split)}, 1, sums.carry(), [&](Scalar number) {
      const FarViews partial = viewsOfPart(k, head, segments, number);
      sums.key = sums.key + k.load(partial.key, j0, block);
      sums.value = sums.value + k.load(partial.value, j0, block);
      if (sums.hasBias)
        sums.bias = sums.bias + k.load(partial.bias, j0, block);
    });
    sums.store(k, views, j0);
  });
}

} // namespace

void writeFarGradient(const LandmarkGradients &of, RowPart rows) { FarGradient(of, rows).write(); }

void addFarQueryGradient(Kernel &k, Tile &dq, const LandmarkRows &landmarks,
                         const GradientRows &rows, const QueryTile &queries, const Mask &mask,
                         const Scalar &end, int block, const LandmarkSums *fused) {
  const int count = queries.i.rows();
  const Tile dO = k.load(rows.dout, queries.i0, count);
  const SoftmaxRows numbers(k, rows, queries.i0, count);
  k.forTiles({0, end}, mask, block, {&dq}, [&](Scalar j0, const TileMask &seen) {
    const Tile key = k.load(landmarks.key, j0, block);
    const Tile x = landmarks.logits(k, queries.query, j0, block, {DotPrecision::TwoTerms, seen});
    const Tile dWeights = dot(dO, transposed(k.load(landmarks.value, j0, block)), seen);
    const SoftmaxGradient gradient =
        SoftmaxGradient::ofRows(x, dWeights, numbers, seen, landmarks.counts(k, j0, block));
    const Tile &dX = gradient.logits;
    dq = dotAdd(dq, dX, key, DotOptions::zeroElsewhere(seen));
    if (!fused)
      return;
    DotOptions ofLandmarks;
    if (!seen.hidesNothing()) {
      ofLandmarks.readWhere = TileMask(Mask::rowsBelow(end), j0);
      ofLandmarks.nonzeroWhere = TileMask(fused->rowsOf(j0 + k.iota(block)), queries.i0);
    }
    auto ofEnd = [&](const View &view) { return k.slice(view, 0, end); };
    addInMemory(k, ofEnd(fused->views.key), j0, transposed(dX), queries.query, ofLandmarks);
    addInMemory(k, ofEnd(fused->views.value), j0, transposed(gradient.weights), dO, ofLandmarks);
    if (fused->views.bias.irValue) {
      const View bias = ofEnd(fused->views.bias);
      k.store(k.load(bias, j0, block) + columnSum(dX), bias, j0);
      k.sync();
    }
  });
}

} // namespace nysjit

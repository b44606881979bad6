// Blocks as columns.
#include "templates/probe_columns.h"

namespace nysjit {

BlockLogits::BlockLogits(Kernel &k, const ProbeViews &views, int probes, const Tile &query,
                         const BlockColumns &columns) {
  const Tile firstRow = columns.firstRow(views);
  const DotOptions options(DotPrecision::TwoTerms, columns.seen);
  for (int p = 0; p < probes; ++p) {
    const Tile key = k.gather(views.key, firstRow + p);
    more.push_back(dot(query, transposed(key), options) * logitScale(k));
    top = more.size() == 1 ? more[0] : max(top, more.back());
  }
  Tile largest;
  for (int p = 0; p < probes; ++p) {
    const Tile entropy = k.gather(views.entropy, firstRow + p);
    more[p] = more[p] - top + cols(entropy);
    largest = p ? max(largest, more[p]) : more[p];
  }
  Tile total;
  Tile sum;
  for (const Tile &each : more) {
    alpha.push_back(exp2((each - largest) * 16.0));
    total = alpha.size() == 1 ? alpha[0] : total + alpha.back();
    sum = alpha.size() == 1 ? alpha[0] * each : sum + alpha.back() * each;
  }
  share = 1.0 / total;
  mean = sum * share;
}

DyadicColumns::DyadicColumns(const Probes &probes, const Scalar &least, const Scalar &mostSegments)
    : width(probes.spec.levelWidth), most(mostSegments) {
  for (int level = 0; level <= probes.topLevel(); ++level) {
    const Scalar first = 2 * probes.blocksLeft(least, level + 1);
    starts.push_back(total);
    shifts.push_back(first - total);
    total = total + (probes.blocksLeft(most, level) - first);
  }
}

Scalar select(const Scalar &index, const std::vector<Scalar> &numbers) {
  Scalar chosen = numbers.front();
  for (size_t i = 1; i < numbers.size(); ++i)
    chosen = select(index == int(i), numbers[i], chosen);
  return chosen;
}

Range DyadicColumns::columnsOf(const Scalar &level) const {
  std::vector<Scalar> ends(starts.begin() + 1, starts.end());
  ends.push_back(total);
  return {select(level, starts), select(level, ends)};
}

Scalar DyadicColumns::firstBlock(const Scalar &level) const {
  return select(level, starts) + select(level, shifts);
}

Tile DyadicColumns::numbers(const Tile &column, const std::vector<Scalar> &ofLevel) const {
  Tile number = column + (shifts[0] + ofLevel[0]);
  for (size_t level = 1; level < starts.size(); ++level)
    number = where(column >= starts[level], column + (shifts[level] + ofLevel[level]), number);
  return where(column < total, number, -1);
}

BlockColumns DyadicColumns::columns(Kernel &k, const Scalar &j0, int count, bool isOneSegment,
                                    const Scalar &i0, const Segments &segments, int window) const {
  const Tile column = k.iota(count) + j0;
  Tile size = k.fill(count, Scalar(1)); // segments of a block
  Tile block = k.fill(count, shifts[0]);
  for (size_t level = 1; level < starts.size(); ++level) {
    const Tile isHere = column >= starts[level];
    size = where(isHere, 1 << level, size);
    block = where(isHere, shifts[level], block);
  }
  block = block + column;
  const Tile row = (block * 2 + 1) * size - 1;
  const Tile isThere = column < total;
  if (isOneSegment)
    return {where(isThere, row, -1), TileMask(Mask::below(total), j0)};
  // A row sees the block if the segments before its near ones are at least `from`, below `to`.
  const Tile from = (block + (1 + width)) * size - width;
  const Tile to = min((block / 2 + (1 + width)) * (size * 2) - width, most + 1);
  const Mask mask = Mask::rowsBelow(where(isThere, (to + window) * segments.len, 0))
                        .from((from + window) * segments.len);
  const Tile isComplete = (block + 1) * size <= segments.count;
  return {where(isThere & isComplete, row, -1), TileMask(mask, i0)};
}

void forBlocks(Kernel &k, const Probes &probes, const Segments &segments, const QueryTile &rows,
               const NearAndFar &seen, int count, const Carry &carry,
               const std::function<void(const FarBlocks &)> &body) {
  const KernelSpec &spec = probes.spec;
  const int rowCount = rows.i.rows();
  const bool isOneSegment = spec.segmentLen && *spec.segmentLen % rowCount == 0;
  if (!probes.isDyadic()) {
    // One loop: with one for tiles that all rows see, too, there are no registers for both.
    const Scalar end = seen.farEnd(rows.last);
    const Mask far = isOneSegment ? Mask::below(end) : seen.far().allSee({0, 0});
    k.forTiles({0, end}, far, count, carry, [&](Scalar j0, const TileMask &shown) {
      body({{k.iota(count) + j0, shown}, j0, nullptr});
    });
    return;
  }
  // Whether the tile's last rows exist changes nothing for its first.
  DyadicColumns far(probes, seen.farEnd(rows.i0), seen.farEnd(rows.i0 + (rowCount - 1)));
  k.forRange({0, ceilDiv(far.count(), count) * count}, count, carry, [&](Scalar j0) {
    body({far.columns(k, j0, count, isOneSegment, rows.i0, segments, spec.window), j0, &far});
  });
}

} // namespace nysjit

// block_gradient: what blocks have of the rows that see them, sums of the parts', and, as halves,
// of their block's gradients. A cell hands down, for one probe, to what lies below one block of its
// top level, there or not, level by level, the halves of block_m blocks at a time; where there are
// more levels, kernels of the larger blocks go before.
#include "templates/probe_gradients.h"

#include <algorithm>

namespace nysjit {

namespace {

constexpr int levelsAtOnce = 5; // of the lowest, the halves of 16 blocks
constexpr int mostColumns = 64; // at a time: registers of a thread
constexpr double lnOf2 = 0.69314718055994530942;

/// A key head's sequence, one of its probes, and the block that a cell begins from.
struct ProbeCell {
  Scalar probe; // of the key head's
  Scalar number;
  Scalar keyPair;
  Scalar queryPair; // of the head whose probe it is
  Segments segments;

  ProbeCell(Kernel &k, const ProbeGradients &of, const Scalar &count) {
    const Scalar rows = max(of.probes.rows, 1);
    const Scalar cell = k.cell();
    probe = cell % rows;
    number = cell / rows % max(count, 1);
    keyPair = cell / (rows * max(count, 1));
    const Scalar keyHeads = max(of.attention.keyHeads, 1);
    const Scalar first = keyPair % keyHeads * of.probes.group; // query head of the group
    const Head head = headOf(k, of.attention, keyPair / keyHeads * of.attention.queryHeads + first);
    queryPair = head.pair + probe / of.spec.probes;
    segments = of.probes.segmentation.of(k, head);
  }
};

/// The levels of a kernel, from the largest down, one of which a loop is at.
struct Band {
  int first;
  int last;
  bool hasTop; // the first has no larger blocks
  Scalar index = 0;

  bool isOnlyTop() const { return hasTop && first == last; }
  Scalar isTop() const { return hasTop ? index == 0 : Scalar(0); }
  /// What `of` gives for the level.
  Scalar ofLevel(const std::function<Scalar(int)> &of) const {
    std::vector<Scalar> all;
    for (int level = first; level >= last; --level)
      all.push_back(of(level));
    return select(index, all);
  }
};

/// The gradients of the halves of blocks [w0, w0 + blockM) of the level above, those before `end`.
class Halves {
public:
  Halves(Kernel &k, const ProbeGradients &gradients, const ProbeCell &ofCell, const Band &ofBand,
         const Scalar &first, const Scalar &end, int blockM)
      : k(k), of(gradients), cell(ofCell), band(ofBand), w0(first), count(blockM),
        size(band.ofLevel([](int level) { return 1 << level; })), all(min(blocks(), end * 2)),
        wholes(select(band.isTop(), 0, all / 2)), parts(partsThatSee()) {}

  void store(const Scalar &which) const;

private:
  Scalar blocks() const {
    return band.ofLevel([&](int level) { return cell.segments.count / (1 << level); });
  }
  Range partsThatSee() const;
  Tile sumOfParts(const Scalar &which, const Tile &zeros,
                  const std::function<View(const BlockGradientRows &)> &member) const;

  Kernel &k;
  const ProbeGradients &of;
  const ProbeCell &cell;
  const Band &band;
  const Scalar w0;
  const int count;
  const Scalar size;   // segments of a half
  const Scalar all;    // blocks of the level, up to the cell's last
  const Scalar wholes; // of the next that have gradients
  const Range parts;   // whose rows see some of these halves
};

Range Halves::partsThatSee() const {
  const Segments &segments = cell.segments;
  const Scalar width = of.spec.levelWidth;
  const Scalar first = w0 * 2;
  const Scalar last = min(first + 2 * count, all) - 1;
  // Segments before the near ones of rows that see them.
  Scalar from = first + 1;
  Scalar to = of.attention.maxLength + 1;
  if (of.probes.isDyadic()) {
    from = (first + 1 + width) * size - width;
    to = (last / 2 + 1 + width) * (size * 2) - width;
  }
  const Scalar begin = (from + of.spec.window) * segments.len;
  const Scalar isSeen = begin < segments.length;
  // No product of what lies beyond the sequence.
  const Scalar end = min(to + of.spec.window, ceilDiv(segments.length, max(segments.len, 1)));
  return {begin / of.split,
          select(isSeen, ceilDiv(min(end * segments.len, segments.length), of.split), 0)};
}

Tile Halves::sumOfParts(const Scalar &which, const Tile &zeros,
                        const std::function<View(const BlockGradientRows &)> &member) const {
  const Range slots{band.ofLevel([&](int level) { return of.slotsOf(level).begin; }),
                    band.ofLevel([&](int level) { return of.slotsOf(level).end; })};
  Tile sum = zeros;
  k.forRange(parts, 1, {&sum}, [&](Scalar part) {
    const BlockGradientRows from =
        of.halvesOf(k, cell.queryPair, part, cell.probe % of.spec.probes, slots, which);
    const Scalar first =
        band.ofLevel([&](int level) { return of.firstWhole(cell.segments, part, level); });
    sum = sum + k.load(member(from), w0 - first, count);
  });
  return sum;
}

void Halves::store(const Scalar &which) const {
  const bool isTop = band.isOnlyTop();
  const Scalar there = (all + 1 - which) / 2;
  const BlockLine line = BlockLine::halves(size, which);
  const BlockLine above = BlockLine::all(size * 2);
  const ProbeRows own = of.probes.lineOf(k, cell.keyPair, cell.probe, line, there);
  const ProbeRows from = of.probes.lineOf(k, cell.keyPair, cell.probe, above, wholes);
  const BlockGradientRows to = of.lineOf(k, cell.keyPair, cell.probe, line, there);
  const BlockGradientRows by = of.lineOf(k, cell.keyPair, cell.probe, above, wholes);
  auto load = [&](const View &view) { return k.load(view, w0, count); };

  Tile entropy = sumOfParts(which, k.fill(count, 0.0),
                            [](const BlockGradientRows &rows) { return rows.entropy; });
  Tile share;
  Tile moved = k.fill(count, 0.0);
  if (!isTop) {
    const Tile isHalf = k.iota(count) + w0 < wholes;
    const Tile below = load(own.maximum) - load(from.maximum);
    const Tile ratio = load(own.mass) / load(from.mass);
    share = where(isHalf, exp2(below) * ratio, 0.0);
    const Tile logShare = where(isHalf, max(below + log2(ratio), -200.0), 0.0);
    const Tile ofEntropy = load(by.entropy);
    moved = ofEntropy * (load(own.entropy) - logShare - load(from.entropy)) * lnOf2 + load(by.mass);
    entropy = entropy + ofEntropy * share;
  }
  k.storeUnread(entropy, to.entropy, w0);
  const Tile one = k.number(1.0);
  for (const auto &[gradient, row, scale] :
       {std::tuple(&BlockGradientRows::key, &ProbeRows::key, k.scale()),
        {&BlockGradientRows::value, &ProbeRows::value, one}})
    for (int start = 0; start < of.spec.headDim; start += mostColumns) {
      const int width = std::min(of.spec.headDim - start, mostColumns);
      auto part = [&](const View &view) { return k.columns(view, start, width); };
      Tile sum = sumOfParts(which, k.fill(count, width, 0),
                            [&](const BlockGradientRows &rows) { return part(rows.*gradient); });
      if (!isTop) {
        const Tile ofWhole = load(part(by.*gradient));
        moved = moved + rowSum(ofWhole * (load(part(own.*row)) - load(part(from.*row)))) * scale;
        sum = sum + ofWhole * rows(share);
      }
      k.storeUnread(sum, part(to.*gradient), w0);
    }
  k.storeUnread(isTop ? moved : moved * share, to.mass, w0);
}

/// Levels [base, base + levelsAtOnce) as far as there are, each from the level above it.
void writeBand(const ProbeGradients &of, const std::string &name, int base) {
  const BlockConfig blocks = of.program.blocks(name, {.blockM = 16});
  const int blockM = *blocks.blockM;
  const int end = base + levelsAtOnce;
  const Scalar count = ceilDiv(of.probes.segmentation.capacity(), 1 << end);
  of.program.kernel(name, of.probes.keyHeads() * count * of.probes.rows, [&](Kernel &k) {
    const ProbeCell cell(k, of, count);
    Band band{std::min(end - 1, of.probes.topLevel()), base, end > of.probes.topLevel()};
    k.forRange({0, band.first - base + 1}, 1, {}, [&](Scalar index) {
      band.index = index;
      // Blocks of the next level below the cell's, and those that there are, or half of one.
      const Scalar below = band.ofLevel([&](int level) { return 1 << (end - 1 - level); });
      const Scalar halved =
          band.ofLevel([&](int level) { return ceilDiv(cell.segments.count / (1 << level), 2); });
      const Scalar last = min((cell.number + 1) * below, halved);
      k.forRange({cell.number * below, last}, blockM, {}, [&](Scalar w0) {
        const Halves halves(k, of, cell, band, w0, last, blockM);
        k.forRange({0, 2}, 1, {}, [&](Scalar which) { halves.store(which); });
      });
      k.sync();
    });
  });
}

} // namespace

void writeBlockGradients(const ProbeGradients &of) {
  for (int base = of.probes.topLevel() / levelsAtOnce * levelsAtOnce; base >= 0;
       base -= levelsAtOnce)
    writeBand(of, base ? "block_gradient_" + std::to_string(base) : "block_gradient", base);
}

} // namespace nysjit

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

/// The gradients of the halves of blocks [w0, w0 + blockM) of the level above, those before `end`.
class Halves {
public:
  Halves(Kernel &k, const ProbeGradients &gradients, const ProbeCell &ofCell, int ofLevel,
         const Scalar &first, const Scalar &end, int blockM)
      : k(k), of(gradients), cell(ofCell), level(ofLevel), w0(first), count(blockM),
        all(min(cell.segments.count / (1 << level), end * 2)), wholes(all / 2),
        parts(partsThatSee()) {}

  void store(const Scalar &which) const;

private:
  Range partsThatSee() const;
  Tile sumOfParts(const Scalar &which, const Tile &zeros,
                  const std::function<View(const BlockGradientRows &)> &member) const;

  Kernel &k;
  const ProbeGradients &of;
  const ProbeCell &cell;
  const int level;
  const Scalar w0;
  const int count;
  const Scalar all;    // blocks of the level, up to the cell's last
  const Scalar wholes; // of the next
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
    from = (first + 1 + width) * (1 << level) - width;
    to = (last / 2 + 1 + width) * (2 << level) - width;
  }
  const Scalar begin = (from + of.spec.window) * segments.len;
  const Scalar isSeen = (first < all) & (begin < segments.length);
  // No product of what lies beyond the sequence.
  const Scalar end = min(to + of.spec.window, ceilDiv(segments.length, max(segments.len, 1)));
  return {begin / of.split,
          select(isSeen, ceilDiv(min(end * segments.len, segments.length), of.split), 0)};
}

Tile Halves::sumOfParts(const Scalar &which, const Tile &zeros,
                        const std::function<View(const BlockGradientRows &)> &member) const {
  Tile sum = zeros;
  k.forRange(parts, 1, {&sum}, [&](Scalar part) {
    const BlockGradientRows from =
        of.halvesOf(k, cell.queryPair, part, cell.probe % of.spec.probes, level, which);
    sum = sum + k.load(member(from), w0 - of.firstWhole(cell.segments, part, level), count);
  });
  return sum;
}

void Halves::store(const Scalar &which) const {
  const bool isTop = level == of.probes.topLevel();
  const Scalar there = (all + 1 - which) / 2;
  const BlockLine line = BlockLine::halves(1 << level, which);
  const BlockLine above = BlockLine::all(2 << level);
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
  k.store(entropy, to.entropy, w0);
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
      k.store(sum, part(to.*gradient), w0);
    }
  k.store(isTop ? moved : moved * share, to.mass, w0);
}

/// Levels [base, base + levelsAtOnce) as far as there are, each from the level above it.
void writeBand(const ProbeGradients &of, const std::string &name, int base) {
  const BlockConfig blocks = of.program.blocks(name, {.blockM = 16});
  const int blockM = *blocks.blockM;
  const int end = base + levelsAtOnce;
  const Scalar count = ceilDiv(of.probes.segmentation.capacity(), 1 << end);
  of.program.kernel(name, of.probes.keyHeads() * count * of.probes.rows, [&](Kernel &k) {
    const ProbeCell cell(k, of, count);
    for (int level = std::min(end - 1, of.probes.topLevel()); level >= base; --level) {
      const int below = 1 << (end - 1 - level); // blocks of the next level below the cell's
      const Scalar halved = ceilDiv(cell.segments.count / (1 << level), 2);
      const Scalar last = min((cell.number + 1) * below, halved);
      k.forRange({cell.number * below, last}, blockM, {}, [&](Scalar w0) {
        const Halves halves(k, of, cell, level, w0, last, blockM);
        k.forRange({0, 2}, 1, {}, [&](Scalar which) { halves.store(which); });
      });
      if (level > base)
        k.sync();
    }
  });
}

} // namespace

void writeBlockGradients(const ProbeGradients &of) {
  for (int base = of.probes.topLevel() / levelsAtOnce * levelsAtOnce; base >= 0;
       base -= levelsAtOnce)
    writeBand(of, base ? "block_gradient_" + std::to_string(base) : "block_gradient", base);
}

} // namespace nysjit

// block_sums: a cell for block_m probes of a block: the sums of the parts of rows that see it.
// block_gradient: what halves have of their block's gradients. A cell hands down from one block of
// its top level, level by level; where there are more levels, kernels of the larger blocks go
// before.
#include "templates/probe_gradients.h"

#include <algorithm>

namespace nysjit {

namespace {

constexpr int levelsAtOnce = 5;
constexpr int mostColumns = 64; // at a time: registers of a thread
constexpr double lnOf2 = 0.69314718055994530942;

/// A cell's sequence and rows of probes.
struct ProbeCell {
  Scalar row0;
  Scalar block; // number of a key head's, of those the grid counts
  Scalar keyPair;
  Head head;
  Segments segments;

  ProbeCell(Kernel &k, const ProbeGradients &of, const Scalar &count, int blockM) {
    const Scalar cell = k.cell();
    const Scalar tiles = ceilDiv(of.probes.rows, blockM);
    row0 = cell % tiles * blockM;
    block = cell / tiles % count;
    keyPair = cell / (tiles * max(count, 1));
    const Scalar keyHeads = max(of.attention.keyHeads, 1);
    const Scalar first = keyPair % keyHeads * of.probes.group; // query head of the group
    head = headOf(k, of.attention, keyPair / keyHeads * of.attention.queryHeads + first);
    segments = of.probes.segmentation.of(k, head);
  }
};

/// The block that a row of memory is: row + 1 is an odd multiple of its size.
BlockPlace placeOf(const Probes &probes, const Scalar &row) {
  Scalar size = 1;
  for (int level = 1; level <= probes.topLevel(); ++level)
    size = select((row + 1) % (1 << level) == 0, 1 << level, size);
  return {size, probes.isDyadic() ? (row + 1) / size / 2 : row};
}

/// Parts whose rows see a block; none where the block is none.
Range partsOf(const ProbeGradients &of, const Segments &segments, const BlockPlace &block,
              const Scalar &row) {
  const Probes &probes = of.probes;
  const Scalar width = of.spec.levelWidth;
  Scalar first = block.index + 1; // far segments of the first row that sees it
  Scalar end = of.attention.maxLength + 1;
  Scalar isBlock = 1;
  if (probes.isDyadic()) {
    first = (block.index + 1 + width) * block.size - width;
    end = (block.index / 2 + 1 + width) * (block.size * 2) - width;
    isBlock = block.row() == row;
  }
  const Scalar begin = (first + of.spec.window) * segments.len;
  const Scalar isSeen =
      isBlock & ((block.index + 1) * block.size <= segments.count) & (begin < segments.length);
  // No product of what lies beyond the sequence.
  const Scalar last = min(end + of.spec.window, ceilDiv(segments.length, max(segments.len, 1)));
  return {begin / of.split,
          select(isSeen, ceilDiv(min(last * segments.len, segments.length), of.split), 0)};
}

void sumParts(Kernel &k, const ProbeGradients &of, const ProbeCell &cell, const BlockPlace &block,
              int blockM) {
  const Range parts = partsOf(of, cell.segments, block, cell.block);
  const BlockGradientRows to = of.rowsOf(k, cell.keyPair, cell.block);
  // Rows of probes are those of the group's heads, one after the other.
  auto addParts =
      [&](Tile &sum,
          const std::function<Tile(const BlockGradientRows &, const Scalar &row0)> &load) {
        k.forRange(parts, 1, {&sum}, [&](Scalar part) {
          const Scalar slot = of.firstSlot(cell.segments, part, block.size) + block.index;
          of.probes.forHeads(k, cell.row0, blockM, {&sum}, [&](const Scalar &h) {
            const BlockGradientRows from = of.slotOf(k, cell.head.pair + h, part, slot);
            sum = sum + load(from, cell.row0 - h * of.spec.probes);
          });
        });
      };
  Tile entropy = k.fill(blockM, 0.0);
  addParts(entropy, [&](const BlockGradientRows &from, const Scalar &row0) {
    return k.load(from.entropy, row0, blockM);
  });
  k.store(entropy, to.entropy, cell.row0);
  k.store(k.fill(blockM, 0.0), to.mass, cell.row0);
  for (const auto member : {&BlockGradientRows::key, &BlockGradientRows::value})
    for (int start = 0; start < of.spec.headDim; start += mostColumns) {
      const int width = std::min(of.spec.headDim - start, mostColumns);
      Tile sum = k.fill(blockM, width, 0);
      addParts(sum, [&](const BlockGradientRows &from, const Scalar &row0) {
        return k.load(k.columns(from.*member, start, width), row0, blockM);
      });
      k.store(sum, k.columns(to.*member, start, width), cell.row0);
    }
}

/// Adds to a half's gradients what it has of its block's.
void handDown(Kernel &k, const ProbeGradients &of, const Scalar &keyPair, const BlockPlace &half,
              const Scalar &row0, int count) {
  const BlockPlace whole{half.size * 2, half.index / 2};
  const ProbeRows own = of.probes.rowsOf(k, keyPair, half.row());
  const ProbeRows from = of.probes.rowsOf(k, keyPair, whole.row());
  const BlockGradientRows to = of.rowsOf(k, keyPair, half.row());
  const BlockGradientRows by = of.rowsOf(k, keyPair, whole.row());
  auto load = [&](const View &view) { return k.load(view, row0, count); };
  const Tile below = load(own.maximum) - load(from.maximum);
  const Tile ratio = load(own.mass) / load(from.mass);
  const Tile share = exp2(below) * ratio;
  const Tile logShare = max(below + log2(ratio), -200.0);
  const Tile ofEntropy = load(by.entropy);
  Tile moved =
      ofEntropy * (load(own.entropy) - logShare - load(from.entropy)) * lnOf2 + load(by.mass);
  const Tile one = k.number(1.0);
  for (const auto &[gradient, row, scale] :
       {std::tuple(&BlockGradientRows::key, &ProbeRows::key, k.scale()),
        {&BlockGradientRows::value, &ProbeRows::value, one}})
    for (int start = 0; start < of.spec.headDim; start += mostColumns) {
      const int width = std::min(of.spec.headDim - start, mostColumns);
      auto part = [&](const View &view) { return k.columns(view, start, width); };
      const Tile ofWhole = load(part(by.*gradient));
      moved = moved + rowSum(ofWhole * (load(part(own.*row)) - load(part(from.*row)))) * scale;
      k.store(load(part(to.*gradient)) + ofWhole * rows(share), part(to.*gradient), row0);
    }
  k.store(load(to.entropy) + ofEntropy * share, to.entropy, row0);
  k.store(moved * share, to.mass, row0);
}

/// Levels [base, top), each from the level above it.
void writeBand(const ProbeGradients &of, const std::string &name, int base, int top) {
  const BlockConfig blocks = of.program.blocks(name, {.blockM = 16});
  const int blockM = *blocks.blockM;
  const Scalar capacity = of.probes.segmentation.capacity();
  const Scalar count = ceilDiv(capacity, 1 << top);
  const Scalar grid = of.probes.keyHeads() * count * ceilDiv(of.probes.rows, blockM);
  of.program.kernel(name, grid, [&](Kernel &k) {
    const ProbeCell cell(k, of, count, blockM);
    for (int level = top - 1; level >= base; --level) {
      const int below = 1 << (top - level); // blocks of this level below one of the top
      const Scalar whole = cell.segments.count / (2 << level);
      k.forRange({cell.block * below, min((cell.block + 1) * below, whole * 2)}, 1, {},
                 [&](Scalar block) {
                   handDown(k, of, cell.keyPair, {1 << level, block}, cell.row0, blockM);
                 });
      if (level > base)
        k.sync();
    }
  });
}

} // namespace

void writeBlockSums(const ProbeGradients &of) {
  const BlockConfig blocks = of.program.blocks("block_sums", {.blockM = 16});
  const int blockM = *blocks.blockM;
  const Scalar tiles = ceilDiv(of.probes.rows, blockM);
  const Scalar count = of.probes.blocks;
  of.program.kernel("block_sums", of.probes.keyHeads() * count * tiles, [&](Kernel &k) {
    const ProbeCell cell(k, of, count, blockM);
    sumParts(k, of, cell, placeOf(of.probes, cell.block), blockM);
  });
}

void writeBlockGradients(const ProbeGradients &of) {
  const int top = of.probes.topLevel();
  if (top == 0)
    return;
  for (int base = (top - 1) / levelsAtOnce * levelsAtOnce; base >= 0; base -= levelsAtOnce)
    writeBand(of, base ? "block_gradient_" + std::to_string(base) : "block_gradient", base,
              std::min(base + levelsAtOnce, top));
}

} // namespace nysjit

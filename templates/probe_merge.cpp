// probe_merge: blocks of two halves, from what is known of the halves, never from positions. A cell
// merges, for one probe, what lies below one block of its top level, level by level, block_m blocks
// at a time; where there are more levels, the next kernel goes on from there.
#include "templates/probe_columns.h"

#include <algorithm>

namespace nysjit {

namespace {

constexpr int levelsAtOnce = 5; // of the lowest, a tile of 16 blocks

/// a + (b - a) by: equal numbers give themselves, however large.
Tile between(const Tile &a, const Tile &b, const Tile &by) { return a + (b - a) * by; }

/// Blocks of two halves, from number b0 on. With W = softmax over the halves of their masses:
/// khat = sum W khat, U = sum W U, c = sum W (c - log2 W).
void merge(Kernel &k, const ProbeRows &left, const ProbeRows &right, const ProbeRows &to,
           const Scalar &b0, int count) {
  auto load = [&](const View &view) { return k.load(view, b0, count); };
  const Tile leftMaximum = load(left.maximum);
  const Tile rightMaximum = load(right.maximum);
  const Tile maximum = max(leftMaximum, rightMaximum);
  const Tile ofLeft = load(left.mass) * exp2(leftMaximum - maximum);
  const Tile ofRight = load(right.mass) * exp2(rightMaximum - maximum);
  const Tile mass = ofLeft + ofRight;
  const Tile share = ofRight / mass;
  auto information = [](const Tile &w) { return w * log2(max(w, 1e-37)); }; // 0 at w = 0
  const Tile entropy = between(load(left.entropy), load(right.entropy), share) -
                       information(share) - information(ofLeft / mass);
  k.storeUnread(maximum, to.maximum, b0);
  k.storeUnread(mass, to.mass, b0);
  k.storeUnread(entropy, to.entropy, b0);
  constexpr int most = 64; // columns at a time: registers of a thread
  for (const auto member : {&ProbeRows::key, &ProbeRows::value})
    for (int start = 0; start < (left.*member).columns; start += most) {
      const int width = std::min((left.*member).columns - start, most);
      auto part = [&](const ProbeRows &rows) { return k.columns(rows.*member, start, width); };
      const Tile merged = between(load(part(left)), load(part(right)), rows(share));
      k.storeUnread(merged, part(to), b0);
    }
}

void writeMerge(const Probes &probes, const std::string &name, int base, int top) {
  const BlockConfig blocks = probes.program.blocks(name, {.blockM = 16});
  const int blockM = *blocks.blockM;
  const Scalar capacity = probes.segmentation.capacity();
  const Scalar parts = ceilDiv(capacity, 1 << top) * min(capacity / (2 << base), 1);
  probes.program.kernel(name, probes.keyHeads() * parts * probes.rows, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar probe = cell % max(probes.rows, 1);
    const Scalar part = cell / max(probes.rows, 1) % max(parts, 1);
    const Scalar keyPair = cell / max(probes.rows * parts, 1);
    const Scalar sequence = keyPair / max(probes.attention.keyHeads, 1);
    const Head head = headOf(k, probes.attention, sequence * probes.attention.queryHeads);
    const Scalar count = probes.segmentation.of(k, head).count;
    std::vector<Scalar> halves; // segments of a half, by level
    std::vector<Scalar> begins; // of the level's blocks below the cell's
    std::vector<Scalar> ends;
    for (int level = base + 1; level <= top; ++level) {
      const int below = 1 << (top - level);
      halves.push_back(1 << (level - 1));
      begins.push_back(part * below);
      ends.push_back(min((part + 1) * below, count / (1 << level)));
    }
    k.forRange({0, top - base}, 1, {}, [&](Scalar level) {
      const Scalar half = select(level, halves);
      const Scalar end = select(level, ends);
      auto line = [&](const BlockLine &of) { return probes.lineOf(k, keyPair, probe, of, end); };
      const ProbeRows left = line(BlockLine::halves(half, 0));
      const ProbeRows right = line(BlockLine::halves(half, 1));
      const ProbeRows to = line(BlockLine::all(half * 2));
      k.forRange({select(level, begins), end}, blockM, {},
                 [&](Scalar b0) { merge(k, left, right, to, b0, blockM); });
      k.sync();
    });
  });
}

} // namespace

void writeProbeMerges(const Probes &probes) {
  for (int base = 0; base < probes.topLevel(); base += levelsAtOnce)
    writeMerge(probes, base ? "probe_merge_" + std::to_string(base) : "probe_merge", base,
               std::min(base + levelsAtOnce, probes.topLevel()));
}

} // namespace nysjit

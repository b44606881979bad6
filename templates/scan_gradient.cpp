// The memory of scan's backward, its sums over parts and sequences, and the order of its kernels.
#include "templates/scan_gradient.h"

#include <algorithm>
#include <bit>

namespace nysjit {

namespace {

/// Long where there are many landmarks, as the states before all chunks are kept.
int chunkLengthOf(const Scan &scan) {
  const int most = static_cast<int>(std::bit_ceil(static_cast<unsigned>(scan.landmarks)));
  const int length = std::max(256, most);
  return scan.split() ? std::min(length, scan.split()) : length;
}

int roundUp(int number, int step) { return (number + step - 1) / step * step; }

} // namespace

ScanGradient::ScanGradient(const Scan &of, const InverseWorkspace &ofInverse,
                           const Gradients &ofRows, const BlockConfig &blocks)
    : scan(of), inverse(ofInverse), gradients(ofRows), rowBlocks(blocks), isOneSweep(!of.split()),
      chunkLength(chunkLengthOf(of)),
      columns(
          roundUp(of.landmarks, std::max({*of.blocks.blockN, *blocks.blockN, ofInverse.block}))) {
  Program &program = scan.program;
  const Attention &attention = scan.attention;
  const Scalar heads = attention.heads();
  const int m = scan.landmarks;
  const int d = scan.headDim;
  chunkStates = PartialSums(program, "chunk_state", heads, chunks(), m);
  blockStates = PartialSums(program, "block_state", heads, scan.parts() * blocksOfChunk(), m);
  const Scalar suffixes = isOneSweep ? Scalar(1) : chunks();
  unit = program.buffer("suffix_unit", {heads, suffixes, m});
  sum = program.buffer("suffix_sum", {heads, suffixes, m, d});
  mean = program.buffer("suffix_mean", {heads, suffixes, m});
  inverseParts = program.buffer("inverse_gradient_parts", {heads, scan.parts(), m, columns});
  queryParts = program.buffer("landmark_query_parts", {heads, scan.parts(), m, d});
  keyParts = program.buffer("landmark_key_parts", {heads, scan.parts(), m, d});
  inverseSums = program.buffer("inverse_gradient_sum", {scan.inverses(), m, columns});
  querySums = program.buffer("landmark_query_gradient", {scan.inverses(), m, d});
  keySums = program.buffer("landmark_key_gradient", {scan.inverses(), m, d});
  if (!scan.isKeptBy(rowBlocks))
    for (auto &[name, tensor] :
         {std::pair("weight_gradient", &dWeights), {"share_gradient", &dShares}})
      *tensor = program.buffer(name, {heads, scan.parts(), *rowBlocks.blockM, columns});
  if (!scan.isFirstK)
    return;
  const Scalar keyHeads = attention.batch * attention.keyHeads;
  firstKey = program.buffer("first_key_gradient", {keyHeads, scan.firstK, d});
  firstValue = program.buffer("first_value_gradient", {keyHeads, scan.firstK, d});
}

ScanSuffix ScanGradient::load(Kernel &k, const Scalar &head, const Scalar &chunk, const Scalar &j0,
                              int count) const {
  auto of = [&](const TensorRef &tensor) {
    return k.load(landmarksOf(k, tensor, head, chunk), j0, count);
  };
  return {of(unit), of(sum), of(mean)};
}

void ScanGradient::store(Kernel &k, const ScanSuffix &suffix, const Scalar &head,
                         const Scalar &chunk, const Scalar &j0) const {
  k.store(suffix.unit, landmarksOf(k, unit, head, chunk), j0);
  k.store(suffix.sum, landmarksOf(k, sum, head, chunk), j0);
  k.store(suffix.mean, landmarksOf(k, mean, head, chunk), j0);
}

void ScanGradient::addTo(Kernel &k, const View &sums, const Scalar &row, const Tile &product) {
  k.store(k.load(sums, row, product.rows()) + product, sums, row);
}

View ScanGradient::served(Kernel &k, const TensorRef &tensor, const Head &head,
                          const Scalar &end) const {
  const View all = scan.attention.rowsOf(k, tensor, head);
  return k.slice(all, scan.firstK, max(end - scan.firstK, 0));
}

namespace {

/// The partial sums of an A+'s landmarks, `load`ed of a head's part: parts within sequences.
Tile sumOfParts(Kernel &k, const ScanGradient &of, const Scalar &number, const Tile &zeros,
                const std::function<Tile(const Scalar &, const Scalar &)> &load) {
  const Scan &scan = of.scan;
  const Scalar sequences = scan.isFirstK ? Scalar(1) : scan.attention.batch;
  Tile sum = zeros;
  k.forRange({0, sequences}, 1, {&sum}, [&](Scalar b) {
    const Scalar head = b * scan.attention.queryHeads + number;
    k.forRange({0, scan.parts()}, 1, {&sum}, [&](Scalar part) { sum = sum + load(head, part); });
  });
  return sum;
}

void writePartialSums(const ScanGradient &of) {
  const Scan &scan = of.scan;
  constexpr int block = 16;
  const int blockN = *scan.blocks.blockN;
  const Scalar numbers = scan.inverses();
  const int tilesOfHead = (scan.landmarks + block - 1) / block;
  scan.program.kernel("scan_partial_sums", numbers * tilesOfHead, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar number = cell % numbers;
    const Scalar j0 = cell / numbers * block;
    auto rowsOf = [&](const TensorRef &tensor) {
      return k.slice(k.view(tensor, {number}), 0, scan.landmarks);
    };
    for (const auto &[from, to] :
         {std::pair(of.queryParts, of.querySums), {of.keyParts, of.keySums}}) {
      auto load = [&](const Scalar &head, const Scalar &part) {
        return k.load(of.landmarksOf(k, from, head, part), j0, block);
      };
      k.store(sumOfParts(k, of, number, k.fill(block, scan.headDim, 0), load), rowsOf(to), j0);
    }
    k.forRange({0, of.columns}, blockN, {}, [&](Scalar l0) {
      auto load = [&](const Scalar &head, const Scalar &part) {
        const View rows = of.landmarksOf(k, of.inverseParts, head, part);
        return k.load(k.columns(rows, l0, blockN), j0, block);
      };
      const Tile sum = sumOfParts(k, of, number, k.fill(block, blockN, 0), load);
      k.store(sum, k.columns(rowsOf(of.inverseSums), l0, blockN), j0);
    });
  });
}

void writeInverseGradient(const ScanGradient &of, int block) {
  const Scan &scan = of.scan;
  const Attention &attention = scan.attention;
  const InverseGradient inverse(scan.program, scan.inverses(), scan.landmarks, block);
  scan.program.kernel("scan_inverse_gradient", scan.inverses(), [&](Kernel &k) {
    const Scalar number = k.cell();
    const Scalar queryHead = number % attention.queryHeads;
    const Scalar keyHead = queryHead / (attention.queryHeads / max(attention.keyHeads, 1));
    const View query = k.view(scan.landmarkQuery, {number});
    const View key = k.view(scan.landmarkKey, {scan.isFirstK ? number : keyHead});
    const InverseMatrices m = inverse.iterate(k, number, query, key, scan.landmarks);
    auto rowsOf = [&](const TensorRef &tensor) {
      return k.slice(k.view(tensor, {number}), 0, scan.landmarks);
    };
    inverse.differentiate(m, [&](Scalar i0, Scalar j0) {
      return k.load(k.columns(rowsOf(of.inverseSums), j0, block), i0, block);
    });
    inverse.addTo(m, query, key, rowsOf(of.querySums), rowsOf(of.keySums), false);
  });
}

/// dlandmark_q and dlandmark_k, of the sums over sequences.
void writeLandmarkGradient(const ScanGradient &of) {
  const Scan &scan = of.scan;
  const Attention &attention = scan.attention;
  constexpr int block = 16;
  const int tilesOfHead = (scan.landmarks + block - 1) / block;
  const TensorRef dQuery = scan.program.tensor("dlandmark_q");
  const TensorRef dKey = scan.program.tensor("dlandmark_k");
  scan.program.kernel("landmark_query_gradient", attention.queryHeads * tilesOfHead,
                      [&](Kernel &k) {
                        const Scalar cell = k.cell();
                        const Scalar head = cell % attention.queryHeads;
                        const Scalar j0 = cell / attention.queryHeads * block;
                        k.store(k.load(k.view(of.querySums, {head}), j0, block) * k.scale(),
                                k.view(dQuery, {head}), j0);
                      });
  scan.program.kernel("landmark_key_gradient", attention.keyHeads * tilesOfHead, [&](Kernel &k) {
    const Scalar cell = k.cell();
    const Scalar head = cell % attention.keyHeads;
    const Scalar j0 = cell / attention.keyHeads * block;
    const Scalar group = attention.queryHeads / max(attention.keyHeads, 1);
    Tile sum = k.fill(block, scan.headDim, 0);
    k.forRange({0, group}, 1, {&sum}, [&](Scalar h) {
      sum = sum + k.load(k.view(of.keySums, {head * group + h}), j0, block);
    });
    k.store(sum * k.scale(), k.view(dKey, {head}), j0);
  });
}

} // namespace

void scanGradient(const Scan &scan, const InverseWorkspace &inverse, const BlockConfig &rowBlocks) {
  const SavedRows firstRows =
      scan.isFirstK ? SavedRows::ofRun(scan.program, scan.attention) : SavedRows();
  const Gradients gradients(scan.program, scan.attention, firstRows, scan.convolution);
  const ScanGradient of(scan, inverse, gradients, rowBlocks);
  gradients.writeFirstButDelta();
  if (of.isOneSweep) {
    writeScanChunks(of);
  } else {
    writeScanRows(of);
    writeScanSuffixes(of);
  }
  writeScanColumns(of);
  writePartialSums(of);
  writeInverseGradient(of, inverse.block);
  if (scan.isFirstK)
    writeFirstGradient(of);
  else
    writeLandmarkGradient(of);
}

} // namespace nysjit

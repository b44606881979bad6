// What a kernel under mutation runs on.
#include "runtime/spec/lengths.h"
#include "tests/conformance/gradient_run.h"
#include "tests/conformance/kernel_under_mutation.h"

#include <algorithm>

namespace nysjit::conformance {

/// The key of the NaN's position is long and away from all probes but one; its query sees it.
static void showToOneProbe(Inputs &in, const Trial &trial, int64_t probes,
                           const std::string &dtype) {
  constexpr double length = 300;
  for (int64_t e = 0; e < in.headDim; ++e) {
    auto of = [&](int64_t probe) { return in.landmarkQ[size_t(probe * in.headDim + e)]; };
    double direction = of(trial.nanProbe);
    for (int64_t probe = 0; probe < probes; ++probe)
      direction -= probe == trial.nanProbe ? 0 : of(probe) / double(probes - 1);
    const size_t at = in.index(0, 0, trial.nanPosition, e, 1);
    in.q[at] = rounded(direction, dtype);
    in.k[at] = rounded(length * direction, dtype);
  }
}

void putNaN(Inputs &in, const Trial &trial) {
  (in.*trial.nanTensor)[in.index(0, 0, trial.nanPosition, trial.nanElement, 1)] = NAN;
}

/// What lies outside the sequences is not a number.
Inputs KernelUnderMutation::inputs(const Trial &trial) const {
  std::mt19937 generator(7);
  const std::string dtype = dtypeName(spec.dtype);
  const int64_t batch = trial.form == Trial::Padded ? 3 : 1;
  const int64_t length = trial.length;
  Inputs in = randomInputs(generator, batch, trial.queryHeads, 1, length, spec.headDim, dtype);
  in.padding = trial.padding;
  if (trial.form == Trial::Padded) {
    in.seqlens = {length / 3, length, std::min<int64_t>(64, length)}; // the last ends with a block
    in.starts = {trial.start(), 0, 0};
  }
  if (trial.form == Trial::Packed)
    in.cuSeqlens = {1, length / 3, length / 3, length - 2}; // the second is empty
  in.fillOutside(NAN);
  std::normal_distribution<double> normal;
  auto fill = [&](std::vector<double> &numbers, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      numbers.push_back(rounded(normal(generator), dtype));
  };
  if (spec.landmarkSource == LandmarkSource::Learned)
    fill(in.landmarkQ, trial.queryHeads * learnedQueries(spec) * spec.headDim);
  if (spec.landmarkSource == LandmarkSource::Learned && spec.layout == Layout::Scan)
    fill(in.landmarkK, spec.landmarks * spec.headDim);
  fill(in.conv, trial.queryHeads * spec.convKernel);
  if (spec.layout == Layout::PrefixLm)
    for (const Sequence &sequence : in.sequences())
      in.sourceLen.push_back(sequence.length * 3 / 5);
  if (spec.pass == Pass::Backward) {
    addOutputGradient(generator, in, dtype);
    in.fillOutside(NAN);
  }
  if (trial.nanProbe >= 0)
    showToOneProbe(in, trial, spec.probes, dtype);
  if (trial.nanPosition >= 0)
    putNaN(in, trial);
  if (spec.pass == Pass::Backward)
    in.o = expected(one.spec, in);
  return in;
}

/// The longest length that a dozen trials may have; of those above `most`, which take seconds, one
/// is enough.
static int64_t longestOfMany(const std::vector<int64_t> &lengths, int64_t most) {
  int64_t longest = 0;
  for (int64_t length : lengths)
    longest = length <= most ? std::max(longest, length) : longest;
  return longest;
}

/// Either type of output and either timing of copies. Dense batches have no padding to clear.
std::vector<Trial> KernelUnderMutation::trials() const {
  std::vector<Trial> all;
  if (one.kernel.starts_with("clear_")) {
    for (size_t i = 0; i < one.lengths.size(); ++i)
      for (Trial::Form form : {Trial::Padded, Trial::Packed})
        for (const std::string &type : std::set<std::string>{"float32", dtypeName(spec.dtype)})
          all.push_back({one.padding(), one.lengths[i], /*queryHeads=*/1, type,
                         form == Trial::Padded, i, form});
    // Without what a kernel clears it has nothing unaligned.
    const bool isQuery = one.kernel.starts_with("clear_query");
    for (const char *leftOut : {"dq", "dk", "dv"})
      if (spec.pass == Pass::Backward && !(isQuery && one.padding())) {
        all.push_back(all.front());
        all.back().leftOut = {leftOut};
      }
    return all;
  }
  // There is an output_delta for each type.
  const auto typeOfOutput = [&](size_t i) -> std::string {
    const bool isAnyDelta = one.kernel.starts_with("output_delta");
    const bool isOther = isAnyDelta ? one.kernel.starts_with("output_delta_16") : i % 2;
    return isOther ? dtypeName(spec.dtype) : "float32";
  };
  const bool isBlockRows = one.kernel.starts_with("block_rows");
  const int64_t most = isBlockRows ? 1024 : 2048;
  for (size_t i = 0; i < one.lengths.size(); ++i)
    if (isThorough || !isBlockRows || one.lengths[i] <= most)
      all.push_back({one.padding(), one.lengths[i], one.queryHeads[i % one.queryHeads.size()],
                     typeOfOutput(i), /*isLazy=*/i % 2 == 0, 11 + i});
  const int64_t longest = longestOfMany(one.lengths, most);
  for (Trial::Form form : {Trial::Padded, Trial::Packed})
    all.push_back({one.padding(), longest, one.queryHeads.back(), typeOfOutput(0),
                   form == Trial::Padded, 31, form});
  // A gradient that is not asked for; without it a kernel has nothing unaligned.
  if (one.kernel == "probe_gradient")
    all.emplace_back(all.front()).leftOut = {"dlandmark_q"};
  if (textOf(one.kernel).find("red.or") != std::string::npos)
    addNaNs(all, longest);
  return all;
}

/// For kernels that look for what is not finite: a NaN in each 16 bytes of a tile's last row and in
/// other rows, of numbers that some rows hide, or of a whole block of them.
void KernelUnderMutation::addNaNs(std::vector<Trial> &all, int64_t longest) const {
  const bool isBackward = spec.pass == Pass::Backward;
  const bool isOfBlocks = spec.landmarkSource == LandmarkSource::Learned;
  if (isBackward && isOfBlocks) {
    if (one.kernel.starts_with("block_rows"))
      addNaNsForBlocks(all);
    return;
  }
  const int64_t chunk = spec.dtype == DType::Float32 ? 4 : 8;
  auto add = [&](Trial::Tensor tensor, int64_t length, int64_t position, int64_t element) {
    all.push_back({one.padding(), length, one.queryHeads.back(), "float32",
                   /*isLazy=*/element % 16 == 0, 41, Trial::Single, position, element, tensor});
  };
  auto addTile = [&](Trial::Tensor tensor, int64_t length, auto positionOfRow) {
    for (int64_t element = 0; element < spec.headDim; element += chunk)
      add(tensor, length, positionOfRow(15), element);
    add(tensor, length, positionOfRow(14), 1);
    add(tensor, length, positionOfRow(0), 2);
  };
  const int64_t tile = std::max<int64_t>(longest / 16 * 16 - 32, 0);
  // In what rows are hidden from: values; of a gradient keys, queries and dO.
  const std::vector<Trial::Tensor> tensors =
      isBackward ? std::vector<Trial::Tensor>{&Inputs::k, &Inputs::q, &Inputs::dout}
                 : std::vector<Trial::Tensor>{&Inputs::v};
  for (Trial::Tensor tensor : tensors)
    addTile(tensor, longest, [&](int64_t row) { return tile + row; });
  // The last rows, which end within a tile, have a loop of their own.
  if (isBackward && one.kernel.starts_with("position_gradient"))
    addLateNaNs(all, longest);
  if (isOfBlocks && one.kernel.starts_with("causal_output"))
    addNaNsForProbes(all, longest);
}

/// A NaN of the last row of a tile that has all of its rows, and of the last row of all, which ends
/// within a tile. Most keys see all of such a tile's rows: were the NaN there from the start, their
/// gradients would be NaN whether it is looked for or not.
void KernelUnderMutation::addLateNaNs(std::vector<Trial> &all, int64_t longest) const {
  const int64_t full = longest / 16 * 16;
  for (Trial::Tensor tensor : {&Inputs::q, &Inputs::dout})
    for (int64_t position : {full - 1, longest - 1}) {
      all.push_back({one.padding(), longest, one.queryHeads.back(), "float32",
                     /*isLazy=*/position < full, 41, Trial::Single, position,
                     /*nanElement=*/position < full ? spec.headDim - 1 : 0, tensor});
      all.back().isNanLate = true;
    }
}

/// A NaN in blocks of every level, wherever they lie in a tile of 16 columns: some of a tile's rows
/// see them and others, earlier ones or later, do not.
void KernelUnderMutation::addNaNsForBlocks(std::vector<Trial> &all) const {
  const int64_t step = isThorough ? 13 : 91;
  const int64_t length = one.lengths[2]; // with a few tiles in all levels
  for (int64_t position = 2; position < length; position += step)
    all.push_back({one.padding(), length, one.queryHeads.back(), "float32",
                   /*isLazy=*/position % 2 == 0, 41, Trial::Single, position, /*nanElement=*/0,
                   &Inputs::k});
}

/// A NaN that some rows give no weight: in the last 16 bytes of a tile as they lie there, and in
/// the row before, of each loop.
void KernelUnderMutation::addNaNsForProbes(std::vector<Trial> &all, int64_t longest) const {
  auto add = [&](int64_t length, int64_t position, int64_t probe) {
    if (position < length)
      all.push_back({one.padding(), length, one.queryHeads.back(), "float32",
                     /*isLazy=*/probe == 0, 41, Trial::Single, position, /*nanElement=*/0,
                     &Inputs::v, probe});
  };
  const int64_t segment = spec.segmentLen.value_or((longest - 1) / spec.landmarks + 1);
  // Near tiles of the last 64 queries, and of those before: before all see them, and after.
  for (int64_t before : {0, 64}) {
    const int64_t firstQuery = std::max<int64_t>((longest - 1) / 64 * 64 - before, 0);
    const int64_t begin = std::max<int64_t>(firstQuery / segment - spec.window, 0) * segment;
    const int64_t end = std::min(firstQuery + 64, longest);
    for (int64_t tile : {begin, begin + 32, end - 16 - (end - begin) % 16})
      for (int64_t row : {15, 14})
        add(longest, tile + row, 0);
  }
  // Blocks of a segment, of which a tile of rows sees the first 16. One probe's turn gives the
  // others' sums none of it.
  const int64_t length = std::max(longest, (16 + spec.window) * segment + 16);
  for (int64_t probe = 0; probe < spec.probes; ++probe)
    for (int64_t row : {15, 14})
      add(length, row * segment + segment / 2, probe);
}

} // namespace nysjit::conformance

// Two elements share a byte if a sum of steps, each a stride times a number within its bounds, ends
// near enough to 0:
//
//   steps of  stride 3 d, -1 to 1 and stride 2 d, -1 to 1: does a sum lie in (-d, d)?
//
// Step by step, the one with the fewest numbers that the others could make up for first: of nested
// strides those are one or two. The last two are counted by a sum of floors, in the logarithm of
// their strides.
#include "runtime/device/tensor_overlap.h"

#include <algorithm>
#include <utility>

namespace nysjit {

namespace {

using Wide = __int128;

/// `stride` bytes, positive, `low` to `high` times.
struct Step {
  Wide stride;
  Wide low;
  Wide high;
};

Wide floorOf(Wide a, Wide b) { return a / b - (a % b < 0); }

/// floor((a i + b) / m) summed over i in [0, n); nothing negative, m > 0.
Wide sumOfFloors(Wide n, Wide m, Wide a, Wide b) {
  Wide sum = 0;
  while (n > 0) {
    sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
    a %= m;
    b %= m;
    const Wide last = a * n + b;
    n = last / m;
    b = last % m;
    std::swap(a, m);
  }
  return sum;
}

/// Pairs (u, v) in [0, U] x [0, V] with a u + b v <= most.
Wide pairsUpTo(Wide a, Wide U, Wide b, Wide V, Wide most) {
  if (most < 0)
    return 0;
  const Wide last = std::min(U, most / a);
  // of these u every v will do
  const Wide whole = most < b * V ? 0 : std::min(last, (most - b * V) / a) + 1;
  const Wide rest = last - whole + 1;
  return whole * (V + 1) + (rest > 0 ? sumOfFloors(rest, b, a, most - a * last) + rest : 0);
}

bool doTwoReach(const Step &x, const Step &y, Wide least, Wide most) {
  const Wide offset = x.stride * x.low + y.stride * y.low;
  const Wide U = x.high - x.low;
  const Wide V = y.high - y.low;
  if (double(U) * double(V) > 1e30) // of no memory there is
    return false;
  return pairsUpTo(x.stride, U, y.stride, V, most - offset) >
         pairsUpTo(x.stride, U, y.stride, V, least - offset - 1);
}

/// A sum of the steps lies in [least, most]. `tries` bounds the work: past it the answer is no. The
/// steps come back in another order.
bool doReach(Step *steps, size_t count, Wide least, Wide most, int64_t &tries) {
  Wide lowest = 0;
  Wide highest = 0;
  for (size_t i = 0; i < count; ++i) {
    lowest += steps[i].stride * steps[i].low;
    highest += steps[i].stride * steps[i].high;
  }
  if (highest < least || lowest > most || --tries < 0)
    return false;
  if (count == 0)
    return true;
  size_t fewest = 0;
  Wide from = 0;
  Wide to = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto &[stride, low, high] = steps[i];
    const Wide first = std::max(low, -floorOf(highest - stride * high - least, stride));
    const Wide last = std::min(high, floorOf(most - (lowest - stride * low), stride));
    if (first > last)
      return false;
    if (i == 0 || last - first < to - from)
      fewest = i, from = first, to = last;
  }
  if (count == 1)
    return true;
  if (count == 2 && to - from > 4)
    return doTwoReach(steps[0], steps[1], least, most);
  std::swap(steps[fewest], steps[count - 1]);
  const Wide stride = steps[count - 1].stride;
  for (Wide number = from; number <= to; ++number)
    if (doReach(steps, count - 1, least - number * stride, most - number * stride, tries))
      return true;
  return false;
}

constexpr int64_t mostTries = 1 << 20;

/// A tensor as blocks of bytes without gaps, `width` long, and the steps between them.
struct Blocks {
  Blocks(const DLTensor &tensor, const TensorStrides &strides) : width(tensor.dtype.bits / 8) {
    Wide low = 0;
    for (int i = 0; i < tensor.ndim; ++i) {
      const Wide stride = Wide(strides.values[i]) * (tensor.dtype.bits / 8);
      const Wide last = tensor.shape[i] - 1;
      low += stride < 0 ? stride * last : 0;
      isRepeated = isRepeated || (last > 0 && stride == 0);
      if (last > 0 && stride != 0)
        steps[count++] = {stride < 0 ? -stride : stride, 0, last};
    }
    begin = Wide(addressOf(tensor)) + low;
    std::sort(steps, steps + count,
              [](const Step &a, const Step &b) { return a.stride < b.stride; });
    size_t dense = 0;
    for (; dense < count && steps[dense].stride == width; ++dense)
      width *= steps[dense].high + 1;
    std::copy(steps + dense, steps + count, steps);
    count -= dense;
  }

  Wide width;
  Wide begin = 0;
  bool isRepeated = false; // by a stride of 0
  size_t count = 0;
  Step steps[maxPlanRank];
};

} // namespace

bool overlapsItself(const DLTensor &tensor, const TensorStrides &strides) {
  const Blocks blocks(tensor, strides);
  if (blocks.isRepeated)
    return true;
  // More bytes than there are addresses between the first and the last: some serve twice.
  Wide span = blocks.width;
  Wide bytes = blocks.width;
  bool isNested = true; // each stride is past all that the smaller ones reach
  for (size_t i = 0; i < blocks.count; ++i) {
    if (blocks.steps[i].stride < blocks.width)
      return true;
    isNested = isNested && blocks.steps[i].stride >= span;
    span += blocks.steps[i].stride * blocks.steps[i].high;
    bytes = std::min(bytes * (blocks.steps[i].high + 1), Wide(1) << 65);
  }
  if (isNested || bytes > span)
    return !isNested;
  // Two blocks differ: first in step i.
  for (size_t i = 0; i < blocks.count; ++i) {
    Step steps[maxPlanRank];
    for (size_t j = i; j < blocks.count; ++j)
      steps[j - i] = {blocks.steps[j].stride, j == i ? 1 : -blocks.steps[j].high,
                      blocks.steps[j].high};
    int64_t tries = mostTries;
    if (doReach(steps, blocks.count - i, 1 - blocks.width, blocks.width - 1, tries))
      return true;
  }
  return false;
}

bool overlaps(const DLTensor &a, const TensorStrides &aStrides, const DLTensor &b,
              const TensorStrides &bStrides) {
  const Blocks of(a, aStrides);
  const Blocks with(b, bStrides);
  // From a block of `with` to one of `of`; steps of one stride are one.
  Step steps[2 * maxPlanRank];
  size_t count = 0;
  const auto add = [&](Wide stride, Wide low, Wide high) {
    Step *same =
        std::find_if(steps, steps + count, [&](const Step &step) { return step.stride == stride; });
    if (same == steps + count)
      steps[count++] = {stride, low, high};
    else
      same->low += low, same->high += high;
  };
  for (size_t i = 0; i < of.count; ++i)
    add(of.steps[i].stride, 0, of.steps[i].high);
  for (size_t i = 0; i < with.count; ++i)
    add(with.steps[i].stride, -with.steps[i].high, 0);
  const Wide apart = of.begin - with.begin;
  int64_t tries = mostTries;
  return doReach(steps, count, 1 - of.width - apart, with.width - 1 - apart, tries);
}

} // namespace nysjit

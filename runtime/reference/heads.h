// Heads and sequences: where the rows of one head of one sequence lie in tensors, dense, padded or
// packed.
#pragma once
#include "runtime/reference/layouts.h"
#include "runtime/reference/reference.h"

#include <functional>

namespace nysjit::reference {

/// Rows [start, start + length) of sequence `sequence`, one query head and the key head it reads.
struct HeadPlace {
  int64_t sequence;
  int64_t start;
  int64_t length;
  int64_t queryHead;
  int64_t keyHead;
};

/// A tensor of `heads` heads, of which `head` is meant.
struct HeadOfTensor {
  int64_t head;
  int64_t heads;
};
inline HeadOfTensor queryHead(const ReferenceInput &input, const HeadPlace &place) {
  return {place.queryHead, input.queryHeads};
}
inline HeadOfTensor keyHead(const ReferenceInput &input, const HeadPlace &place) {
  return {place.keyHead, input.keyHeads};
}

/// Numbers in a tensor of `heads` heads of all positions.
size_t tensorSize(const ReferenceInput &input, int64_t heads);

/// The place's rows of a tensor: [length, d].
Matrix gather(const ReferenceInput &input, const double *tensor, const HeadPlace &place,
              HeadOfTensor of);
/// Adds rows [length, d] to where `gather` takes them from.
void addRows(const Matrix &rows, const ReferenceInput &input, const HeadPlace &place,
             HeadOfTensor of, std::vector<double> &tensor);

/// Calls `visit` for each query head of each sequence that has positions, in their order. An error
/// if a sequence is longer than landmarks * segment_len.
Status forEachHead(const ReferenceInput &input,
                   const std::function<void(const HeadPlace &, const LayoutInput &)> &visit);

} // namespace nysjit::reference

// What a layout's mathematics needs: floating-point operations and bytes, whatever a program does.
//
// Operations are multiplications and additions, each one: a score of two rows or the part of a row
// in a sum takes 2 d, a mean d a row. Only pairs that a mask lets through count, and a score that
// is used twice counts once. Exponentials, divisions and what is a few numbers a position or
// landmark do not count. For one query head of a sequence of n positions, s to a segment
// (docs/mathematics.md has the letters):
//
//   exact_causal     4 d each pair t <= i
//   causal           means  2 d s m (q's and k's), m = floor(n / s) complete segments
//                    k-hat  2 d s m, with landmark_weight tangent
//                    U      streaming: 4 d s m, each segment's own softmax
//                           nystrom: 4 d each pair of B (t before the end of landmark g's segment;
//                           those of its own segment give pool as well), 2 d each score of A
//                           (j <= g), 2 d each term of the solve's sum (j < g)
//                    O      4 d each near position and far landmark
//                    with learned probes, r a head and E segments before the last row's near ones:
//                    6 d r s E for their k-hat and U, 8 d r each merge of two blocks (dyadic), O
//                    4 d each near position and 4 d r each far block
//   segment_causal   means 2 d n, U as nystrom over m = ceil(n / s) segments, O 4 d each landmark
//                    j <= seg(i)
//   bidirectional    means 2 d n, B V 4 d m n, A 2 d m^2, its inverse 8 m^3 a step,
//                    A+ (B V) 2 d m^2, O 4 d n m
//   prefix_lm        the source as bidirectional (and k-hat, where there is a target); the target
//                    as causal, where B, A, the solve's sum and O take in the source as well
//   scan             first_k: means 2 d k0, 4 d each pair t <= i < k0; if n > k0 (0: learned):
//                    A 2 d m^2 and its inverse 8 m^3 a step (learned: once a head, not a sequence),
//                    running sums 4 d n m; of each of the n - k0 rows P 2 d m + 2 m^2, O 2 d m
//
// Means of k are of each key/value head. `conv_kernel` adds 2 d each tap within the sequence.
//
// A backward pass computes each score again, and has two products for each score and each row of a
// sum: for their gradients. It adds to as many rows as means are taken over, and takes three times
// the operations of m x m matrices, going through their products again.
//
// Bytes are those of every tensor that a run has, once: inputs in the spec's dtype, o and gradients
// in float32. What is saved between passes does not count.
#pragma once
#include "runtime/tune/tune_file.h"

namespace nysjit::bench {

struct Work {
  double flops = 0;
  double bytes = 0;
};

/// Of one run at this shape, all heads and sequences.
Work workOf(const KernelSpec &spec, const tune::TuneShape &shape);

} // namespace nysjit::bench

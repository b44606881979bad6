// What the backward of all layouts shares: a loss's gradients as tensors, what the forward keeps of
// its rows, and the inner loops of a softmax's gradient.
//
// Row i's weights are P_it = 2^(x_it - maximum_i) share_i with share_i = 1 / mass_i, and
//   dP_it = dO_i.v_t,  D_i = dO_i.(O_i less its convolution) = sum over t of P_it dP_it
//   dX_it = P_it (dP_it - D_i)      by the natural logit tau q_i.k_t: no ln 2 appears
//   dq_i = tau sum over t of dX_it k_t,  dk_t = tau sum over i of dX_it q_i,
//   dv_t = sum over i of P_it dO_i
// Sums have one order, of positions alone, and no tile is shortened: what is not seen is 0 by
// select. A tile of logits has the rows that its program keeps sums of: queries for dq, keys for dk
// and dv, so that each sum is a computed tile times a loaded one.
#pragma once
#include "templates/attention.h"

namespace nysjit {

/// What the softmax of each query row leaves for the backward, [B, Hq, n].
struct SavedRows {
  TensorRef maximum;
  TensorRef share;
  // [B, Hq, n, d]; in 16 bits with a convolution: the output has both in one rounding, and D is of
  // the softmax alone. Else without a name.
  TensorRef output;

  SavedRows() = default; // none
  /// Without names where the spec's pass is forward.
  SavedRows(Program &program, const Attention &attention);
  /// What a backward program computes again and nobody keeps.
  static SavedRows ofRun(Program &program, const Attention &attention);
  void store(Kernel &k, const OnlineSoftmax &softmax, const Attention &attention, const Head &head,
             const Scalar &i0) const;
};

/// How query rows of a layout end: in the output with its convolution, unless the program is a
/// backward one, which has the output, and in what is kept of them.
class RowEnds {
public:
  /// All of them outlive this.
  RowEnds(const KernelSpec &spec, const Attention &attention, const SavedRows &saved,
          const Convolution &convolution, int ahead = 0)
      : isBackward(spec.pass == Pass::Backward), attention(attention), saved(saved),
        convolution(convolution), ahead(ahead) {}
  void store(Kernel &k, const OnlineSoftmax &softmax, const Head &head, const Scalar &i0) const;

  const bool isBackward;

private:
  const Attention &attention;
  const SavedRows &saved;
  const Convolution &convolution;
  const int ahead;
};

/// Of the rows of one query head in a kernel of a backward program.
struct GradientRows {
  View dout;
  View maximum;
  View share;
  View delta; // D
  View dq;
  View querySum; // of fused kernels: dq without tau, float32

  /// Rows [0, end) of all.
  GradientRows until(Kernel &k, const Scalar &end) const;
};

/// `share`, but 0 where a mass is 1: the largest weight is all there is then, and no logit has a
/// gradient. Of rounded numbers it would be what rounding left of a difference of equals.
Tile sharesOfLogits(const Tile &share);

/// A tile of rows, or of columns, of a softmax's weights: numbers of each.
struct SoftmaxRows {
  Tile maximum;
  Tile share;
  Tile logitShare; // sharesOfLogits
  Tile delta;

  SoftmaxRows(Kernel &k, const GradientRows &rows, const Scalar &i0, int count);
};

/// The weights P and the derivatives dX by the logits x, base 2, of a tile; 0 where not seen. With
/// `counts`, one for each of what is seen, it is seen so many times (OnlineSoftmax::add).
struct SoftmaxGradient {
  Tile weights;
  Tile logits;

  /// Queries are the tile's rows.
  static SoftmaxGradient ofRows(const Tile &x, const Tile &dWeights, const SoftmaxRows &rows,
                                const TileMask &seen, const std::optional<Tile> &counts = {});
  /// Queries are its columns.
  static SoftmaxGradient ofColumns(const Tile &x, const Tile &dWeights, const SoftmaxRows &columns,
                                   const TileMask &seen, const std::optional<Tile> &counts = {});
};

/// Adds a times b to rows of a sum in memory, row `row` and on.
void addInMemory(Kernel &k, const View &sum, const Scalar &row, const DotOperand &a, const Tile &b,
                 const DotOptions &options);

/// The gradients of a backward program and the kernels that every layout has.
class Gradients {
public:
  /// `ahead`: of the convolution, which outlives this, as the others do.
  Gradients(Program &program, const Attention &attention, const SavedRows &saved,
            const Convolution &convolution, int ahead = 0);

  GradientRows rowsOf(Kernel &k, const Head &head) const;
  /// Gives rows their querySum.
  void allocateQuerySums();
  /// The head's rows of a tensor in the shape of the keys.
  View keyRowsOf(Kernel &k, const TensorRef &tensor, const Head &head) const;
  /// Writes the kernels clear_query_gradients, clear_key_gradients, output_delta and, with a
  /// convolution, conv_gradient and conv_gradient_sum.
  void writeFirst() const;
  /// The same without D.
  void writeFirstButDelta() const;
  /// What a row's gradients take of its softmax, where a backward program computes that again.
  void storeRows(Kernel &k, const OnlineSoftmax &softmax, const Head &head, const Scalar &i0) const;
  /// What the convolution makes of values from t0 on: dv + sum over r of w_r dO_{t + r - ahead}.
  Tile addConvolution(Kernel &k, const Tile &dv, const Head &head, const Scalar &t0) const;
  /// Writes a kernel whose cells compute `rowsOfTile` positions of a key head.
  void
  writePositions(const std::string &kernel, int rowsOfTile,
                 const std::function<void(Kernel &, const Head &, const Scalar &t0)> &body) const {
    writePositions(kernel, rowsOfTile, body, attention.maxLength);
  }
  /// The same of the first `rows` of each sequence only.
  void writePositions(const std::string &kernel, int rowsOfTile,
                      const std::function<void(Kernel &, const Head &, const Scalar &t0)> &body,
                      const Scalar &rows) const;
  /// Writes a kernel whose cells compute a key head.
  void writeHeads(const std::string &kernel,
                  const std::function<void(Kernel &, const Head &)> &body) const;
  /// Sets querySum of all query heads that read the key head to 0.
  void clearQuerySums(Kernel &k, const Head &group, const Range &rows, int block) const;
  /// The first query head that reads a key head; `pair` counts sequences first, key heads within.
  Head groupOf(Kernel &k, const Scalar &pair) const;
  /// Calls `body` for each query head that reads the key head of `head`.
  void forQueryHeads(Kernel &k, const Head &head, const Carry &carry,
                     const std::function<void(const Head &)> &body) const;

  TensorRef dout;
  TensorRef dq;
  TensorRef dk;
  TensorRef dv;
  TensorRef dconv;

private:
  void writeDelta(const std::string &kernel, const TensorRef &output, const Scalar &when) const;
  void writeTaps() const;

  Program &program;
  const Attention &attention;
  const SavedRows &saved;
  const Convolution &convolution;
  const int ahead;
  TensorRef delta;     // [B, Hq, n]; without a name where no rows are saved
  TensorRef querySums; // [B, Hq, n, d]; without a name unless allocated
};

class Landmarks;
struct InverseWorkspace;
struct Scan;
/// What a layout's backward program does after its forward's kernels.
void exactCausalGradient(Program &program, const Attention &attention, const SavedRows &saved,
                         const Convolution &none);
void segmentsGradient(Program &program, const Landmarks &landmarks, const SavedRows &saved,
                      const Convolution &convolution, int ahead = 0);
void scanGradient(const Scan &scan, const InverseWorkspace &inverse, const BlockConfig &rowBlocks);

} // namespace nysjit

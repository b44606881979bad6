// The convolution as pairs of positions: row i takes v_t with tap r.
#include "runtime/reference/convolution.h"

namespace nysjit::reference {

/// Calls `visit(i, t, r)` for all pairs of positions that tap r joins.
template <typename Visit>
static void forEachTap(int64_t length, const KernelSpec &spec, Visit visit) {
  const int64_t ahead = spec.layout == Layout::Bidirectional ? spec.convKernel / 2 : 0;
  for (int64_t i = 0; i < length; ++i)
    for (int64_t r = 0; r < spec.convKernel; ++r)
      if (const int64_t t = i - r + ahead; t >= 0 && t < length)
        visit(i, t, r);
}

void addConvolution(Matrix &out, const Matrix &v, const double *taps, const KernelSpec &spec) {
  forEachTap(out.rows, spec, [&](int64_t i, int64_t t, int64_t r) {
    addTo(out.row(i), taps[r], v.row(t), v.columns);
  });
}

void addConvolutionGradient(const Matrix &dout, const Matrix &v, const double *taps,
                            const KernelSpec &spec, Matrix &dv, double *dtaps) {
  forEachTap(dout.rows, spec, [&](int64_t i, int64_t t, int64_t r) {
    addTo(dv.row(t), taps[r], dout.row(i), v.columns);
    dtaps[r] += dot(dout.row(i), v.row(t), v.columns);
  });
}

} // namespace nysjit::reference

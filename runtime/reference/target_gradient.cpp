// From the rows back: to near positions and landmarks, through the solve, to what landmarks are
// made of.
#include "runtime/reference/target_gradient.h"
#include "runtime/reference/softmax_gradient.h"

namespace nysjit::reference {

Matrix addTargetGradient(const LayoutInput &input, const TargetRows &rows, const Matrix &dout,
                         HeadGradient &out) {
  const Head &head = input.head;
  const KernelSpec &spec = input.spec;
  const Landmarks &landmarks = rows.landmarks;
  const bool isSolved = spec.landmarkValue == LandmarkValue::Nystrom;
  const SolvedValues solved =
      isSolved ? solveValues(head, landmarks, rows.known, spec.stabilizer) : SolvedValues();
  const Matrix &values = isSolved ? solved.u : landmarks.pool;
  LandmarkGradients d(landmarks);
  Matrix dvalues(values.rows, values.columns);
  for (int64_t i = rows.first; i < head.length(); ++i) {
    const auto [farCount, nearStart] = rows.borders(i);
    addRowGradient(head.q.row(i), dout.row(i), head.scale,
                   {{landmarks.khat, values, d.khat, dvalues, 0, farCount, &landmarks.c, &d.c},
                    {head.k, head.v, out.k, out.v, nearStart, i + 1}},
                   out.q.row(i));
  }
  if (isSolved)
    addSolveGradient(head, landmarks, solved, rows.known.rows, spec.stabilizer, dvalues, d, out);
  else
    addTo(d.pool, 1, dvalues);
  addLandmarkGradients(head, landmarks, rows.weight, d, out);
  return isSolved ? dvalues.slice(0, rows.known.rows) : Matrix(rows.known.rows, dvalues.columns);
}

} // namespace nysjit::reference

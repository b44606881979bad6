// From landmarks to the positions of their segments, in float64.
#include "runtime/reference/landmark_gradients.h"
#include "runtime/reference/softmax_gradient.h"

#include <algorithm>

namespace nysjit::reference {

void addOwnSoftmaxGradient(const Head &head, const double *query, int64_t begin, int64_t end,
                           const OwnSoftmaxGradients &of, double *dquery, HeadGradient &out) {
  const int64_t d = head.k.columns;
  const OwnSoftmax own(head, query, begin, end);
  // The entropy's derivative by w is -ln w - 1, and the same number added to all changes no logit's
  // gradient. ln w of the logits: it is finite where w is 0.
  std::vector<double> w;
  std::vector<double> dw;
  for (int64_t t = begin; t < end; ++t) {
    const double logWeight = own.below[size_t(t - begin)] - std::log(own.mass);
    w.push_back(std::exp(logWeight));
    dw.push_back(dot(of.dvalue, head.v.row(t), d) - of.dentropy * logWeight +
                 (of.dkey ? dot(of.dkey, head.k.row(t), d) : 0));
  }
  const std::vector<double> dx = softmaxGradient(w, dw);
  for (int64_t t = begin; t < end; ++t) {
    const size_t at = size_t(t - begin);
    addTo(dquery, head.scale * dx[at], head.k.row(t), d);
    addTo(out.k.row(t), head.scale * dx[at], query, d);
    addTo(out.v.row(t), w[at], of.dvalue, d);
    if (of.dkey)
      addTo(out.k.row(t), w[at], of.dkey, d);
  }
}

void addMeanGradient(const double *dmean, int64_t begin, int64_t end, Matrix &drows) {
  for (int64_t t = begin; t < end; ++t)
    addTo(drows.row(t), 1 / double(end - begin), dmean, drows.columns);
}

void addLandmarkGradients(const Head &head, const Landmarks &landmarks, LandmarkWeight weight,
                          LandmarkGradients &d, HeadGradient &out) {
  const bool isTangent = weight == LandmarkWeight::Tangent;
  for (int64_t g = 0; g < landmarks.count(); ++g) {
    const int64_t begin = landmarks.begin[size_t(g)];
    const int64_t end = landmarks.end[size_t(g)];
    OwnSoftmaxGradients of{d.pool.row(g)};
    if (isTangent)
      of = {d.pool.row(g), d.khat.row(g), d.c[size_t(g)]};
    addOwnSoftmaxGradient(head, landmarks.qtilde.row(g), begin, end, of, d.qtilde.row(g), out);
    addMeanGradient(d.qtilde.row(g), begin, end, out.q);
    if (!isTangent) // then khat is the mean key
      addMeanGradient(d.khat.row(g), begin, end, out.k);
  }
}

} // namespace nysjit::reference

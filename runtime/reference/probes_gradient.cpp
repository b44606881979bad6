// The gradient of causal with learned probes in float64. As in its output's reference each block is
// made of its positions, not of its halves.
#include "runtime/reference/landmark_gradients.h"
#include "runtime/reference/probes.h"
#include "runtime/reference/softmax_gradient.h"

#include <algorithm>
#include <map>

namespace nysjit::reference {

namespace {

/// A block's views, one a probe, and their gradients: khat, value and c of each.
struct BlockViews {
  std::vector<ProbeView> views;
  std::vector<ProbeView> gradients;
};

/// Through seenThrough(): from the gradient of the logit l_S, and with `weight` dout that of the
/// value U_S, to the query and the views.
void addSeenGradient(BlockViews &block, const double *query, double scale, double dlogit,
                     double weight, const double *dout, double *dquery) {
  std::vector<double> logits;
  std::vector<double> alpha; // softmax over the probes of 16 l_p
  std::vector<double> dalpha;
  const int64_t d = int64_t(block.views.front().khat.size());
  for (const ProbeView &view : block.views) {
    logits.push_back(view.logit(query, scale));
    alpha.push_back(16 * logits.back());
    dalpha.push_back(dlogit * logits.back() + weight * dot(dout, view.value.data(), d));
  }
  softmax(alpha);
  const std::vector<double> dsharp = softmaxGradient(alpha, dalpha);
  for (size_t p = 0; p < alpha.size(); ++p) {
    const double dl = alpha[p] * dlogit + 16 * dsharp[p];
    ProbeView &gradient = block.gradients[p];
    addTo(dquery, scale * dl, block.views[p].khat.data(), d);
    addTo(gradient.khat.data(), scale * dl, query, d);
    addTo(gradient.value.data(), weight * alpha[p], dout, d);
    gradient.c += dl;
  }
}

/// All blocks that rows have seen, by their segments.
class Blocks {
public:
  explicit Blocks(const LayoutInput &of) : input(of) {}

  BlockViews &operator[](const Block &block) {
    BlockViews &found = known[{block.first, block.end}];
    const std::vector<double> zeros(size_t(input.head.q.columns), 0.0);
    if (found.views.empty())
      for (int64_t p = 0; p < input.learnedQ.rows; ++p) {
        found.views.push_back(viewOf(input.head, input.learnedQ.row(p),
                                     block.first * input.segmentLen, block.end * input.segmentLen));
        found.gradients.push_back({zeros, zeros});
      }
    return found;
  }

  /// To probes and positions.
  void addGradients(HeadGradient &out) const {
    for (const auto &[segments, block] : known)
      for (size_t p = 0; p < block.gradients.size(); ++p) {
        const ProbeView &of = block.gradients[p];
        addOwnSoftmaxGradient(input.head, input.learnedQ.row(int64_t(p)),
                              segments.first * input.segmentLen, segments.second * input.segmentLen,
                              {of.value.data(), of.khat.data(), of.c}, out.learnedQ.row(int64_t(p)),
                              out);
      }
  }

private:
  const LayoutInput &input;
  std::map<std::pair<int64_t, int64_t>, BlockViews> known;
};

/// Row i: far blocks and near positions under one softmax.
void addProbesRow(const LayoutInput &input, int64_t i, const double *dout, Blocks &blocks,
                  HeadGradient &out) {
  const Head &head = input.head;
  const int64_t d = head.q.columns;
  const double *query = head.q.row(i);
  const int64_t farCount = std::max<int64_t>(i / input.segmentLen - input.spec.window, 0);
  const int64_t nearStart = farCount * input.segmentLen;
  std::vector<double> weights;
  std::vector<double> dweights; // dout.value
  const std::vector<Block> far = blocksBefore(farCount, input.spec);
  for (const Block &block : far) {
    const SeenBlock seen = seenThrough(blocks[block].views, query, head.scale);
    weights.push_back(seen.logit);
    dweights.push_back(dot(dout, seen.value.data(), d));
  }
  for (int64_t t = nearStart; t <= i; ++t) {
    weights.push_back(head.scale * dot(query, head.k.row(t), d));
    dweights.push_back(dot(dout, head.v.row(t), d));
  }
  softmax(weights);
  const std::vector<double> dx = softmaxGradient(weights, dweights);
  for (size_t b = 0; b < far.size(); ++b)
    addSeenGradient(blocks[far[b]], query, head.scale, dx[b], weights[b], dout, out.q.row(i));
  for (int64_t t = nearStart; t <= i; ++t) {
    const size_t at = far.size() + size_t(t - nearStart);
    addTo(out.q.row(i), head.scale * dx[at], head.k.row(t), d);
    addTo(out.k.row(t), head.scale * dx[at], query, d);
    addTo(out.v.row(t), weights[at], dout, d);
  }
}

} // namespace

HeadGradient causalOfProbesGradient(const LayoutInput &input, const Matrix &dout) {
  HeadGradient out(input);
  Blocks blocks(input);
  for (int64_t i = 0; i < input.head.length(); ++i)
    addProbesRow(input, i, dout.row(i), blocks, out);
  blocks.addGradients(out);
  return out;
}

} // namespace nysjit::reference

// causal with landmark_source learned. Each block is computed from its positions; that merging
// gives the same is a fact for tests.
#include "runtime/reference/probes.h"
#include "runtime/reference/layouts.h"

#include <algorithm>
#include <map>

namespace nysjit::reference {

std::vector<Block> blocksBefore(int64_t count, const KernelSpec &spec) {
  std::vector<Block> blocks;
  if (spec.landmarkSpacing == LandmarkSpacing::Uniform) {
    for (int64_t j = count; j-- > 0;)
      blocks.push_back({j, j + 1});
    return blocks;
  }
  // `left` blocks of `size` segments: take the nearest, so that pairs are left; pair them
  const int64_t width = spec.levelWidth;
  for (int64_t left = count, size = 1; left > 0; size *= 2) {
    const int64_t taken = std::min(left, width + std::abs(left - width) % 2);
    for (int64_t j = left; j-- > left - taken;)
      blocks.push_back({j * size, (j + 1) * size});
    left = (left - taken) / 2;
  }
  return blocks;
}

ProbeView viewOf(const Head &head, const double *probe, int64_t begin, int64_t end) {
  const int64_t d = head.k.columns;
  const OwnSoftmax own(head, probe, begin, end);
  ProbeView view;
  view.khat.resize(static_cast<size_t>(d));
  view.value.resize(static_cast<size_t>(d));
  view.logMass = own.maximum + std::log(own.mass);
  view.c = std::log(own.mass); // -sum w ln w = ln mass - sum w (x - maximum)
  for (int64_t t = begin; t < end; ++t) {
    const double x = own.below[static_cast<size_t>(t - begin)];
    const double weight = std::exp(x) / own.mass;
    view.c -= weight * x;
    for (int64_t e = 0; e < d; ++e) {
      view.khat[static_cast<size_t>(e)] += weight * head.k(t, e);
      view.value[static_cast<size_t>(e)] += weight * head.v(t, e);
    }
  }
  return view;
}

ProbeView merged(const ProbeView &left, const ProbeView &right) {
  std::vector<double> w = {left.logMass, right.logMass};
  softmax(w);
  ProbeView view = left;
  for (size_t e = 0; e < view.khat.size(); ++e) {
    view.khat[e] = w[0] * left.khat[e] + w[1] * right.khat[e];
    view.value[e] = w[0] * left.value[e] + w[1] * right.value[e];
  }
  auto term = [](double weight, double c) {
    return weight > 0 ? weight * (c - std::log(weight)) : 0;
  };
  view.c = term(w[0], left.c) + term(w[1], right.c);
  const double maximum = std::max(left.logMass, right.logMass);
  view.logMass =
      maximum + std::log(std::exp(left.logMass - maximum) + std::exp(right.logMass - maximum));
  return view;
}

SeenBlock seenThrough(const std::vector<ProbeView> &views, const double *query, double scale) {
  std::vector<double> logits;
  std::vector<double> alpha;
  for (const ProbeView &view : views) {
    logits.push_back(view.logit(query, scale));
    alpha.push_back(16 * logits.back());
  }
  softmax(alpha);
  SeenBlock seen;
  seen.value.resize(views.front().value.size());
  for (size_t p = 0; p < views.size(); ++p) {
    seen.logit += alpha[p] * logits[p];
    for (size_t e = 0; e < seen.value.size(); ++e)
      seen.value[e] += alpha[p] * views[p].value[e];
  }
  return seen;
}

Matrix causalOfProbes(const LayoutInput &input) {
  const Head &head = input.head;
  const int64_t segmentLen = input.segmentLen;
  const int64_t n = head.length();
  const int64_t d = head.q.columns;
  std::map<std::pair<int64_t, int64_t>, std::vector<ProbeView>> known;
  auto viewsOf = [&](const Block &block) -> const std::vector<ProbeView> & {
    std::vector<ProbeView> &views = known[{block.first, block.end}];
    if (views.empty())
      for (int64_t p = 0; p < input.learnedQ.rows; ++p)
        views.push_back(
            viewOf(head, input.learnedQ.row(p), block.first * segmentLen, block.end * segmentLen));
    return views;
  };
  Matrix out(n, d);
  for (int64_t i = 0; i < n; ++i) {
    // far: blocks of segments j < seg(i) - window; near: positions t <= i of later segments
    const int64_t farCount = std::max<int64_t>(i / segmentLen - input.spec.window, 0);
    std::vector<double> row;
    std::vector<SeenBlock> far;
    for (const Block &block : blocksBefore(farCount, input.spec)) {
      far.push_back(seenThrough(viewsOf(block), head.q.row(i), head.scale));
      row.push_back(far.back().logit);
    }
    for (int64_t t = farCount * segmentLen; t <= i; ++t)
      row.push_back(head.scale * dot(head.q.row(i), head.k.row(t), d));
    softmax(row);
    for (int64_t e = 0; e < d; ++e) {
      for (size_t j = 0; j < far.size(); ++j)
        out(i, e) += row[j] * far[j].value[static_cast<size_t>(e)];
      for (int64_t t = farCount * segmentLen; t <= i; ++t)
        out(i, e) +=
            row[far.size() + static_cast<size_t>(t - farCount * segmentLen)] * head.v(t, e);
    }
  }
  return out;
}

} // namespace nysjit::reference

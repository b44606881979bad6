// A run's inputs as the float64 reference takes them, and how far outputs are apart.
#pragma once
#include "runtime/reference/accuracy.h"
#include "tests/conformance/inputs.h"

namespace nysjit::conformance {

/// `in` outlives it.
inline reference::ReferenceInput referenceInput(const KernelSpec &spec, const Inputs &in) {
  reference::ReferenceInput input;
  input.spec = spec;
  input.scale = static_cast<float>(in.scale);
  input.batch = in.batch;
  input.queryHeads = in.queryHeads;
  input.keyHeads = in.keyHeads;
  input.length = in.length;
  input.q = in.q.data();
  input.k = in.k.data();
  input.v = in.v.data();
  input.dout = in.dout.empty() ? nullptr : in.dout.data();
  input.packed = in.isPacked();
  input.landmarkQ = in.landmarkQ.empty() ? nullptr : in.landmarkQ.data();
  input.landmarkK = in.landmarkK.empty() ? nullptr : in.landmarkK.data();
  input.conv = in.conv.empty() ? nullptr : in.conv.data();
  for (size_t b = 0; b + 1 < in.cuSeqlens.size(); ++b) {
    input.starts.push_back(in.cuSeqlens[b]);
    input.lengths.push_back(in.cuSeqlens[b + 1] - in.cuSeqlens[b]);
  }
  if (!in.seqlens.empty()) {
    input.lengths = in.seqlens;
    input.starts = in.starts.empty() ? std::vector<int64_t>(in.seqlens.size(), 0) : in.starts;
  }
  input.sourceLengths = in.sourceLen;
  return input;
}

using reference::relativeError;

} // namespace nysjit::conformance

// A golden case as a run's inputs.
#pragma once
#include "tests/conformance/inputs.h"
#include "tests/reference/golden.h"

namespace nysjit::conformance {

/// Its numbers rounded to the dtype.
inline Inputs goldenInputs(const golden::Case &c, const std::string &dtype) {
  Inputs in;
  auto numbers = [&](const char *array) {
    return c.has(array) ? c.arrays.at(array).toDouble() : std::vector<double>();
  };
  auto integers = [&](const char *array) {
    return c.has(array) ? c.arrays.at(array).toInt64() : std::vector<int64_t>();
  };
  const std::vector<int64_t> shape = c.shape("q");
  in.batch = c.isPacked() ? 1 : shape[0];
  in.queryHeads = shape[1];
  in.keyHeads = c.shape("k")[1];
  in.length = c.isPacked() ? shape[0] : shape[2];
  in.headDim = shape.back();
  in.q = numbers("q");
  in.k = numbers("k");
  in.v = numbers("v");
  in.landmarkQ = numbers("landmark_q");
  in.landmarkK = numbers("landmark_k");
  in.conv = numbers("conv");
  in.dout = numbers("dout");
  in.hasGradients = c.has("dout");
  in.cuSeqlens = integers("cu_seqlens");
  in.seqlens = integers("seqlens");
  in.sourceLen = integers("source_len");
  for (const Sequence &sequence : in.isPacked() ? in.sequences() : std::vector<Sequence>())
    in.maxLength = std::max(in.maxLength, sequence.length);
  in.scale = c.scale;
  for (std::vector<double> *x :
       {&in.q, &in.k, &in.v, &in.landmarkQ, &in.landmarkK, &in.conv, &in.dout})
    for (double &value : *x)
      value = rounded(value, dtype);
  return in;
}

} // namespace nysjit::conformance

// Runs programs through the C API as a host would, for every device and target there is, against
// the float64 reference.
#pragma once
#include "runtime/reference/accuracy.h"
#include "runtime/spec/spec.h"
#include "tests/conformance/device.h"
#include "tests/conformance/reference_input.h"
#include "tests/conformance/seeded.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace nysjit::conformance {

/// The inputs as the float64 reference takes them; `in` outlives it.
inline reference::ReferenceInput referenceInput(const std::string &specJson, const Inputs &in) {
  auto spec = parseKernelSpec(specJson);
  EXPECT_TRUE(spec.ok()) << specJson;
  return referenceInput(*spec, in);
}

/// The float64 reference on the same inputs.
inline std::vector<double> expected(const std::string &specJson, const Inputs &in) {
  auto o = reference::compute(referenceInput(specJson, in));
  EXPECT_TRUE(o.ok()) << (o.ok() ? "" : o.error().message);
  return o.ok() ? *o : std::vector<double>();
}

/// The error bound of a dtype where scores are small, and of these inputs.
inline double bound(const std::string &dtype) {
  const auto spec =
      parseKernelSpec(R"({"layout": "exact_causal", "head_dim": 64, "dtype": ")" + dtype + "\"}");
  return reference::errorBound(*spec, /*isGpu=*/false, /*size=*/0);
}
inline double bound(const std::string &specJson, const Inputs &in, const std::string &place) {
  return reference::errorBound(referenceInput(specJson, in), Place(place).isGpu());
}

/// The places this machine has; each is a parameter of every test here. A GPU is among them where
/// there is one.
inline std::vector<std::string> places() {
  std::vector<std::string> names = {"cpu:x86-64-v3"};
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    names.push_back("cpu:x86-64-v4");
  names.push_back("cpu:native");
  names.insert(names.end(), {"ptx-emulator eager cuda:sm_80", "ptx-emulator lazy cuda:sm_90"});
  if (CudaDriver::open(cudaDriverPlaces()))
    names.push_back("cuda");
  return names;
}

inline std::string testName(std::string text) {
  for (char &c : text)
    c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return text;
}

} // namespace nysjit::conformance

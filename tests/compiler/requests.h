// Requests to the compiler and their answers, for its tests.
#pragma once
#include "compiler/worker/compile.h"

#include <gtest/gtest.h>

#include <string>

namespace nysjit {

inline CompileRequest requestFor(const std::string &spec, const Target &target = {CpuLevel::V3}) {
  CompileRequest request;
  auto parsed = parseKernelSpec(spec);
  EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
  if (parsed)
    request.spec = *parsed;
  request.target = target;
  return request;
}

/// An empty answer, after a failure that says why, where there is none.
inline CompileOutput compiled(const CompileRequest &request) {
  auto output = compile(request);
  EXPECT_TRUE(output.ok()) << (output.ok() ? "" : output.error().message);
  return output.ok() ? *output : CompileOutput();
}

/// The stage of a request as text or bytes.
inline std::string emitted(CompileRequest request, Stage stage) {
  request.emit = stage;
  return compiled(request).emitted;
}

} // namespace nysjit

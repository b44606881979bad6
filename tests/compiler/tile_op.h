// The fixture of tests of tile operations, on every level of the CPU, with random numbers of a
// printed seed.
#pragma once
#include "tests/compiler/execution.h"

#include <random>

namespace nysjit::execution {

class TileOp : public testing::TestWithParam<CpuLevel> {
protected:
  TileOp()
      : seed(std::random_device{}()), generator(seed),
        trace(__FILE__, __LINE__, "seed " + std::to_string(seed)) {}
  std::vector<float> random(size_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float &value : values)
      value = normal(generator);
    return values;
  }
  unsigned seed;
  std::mt19937 generator;
  testing::ScopedTrace trace;
};

inline std::string levelName(const testing::TestParamInfo<CpuLevel> &info) {
  return info.param == CpuLevel::Native ? "native" : info.param == CpuLevel::V3 ? "v3" : "v4";
}

/// A kernel over rows of `columns`: %in and %out are views of length %n and stride %stride.
inline std::string rowsKernel(int columns, const std::string &body,
                              const std::string &element = "f32") {
  const std::string type = std::to_string(columns) + " x " + element;
  const std::string out = std::to_string(columns) + " x f32";
  return "func.func @exact_causal(%p: !tile.ptr<" + element +
         ">, %o: !tile.ptr<f32>, %n: i32, %stride: i64) attributes {tile.kernel} {\n"
         "  %zero = arith.constant 0 : i64\n  %first = arith.constant 0 : i32\n"
         "  %in = tile.view %p[%zero] length %n stride %stride : <" +
         element + "> -> <" + type +
         ">\n"
         "  %out = tile.view %o[%zero] length %n stride %stride : <f32> -> <" +
         out + ">\n" + body + "  return\n}\n";
}

} // namespace nysjit::execution

// The fixture of tests of tile operations, on every level of the CPU, with random numbers of a
// printed seed.
#pragma once
#include "tests/compiler/execution.h"

#include <cctype>
#include <cmath>
#include <map>
#include <random>

namespace nysjit::execution {

/// The text with each $NAME, in capitals, replaced by what it stands for.
inline std::string with(const std::map<std::string, std::string> &names, const std::string &text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '$') {
      result += text[i++];
      continue;
    }
    size_t end = ++i;
    while (end < text.size() && std::isupper(text[end]))
      ++end;
    result += names.at(text.substr(i, end - i));
    i = end;
  }
  return result;
}

/// Float32 rows, one after the other; NaN unless given.
struct Matrix {
  int rows;
  int columns;
  std::vector<float> values;
  Matrix(int height, int width) : Matrix(height, width, std::vector<float>(height * width, NAN)) {}
  Matrix(int height, int width, std::vector<float> numbers)
      : rows(height), columns(width), values(std::move(numbers)) {}
  float &operator()(int r, int c) { return values[size_t(r * columns + c)]; }
  double operator()(int r, int c) const { return values[size_t(r * columns + c)]; }
  std::string view() const { return "<" + std::to_string(columns) + " x f32>"; }
  std::string type() const { return typeOf(rows, columns); }
  static std::string typeOf(int height, int width, const std::string &element = "f32") {
    return "tensor<" + std::to_string(height) + "x" + std::to_string(width) + "x" + element + ">";
  }
};

/// A kernel whose parameters are matrices and numbers, run once. %first is 0.
class TileKernel {
public:
  explicit TileKernel(CpuLevel cpuLevel) : level(cpuLevel) {}
  /// %NAME is a view of all rows.
  TileKernel &view(const std::string &name, Matrix &matrix) {
    parameters += ", %" + name + "_at: !tile.ptr<f32>";
    const std::string length = "%" + name + "_rows";
    const std::string stride = "%" + name + "_stride";
    before += "  " + length + " = arith.constant " + std::to_string(matrix.rows) + " : i32\n  " +
              stride + " = arith.constant " + std::to_string(matrix.columns) + " : i64\n  %" +
              name + " = tile.view %" + name + "_at[%zero] length " + length + " stride " + stride +
              " : <f32> -> " + matrix.view() + "\n";
    values.push_back(slot(matrix.values.data()));
    return *this;
  }
  /// %NAME is a tile: all of the matrix.
  TileKernel &in(const std::string &name, Matrix &matrix) {
    view(name + "_view", matrix);
    before += "  %" + name + " = tile.load %" + name + "_view[%first] : " + matrix.view() + " -> " +
              matrix.type() + "\n";
    return *this;
  }
  /// The tile %NAME that the body makes is written to the matrix.
  TileKernel &out(const std::string &name, Matrix &matrix) {
    view(name + "_view", matrix);
    after += "  tile.store %" + name + ", %" + name + "_view[%first] : " + matrix.type() + ", " +
             matrix.view() + "\n";
    return *this;
  }
  TileKernel &number(const std::string &name, int value) {
    parameters += ", %" + name + ": i32";
    values.push_back(slot(int64_t(value)));
    return *this;
  }
  void run(const std::string &body) {
    runTiles("func.func @exact_causal(" + parameters.substr(2) +
                 ") attributes {tile.kernel} {\n  %zero = arith.constant 0 : i64\n"
                 "  %first = arith.constant 0 : i32\n" +
                 before + body + after + "  return\n}\n",
             values, level);
  }

private:
  CpuLevel level;
  std::string parameters;
  std::string before;
  std::string after;
  std::vector<uint64_t> values;
};

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
  Matrix randomMatrix(int rows, int columns) {
    return Matrix(rows, columns, random(size_t(rows * columns)));
  }
  int any(int low, int high) { return std::uniform_int_distribution(low, high)(generator); }
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

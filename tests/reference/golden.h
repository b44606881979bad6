// Golden cases: a folder with spec.json, run.json and .npy files, read for the reference and for
// the kernels.
#pragma once
#include "runtime/npy/npy.h"
#include "runtime/reference/accuracy.h"
#include "runtime/spec/spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace nysjit::golden {

inline std::string root() { return std::string(NYSJIT_SOURCE_DIR) + "/tests/golden/"; }

inline std::string textOf(const std::string &path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto &entry : std::filesystem::directory_iterator(root()))
    if (entry.is_directory())
      found.push_back(entry.path().filename().string());
  std::sort(found.begin(), found.end());
  return found;
}

/// One case, with everything that is there.
struct Case {
  KernelSpec spec;
  double scale = 0;
  std::map<std::string, NpyArray> arrays; // by file name without .npy
  bool has(const std::string &name) const { return arrays.count(name) > 0; }
  const std::vector<int64_t> &shape(const std::string &name) const { return arrays.at(name).shape; }
  bool isPacked() const { return has("cu_seqlens"); }
};

inline Case load(const std::string &name) {
  Case result;
  const std::string folder = root() + name + "/";
  auto spec = parseKernelSpec(textOf(folder + "spec.json"));
  EXPECT_TRUE(spec.ok()) << name << ": " << (spec.ok() ? "" : spec.error().message);
  if (!spec.ok())
    return result;
  result.spec = *spec;
  const auto run = nlohmann::json::parse(textOf(folder + "run.json"));
  result.scale = run.value("scale", 1 / std::sqrt(double(result.spec.headDim)));
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".npy") {
      auto array = readNpy(entry.path().string());
      EXPECT_TRUE(array.ok()) << (array.ok() ? "" : array.error().message);
      if (array.ok())
        result.arrays[entry.path().stem().string()] = std::move(*array);
    }
  return result;
}

/// The case as the reference takes it; `storage` keeps the float64 tensors alive.
inline reference::ReferenceInput inputOf(const Case &c,
                                         std::map<std::string, std::vector<double>> &storage) {
  reference::ReferenceInput input;
  input.spec = c.spec;
  input.scale = c.scale;
  input.packed = c.isPacked();
  const std::vector<int64_t> q = c.shape("q");
  const std::vector<int64_t> k = c.shape("k");
  input.batch = input.packed ? 1 : q[0];
  input.queryHeads = q[1];
  input.keyHeads = k[1];
  input.length = input.packed ? q[0] : q[2];
  for (const auto &[name, array] : c.arrays)
    if (const auto member = reference::inputTensor(name)) {
      storage[name] = array.toDouble();
      input.*member = storage[name].data();
    }
  if (c.has("cu_seqlens")) {
    const std::vector<int64_t> ends = c.arrays.at("cu_seqlens").toInt64();
    for (size_t i = 0; i + 1 < ends.size(); ++i) {
      input.starts.push_back(ends[i]);
      input.lengths.push_back(ends[i + 1] - ends[i]);
    }
  }
  if (c.has("seqlens")) {
    input.lengths = c.arrays.at("seqlens").toInt64();
    input.starts.assign(input.lengths.size(), 0);
  }
  if (c.has("source_len"))
    input.sourceLengths = c.arrays.at("source_len").toInt64();
  return input;
}

using reference::relativeError;

} // namespace nysjit::golden

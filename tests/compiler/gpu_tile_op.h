// Runs tile IR for a GPU on the PTX emulator: every array is an argument of the kernel, whose rows
// may be unaligned, so that both variants are run, each eagerly and lazily and in two orders of
// warps.
#pragma once
#include "compiler/worker/compile.h"
#include "runtime/npy/half.h"
#include "tests/conformance/gpu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace nysjit {

/// [rows, columns] numbers in the kernel's memory; of a vector columns is 0.
struct Array {
  std::string name;
  std::string element; // f32, f16, bf16
  int rows = 0;
  int columns = 0;
  std::vector<float> values;

  double at(int row, int column) const { return values[size_t(row * columns + column)]; }
  std::string view() const { return "<" + std::to_string(columns) + " x " + element + ">"; }
  std::vector<char> bytes() const {
    const size_t width = element == "f32" ? 4 : 2;
    std::vector<char> all(values.size() * width);
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half =
          element == "f16" ? floatToFloat16(values[i]) : floatToBfloat16(values[i]);
      std::memcpy(&all[i * width],
                  width == 4 ? static_cast<const void *>(&values[i])
                             : static_cast<const void *>(&half),
                  width);
    }
    return all;
  }
};

class GpuTileOp : public testing::Test {
protected:
  GpuTileOp()
      : seed(std::random_device{}()), generator(seed),
        trace(__FILE__, __LINE__, "seed " + std::to_string(seed)) {}

  /// Normal numbers that the element type holds.
  Array random(const std::string &name, int rows, int columns, const std::string &element = "f32") {
    Array array{name, element, rows, columns,
                std::vector<float>(size_t(rows * std::max(columns, 1)))};
    std::normal_distribution<float> normal;
    for (float &value : array.values) {
      value = normal(generator);
      if (element == "f16")
        value = float16ToFloat(floatToFloat16(value));
      else if (element == "bf16")
        value = bfloat16ToFloat(floatToBfloat16(value));
    }
    return array;
  }

  /// The body, over the views %NAME_rows of each array, in a kernel; %i0, %i16, %i32 and %i64 are
  /// numbers.
  static std::string kernel(const std::vector<Array> &arrays, const std::string &body) {
    std::string parameters;
    std::string views;
    for (const Array &array : arrays) {
      parameters += (parameters.empty() ? "%" : ", %") + array.name + "_pointer" + ": !tile.ptr<" +
                    array.element + "> {tile.argument}";
      views += "  %" + array.name + "_length = arith.constant " + std::to_string(array.rows) +
               " : i32\n  %" + array.name + "_stride = arith.constant " +
               std::to_string(array.columns) + " : i64\n  %" + array.name + "_rows = tile.view %" +
               array.name + "_pointer[%zero] length %" + array.name + "_length stride %" +
               array.name + "_stride : <" + array.element + "> -> " + array.view() + "\n";
    }
    std::string numbers = "  %zero = arith.constant 0 : i64\n";
    for (int number : {0, 1, 16, 32, 64})
      numbers += "  %i" + std::to_string(number) + " = arith.constant " + std::to_string(number) +
                 " : i32\n";
    return "func.func @exact_causal(" + parameters + ") attributes {tile.kernel} {\n" + numbers +
           views + body + "  return\n}\n";
  }

  static CompileOutput compiled(const std::string &ir, DType dtype) {
    CompileRequest request;
    request.spec.layout = Layout::ExactCausal;
    request.spec.headDim = 16;
    request.spec.dtype = dtype;
    request.target = *parseTarget("cuda:sm_80");
    request.from = Stage::Tile;
    request.fromText = ir;
    auto output = compile(request);
    EXPECT_TRUE(output.ok()) << output.error().message << "\n" << ir;
    return output.ok() ? *output : CompileOutput();
  }

  /// What the kernel leaves in the last array, whose type is f32.
  std::vector<float> run(const std::vector<Array> &arrays, const std::string &body,
                         DType dtype = DType::Float32) {
    const CompileOutput program = compiled(kernel(arrays, body), dtype);
    std::vector<char> first;
    for (const PlanKernel &entry : program.plan.kernels)
      for (const bool isLazy : {false, true})
        for (int order = 0; order < 2; ++order) {
          const std::vector<char> left = launch(program, entry, arrays, isLazy, generator());
          if (first.empty())
            first = left;
          EXPECT_TRUE(left == first) << entry.name << (isLazy ? ", lazy" : ", eager");
        }
    std::vector<float> values(arrays.back().values.size());
    EXPECT_EQ(first.size(), values.size() * 4);
    std::memcpy(values.data(), first.data(), std::min(first.size(), values.size() * 4));
    return values;
  }

private:
  std::vector<char> launch(const CompileOutput &program, const PlanKernel &entry,
                           const std::vector<Array> &arrays, bool isLazy, uint64_t order) {
    gpu.configure(isLazy, order, 80);
    const CudaSymbols &api = gpu.api();
    CUmodule module = nullptr;
    CUfunction function = nullptr;
    EXPECT_EQ(api.cuModuleLoadData(&module, program.ptx.c_str()), CUDA_SUCCESS);
    EXPECT_EQ(api.cuModuleGetFunction(&function, module, entry.name.c_str()), CUDA_SUCCESS);
    EXPECT_EQ(api.cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                     static_cast<int>(entry.sharedBytes)),
              CUDA_SUCCESS);
    std::vector<std::unique_ptr<conformance::DeviceBytes>> memory;
    std::vector<void *> addresses;
    for (const Array &array : arrays) {
      memory.push_back(std::make_unique<conformance::DeviceBytes>(gpu, array.bytes()));
      addresses.push_back(memory.back()->pointer());
    }
    std::vector<void *> parameters;
    for (void *&address : addresses)
      parameters.push_back(&address);
    EXPECT_EQ(api.cuLaunchKernel(function, 1, 1, 1, static_cast<unsigned>(entry.blockThreads), 1, 1,
                                 static_cast<unsigned>(entry.sharedBytes), nullptr,
                                 parameters.data(), nullptr),
              CUDA_SUCCESS);
    counts = gpu.counts();
    EXPECT_EQ(gpu.findings(), "") << entry.name << (isLazy ? ", lazy" : ", eager");
    std::vector<char> left = arrays.back().bytes();
    memory.back()->copyTo(left);
    api.cuModuleUnload(module);
    return left;
  }

  unsigned seed;

protected:
  std::mt19937 generator;
  nysjit_emulator_counts counts = {}; // of the last launch

private:
  testing::ScopedTrace trace;
  conformance::Gpu gpu{true};
};

} // namespace nysjit

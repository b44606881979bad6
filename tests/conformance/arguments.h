// A run's arguments as a host passes them: its inputs as tensors, on the CPU or in a GPU's memory.
#pragma once
#include "runtime/spec/tensor_table.h"
#include "tests/conformance/gpu.h"
#include "tests/conformance/inputs.h"

#include <list>
#include <map>
#include <memory>
#include <set>

namespace nysjit::conformance {

class Arguments {
public:
  /// On the CPU where `gpu` is null. `slack`: bytes of NaNs behind each tensor; without, the
  /// emulator sees a read of one row too many.
  Arguments(const Gpu *gpu, const Inputs &in, const std::string &dtype,
            const std::string &outputDtype, size_t slack = 64)
      : gpu(gpu), slack(slack), scale(static_cast<float>(in.scale)) {
    args.size = sizeof args;
    args.scale = &scale;
    args.max_length = in.maxLength;
    auto rows = [&](const std::vector<double> &numbers, int64_t heads, const std::string &type) {
      return makeTensor(numbers, in.shapeOf(heads), type, in.swapHeads, in.padding);
    };
    pass(&nysjit_run_args::q, rows(in.q, in.queryHeads, dtype));
    pass(&nysjit_run_args::k, rows(in.k, in.keyHeads, dtype));
    pass(&nysjit_run_args::v, rows(in.v, in.keyHeads, dtype));
    auto passNumbers = [&](Field field, const std::vector<double> &numbers,
                           const std::vector<int64_t> &shape, int64_t padding) {
      if (!numbers.empty())
        pass(field, makeTensor(numbers, shape, dtype, /*swapHeads=*/false, padding));
    };
    const int64_t landmarks = static_cast<int64_t>(in.landmarkQ.size()) /
                              std::max<int64_t>(in.queryHeads * in.headDim, 1);
    passNumbers(&nysjit_run_args::landmark_q, in.landmarkQ, {in.queryHeads, landmarks, in.headDim},
                in.padding);
    passNumbers(&nysjit_run_args::landmark_k, in.landmarkK, {in.keyHeads, landmarks, in.headDim},
                in.padding);
    passNumbers(&nysjit_run_args::conv, in.conv,
                {in.queryHeads, static_cast<int64_t>(in.conv.size()) / in.queryHeads}, 0);
    if (in.hasGradients)
      pass(&nysjit_run_args::dout, rows(in.dout, in.queryHeads, dtype));
    for (const auto &[field, numbers] : {std::pair(&nysjit_run_args::cu_seqlens, &in.cuSeqlens),
                                         {&nysjit_run_args::seqlens, &in.seqlens},
                                         {&nysjit_run_args::seq_starts, &in.starts},
                                         {&nysjit_run_args::source_len, &in.sourceLen}})
      if (!numbers->empty())
        pass(field, makeIntegers(*numbers));
    pass(&nysjit_run_args::o, rows(in.o.empty() ? std::vector<double>(in.q.size(), NAN) : in.o,
                                   in.queryHeads, outputDtype));
    outputs["o"] = tensors.size() - 1;
    swapHeads = in.swapHeads;
    padding = in.padding;
  }
  Arguments(const Arguments &) = delete;

  /// Another output, full of NaNs; its rows lie as o's do.
  void passOutput(const TensorRow &row, const std::vector<int64_t> &shape,
                  const std::string &dtype) {
    size_t count = 1;
    for (const int64_t extent : shape)
      count *= size_t(extent);
    const bool isRows = row.isPackable;
    pass(row.field,
         makeTensor(std::vector<double>(count, NAN), shape, dtype, isRows && swapHeads, padding));
    outputs[row.name] = tensors.size() - 1;
  }
  /// The gradients of a backward run, full of NaNs, but those left out.
  void passGradients(const Inputs &in, const KernelSpec &backward, const std::string &dtype,
                     const std::set<std::string> &leftOut = {}) {
    const std::map<std::string_view, int64_t> sizes = {{"B", in.batch},
                                                       {"Hq", in.queryHeads},
                                                       {"Hkv", in.keyHeads},
                                                       {"n", in.length},
                                                       {"total", in.length}};
    for (const TensorRow &row : tensorTable()) {
      if (row.role != TensorRole::OptionalOutput || !usesTensor(row, backward) ||
          leftOut.contains(row.name))
        continue;
      std::vector<int64_t> shape;
      for (const std::string_view name : dimensionNames(row, in.isPacked()))
        shape.push_back(
            specDimension(name, backward).value_or(sizes.contains(name) ? sizes.at(name) : 0));
      passOutput(row, shape, dtype);
    }
  }
  /// All outputs, by tensor.
  std::map<std::string, const Tensor *> fetchAll() {
    std::map<std::string, const Tensor *> all;
    for (const auto &[name, number] : outputs)
      all[name] = &fetch(name);
    return all;
  }
  /// With the bytes between its rows; what lies in a GPU's memory is fetched from there.
  const Tensor &fetch(const std::string &name = "o") {
    const size_t number = outputs.at(name);
    Tensor &tensor = *std::next(tensors.begin(), int64_t(number));
    if (gpu)
      onDevice[number]->copyTo(tensor.bytes);
    return tensor;
  }

  nysjit_run_args args = {};

private:
  using Field = const DLTensor *nysjit_run_args::*;
  void pass(Field field, Tensor made) {
    Tensor &tensor = tensors.emplace_back(std::move(made));
    tensor.bytes.resize(tensor.bytes.size() + slack, char(0xff));
    DLTensor &view = views.emplace_back(tensor.view());
    if (gpu) {
      onDevice.push_back(std::make_unique<DeviceBytes>(*gpu, tensor.bytes));
      view.data = onDevice.back()->pointer();
      view.device = {kDLCUDA, 0};
    }
    args.*field = &view;
  }

  const Gpu *const gpu;
  const size_t slack;
  const float scale;
  std::list<Tensor> tensors;
  std::list<DLTensor> views;
  std::vector<std::unique_ptr<DeviceBytes>> onDevice; // one a tensor
  std::map<std::string, size_t> outputs;              // their numbers
  bool swapHeads = false;
  int64_t padding = 0;
};

} // namespace nysjit::conformance

// A run's inputs in device memory, and its output.
#pragma once
#include "bench/gpu_day/session.h"
#include "tests/conformance/inputs.h"

#include <list>

namespace nysjit::gpu_day {

class Arguments {
public:
  /// The output is float32.
  static Result<std::unique_ptr<Arguments>>
  create(const Session &session, const conformance::Inputs &in, const std::string &dtype);
  /// Runs, waits and fetches the output, written over NaNs.
  Result<std::vector<double>> run(const nysjit_program *program);

private:
  Arguments(const Session &session, float scale) : session(session), scale(scale) {}
  Status passAll(const conformance::Inputs &in, const std::string &dtype);
  using Field = const DLTensor *nysjit_run_args::*;
  Status pass(Field field, conformance::Tensor tensor);

  const Session &session;
  const float scale;
  nysjit_run_args args = {};
  std::list<conformance::Tensor> tensors; // the output last
  std::list<DLTensor> views;
  std::list<std::unique_ptr<DeviceMemory>> memory;
};

} // namespace nysjit::gpu_day

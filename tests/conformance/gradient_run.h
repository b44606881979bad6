// Gradients through the C API: a saving program and a backward one, or the backward one alone.
#pragma once
#include "runtime/reference/gradients.h"
#include "runtime/spec/tensor_table.h"
#include "tests/conformance/conformance.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace nysjit::conformance {

/// What a run with gradients wrote, by tensor; rows outside the sequences included.
using Written = std::map<std::string, std::vector<double>>;

/// How a run with gradients is made.
struct GradientOptions {
  std::string dtype = "float32";
  std::string outputDtype = "float32";
  bool isRecomputed = false;     // nothing is kept between forward and backward
  std::set<std::string> leftOut; // gradients that are not asked for
  std::string config;            // of the backward program
};

/// The spec with another pass.
inline std::string withPass(const std::string &spec, const char *pass) {
  nlohmann::json json = nlohmann::json::parse(spec);
  json["pass"] = pass;
  return json.dump();
}

class GradientRun {
public:
  GradientRun(Device &device, const std::string &spec, const Inputs &in,
              const GradientOptions &options)
      : device(device), options(options),
        arguments(device.gpu.get(), in, options.dtype, options.outputDtype) {
    const KernelSpec backward = *parseKernelSpec(withPass(spec, "backward"));
    arguments.passGradients(in, backward, options.outputDtype, options.leftOut);
    forward = device.prepare(withPass(spec, options.isRecomputed ? "forward" : "saving"));
    program = device.prepare(withPass(spec, "backward"), options.config);
  }

  Written run() {
    if (!forward || !program)
      return {};
    nysjit_run_args args = arguments.args;
    args.dout = nullptr;
    for (const TensorRow &row : tensorTable())
      if (row.role == TensorRole::OptionalOutput)
        args.*row.field = nullptr;
    keep(args);
    EXPECT_EQ(nysjit_run(forward.get(), &args, nullptr), NYSJIT_OK) << nysjit_last_error();
    nysjit_run_args all = arguments.args;
    all.saved = args.saved;
    all.saved_size = args.saved_size;
    EXPECT_EQ(nysjit_run(program.get(), &all, nullptr), NYSJIT_OK) << nysjit_last_error();
    if (device.gpu)
      EXPECT_EQ(device.gpu->findings(), "");
    Written written;
    for (const auto &[name, tensor] : arguments.fetchAll())
      written[name] = numbersOf(*tensor);
    return written;
  }

private:
  /// Memory for what the saving run keeps, full of NaNs.
  void keep(nysjit_run_args &args) {
    size_t size = 0;
    EXPECT_EQ(nysjit_saved_size(forward.get(), &args, &size), NYSJIT_OK) << nysjit_last_error();
    if (options.isRecomputed) {
      EXPECT_EQ(size, 0u);
      return;
    }
    args.saved_size = size;
    if (device.gpu) {
      onDevice = std::make_unique<DeviceBytes>(*device.gpu, size);
      args.saved = onDevice->pointer();
      return;
    }
    saved.assign(size + 64, char(0xff));
    args.saved = saved.data() + (-reinterpret_cast<uintptr_t>(saved.data()) & 63);
  }

  Device &device;
  const GradientOptions options;
  Arguments arguments;
  Device::Program forward{nullptr, nysjit_program_release};
  Device::Program program{nullptr, nysjit_program_release};
  std::vector<char> saved;
  std::unique_ptr<DeviceBytes> onDevice;
};

inline Written runGradients(Device &device, const std::string &spec, const Inputs &in,
                            const GradientOptions &options = {}) {
  return GradientRun(device, spec, in, options).run();
}

/// dO of a unit normal distribution.
inline void addOutputGradient(std::mt19937 &generator, Inputs &in,
                              const std::string &dtype = "float32") {
  std::normal_distribution<double> normal;
  in.hasGradients = true;
  in.dout.resize(in.q.size());
  for (double &value : in.dout)
    value = rounded(normal(generator), dtype);
}

/// Each gradient within its bound of the float64 reference on the same inputs.
inline void expectGradients(const std::string &spec, const Inputs &in, const Written &written,
                            bool isGpu) {
  const reference::ReferenceInput input = referenceInput(spec, in);
  const Result<reference::Gradients> right = reference::gradients(input);
  ASSERT_TRUE(right.ok()) << right.error().message;
  for (const auto &[name, numbers] : written)
    if (const auto member = reference::gradientTensor(name)) {
      const double error = reference::gradientError(numbers, *right.*member, right->doutNorm);
      EXPECT_LE(error, reference::gradientBound(input, isGpu, *right, name, error)) << name;
    }
}

} // namespace nysjit::conformance

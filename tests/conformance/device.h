// Programs in one place, through the C API as a host would run them.
#pragma once
#include "tests/conformance/arguments.h"

#include <cstdlib>
#include <memory>
#include <random>

namespace nysjit::conformance {

/// A device and target of the suite: "cpu:x86-64-v4", "cuda", or "ptx-emulator lazy cuda:sm_80".
struct Place {
  explicit Place(const std::string &text) {
    const size_t last = text.rfind(' ');
    target = last == std::string::npos ? text : text.substr(last + 1);
    device = text.substr(0, text.find(' '));
    if (device.starts_with("cpu"))
      device = "cpu";
    if (device == "cuda")
      target = "";
    isLazy = text.find(" lazy ") != std::string::npos;
  }
  std::string device;
  std::string target;
  bool isLazy = false;
  bool isGpu() const { return device != "cpu"; }
  bool isEmulator() const { return device == "ptx-emulator"; }
};

/// A context and programs in one place. Programs are compiled once a process, or found in the
/// tests' cache.
class Device {
public:
  explicit Device(const std::string &placeText, uint32_t threads = 0, bool useCache = true)
      : place(placeText), target(place.target) {
    nysjit_context_options options = {};
    options.size = sizeof options;
    options.threads = threads;
    options.cache_dir = useCache ? NYSJIT_BINARY_DIR "/test-cache" : "";
    options.compiler = NYSJIT_BINARY_DIR "/bin/nysjit-compiler";
    options.device = place.device.c_str();
    if (place.isGpu()) {
      gpu = std::make_unique<Gpu>(place.isEmulator());
      if (place.isEmulator()) {
        setenv("NYSJIT_PTX_EMULATOR", gpu->driver->library().c_str(), 1);
        setenv("NYSJIT_PTXAS", "none", 1); // it runs the PTX
        const uint64_t seed = std::random_device{}();
        trace = std::make_unique<testing::ScopedTrace>(__FILE__, __LINE__,
                                                       "order of warps " + std::to_string(seed));
        gpu->configure(place.isLazy, seed, std::stoi(target.substr(target.find("sm_") + 3)));
      }
    }
    EXPECT_EQ(nysjit_context_create(&options, &context), NYSJIT_OK) << nysjit_last_error();
  }
  ~Device() { nysjit_context_destroy(context); }

  using Program = std::unique_ptr<nysjit_program, void (*)(nysjit_program *)>;
  /// A failure unless there is one; `config` "": the target's own blocks.
  Program prepare(const std::string &spec, const std::string &config = "") {
    nysjit_program *program = nullptr;
    EXPECT_EQ(tryToPrepare(spec, config, &program), NYSJIT_OK)
        << spec << ": " << nysjit_last_error();
    return Program(program, nysjit_program_release);
  }
  /// Null if the config's tiles are larger than a GPU's shared memory.
  Program prepareIfFits(const std::string &spec, const std::string &config) {
    nysjit_program *program = nullptr;
    if (place.isGpu() && !config.empty() && tryToPrepare(spec, config, &program) != NYSJIT_OK) {
      const std::string error = nysjit_last_error();
      EXPECT_NE(error.find("bytes of shared memory"), std::string::npos) << error;
      return Program(nullptr, nysjit_program_release);
    }
    return program ? Program(program, nysjit_program_release) : prepare(spec, config);
  }

  /// O as float32 numbers (or as `outputDtype`); NaNs where it could not run, after a failure that
  /// says why, or with a `status`. `launched`: the kernels that ran.
  std::vector<double> run(nysjit_program *program, const Inputs &in, const std::string &dtype,
                          const std::string &outputDtype = "float32",
                          nysjit_status *status = nullptr,
                          std::vector<std::string> *launched = nullptr) {
    if (!program)
      return std::vector<double>(in.q.size(), NAN);
    Arguments arguments(gpu.get(), in, dtype, outputDtype);
    std::vector<char> gaps = arguments.fetch().bytes;
    nysjit_launch_timing timings[16] = {};
    size_t launches = 0;
    if (launched) {
      arguments.args.timings = timings;
      arguments.args.timing_capacity = 16;
      arguments.args.timing_count = &launches;
    }
    const nysjit_status done = nysjit_run(program, &arguments.args, nullptr);
    for (size_t i = 0; i < launches; ++i)
      launched->push_back(timings[i].kernel);
    if (status)
      *status = done;
    else
      EXPECT_EQ(done, NYSJIT_OK) << nysjit_last_error();
    if (gpu)
      EXPECT_EQ(gpu->findings(), "");
    const Tensor &o = arguments.fetch();
    const size_t width = outputDtype == "float32" ? 4 : 2;
    for (size_t at : offsetsOf(o))
      std::memcpy(gaps.data() + at * width, o.bytes.data() + at * width, width);
    EXPECT_TRUE(gaps == o.bytes) << "bytes between the output's rows were written";
    return numbersOf(o);
  }
  std::vector<double> run(const std::string &spec, const Inputs &in,
                          const std::string &dtype = "float32") {
    return run(prepare(spec).get(), in, dtype);
  }

  const Place place;
  const std::string target;
  std::unique_ptr<Gpu> gpu; // null on the CPU
  nysjit_context *context = nullptr;

private:
  nysjit_status tryToPrepare(const std::string &spec, const std::string &config,
                             nysjit_program **program) const {
    return nysjit_prepare(context, spec.c_str(), config.empty() ? nullptr : config.c_str(),
                          target.empty() ? nullptr : target.c_str(), program);
  }

  std::unique_ptr<testing::ScopedTrace> trace;
};

/// Random configs, and how many of them do not fit into a GPU's shared memory.
class ConfigDraws {
public:
  explicit ConfigDraws(Device &device) : device(device) {}
  ~ConfigDraws() {
    if (misfits)
      printf("note: %d of %d random configs did not fit %s\n", misfits, drawn,
             device.target.c_str());
  }
  /// `draw` gives a config, up to six times until one fits; if none does, the target's own blocks
  /// run. A failure if nearly none ever fits: more than nine of ten, of thirty or more.
  template <typename Draw> Device::Program prepare(const std::string &spec, Draw &&draw) {
    for (int round = 0; round < 6; ++round) {
      ++drawn;
      Device::Program program = device.prepareIfFits(spec, draw());
      if (program || testing::Test::HasFailure())
        return program;
      ++misfits;
    }
    EXPECT_FALSE(drawn >= 30 && 10 * misfits > 9 * drawn)
        << misfits << " of " << drawn << " random configs did not fit";
    return device.prepare(spec);
  }

private:
  Device &device;
  int drawn = 0;
  int misfits = 0;
};

} // namespace nysjit::conformance

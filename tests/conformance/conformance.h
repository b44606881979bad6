// Runs programs through the C API as a host would, for every device and target there is, against
// the float64 reference.
#pragma once
#include "runtime/include/nysjit.h"
#include "runtime/npy/half.h"
#include "runtime/reference/reference.h"
#include "runtime/spec/spec.h"
#include "tests/conformance/gpu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace nysjit::conformance {

/// A tensor's numbers as the spec's dtype holds them, with its shape and strides in elements.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  std::string dtype = "float32";
  std::vector<char> bytes;

  DLTensor view() {
    const uint8_t bits = dtype == "float32" || dtype == "int32" ? 32 : 16;
    const DLDataTypeCode code = dtype == "int32"      ? kDLInt
                                : dtype == "bfloat16" ? kDLBfloat
                                                      : kDLFloat;
    return {bytes.data(),
            {kDLCPU, 0},
            static_cast<int>(shape.size()),
            {static_cast<uint8_t>(code), bits, 1},
            shape.data(),
            strides.data(),
            0};
  }
};

inline double rounded(double value, const std::string &dtype) {
  const float single = static_cast<float>(value);
  return dtype == "float32"   ? single
         : dtype == "float16" ? float16ToFloat(floatToFloat16(single))
                              : bfloat16ToFloat(floatToBfloat16(single));
}

/// The offset of each element in row-major order.
inline std::vector<size_t> offsetsOf(const Tensor &tensor) {
  std::vector<size_t> offsets{0};
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    std::vector<size_t> longer;
    for (size_t offset : offsets)
      for (int64_t j = 0; j < tensor.shape[i]; ++j)
        longer.push_back(offset + static_cast<size_t>(j * tensor.strides[i]));
    offsets = std::move(longer);
  }
  return offsets;
}

/// Row-major numbers as a tensor; `swapHeads` lays [B, H, n, d] out as [B, n, H, d], as most
/// frameworks have it, and packed [n, H, d] as [H, n, d]; `padding` elements lie between rows,
/// NaNs.
inline Tensor makeTensor(const std::vector<double> &values, const std::vector<int64_t> &shape,
                         const std::string &dtype, bool swapHeads = false, int64_t padding = 0) {
  Tensor tensor{shape, std::vector<int64_t>(shape.size(), 1), dtype, {}};
  int64_t stride = shape.back() + padding;
  for (size_t i = shape.size() - 1; i-- > 0; stride *= shape[i])
    tensor.strides[i] = stride;
  if (swapHeads && shape.size() == 4) {
    tensor.strides[1] = tensor.strides[2];
    tensor.strides[2] = shape[1] * tensor.strides[1];
  } else if (swapHeads && shape.size() == 3) {
    tensor.strides[0] = tensor.strides[1];
    tensor.strides[1] = shape[0] * tensor.strides[0];
  }
  const size_t width = dtype == "float32" ? 4 : 2;
  tensor.bytes.resize(static_cast<size_t>(stride) * width + 64, char(0xff));
  size_t index = 0;
  for (size_t offset : offsetsOf(tensor)) {
    const float single = static_cast<float>(values[index++]);
    const uint16_t half = dtype == "float16" ? floatToFloat16(single) : floatToBfloat16(single);
    std::memcpy(tensor.bytes.data() + offset * width,
                width == 4 ? static_cast<const void *>(&single) : &half, width);
  }
  return tensor;
}

/// Numbers of sequences, int32.
inline Tensor makeIntegers(const std::vector<int64_t> &values) {
  Tensor tensor{{static_cast<int64_t>(values.size())},
                {1},
                "int32",
                std::vector<char>(values.size() * 4 + 4)};
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<int32_t>(values[i]);
    std::memcpy(tensor.bytes.data() + 4 * i, &value, 4);
  }
  return tensor;
}

/// Back to row-major numbers.
inline std::vector<double> numbersOf(const Tensor &tensor) {
  std::vector<double> values;
  for (size_t at : offsetsOf(tensor)) {
    if (tensor.dtype == "float32") {
      values.push_back(reinterpret_cast<const float *>(tensor.bytes.data())[at]);
    } else {
      const uint16_t half = reinterpret_cast<const uint16_t *>(tensor.bytes.data())[at];
      values.push_back(tensor.dtype == "float16" ? float16ToFloat(half) : bfloat16ToFloat(half));
    }
  }
  return values;
}

/// Positions [start, start + length) of batch element `element` (packed: 0).
struct Sequence {
  int64_t element;
  int64_t start;
  int64_t length;
};

/// What a run takes: row-major numbers, already rounded to the spec's dtype.
struct Inputs {
  int64_t batch = 1;
  int64_t queryHeads = 1;
  int64_t keyHeads = 1;
  int64_t length = 0;
  int64_t headDim = 0;
  std::vector<double> q;
  std::vector<double> k;
  std::vector<double> v;
  double scale = 0;
  bool swapHeads = false;
  int64_t padding = 0; // between rows: an odd number leaves them unaligned
  // Of layouts and sequences that have them. With cuSeqlens q, k, v and o are [length, heads,
  // headDim].
  std::vector<double> landmarkQ;
  std::vector<double> landmarkK;
  std::vector<double> conv; // [Hq, m, d], [Hkv, m, d], [Hq, c]
  std::vector<int64_t> cuSeqlens;
  std::vector<int64_t> seqlens;
  std::vector<int64_t> starts;
  std::vector<int64_t> sourceLen;
  int64_t maxLength = 0;
  bool packedShape = false; // packed tensors without cuSeqlens

  bool isPacked() const { return packedShape || !cuSeqlens.empty(); }
  std::vector<int64_t> queryShape() const { return shapeOf(queryHeads); }
  std::vector<int64_t> keyShape() const { return shapeOf(keyHeads); }
  std::vector<int64_t> shapeOf(int64_t heads) const {
    return isPacked() ? std::vector<int64_t>{length, heads, headDim}
                      : std::vector<int64_t>{batch, heads, length, headDim};
  }
  /// Sequence by sequence.
  std::vector<Sequence> sequences() const {
    std::vector<Sequence> all;
    for (size_t b = 0; b + 1 < cuSeqlens.size(); ++b)
      all.push_back({0, cuSeqlens[b], cuSeqlens[b + 1] - cuSeqlens[b]});
    for (int64_t b = 0; b < (isPacked() ? 0 : batch); ++b)
      all.push_back({b, starts.empty() ? 0 : starts[size_t(b)],
                     seqlens.empty() ? length : seqlens[size_t(b)]});
    return all;
  }
  /// Where position t of a sequence's head is, in q (of queryHeads) or k and v (of keyHeads).
  size_t rowOf(const Sequence &s, int64_t h, int64_t t, int64_t heads) const {
    return static_cast<size_t>(
        (isPacked() ? (s.start + t) * heads + h : (s.element * heads + h) * length + s.start + t) *
        headDim);
  }
  /// Whether row `row` of q (of queryHeads) or k and v lies in a sequence.
  std::vector<bool> isInside(int64_t heads) const {
    std::vector<bool> inside(size_t(batch * heads * length));
    for (const Sequence &s : sequences())
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t t = 0; t < s.length; ++t)
          inside[rowOf(s, h, t, heads) / size_t(headDim)] = true;
    return inside;
  }
  /// Sets q, k and v outside the sequences.
  void fillOutside(double value) {
    for (auto [x, heads] : {std::pair(&q, queryHeads), {&k, keyHeads}, {&v, keyHeads}}) {
      const std::vector<bool> inside = isInside(heads);
      for (size_t i = 0; i < x->size(); ++i)
        (*x)[i] = inside[i / size_t(headDim)] ? (*x)[i] : value;
    }
  }
  /// The largest |o| there; NaN if there is one.
  double largestOutside(const std::vector<double> &o) const {
    const std::vector<bool> inside = isInside(queryHeads);
    double largest = 0;
    for (size_t i = 0; i < o.size(); ++i)
      if (!inside[i / size_t(headDim)] && !(std::fabs(o[i]) <= largest))
        largest = std::fabs(o[i]);
    return largest;
  }
  size_t index(int64_t b, int64_t h, int64_t t, int64_t e, int64_t heads) const {
    return static_cast<size_t>(((b * heads + h) * length + t) * headDim + e);
  }
};

inline Inputs randomInputs(std::mt19937 &generator, int64_t batch, int64_t queryHeads,
                           int64_t keyHeads, int64_t length, int64_t headDim,
                           const std::string &dtype = "float32", double spread = 1) {
  Inputs in{
      batch, queryHeads, keyHeads, length, headDim, {}, {}, {}, 1 / std::sqrt(double(headDim)),
      false, 0};
  std::normal_distribution<double> normal;
  auto fill = [&](std::vector<double> &x, int64_t heads, double size) {
    x.resize(static_cast<size_t>(batch * heads * length * headDim));
    for (double &value : x)
      value = rounded(size * normal(generator), dtype);
  };
  fill(in.q, queryHeads, spread);
  fill(in.k, keyHeads, spread);
  fill(in.v, keyHeads, 1);
  return in;
}

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
  Program prepare(const std::string &spec, std::string config = "") {
    nysjit_program *program = nullptr;
    // A random config may not fit a GPU's shared memory: that is said, and the defaults do.
    if (place.isGpu() && !config.empty() &&
        nysjit_prepare(context, spec.c_str(), config.c_str(),
                       target.empty() ? nullptr : target.c_str(), &program) != NYSJIT_OK) {
      EXPECT_NE(std::string(nysjit_last_error()).find("bytes of shared memory"), std::string::npos)
          << nysjit_last_error();
      config = "";
    } else if (program) {
      return Program(program, nysjit_program_release);
    }
    EXPECT_EQ(nysjit_prepare(context, spec.c_str(), config.empty() ? nullptr : config.c_str(),
                             target.empty() ? nullptr : target.c_str(), &program),
              NYSJIT_OK)
        << spec << ": " << nysjit_last_error();
    return Program(program, nysjit_program_release);
  }

  /// O as float32 numbers (or as `outputDtype`); NaNs where it could not run, after a failure that
  /// says why, or with a `status`. `launched`: the kernels that ran.
  std::vector<double> run(nysjit_program *program, const Inputs &in, const std::string &dtype,
                          const std::string &outputDtype = "float32",
                          nysjit_status *status = nullptr,
                          std::vector<std::string> *launched = nullptr) {
    if (!program)
      return std::vector<double>(in.q.size(), NAN);
    Tensor q = makeTensor(in.q, in.queryShape(), dtype, in.swapHeads, in.padding);
    Tensor k = makeTensor(in.k, in.keyShape(), dtype, in.swapHeads, in.padding);
    Tensor v = makeTensor(in.v, in.keyShape(), dtype, in.swapHeads, in.padding);
    Tensor o = makeTensor(std::vector<double>(in.q.size(), NAN), in.queryShape(), outputDtype,
                          in.swapHeads, in.padding);
    const float scale = static_cast<float>(in.scale);
    nysjit_run_args args = {};
    args.size = sizeof args;
    args.scale = &scale;
    args.max_length = in.maxLength;
    std::list<Tensor> others;
    std::list<DLTensor> views;
    std::vector<std::unique_ptr<DeviceBytes>> onDevice;
    auto pass = [&](const DLTensor *nysjit_run_args::*field, Tensor &tensor) {
      views.push_back(tensor.view());
      if (gpu) {
        onDevice.push_back(std::make_unique<DeviceBytes>(*gpu, tensor.bytes));
        views.back().data = onDevice.back()->pointer();
        views.back().device = {kDLCUDA, 0};
      }
      args.*field = &views.back();
    };
    pass(&nysjit_run_args::q, q);
    pass(&nysjit_run_args::k, k);
    pass(&nysjit_run_args::v, v);
    auto passNumbers = [&](const DLTensor *nysjit_run_args::*field,
                           const std::vector<double> &numbers, std::vector<int64_t> shape) {
      if (!numbers.empty())
        pass(field, others.emplace_back(makeTensor(numbers, shape, dtype)));
    };
    const int64_t landmarks = static_cast<int64_t>(in.landmarkQ.size()) /
                              std::max<int64_t>(in.queryHeads * in.headDim, 1);
    passNumbers(&nysjit_run_args::landmark_q, in.landmarkQ, {in.queryHeads, landmarks, in.headDim});
    passNumbers(&nysjit_run_args::landmark_k, in.landmarkK, {in.keyHeads, landmarks, in.headDim});
    passNumbers(&nysjit_run_args::conv, in.conv,
                {in.queryHeads, static_cast<int64_t>(in.conv.size()) / in.queryHeads});
    for (const auto &[field, numbers] : {std::pair(&nysjit_run_args::cu_seqlens, &in.cuSeqlens),
                                         {&nysjit_run_args::seqlens, &in.seqlens},
                                         {&nysjit_run_args::seq_starts, &in.starts},
                                         {&nysjit_run_args::source_len, &in.sourceLen}})
      if (!numbers->empty())
        pass(field, others.emplace_back(makeIntegers(*numbers)));
    pass(&nysjit_run_args::o, o);
    std::vector<char> gaps = o.bytes;
    nysjit_launch_timing timings[16] = {};
    size_t launches = 0;
    if (launched) {
      args.timings = timings;
      args.timing_capacity = 16;
      args.timing_count = &launches;
    }
    const nysjit_status done = nysjit_run(program, &args, nullptr);
    for (size_t i = 0; i < launches; ++i)
      launched->push_back(timings[i].kernel);
    if (status)
      *status = done;
    else
      EXPECT_EQ(done, NYSJIT_OK) << nysjit_last_error();
    if (gpu) {
      EXPECT_EQ(gpu->findings(), "");
      onDevice.back()->copyTo(o.bytes);
    }
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
  std::unique_ptr<testing::ScopedTrace> trace;
};

/// The float64 reference on the same inputs.
inline std::vector<double> expected(const std::string &specJson, const Inputs &in) {
  auto spec = parseKernelSpec(specJson);
  EXPECT_TRUE(spec.ok()) << specJson;
  reference::ReferenceInput input;
  input.spec = *spec;
  input.scale = static_cast<float>(in.scale);
  input.batch = in.batch;
  input.queryHeads = in.queryHeads;
  input.keyHeads = in.keyHeads;
  input.length = in.length;
  input.q = in.q.data();
  input.k = in.k.data();
  input.v = in.v.data();
  input.packed = in.isPacked();
  input.landmarkQ = in.landmarkQ.empty() ? nullptr : in.landmarkQ.data();
  input.landmarkK = in.landmarkK.empty() ? nullptr : in.landmarkK.data();
  input.conv = in.conv.empty() ? nullptr : in.conv.data();
  for (size_t b = 0; b + 1 < in.cuSeqlens.size(); ++b) {
    input.starts.push_back(in.cuSeqlens[b]);
    input.lengths.push_back(in.cuSeqlens[b + 1] - in.cuSeqlens[b]);
  }
  if (!in.seqlens.empty()) {
    input.lengths = in.seqlens;
    input.starts = in.starts.empty() ? std::vector<int64_t>(in.seqlens.size(), 0) : in.starts;
  }
  input.sourceLengths = in.sourceLen;
  auto o = reference::compute(input);
  EXPECT_TRUE(o.ok()) << (o.ok() ? "" : o.error().message);
  return o.ok() ? *o : std::vector<double>();
}

/// ||x - y|| / ||y||, absolute where y is 0.
inline double relativeError(const std::vector<double> &x, const std::vector<double> &y) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    error += (x[i] - y[i]) * (x[i] - y[i]);
    norm += y[i] * y[i];
  }
  return x.size() != y.size() ? INFINITY : norm > 0 ? std::sqrt(error / norm) : std::sqrt(error);
}

inline double bound(const std::string &dtype) {
  return dtype == "float32" ? 1e-5 : dtype == "float16" ? 2e-3 : 1e-2;
}

/// The places this machine has; each is a parameter of every test here. A GPU is among them where
/// there is one.
inline std::vector<std::string> targets() {
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

/// A random generator whose seed stands in every failure; NYSJIT_TEST_SEED=SEED runs that one
/// again.
struct Seeded {
  unsigned seed = std::getenv("NYSJIT_TEST_SEED")
                      ? unsigned(std::strtoul(std::getenv("NYSJIT_TEST_SEED"), nullptr, 10))
                      : std::random_device{}();
  std::mt19937 generator{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__, "NYSJIT_TEST_SEED=" + std::to_string(seed)};
  int64_t between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
  }
  template <typename T> T oneOf(std::initializer_list<T> choices) {
    return *(choices.begin() + between(0, int64_t(choices.size()) - 1));
  }
};

} // namespace nysjit::conformance

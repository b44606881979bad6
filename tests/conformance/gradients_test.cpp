// Gradients of every layout that has them: the golden cases, random specs and shapes beside the
// float64 reference, and what holds to the bit.
#include "tests/conformance/golden_inputs.h"
#include "tests/conformance/gradient_traces.h"
#include "tests/conformance/random_spec.h"
#include "tests/conformance/specs.h"

#include <algorithm>

using namespace nysjit;
using namespace nysjit::conformance;

namespace {

//===- Golden ---------------------------------------------------------------------------------===//

std::vector<std::string> goldenCases() {
  std::vector<std::string> found;
  for (const std::string &name : golden::names()) {
    const std::string folder = golden::root() + name + "/";
    if (std::filesystem::exists(folder + "dout.npy"))
      found.push_back(name);
  }
  return found;
}

class GoldenGradients
    : public testing::TestWithParam<std::tuple<std::string, std::string, std::string>> {};

/// Of each case: float32 on one of the CPU's targets and one emulated GPU, one of the 16-bit dtypes
/// on another. NYSJIT_TEST_ALL=1: every dtype in every place.
bool isTried(size_t number, const std::string &dtype, const Place &place) {
  const bool isOdd = number % 2 != 0;
  if (std::getenv("NYSJIT_TEST_ALL"))
    return true;
  if (place.isEmulator())
    return dtype == "float32" ? place.isLazy == isOdd
                              : place.isLazy != isOdd && (dtype == "bfloat16") == (number % 4 < 2);
  // Not every CPU has what v4 asks for.
  static const bool hasV4 = std::ranges::count(places(), "cpu:x86-64-v4") != 0;
  const char *const other = number % 4 && hasV4 ? "cpu:x86-64-v4" : "cpu:x86-64-v3";
  return dtype == "float32" && place.target == (isOdd ? "cpu:native" : other);
}

std::vector<std::tuple<std::string, std::string, std::string>> goldenRuns() {
  std::vector<std::tuple<std::string, std::string, std::string>> runs;
  const std::vector<std::string> cases = goldenCases();
  for (size_t number = 0; number < cases.size(); ++number)
    for (const char *dtype : {"float32", "float16", "bfloat16"})
      for (const std::string &place : places())
        if (isTried(number, dtype, Place(place)) || Place(place).device == "cuda")
          runs.emplace_back(cases[number], dtype, place);
  return runs;
}

TEST_P(GoldenGradients, WithinTheirBounds) {
  const auto &[name, dtype, place] = GetParam();
  const golden::Case c = golden::load(name);
  const Inputs in = goldenInputs(c, dtype);
  auto spec = nlohmann::json::parse(golden::textOf(golden::root() + name + "/spec.json"));
  spec["dtype"] = dtype;
  Device device(place);
  const Written written = runGradients(device, spec.dump(), in, {.dtype = dtype});
  if (!c.has("dq")) { // none are asked for: finite
    for (const auto &[tensor, numbers] : written)
      EXPECT_TRUE(std::ranges::all_of(numbers, [](double x) { return std::isfinite(x); }))
          << tensor;
    return;
  }
  EXPECT_EQ(written.contains("dq") && written.contains("dk") && written.contains("dv"), true);
  if (dtype != "float32")
    return expectGradients(spec.dump(), in, written, device.place.isGpu());
  std::vector<double> dout = in.dout; // what lies outside the sequences is NaN
  std::erase_if(dout, [](double x) { return std::isnan(x); });
  for (const auto &[tensor, numbers] : written)
    if (tensor != "o")
      EXPECT_LE(
          reference::gradientError(numbers, c.arrays.at(tensor).toDouble(), reference::norm(dout)),
          1e-5)
          << tensor;
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenGradients, testing::ValuesIn(goldenRuns()),
                         [](const auto &info) {
                           return testName(std::get<0>(info.param) + "_" + std::get<1>(info.param) +
                                           "_" + std::get<2>(info.param));
                         });

//===- Random ---------------------------------------------------------------------------------===//

class RandomGradients : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(RandomGradients, AreTheReferences) {
  const auto &[dtype, place] = GetParam();
  Seeded random;
  Device device(place, 0, /*useCache=*/false);
  for (const char *layout :
       {"causal", "learned", "exact_causal", "bidirectional", "segment_causal", "prefix_lm"}) {
    if (device.gpu && random.between(0, 2)) // they take long to compile
      continue;
    const nlohmann::json spec = randomSpec(random, layout, dtype);
    Inputs in = randomInputsOf(random, spec, bool(device.gpu));
    addOutputGradient(random.generator, in, dtype);
    in.fillOutside(NAN);
    GradientOptions options{.dtype = dtype,
                            .outputDtype = random.oneOf<std::string>({"float32", dtype})};
    options.isRecomputed = random.between(0, 2) == 0;
    for (const char *name : {"dq", "dk", "dv", "dconv", "dlandmark_q"})
      if (random.between(0, 4) == 0)
        options.leftOut.insert(name);
    SCOPED_TRACE(spec.dump() + " " + describe(in) + (options.isRecomputed ? " recomputed" : ""));
    const Written written = runGradients(device, spec.dump(), in, options);
    EXPECT_LE(relativeError(written.at("o"), expected(spec.dump(), in)),
              bound(spec.dump(), in, place));
    expectGradients(spec.dump(), in, written, device.place.isGpu());
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RandomGradients,
                         testing::Combine(testing::Values("float32", "float16", "bfloat16"),
                                          testing::ValuesIn(places())),
                         [](const auto &info) {
                           return testName(std::get<0>(info.param) + "_" + std::get<1>(info.param));
                         });

//===- One position ---------------------------------------------------------------------------===//

class OnePosition : public testing::TestWithParam<std::string> {};

/// Its softmaxes, of one weight each, give nothing to q and k, whatever the output was rounded to:
/// to the bit, for nothing else is there that an error could be small beside.
TEST_P(OnePosition, GivesQueriesAndKeysNoGradient) {
  Seeded random;
  Device device(GetParam(), 0, /*useCache=*/false);
  const auto dtype = random.oneOf<std::string>({"float32", "float16", "bfloat16"});
  for (const std::string layout : {"causal", "segment_causal", "prefix_lm", "bidirectional"}) {
    if (device.gpu && random.between(0, 1)) // they take long to compile
      continue;
    nlohmann::json spec = {{"layout", layout},
                           {"head_dim", 24},
                           {"landmarks", 8},
                           {"conv_kernel", 5},
                           {"dtype", dtype}};
    if (layout != "bidirectional")
      spec.update({{"segment_len", 4}, {"stabilizer", 0.125}});
    Inputs in = randomInputs(random.generator, 1, 2, 1, 1, 24, dtype, 3);
    addLearned(random, in, spec, 1);
    addOutputGradient(random.generator, in, dtype);
    if (layout == "prefix_lm")
      in.sourceLen = {random.between(0, 1)};
    SCOPED_TRACE(spec.dump() + " " + describe(in));
    const Written written = runGradients(device, spec.dump(), in, {dtype, dtype});
    for (const char *gradient : {"dq", "dk"})
      EXPECT_EQ(written.at(gradient), std::vector<double>(written.at(gradient).size(), 0.0))
          << gradient;
    expectGradients(spec.dump(), in, written, device.place.isGpu());
  }
}

INSTANTIATE_TEST_SUITE_P(Places, OnePosition, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

/// An output of a softmax and many taps, rounded with them: gradients by the softmax's queries are
/// only rounded themselves.
TEST(Convolved, OutputsInSixteenBitsCostQueriesNothing) {
  Seeded random;
  Device device("cpu:native");
  const nlohmann::json spec = {{"layout", "causal"}, {"head_dim", 32},     {"landmarks", 8},
                               {"segment_len", 16},  {"conv_kernel", 129}, {"dtype", "bfloat16"}};
  Inputs in = randomInputs(random.generator, 1, 2, 1, 100, 32, "bfloat16");
  addLearned(random, in, spec, 1);
  addOutputGradient(random.generator, in, "bfloat16");
  for (const bool isRecomputed : {false, true}) {
    GradientOptions options{"bfloat16", "bfloat16"};
    options.isRecomputed = isRecomputed;
    const Written written = runGradients(device, spec.dump(), in, options);
    const Result<reference::Gradients> right =
        reference::gradients(referenceInput(spec.dump(), in));
    ASSERT_TRUE(right.ok()) << right.error().message;
    EXPECT_LE(reference::gradientError(written.at("dq"), right->q, right->doutNorm), 3e-3);
  }
}

//===- Memory between the two -----------------------------------------------------------------===//

class SavedMemory : public testing::Test {
protected:
  Device device{"cpu:native"};
  Seeded random;
  Inputs in = randomInputs(random.generator, 2, 4, 2, 100, 32);
  Device::Program forward = device.prepare(exactSpec);
  Device::Program saving = device.prepare(withPass(exactSpec, "saving"));
  Arguments call{nullptr, in, "float32", "float32"};
  alignas(64) char memory[16384] = {};
  static constexpr size_t needed = 2 * 4 * 100 * 2 * sizeof(float); // two numbers a row and head

  /// What nysjit_run says of it.
  std::string say(const Device::Program &program, void *saved, size_t size) {
    nysjit_run_args args = call.args;
    args.saved = saved;
    args.saved_size = size;
    const nysjit_status status = nysjit_run(program.get(), &args, nullptr);
    EXPECT_EQ(status, NYSJIT_INVALID_ARGUMENT);
    return nysjit_last_error();
  }
  size_t sizeOf(const char *pass) {
    size_t size = 1;
    nysjit_run_args args = call.args;
    EXPECT_EQ(nysjit_saved_size(device.prepare(withPass(exactSpec, pass)).get(), &args, &size),
              NYSJIT_OK)
        << nysjit_last_error();
    return size;
  }
};

TEST_F(SavedMemory, IsTwoNumbersARowOfExactAttention) {
  EXPECT_EQ(sizeOf("forward"), 0u);
  EXPECT_EQ(sizeOf("saving"), needed);
}

TEST_F(SavedMemory, IsRefusedByName) {
  const std::string bytes = std::to_string(needed);
  EXPECT_EQ(say(saving, nullptr, 0),
            "saved: expected " + bytes +
                " bytes of memory for what a backward run reads, found NULL");
  EXPECT_EQ(say(saving, nullptr, 64), "saved_size: expected 0 where saved is NULL, found 64");
  EXPECT_EQ(say(saving, memory, needed - 1), "saved_size: expected at least " + bytes +
                                                 " bytes, found " + std::to_string(needed - 1));
  EXPECT_EQ(say(saving, memory + 4, needed),
            "saved: expected memory at a 64-byte boundary, found memory that is not");
  EXPECT_EQ(say(forward, memory, needed),
            "saved: expected NULL (a program with pass forward keeps nothing), found memory");
}

TEST_F(SavedMemory, IsApartFromTensors) {
  DLTensor k = *call.args.k;
  int64_t strides[] = {0, 0, 0, 1}; // one row is that of all positions
  k.strides = strides;
  k.data = memory + needed - 64;
  k.byte_offset = 0;
  call.args.k = &k;
  EXPECT_EQ(say(saving, memory, needed),
            "saved: expected memory that does not overlap k, found memory that does");
}

TEST_F(SavedMemory, OfABackwardRunMayBeLeftOut) {
  addOutputGradient(random.generator, in);
  Device::Program backward = device.prepare(withPass(exactSpec, "backward"));
  Arguments all{nullptr, in, "float32", "float32"};
  size_t with = 0;
  size_t without = 0;
  nysjit_run_args args = all.args;
  EXPECT_EQ(nysjit_workspace_size(backward.get(), &args, &without), NYSJIT_OK);
  args.saved = memory;
  EXPECT_EQ(nysjit_workspace_size(backward.get(), &args, &with), NYSJIT_OK);
  size_t saved = 0;
  EXPECT_EQ(nysjit_saved_size(backward.get(), &args, &saved), NYSJIT_OK);
  EXPECT_EQ(saved, needed);
  EXPECT_EQ(without, with + needed);
}

//===- Training -------------------------------------------------------------------------------===//

/// The loss |O - target|^2 / 2 of gradient descent on q, k and v, step by step; `outputsOf` gives o
/// and the gradients of (O - target).
template <typename OutputsOf>
std::vector<double> losses(Inputs in, const std::vector<double> &target, OutputsOf &&outputsOf) {
  std::vector<double> all;
  for (int step = 0; step < 12; ++step) {
    in.hasGradients = false;
    in.dout.clear();
    const Written forward = outputsOf(in);
    double loss = 0;
    for (size_t i = 0; i < target.size(); ++i) {
      const double difference = forward.at("o")[i] - target[i];
      in.dout.push_back(difference);
      loss += difference * difference / 2;
    }
    all.push_back(loss);
    in.hasGradients = true;
    const Written gradients = outputsOf(in);
    for (auto [what, name] : {std::pair(&in.q, "dq"), {&in.k, "dk"}, {&in.v, "dv"}})
      for (size_t i = 0; i < what->size(); ++i)
        (*what)[i] -= 0.01 * gradients.at(name)[i];
  }
  return all;
}

class Training : public testing::TestWithParam<std::string> {};

TEST_P(Training, TheLossFallsAsInFloat64) {
  Seeded random;
  Device device("cpu:native");
  const std::string spec = GetParam();
  Inputs in = randomInputs(random.generator, 1, 2, 2, 150, 32);
  if (nlohmann::json::parse(spec)["layout"] == "prefix_lm")
    in.sourceLen = {70};
  const std::vector<double> target = randomInputs(random.generator, 1, 2, 2, 150, 32).q;
  const std::vector<double> found = losses(in, target, [&](const Inputs &now) {
    return !now.hasGradients ? Written{{"o", device.run(spec, now)}}
                             : runGradients(device, spec, now);
  });
  const std::vector<double> right = losses(in, target, [&](const Inputs &now) {
    Written written{{"o", expected(spec, now)}};
    if (now.hasGradients) {
      const auto gradients = reference::gradients(referenceInput(spec, now));
      written["dq"] = gradients->q;
      written["dk"] = gradients->k;
      written["dv"] = gradients->v;
    }
    return written;
  });
  for (size_t step = 0; step < right.size(); ++step) {
    EXPECT_NEAR(found[step], right[step], 1e-4 * right[step]) << "step " << step;
    if (step > 0)
      EXPECT_LT(found[step], found[step - 1]) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, Training,
                         testing::Values(exactSpec, causalSpec, streamingSpec, segmentSpec,
                                         bidirectionalSpec, prefixSpec),
                         [](const auto &info) {
                           const auto spec = nlohmann::json::parse(info.param);
                           return spec["layout"].template get<std::string>() +
                                  (spec.contains("landmark_value") ? "_streaming" : "");
                         });

//===- To the bit -----------------------------------------------------------------------------===//

const char *const causalSpecs[] = {exactSpec, causalSpec, streamingSpec};

class GradientBits : public testing::TestWithParam<std::string> {
protected:
  Seeded random;
  Device device{GetParam()};

  Inputs inputs(int64_t length) {
    Inputs in = randomInputs(random.generator, 1, 2, 1, length, 32);
    addOutputGradient(random.generator, in);
    return in;
  }
};

TEST_P(GradientBits, SavingComputesWhatForwardDoes) {
  for (const char *spec :
       {exactSpec, causalSpec, streamingSpec, segmentSpec, bidirectionalSpec, prefixSpec}) {
    if (device.gpu && random.between(0, 1)) // they take long to compile
      continue;
    SCOPED_TRACE(spec);
    Inputs in = inputs(random.between(1, 300));
    if (std::string(spec) == prefixSpec)
      in.sourceLen = {random.between(0, in.length)};
    const Written kept = runGradients(device, spec, in);
    const Written again = runGradients(device, spec, in, {.isRecomputed = true});
    EXPECT_EQ(kept, again) << "kept, and computed again";
    in.hasGradients = false;
    EXPECT_EQ(kept.at("o"), device.run(spec, in)) << "o of saving and of forward";
  }
}

TEST_P(GradientBits, WhatIsLeftOutChangesNoOther) {
  Inputs in = inputs(150);
  const Written all = runGradients(device, causalSpec, in);
  for (const char *name : {"dq", "dk", "dv"}) {
    Written others = all;
    others.erase(name);
    EXPECT_EQ(runGradients(device, causalSpec, in, {.leftOut = {name}}), others) << name;
  }
}

TEST_P(GradientBits, RowsWithoutGradientLeaveNoTrace) {
  for (const char *spec : causalSpecs) {
    const Inputs in = inputs(random.between(2, 260));
    expectNoTrace(device, spec, in, random.between(1, in.length - 1), random);
  }
}

INSTANTIATE_TEST_SUITE_P(Places, GradientBits, testing::ValuesIn(places()),
                         [](const auto &info) { return testName(info.param); });

/// Where a block has 99 KiB, loads of so wide heads take turns in them.
TEST(WidestHeads, StayWithinTheBoundWhereTheirTilesTakeTurns) {
  Device device("ptx-emulator lazy cuda:sm_120");
  Seeded random;
  for (const auto &[rest, dtype] :
       {std::pair(R"("layout": "prefix_lm", "landmarks": 7, "segment_len": 9)", "float32"),
        {R"("layout": "causal", "landmarks": 7, "segment_len": 9, "window": 1)", "float16"}}) {
    const std::string spec =
        R"({"head_dim": 256, "dtype": ")" + std::string(dtype) + "\", " + std::string(rest) + "}";
    Inputs in = randomInputs(random.generator, 1, 2, 1, random.between(20, 60), 256, dtype);
    addOutputGradient(random.generator, in, dtype);
    if (std::string(rest).find("prefix") != std::string::npos)
      in.sourceLen = {random.between(0, in.length)};
    expectGradients(spec, in, runGradients(device, spec, in, {.dtype = dtype}), /*isGpu=*/true);
  }
}

} // namespace

// What the emulator does not run it refuses when the module is loaded, by name: wmma.cu,
// recursion.cu. The tests of their results wait, disabled, in fixture_tensor_test.cpp and
// fixture_control_test.cpp.
#include "tests/emulator/fixture.h"

using namespace nysjit::emulator_test;

namespace {

/// What the log says of a module that does not load; "" if it does.
std::string refusal(const std::string &name) {
  try {
    Module module(fixture(name));
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return "";
}

} // namespace

TEST(EmulatorRefuses, Wmma) {
  Device device({.capability = 100});
  for (const char *name : {"wmma", "wmma_sm100"}) {
    const std::string message = refusal(name);
    EXPECT_NE(message.find("wmma.load.a.sync.aligned.row.m16n16k16"), message.npos) << message;
    EXPECT_NE(message.find("CUDA_ERROR_INVALID_PTX"), message.npos) << message;
  }
}

TEST(EmulatorRefuses, Recursion) {
  Device device({.capability = 100});
  for (const char *name : {"recursion", "recursion_sm100"}) {
    const std::string message = refusal(name);
    EXPECT_NE(message.find("recursive calls are not supported"), message.npos) << message;
  }
}

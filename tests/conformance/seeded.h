// Random numbers of a test, whose seed a failure prints.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

namespace nysjit::conformance {

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

// Numbers in environment variables: whole, or refused by name.
#include "runtime/base/environment.h"

#include <gtest/gtest.h>

namespace nysjit {
namespace {

constexpr const char *name = "NYSJIT_TEST_NUMBER";

Result<std::optional<int64_t>> numberOf(const char *text) {
  setenv(name, text, 1);
  Result<std::optional<int64_t>> number = environmentNumber(name, 1, 1000);
  unsetenv(name);
  return number;
}

TEST(Environment, NumbersInRangeAreRead) {
  EXPECT_EQ(**numberOf("1"), 1);
  EXPECT_EQ(**numberOf("1000"), 1000);
}

TEST(Environment, WhatIsNotSetOrEmptyIsNothing) {
  EXPECT_FALSE(environmentNumber(name, 1, 1000)->has_value());
  EXPECT_FALSE(numberOf("")->has_value());
}

TEST(Environment, AllElseIsRefusedByName) {
  for (const char *text :
       {"2s", "-5", "abc", "0", "1001", " 1", "1 ", "+1", "0x10", "1.5", "99999999999999999999"}) {
    const Result<std::optional<int64_t>> number = numberOf(text);
    ASSERT_FALSE(number.ok()) << text;
    EXPECT_EQ(number.error().kind, ErrorKind::InvalidArgument);
    EXPECT_EQ(number.error().where, name);
    EXPECT_EQ(number.error().expected, "a whole number from 1 to 1000");
    EXPECT_EQ(number.error().found, '"' + std::string(text) + '"');
  }
}

} // namespace
} // namespace nysjit

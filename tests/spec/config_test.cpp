// KernelConfig: by kernel name, each key optional.
#include "runtime/spec/spec.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace nysjit;

namespace {

Error failure(std::string_view text) {
  Result<KernelConfig> config = parseKernelConfig(text);
  EXPECT_FALSE(config.ok()) << text;
  return config.ok() ? Error{} : config.error();
}

TEST(Config, HoldsWhatIsSet) {
  Result<KernelConfig> config =
      parseKernelConfig(R"({"schema":1,"causal_output":{"block_m":64,"num_warps":8},)"
                        R"("pool":{"block_n":256,"num_stages":3}})");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->kernels.at("causal_output").blockM, 64);
  EXPECT_EQ(config->kernels.at("causal_output").blockN, std::nullopt);
  EXPECT_EQ(config->kernels.at("pool").numStages, 3);
  EXPECT_EQ(canonicalJson(*config), R"({"causal_output":{"block_m":64,"num_warps":8},)"
                                    R"("pool":{"block_n":256,"num_stages":3}})");
}

TEST(Config, EmptyIsAllDefaults) {
  ASSERT_TRUE(parseKernelConfig("{}").ok());
  EXPECT_EQ(canonicalJson(*parseKernelConfig("{}")), "{}");
}

TEST(Config, ARangeViolatedNamesKernelAndKey) {
  for (const char *value : {"0", "8", "48", "512", "64.0", "\"64\"", "true", "null", "-64"})
    for (const char *key : {"block_m", "block_n"}) {
      Error error = failure("{\"kernel\":{\"" + std::string(key) + "\":" + value + "}}");
      EXPECT_EQ(error.where, "kernel." + std::string(key));
      EXPECT_EQ(error.expected, "an integer, 16 to 256, a power of two");
    }
  EXPECT_EQ(failure(R"({"kernel":{"num_warps":3}})").expected,
            "an integer, 1 to 8, a power of two");
  EXPECT_EQ(failure(R"({"kernel":{"num_stages":9}})").expected, "an integer, 1 to 8");
  EXPECT_EQ(failure(R"({"kernel":{"fused":2}})").expected,
            "0, or an integer, 1 to 1, a power of two");
}

TEST(Config, UnknownKeysAndForeignValuesAreErrors) {
  EXPECT_EQ(failure(R"({"kernel":{"block_k":64}})").where, "kernel.block_k");
  EXPECT_EQ(failure(R"({"kernel":64})").where, "kernel");
  EXPECT_EQ(failure(R"({"schema":2})").where, "schema");
  EXPECT_EQ(failure(R"({"a kernel":{}})").kind, ErrorKind::InvalidKey);
  EXPECT_EQ(failure(R"({"kernel":{"block_m":64,"block_m":64}})").where, "block_m");
  EXPECT_EQ(failure("[]").kind, ErrorKind::InvalidJson);
}

} // namespace

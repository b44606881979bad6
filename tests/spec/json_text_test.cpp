// Texts that are hostile or damaged: an error each, never a crash and never silently accepted.
#include "runtime/spec/spec.h"

#include <gtest/gtest.h>

using namespace nysjit;

namespace {

Error failure(std::string_view text) {
  Result<KernelSpec> spec = parseKernelSpec(text);
  EXPECT_FALSE(spec.ok()) << text;
  return spec.ok() ? Error{} : spec.error();
}

std::string headDim(const std::string &value) {
  return R"({"layout":"exact_causal","head_dim":)" + value + "}";
}

TEST(JsonText, WhatIsNoJsonObjectIsInvalidJson) {
  for (const char *text : {"", " \n", "{", "}", "[]", "1", "null", "\"text\"", "{\"layout\"}",
                           "{}{}", "{},", "nan", "{\"layout\":\"causal\",}", "{\"head_dim\":064}",
                           "{\"head_dim\":0x40}", "[{\"layout\":\"causal\"}]", "\xef\xbb\xbf"})
    EXPECT_EQ(failure(text).kind, ErrorKind::InvalidJson) << text;
}

TEST(JsonText, ASyntaxErrorSaysWhere) {
  EXPECT_NE(failure("{\"layout\": \"causal\"\n\"head_dim\": 64}").message.find("line 2, column 10"),
            std::string::npos)
      << failure("{\"layout\": \"causal\"\n\"head_dim\": 64}").message;
}

TEST(JsonText, NumbersThatCannotBeHeldNameTheKey) {
  for (const char *value :
       {"NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1180591620717411303424",
        "-9223372036854775809", "1e400000000000", "+64"}) {
    EXPECT_EQ(failure(headDim(value)).where, "head_dim") << value;
    EXPECT_NE(failure(headDim(value)).message.find("head_dim"), std::string::npos);
  }
  EXPECT_EQ(failure(headDim("1e999")).kind, ErrorKind::InvalidKey);
}

TEST(JsonText, AKeyGivenTwiceIsNamed) {
  Error error = failure(R"({"layout":"exact_causal","head_dim":64,"head_dim":64})");
  EXPECT_EQ(error.kind, ErrorKind::InvalidKey);
  EXPECT_EQ(error.where, "head_dim");
  EXPECT_EQ(failure(R"({"layout":"exact_causal","head_dim":64,"l\u0061yout":"causal"})").where,
            "layout");
}

TEST(JsonText, DeepNestingIsAnError) {
  for (int depth : {65, 1000, 1000000}) {
    EXPECT_EQ(failure(headDim(std::string(size_t(depth), '['))).kind, ErrorKind::InvalidJson);
    std::string objects;
    for (int i = 0; i < depth; ++i)
      objects += "{\"a\":";
    EXPECT_EQ(failure(objects).kind, ErrorKind::InvalidJson);
  }
}

TEST(JsonText, InvalidUtf8IsAnErrorWithAPrintableMessage) {
  for (const char *text :
       {"{\"layout\":\"\xff\xfe\"}", "{\"\xc3\x28\":1}", "\x80", "{\"a\":\"\xed\xa0\x80\"}"}) {
    Error error = failure(text);
    for (char c : error.message + error.where + error.found)
      EXPECT_TRUE(c >= 0x20 && c < 0x7f) << error.message;
  }
}

TEST(JsonText, ANulByteEndsNoText) {
  const std::string valid = headDim("64");
  ASSERT_TRUE(parseKernelSpec(valid).ok());
  for (size_t at = 0; at <= valid.size(); ++at) {
    std::string text = valid;
    text.insert(at, 1, '\0');
    const Error error = failure(text + (at == valid.size() ? "what follows" : ""));
    EXPECT_EQ(error.kind, ErrorKind::InvalidJson) << at;
    EXPECT_EQ(error.found, "a NUL byte after " + std::to_string(at) + " bytes");
  }
  EXPECT_EQ(failure(R"({"layout":"exact_causal\u0000","head_dim":64})").where, "layout");
}

TEST(JsonText, AByteOrderMarkIsNoPartOfTheText) {
  EXPECT_TRUE(parseKernelSpec("\xef\xbb\xbf" + headDim("64")).ok());
  EXPECT_EQ(failure(headDim("64") + "\xef\xbb\xbf").kind, ErrorKind::InvalidJson);
}

TEST(JsonText, AnIntegerIsWrittenAsOne) {
  for (const char *value : {"64.0", "6.4e1", "1e2", "-0.0", "\"64\"", "true"}) {
    EXPECT_EQ(failure(headDim(value)).kind, ErrorKind::InvalidKey) << value;
    EXPECT_EQ(failure(headDim(value)).where, "head_dim") << value;
  }
  const Result<KernelSpec> zero =
      parseKernelSpec(R"({"layout":"causal","head_dim":64,"landmarks":4,"window":-0})");
  ASSERT_TRUE(zero.ok()) << zero.error().message;
  EXPECT_EQ(zero->window, 0);
}

TEST(JsonText, LongNamesAndValuesAreCutInMessages) {
  std::string longText(100000, 'x');
  EXPECT_LT(failure("{\"" + longText + "\":1}").message.size(), 500u);
  EXPECT_LT(failure(R"({"layout":")" + longText + "\"}").message.size(), 500u);
  EXPECT_LT(failure(R"({"layout":")" + longText).message.size(), 500u);
}

} // namespace

// PTX's words: identifiers with their dots ("ld.global.L1::evict_last.u32", "%tid.x", ".reg"),
// numbers, strings and single characters, each with its line. Comments and white space are dropped.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit::emulator::syntax {

struct Token {
  enum class Kind : uint8_t { Word, Number, String, Mark, End };
  Kind kind = Kind::End;
  uint32_t line = 0;
  std::string_view text; // a string's without its quotes
};

/// The last token is End. On failure false and the sentence in `error`.
bool tokenize(std::string_view text, std::vector<Token> &tokens, std::string &error);

} // namespace nysjit::emulator::syntax

// One pass over the text. A word may hold "::" (an L1::evict_last), a single ':' ends it (a label).
#include "runtime/emulator/lexer.h"

namespace nysjit::emulator::syntax {

namespace {
bool isAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool startsWord(char c) { return isAlpha(c) || c == '_' || c == '$' || c == '%' || c == '.'; }
bool continuesWord(char c) { return isAlpha(c) || isDigit(c) || c == '_' || c == '$' || c == '.'; }
} // namespace

bool tokenize(std::string_view text, std::vector<Token> &tokens, std::string &error) {
  uint32_t line = 1;
  size_t at = 0;
  auto peek = [&](size_t ahead) { return at + ahead < text.size() ? text[at + ahead] : '\0'; };
  while (at < text.size()) {
    char c = text[at];
    if (c == '\n') {
      ++line, ++at;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || c == '\0') {
      ++at; // a driver's image may end in a zero byte
    } else if (c == '/' && peek(1) == '/') {
      while (at < text.size() && text[at] != '\n')
        ++at;
    } else if (c == '/' && peek(1) == '*') {
      uint32_t start = line;
      at += 2;
      while (at < text.size() && !(text[at] == '*' && peek(1) == '/'))
        line += text[at++] == '\n';
      if (at >= text.size()) {
        error = "line " + std::to_string(start) +
                ": expected the end of a comment, found the end of the text";
        return false;
      }
      at += 2;
    } else if (c == '"') {
      size_t start = ++at;
      while (at < text.size() && text[at] != '"' && text[at] != '\n')
        at += text[at] == '\\' && at + 1 < text.size() ? 2 : 1;
      if (at >= text.size() || text[at] != '"') {
        error = "line " + std::to_string(line) +
                ": expected the end of a string, found the end of the line";
        return false;
      }
      tokens.push_back({Token::Kind::String, line, text.substr(start, at++ - start)});
    } else if (isDigit(c)) {
      size_t start = at;
      bool based = c == '0' && (isAlpha(peek(1)));
      while (at < text.size() && (isAlpha(text[at]) || isDigit(text[at]) || text[at] == '.' ||
                                  (!based && (text[at] == '-' || text[at] == '+') &&
                                   (text[at - 1] == 'e' || text[at - 1] == 'E'))))
        ++at;
      tokens.push_back({Token::Kind::Number, line, text.substr(start, at - start)});
    } else if (startsWord(c)) {
      size_t start = at++;
      while (at < text.size()) {
        if (continuesWord(text[at]))
          ++at;
        else if (text[at] == ':' && peek(1) == ':')
          at += 2;
        else
          break;
      }
      tokens.push_back({Token::Kind::Word, line, text.substr(start, at - start)});
    } else {
      tokens.push_back({Token::Kind::Mark, line, text.substr(at++, 1)});
    }
  }
  tokens.push_back({Token::Kind::End, line, "the end of the text"});
  return true;
}

} // namespace nysjit::emulator::syntax

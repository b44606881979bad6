// The parser's state, shared by the two sources that hold it: parser.cpp (declarations) and
// parser_statement.cpp (bodies). A failure is recorded once and moves to the end of the text, so
// that every loop stops.
#pragma once
#include "runtime/emulator/lexer.h"
#include "runtime/emulator/syntax.h"

#include <unordered_map>

namespace nysjit::emulator::syntax {

// What a text may ask for, so that a short one takes little memory and no stack, whatever it says.
constexpr int deepestNesting = 16;               // braces in operands and initial values
constexpr uint64_t mostRegisters = 1 << 18;      // of a function
constexpr uint64_t mostRegistersOfAll = 1 << 20; // of a module
constexpr uint64_t mostAlignment = 1 << 16;
constexpr uint64_t mostVariableBytes = uint64_t(1) << 28; // of a variable, and of a module's

class Parser {
public:
  Parser(std::vector<Token> tokens, Module &module) : tokens(std::move(tokens)), module(module) {}
  bool run(std::string &error);

private:
  /// A name's meaning in a scope.
  struct Meaning {
    enum class Kind { Register, Variable, ModuleVariable } kind;
    uint32_t index;
  };
  struct Scope {
    std::unordered_map<std::string_view, Meaning> names;
    std::vector<std::pair<std::string_view, std::pair<uint32_t, uint32_t>>>
        ranges; // %r<100>: prefix, first register, count
    uint32_t number;
  };

  const Token &now() const { return tokens[at]; }
  const Token &next() { return tokens[at + 1 < tokens.size() ? at++ : at]; }
  bool is(std::string_view text) const {
    return now().kind != Token::Kind::End && now().kind != Token::Kind::String &&
           now().text == text;
  }
  bool accept(std::string_view text);
  void expect(std::string_view text);
  std::string_view word(const char *what);
  void fail(uint32_t line, const std::string &message);
  void failExpected(const std::string &expected);
  bool ok() const { return failure.empty(); }

  void skipLine();
  void skipBraces();
  void directive();
  void file();
  void location();
  void function(bool entry, bool external);
  void formals(Function &f, bool results);
  void performance(Function &f);
  Variable variable(Space space, bool external);
  void initializer(Variable &v, Type type);
  void initialValue(Variable &v, Type type, uint64_t &place);

  void body(Function &f);
  void statement(Function &f);
  void variables(Function &f);
  void registers(Function &f);
  void instruction(Function &f);
  Operand operand(Function &f);
  Operand bracketed(Function &f);
  /// Counts a level of nesting, of which `leave` is the end; false if it is one too many.
  bool enter();
  void leave() { --nesting; }
  void alignment(Variable &v, bool ofPointee);
  void arraySize(Variable &v, bool &unsized);
  Operand address(Function &f);
  void sequence(Function &f, Operand &into, std::string_view close);
  bool number(Operand &into, bool negative);
  bool lookUp(std::string_view name, Meaning &meaning);
  void declare(std::string_view name, Meaning meaning);
  uint64_t integer(const char *what);

  std::vector<Token> tokens;
  size_t at = 0;
  Module &module;
  std::string failure;
  std::vector<Scope> scopes;
  std::unordered_map<std::string_view, uint32_t> moduleNames;
  std::unordered_map<std::string_view, uint32_t> functionNames;
  int nesting = 0;
  uint64_t registerCount = 0;
  uint64_t variableBytes = 0; // in global and constant memory
  uint32_t locFile = 0;
  uint32_t locLine = 0;
};

} // namespace nysjit::emulator::syntax

// Variables, their initialisers, and parameters of functions.
#include "runtime/emulator/parser.h"

#include <cstring>

namespace nysjit::emulator::syntax {

/// From behind the state space to before the ',' or ';': ".align 16 .b8 name[64] = {...}".
Variable Parser::variable(Space space, bool external) {
  Variable v;
  v.space = space;
  v.external = external;
  v.line = now().line;
  uint32_t vector = 1;
  Type type = Type::None;
  while (ok() && now().kind == Token::Kind::Word && now().text[0] == '.') {
    std::string_view text = next().text.substr(1);
    if (text == "align")
      v.align = uint32_t(integer("an alignment"));
    else if (text == "v2" || text == "v4" || text == "v8")
      vector = uint32_t(text[1] - '0');
    else if (text == "ptr" || text == "attribute" || text == "global" || text == "shared" ||
             text == "const" || text == "local") {
      if (text == "attribute") // .attribute(.managed)
        while (ok() && now().kind != Token::Kind::End && !accept(")"))
          next();
    } else if ((type = typeNamed(text)) == Type::None || typeBytes(type) == 0) {
      fail(now().line, "expected a type, found \"." + std::string(text) + "\"");
    }
  }
  if (ok() && type == Type::None)
    failExpected("a type");
  if (v.align == 0 || (v.align & (v.align - 1)))
    fail(v.line, "expected an alignment that is a power of two, found " + std::to_string(v.align));
  std::string_view name = word("a variable's name");
  v.name = name;
  v.bytes = uint64_t(typeBytes(type)) * vector;
  v.align = std::max<uint32_t>(v.align, uint32_t(v.bytes));
  bool unsized = false;
  while (accept("[")) {
    uint64_t count = 0;
    if (!is("]"))
      count = integer("an array's size");
    else
      unsized = true;
    if (count > uint64_t(1) << 40 || v.bytes > uint64_t(1) << 40)
      fail(v.line, "expected an array of at most 2^40 elements, found " + std::to_string(count));
    v.bytes *= count;
    expect("]");
  }
  if (accept("=")) {
    if (unsized) // .b8 text[] = "..." or {...}: as many as are given
      v.bytes = 0;
    else
      v.initial.assign(v.bytes, 0);
    initializer(v, type);
  }
  v.external = external || (unsized && v.initial.empty());
  if (ok() && scopes.empty()) // a function's own are declared by its body
    moduleNames[name] = uint32_t(module.variables.size());
  return v;
}

void Parser::initializer(Variable &v, Type type) {
  uint64_t place = 0;
  if (now().kind == Token::Kind::String) {
    std::string_view text = next().text;
    v.initial.assign(text.begin(), text.end());
    v.initial.resize(std::max<uint64_t>(v.bytes, text.size() + 1), 0);
    v.bytes = v.initial.size();
    return;
  }
  initialValue(v, type, place);
  if (v.bytes == 0)
    v.bytes = v.initial.size();
}

void Parser::initialValue(Variable &v, Type type, uint64_t &place) {
  uint32_t bytes = typeBytes(type);
  if (accept("{")) {
    while (ok() && !accept("}")) {
      initialValue(v, type, place);
      if (!is("}"))
        expect(",");
    }
    return;
  }
  if (v.initial.size() < place + bytes) {
    if (v.bytes && place + bytes > v.bytes)
      return fail(now().line, "expected at most " + std::to_string(v.bytes) +
                                  " bytes of initial values, found more");
    v.initial.resize(place + bytes, 0);
  }
  uint64_t bits = 0;
  if (now().kind == Token::Kind::Word) { // symbol, generic(symbol), with + offset
    Relocation r;
    r.offset = place;
    r.bytes = bytes;
    if (accept("generic")) {
      r.generic = true;
      expect("(");
      r.symbol = word("a variable");
      expect(")");
    } else {
      r.symbol = word("a variable");
    }
    if (accept("+"))
      bits = integer("an offset");
    v.relocations.push_back(r);
  } else {
    bool negative = accept("-");
    Operand value;
    if (now().kind != Token::Kind::Number || !number(value, negative))
      return failExpected("an initial value");
    bits = value.bits;
    if (value.kind == Operand::Kind::Float && value.floatBits == 0 && type == Type::F32) {
      double wide;
      std::memcpy(&wide, &bits, 8);
      float narrow = float(wide);
      bits = 0;
      std::memcpy(&bits, &narrow, 4);
    }
  }
  std::memcpy(v.initial.data() + place, &bits, std::min<uint32_t>(bytes, 8));
  place += bytes;
}

/// "(.param .u64 a, .param .align 8 .b8 b[16])", also with .reg for functions.
void Parser::formals(Function &f, bool results) {
  if (!accept("("))
    return;
  while (ok() && !accept(")")) {
    Variable v;
    int32_t formalRegister = -1;
    if (accept(".reg")) {
      std::string_view type = word("a type");
      v.name = word("a register's name");
      Type named = typeNamed(type.empty() ? "" : type.substr(1));
      if (named == Type::None)
        fail(now().line, "expected a type, found \"" + std::string(type) + "\"");
      v.space = Space::Param;
      v.bytes = v.align = std::max(1u, typeBytes(named));
      formalRegister = int32_t(f.registers.size());
      f.registers.push_back({v.name, named});
      declare(tokens[at - 1].text, {Meaning::Kind::Register, uint32_t(formalRegister)});
    } else {
      expect(".param");
      // ".param .u64 .ptr .global .align 16 name": the .align is of what the pointer points to.
      bool pointer = false;
      for (size_t ahead = at; ahead < tokens.size() && tokens[ahead].kind == Token::Kind::Word &&
                              !tokens[ahead].text.empty() && tokens[ahead].text[0] == '.';
           ++ahead)
        pointer |= tokens[ahead].text == ".ptr";
      v = variable(Space::Param, false);
      if (pointer)
        v.align = uint32_t(v.bytes);
      if (ok()) {
        size_t named = at - 1;
        while (named > 0 && tokens[named].text != v.name)
          --named;
        declare(tokens[named].text, {Meaning::Kind::Variable, uint32_t(f.variables.size())});
      }
    }
    f.variables.push_back(std::move(v));
    f.formalRegisters.push_back(formalRegister);
    ++(results ? f.resultCount : f.parameterCount);
    if (!is(")"))
      expect(",");
  }
}

} // namespace nysjit::emulator::syntax

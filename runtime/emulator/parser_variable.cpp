// Variables, their initialisers, and parameters of functions.
#include "runtime/emulator/parser.h"

#include <cstring>

namespace nysjit::emulator::syntax {

/// Behind ".align". ".u64 .ptr .global .align 16 name" says of what the pointer points to.
void Parser::alignment(Variable &v, bool ofPointee) {
  const uint64_t bytes = integer("an alignment");
  if (bytes == 0 || bytes > mostAlignment || (bytes & (bytes - 1)))
    fail(v.line, "expected an alignment that is a power of two up to " +
                     std::to_string(mostAlignment) + ", found " + std::to_string(bytes));
  else if (!ofPointee)
    v.align = uint32_t(bytes);
}

/// "[16][2]", which make the variable as many times as large.
void Parser::arraySize(Variable &v, bool &unsized) {
  while (ok() && accept("[")) {
    const bool isEmpty = is("]");
    const uint64_t count = isEmpty ? 0 : integer("an array's size");
    unsized |= isEmpty;
    if (__builtin_mul_overflow(v.bytes, count, &v.bytes) || v.bytes > mostVariableBytes)
      fail(v.line, "expected variables of at most " + std::to_string(mostVariableBytes) +
                       " bytes, found an array of " + std::to_string(count));
    expect("]");
  }
}

/// From behind the state space to before the ',' or ';': ".align 16 .b8 name[64] = {...}".
Variable Parser::variable(Space space, bool external) {
  Variable v;
  v.space = space;
  v.external = external;
  v.line = now().line;
  uint32_t vector = 1;
  Type type = Type::None;
  bool isPointer = false;
  while (ok() && now().kind == Token::Kind::Word && now().text[0] == '.') {
    std::string_view text = next().text.substr(1);
    isPointer |= text == "ptr";
    if (text == "align")
      alignment(v, isPointer);
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
  std::string_view name = word("a variable's name");
  v.name = name;
  v.bytes = uint64_t(typeBytes(type)) * vector;
  v.align = std::max<uint32_t>(v.align, uint32_t(v.bytes));
  bool unsized = false;
  arraySize(v, unsized);
  if (accept("=")) {
    if (unsized) // .b8 text[] = "..." or {...}: as many as are given
      v.bytes = 0;
    initializer(v, type);
  }
  if ((space == Space::Global || space == Space::Const) && ok() &&
      (variableBytes += v.bytes) > mostVariableBytes)
    fail(v.line, "expected variables of at most " + std::to_string(mostVariableBytes) +
                     " bytes in all, found " + v.name + " of " + std::to_string(v.bytes) + " more");
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
    v.initial.push_back(0);
    v.bytes = std::max<uint64_t>(v.bytes, v.initial.size());
    return;
  }
  initialValue(v, type, place);
  if (v.bytes == 0)
    v.bytes = v.initial.size();
}

void Parser::initialValue(Variable &v, Type type, uint64_t &place) {
  uint32_t bytes = typeBytes(type);
  if (is("{")) {
    if (!enter())
      return;
    next();
    while (ok() && !accept("}")) {
      initialValue(v, type, place);
      if (!is("}"))
        expect(",");
    }
    return leave();
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
      v = variable(Space::Param, false);
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

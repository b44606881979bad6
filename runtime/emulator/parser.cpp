// Declarations: directives of the module, functions' heads, variables and their initialisers.
#include "runtime/emulator/parser.h"

#include <cstring>

namespace nysjit::emulator::syntax {

bool Parser::accept(std::string_view text) {
  if (!is(text))
    return false;
  next();
  return true;
}

void Parser::fail(uint32_t line, const std::string &message) {
  if (failure.empty())
    failure = "line " + std::to_string(line) + ": " + message;
  at = tokens.size() - 1;
}

void Parser::failExpected(const std::string &expected) {
  fail(now().line,
       "expected " + expected + ", found \"" + std::string(now().text.substr(0, 60)) + "\"");
}

void Parser::expect(std::string_view text) {
  if (!accept(text))
    failExpected("\"" + std::string(text) + "\"");
}

std::string_view Parser::word(const char *what) {
  if (now().kind != Token::Kind::Word) {
    failExpected(what);
    return "";
  }
  return next().text;
}

uint64_t Parser::integer(const char *what) {
  Operand value;
  bool negative = accept("-");
  if (now().kind != Token::Kind::Number || !number(value, negative) ||
      value.kind != Operand::Kind::Integer) {
    failExpected(what);
    return 0;
  }
  return value.bits;
}

void Parser::skipLine() {
  uint32_t line = now().line;
  while (now().kind != Token::Kind::End && now().line == line)
    next();
}

void Parser::skipBraces() {
  expect("{");
  for (int depth = 1; ok() && depth > 0;) {
    if (now().kind == Token::Kind::End)
      return failExpected("\"}\"");
    depth += is("{") - is("}");
    next();
  }
}

bool Parser::run(std::string &error) {
  while (ok() && now().kind != Token::Kind::End)
    directive();
  if (ok() && module.version == 0)
    fail(1, "expected a .version, found none");
  error = failure;
  return ok();
}

void Parser::directive() {
  bool external = false;
  // Linkage matters only where it says that the definition is elsewhere.
  while (is(".visible") || is(".weak") || is(".common") || is(".extern")) {
    external |= is(".extern");
    next();
  }
  if (accept(".version")) {
    std::string text(next().text);
    module.version = int(std::strtod(text.c_str(), nullptr) * 10 + 0.5);
    if (module.version < 10 || module.version > 999)
      fail(now().line, "expected a version such as 7.0, found \"" + text + "\"");
  } else if (accept(".target")) {
    std::string target(word("a target such as sm_80"));
    if (target.rfind("sm_", 0) == 0)
      module.target = std::atoi(target.c_str() + 3);
    else if (ok())
      fail(now().line, "expected a target such as sm_80, found \"" + target + "\"");
    while (accept(","))
      word("a target's option");
  } else if (accept(".address_size")) {
    if (uint64_t bits = integer("64"); ok() && bits != 64)
      fail(now().line, "expected .address_size 64, found " + std::to_string(bits));
  } else if (is(".file")) {
    file();
  } else if (is(".loc")) {
    location();
  } else if (accept(".section")) {
    word("a section's name");
    skipBraces();
  } else if (accept(".pragma") || accept(".alias")) {
    while (ok() && !accept(";")) {
      if (now().kind == Token::Kind::End)
        return failExpected("\";\"");
      next();
    }
  } else if (is(".entry") || is(".func")) {
    bool entry = next().text == ".entry";
    function(entry, external);
  } else if (is(".global") || is(".const") || is(".shared")) {
    std::string_view name = next().text;
    Space space = name == ".global"  ? Space::Global
                  : name == ".const" ? Space::Const
                                     : Space::Shared;
    do {
      Variable v = variable(space, external);
      if (!ok())
        return;
      module.variables.push_back(std::move(v));
    } while (accept(","));
    expect(";");
  } else if (accept(";")) {
  } else {
    failExpected("a directive");
  }
}

void Parser::file() {
  uint32_t line = next().line;
  uint64_t index = integer("a file's number");
  if (now().kind != Token::Kind::String)
    return failExpected("a file's name");
  if (index > 1u << 16)
    return fail(line, "expected a file's number up to 65536, found " + std::to_string(index));
  if (module.files.size() <= index)
    module.files.resize(index + 1);
  module.files[index] = next().text;
  while (now().kind != Token::Kind::End && now().line == line) // time and size
    next();
}

void Parser::location() {
  uint32_t line = next().line;
  locFile = uint32_t(integer("a file's number"));
  locLine = uint32_t(integer("a line"));
  while (now().kind != Token::Kind::End && now().line == line) // column, function_name, inlined_at
    next();
}

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

void Parser::performance(Function &f) {
  while (ok() && now().kind == Token::Kind::Word && now().text[0] == '.') {
    std::string_view name = next().text;
    uint64_t counts[3] = {1, 1, 1};
    if (name == ".reqntid" || name == ".maxntid" || name == ".reqnctapercluster") {
      counts[0] = integer("a count");
      for (int d = 1; d < 3 && accept(","); ++d)
        counts[d] = integer("a count");
      if (name == ".reqnctapercluster") {
        if (counts[0] * counts[1] * counts[2] != 1)
          fail(now().line, "expected clusters of one block, found .reqnctapercluster " +
                               std::to_string(counts[0]));
        continue;
      }
      for (uint64_t count : counts)
        if (count == 0 || count > 1024)
          fail(now().line, "expected 1 to 1024 threads, found " + std::to_string(count));
      f.maxThreads = uint32_t(std::min<uint64_t>(1024, counts[0] * counts[1] * counts[2]));
      if (name == ".reqntid")
        for (int d = 0; d < 3; ++d)
          f.required[d] = uint32_t(counts[d]);
    } else if (name == ".minnctapersm" || name == ".maxnctapersm" || name == ".maxnreg" ||
               name == ".maxclusterrank") {
      integer("a count");
    } else if (name == ".pragma") {
      while (ok() && now().kind != Token::Kind::End && !accept(";"))
        next();
    } else if (name != ".noreturn" && name != ".explicitcluster" && name != ".blocksareclusters" &&
               name != ".abi_preserve" && name != ".unique") {
      fail(now().line, "expected a function's directive, found \"" + std::string(name) + "\"");
    }
  }
}

void Parser::function(bool entry, bool) {
  Function f;
  f.entry = entry;
  f.line = now().line;
  f.scopeParents = {0};
  scopes.assign(1, Scope());
  scopes[0].number = 0;
  if (!entry)
    formals(f, true);
  std::string_view name = word("a function's name");
  f.name = name;
  formals(f, false);
  performance(f);
  if (!accept(";")) {
    f.defined = true;
    if (ok() && !is("{"))
      failExpected("\"{\" or \";\"");
    locFile = locLine = 0;
    if (ok())
      body(f);
  }
  scopes.clear();
  if (!ok())
    return;
  auto known = functionNames.find(name);
  if (known == functionNames.end()) {
    functionNames[name] = uint32_t(module.functions.size());
    module.functions.push_back(std::move(f));
  } else if (Function &old = module.functions[known->second]; !old.defined) {
    old = std::move(f);
  } else if (f.defined) {
    fail(f.line, "expected one definition of " + f.name + ", found a second");
  }
}

int64_t Function::label(const std::string &name, uint32_t scope) const {
  for (;; scope = scopeParents[scope]) {
    for (const Label &l : labels)
      if (l.scope == scope && l.name == name)
        return l.instruction;
    if (scope == 0)
      return -1;
  }
}

bool parse(std::string_view text, Module &module, std::string &error) {
  std::vector<Token> tokens;
  if (!tokenize(text, tokens, error))
    return false;
  return Parser(std::move(tokens), module).run(error);
}

} // namespace nysjit::emulator::syntax

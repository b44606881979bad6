// Directives of the module and functions' heads.
#include "runtime/emulator/parser.h"

#include <algorithm>
#include <cstdlib>
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

bool Parser::enter() {
  if (nesting == deepestNesting) {
    failExpected("nesting at most " + std::to_string(deepestNesting) + " deep");
    return false;
  }
  ++nesting;
  return true;
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
    const double version = std::strtod(text.c_str(), nullptr);
    if (!(version >= 1 && version < 100))
      return fail(now().line, "expected a version such as 7.0, found \"" + text + "\"");
    module.version = int(version * 10 + 0.5);
  } else if (accept(".target")) {
    std::string target(word("a target such as sm_80"));
    if (target.rfind("sm_", 0) == 0)
      module.target = int(std::min(std::strtoul(target.c_str() + 3, nullptr, 10), 9999ul));
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

void Parser::performance(Function &f) {
  while (ok() && now().kind == Token::Kind::Word && now().text[0] == '.') {
    std::string_view name = next().text;
    uint64_t counts[3] = {1, 1, 1};
    if (name == ".reqntid" || name == ".maxntid" || name == ".reqnctapercluster") {
      counts[0] = integer("a count");
      for (int d = 1; d < 3 && accept(","); ++d)
        counts[d] = integer("a count");
      if (name == ".reqnctapercluster") {
        if (counts[0] != 1 || counts[1] != 1 || counts[2] != 1)
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

// Bodies: scopes, registers, labels, instructions and their operands. The body of an
// inline-assembly block is a scope of its own: its registers and labels hide those outside, and the
// same label may stand in two of them.
#include "runtime/emulator/parser.h"

#include <cstdlib>
#include <cstring>

namespace nysjit::emulator::syntax {

void Parser::declare(std::string_view name, Meaning meaning) {
  scopes.back().names[name] = meaning;
}

bool Parser::lookUp(std::string_view name, Meaning &meaning) {
  size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
    --digits;
  std::string_view prefix = name.substr(0, digits);
  uint64_t index = digits < name.size() && name.size() - digits < 9
                       ? std::strtoul(std::string(name.substr(digits)).c_str(), nullptr, 10)
                       : ~uint64_t(0);
  for (size_t s = scopes.size(); s-- > 0;) {
    if (auto found = scopes[s].names.find(name); found != scopes[s].names.end()) {
      meaning = found->second;
      return true;
    }
    for (const auto &[known, range] : scopes[s].ranges)
      if (known == prefix && index < range.second) {
        meaning = {Meaning::Kind::Register, range.first + uint32_t(index)};
        return true;
      }
  }
  if (auto found = moduleNames.find(name); found != moduleNames.end()) {
    meaning = {Meaning::Kind::ModuleVariable, found->second};
    return true;
  }
  return false;
}

void Parser::body(Function &f) {
  expect("{");
  size_t depth = scopes.size();
  while (ok()) {
    if (now().kind == Token::Kind::End)
      return failExpected("\"}\"");
    if (accept("{")) {
      Scope inner;
      inner.number = uint32_t(f.scopeParents.size());
      f.scopeParents.push_back(scopes.back().number);
      scopes.push_back(std::move(inner));
    } else if (accept("}")) {
      if (scopes.size() == depth)
        return;
      scopes.pop_back();
    } else {
      statement(f);
    }
  }
}

/// A declaration of variables in a function, from its space on.
void Parser::variables(Function &f) {
  std::string_view name = next().text;
  Space space = name == ".param"    ? Space::Param
                : name == ".local"  ? Space::Local
                : name == ".shared" ? Space::Shared
                : name == ".const"  ? Space::Const
                                    : Space::Global;
  do {
    size_t start = at;
    Variable v = variable(space, false);
    if (!ok())
      return;
    size_t named = start;
    while (tokens[named].text != v.name)
      ++named;
    if (space == Space::Param || space == Space::Local) {
      declare(tokens[named].text, {Meaning::Kind::Variable, uint32_t(f.variables.size())});
      f.variables.push_back(std::move(v));
    } else {
      declare(tokens[named].text,
              {Meaning::Kind::ModuleVariable, uint32_t(module.variables.size())});
      v.name = f.name + "." + v.name;
      if (space == Space::Shared)
        f.sharedVariables.push_back(uint32_t(module.variables.size()));
      module.variables.push_back(std::move(v));
    }
  } while (accept(","));
  expect(";");
}

void Parser::statement(Function &f) {
  if (accept(";"))
    return;
  if (is(".loc"))
    return location();
  if (is(".file"))
    return file();
  if (accept(".reg"))
    return registers(f);
  if (accept(".pragma")) {
    while (ok() && now().kind != Token::Kind::End && !accept(";"))
      next();
    return;
  }
  if (is(".param") || is(".local") || is(".shared") || is(".global") || is(".const"))
    return variables(f);
  // A label, a list of branch targets, a prototype, or an instruction.
  if (now().kind == Token::Kind::Word && at + 1 < tokens.size() &&
      tokens[at + 1].kind == Token::Kind::Mark && tokens[at + 1].text == ":") {
    std::string name(next().text);
    next();
    if (accept(".branchtargets")) {
      BranchTargets targets{name, {}};
      do
        targets.labels.emplace_back(word("a label"));
      while (accept(","));
      f.branchTargets.push_back(std::move(targets));
      return expect(";");
    }
    if (accept(".callprototype") || accept(".calltargets")) {
      while (ok() && now().kind != Token::Kind::End && !accept(";"))
        next();
      return;
    }
    f.labels.push_back({name, scopes.back().number, uint32_t(f.instructions.size())});
    return;
  }
  instruction(f);
}

void Parser::registers(Function &f) {
  std::string_view text = word("a type");
  if (text == ".v2" || text == ".v4")
    return fail(now().line,
                "expected a scalar register, found a register of vectors, which is not supported");
  Type type = typeNamed(text.empty() ? text : text.substr(1));
  if (ok() && (type == Type::None || type == Type::B128))
    return fail(now().line, "expected a register's type, found \"" + std::string(text) + "\"" +
                                (type == Type::B128 ? ", which is not supported" : ""));
  do {
    std::string_view name = word("a register's name");
    uint64_t count = 1;
    bool range = accept("<");
    if (range) {
      count = integer("a count");
      expect(">");
    }
    if (!ok())
      return;
    const bool isLong = count > mostRegisters || f.registers.size() + count > mostRegisters;
    if (isLong || (registerCount += count) > mostRegistersOfAll)
      return fail(now().line, "expected at most " +
                                  std::to_string(isLong ? mostRegisters : mostRegistersOfAll) +
                                  " registers in a " + (isLong ? "function" : "module") +
                                  ", found " + std::to_string(count) + " more");
    if (range)
      scopes.back().ranges.push_back({name, {uint32_t(f.registers.size()), uint32_t(count)}});
    else
      declare(name, {Meaning::Kind::Register, uint32_t(f.registers.size())});
    for (uint64_t r = 0; r < count; ++r)
      f.registers.push_back(
          {range ? std::string(name) + std::to_string(r) : std::string(name), type});
  } while (accept(","));
  expect(";");
}

void Parser::instruction(Function &f) {
  Instruction i;
  i.line = now().line;
  i.scope = scopes.back().number;
  i.file = locFile;
  i.fileLine = locLine;
  if (accept("@")) {
    i.guardNegated = accept("!");
    uint32_t line = now().line;
    std::string_view name = word("a predicate");
    Meaning meaning;
    if (!ok())
      return;
    if (!lookUp(name, meaning) || meaning.kind != Meaning::Kind::Register ||
        f.registers[meaning.index].type != Type::Pred)
      return fail(line, "expected a predicate register, found \"" + std::string(name) + "\"");
    i.guard = int32_t(meaning.index);
  }
  std::string_view text = word("an instruction");
  if (!ok())
    return;
  for (size_t start = 0; start <= text.size();) {
    size_t dot = std::min(text.find('.', start), text.size());
    std::string part(text.substr(start, dot - start));
    if (start == 0)
      i.opcode = part;
    else
      i.modifiers.push_back(part);
    start = dot + 1;
  }
  if (i.opcode.empty())
    return fail(i.line, "expected an instruction, found \"" + std::string(text) + "\"");
  while (ok() && !is(";")) {
    i.operands.push_back(operand(f));
    if (!is(";"))
      expect(",");
  }
  expect(";");
  f.instructions.push_back(std::move(i));
}

void Parser::sequence(Function &f, Operand &into, std::string_view close) {
  while (ok() && !accept(close)) {
    into.elements.push_back(operand(f));
    if (!is(close))
      expect(",");
  }
}

/// {...}, (...) or [...].
Operand Parser::bracketed(Function &f) {
  Operand o;
  if (!enter())
    return o;
  if (accept("[")) {
    o = address(f);
  } else {
    const bool isVector = next().text == "{";
    o.kind = isVector ? Operand::Kind::Vector : Operand::Kind::List;
    sequence(f, o, isVector ? "}" : ")");
  }
  leave();
  return o;
}

Operand Parser::operand(Function &f) {
  if (is("{") || is("(") || is("["))
    return bracketed(f);
  Operand o;
  o.negated = accept("!");
  bool negative = !o.negated && accept("-");
  if (now().kind == Token::Kind::Number) {
    if (!number(o, negative))
      failExpected("a number");
    return o;
  }
  if (negative) {
    failExpected("a number");
    return o;
  }
  uint32_t line = now().line;
  std::string_view name = word("an operand");
  if (name == "_") {
    o.kind = Operand::Kind::Discard;
  } else if (Meaning meaning; lookUp(name, meaning)) {
    o.index = meaning.index;
    o.kind =
        meaning.kind == Meaning::Kind::Register ? Operand::Kind::Register : Operand::Kind::Variable;
    o.moduleVariable = meaning.kind == Meaning::Kind::ModuleVariable;
    if (o.kind == Operand::Kind::Variable) {
      o.text = name;
      while (ok() && (is("+") || is("-"))) {
        bool minus = next().text == "-";
        const uint64_t value = integer("an offset");
        o.offset = int64_t(uint64_t(o.offset) + (minus ? -value : value));
      }
    }
  } else {
    o.kind = Operand::Kind::Name;
    o.text = name;
  }
  if (accept("|")) {
    std::string_view other = word("a predicate");
    Meaning meaning;
    if (other == "_") {
    } else if (!lookUp(other, meaning) || meaning.kind != Meaning::Kind::Register ||
               f.registers[meaning.index].type != Type::Pred)
      fail(line, "expected a predicate register, found \"" + std::string(other) + "\"");
    else
      o.second = int32_t(meaning.index);
  }
  return o;
}

/// Behind the '['.
Operand Parser::address(Function &f) {
  Operand o;
  o.kind = Operand::Kind::Address;
  Operand base = operand(f);
  o.offset = base.offset;
  base.offset = 0;
  while (ok() && (is("+") || is("-"))) {
    bool minus = next().text == "-";
    const uint64_t value = integer("an offset");
    o.offset = int64_t(uint64_t(o.offset) + (minus ? -value : value));
  }
  o.elements.push_back(std::move(base));
  while (accept(","))
    o.elements.push_back(operand(f));
  expect("]");
  return o;
}

/// 12, 0x1F, 017, 0b1, 12U, 0f3F800000, 0d..., 1.5e-3. False if the token is none of them.
bool Parser::number(Operand &into, bool negative) {
  std::string text(next().text);
  char second = text.size() > 1 ? text[1] : '\0';
  into.kind = Operand::Kind::Integer;
  char *end = nullptr;
  if (text[0] == '0' && (second == 'f' || second == 'F' || second == 'd' || second == 'D')) {
    bool single = second == 'f' || second == 'F';
    if (text.size() != (single ? 10u : 18u))
      return false;
    into.kind = Operand::Kind::Float;
    into.floatBits = single ? 32 : 64;
    into.bits = std::strtoull(text.c_str() + 2, &end, 16);
    if (negative)
      into.bits ^= uint64_t(1) << (into.floatBits - 1);
    return *end == '\0';
  }
  bool hexadecimal = second == 'x' || second == 'X';
  if (!hexadecimal && text.find_first_of(".eE") != std::string::npos) {
    double value = std::strtod(text.c_str(), &end);
    value = negative ? -value : value;
    into.kind = Operand::Kind::Float;
    std::memcpy(&into.bits, &value, 8);
    return *end == '\0';
  }
  if (text[0] == '0' && (second == 'b' || second == 'B'))
    into.bits = std::strtoull(text.c_str() + 2, &end, 2);
  else
    into.bits = std::strtoull(text.c_str(), &end, 0);
  if (*end == 'U' || *end == 'u')
    ++end;
  if (negative)
    into.bits = -into.bits;
  return *end == '\0';
}

} // namespace nysjit::emulator::syntax

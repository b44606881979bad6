// PTX as text: what the parser makes of a module. Names of registers, variables and labels are
// resolved here, scopes included; what an instruction means is the decoder's business.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nysjit::emulator {

enum class Type : uint8_t {
  None,
  Pred,
  B8,
  B16,
  B32,
  B64,
  B128,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  F16,
  F16x2,
  BF16,
  BF16x2,
  TF32,
  F32,
  F64,
};
/// None if `name` ("u32") is not a type.
Type typeNamed(std::string_view name);
const char *typeName(Type type);
/// Bytes in memory: 0 for Pred and None.
uint32_t typeBytes(Type type);
bool isSigned(Type type);
bool isFloat(Type type);

enum class Space : uint8_t { Generic, Global, Shared, Local, Param, Const };
const char *spaceName(Space space);

namespace syntax {

struct Register {
  std::string name;
  Type type = Type::None;
};

/// A relocation in an initialiser: the address of `symbol` plus what is there.
struct Relocation {
  uint64_t offset = 0;
  std::string symbol;
  uint32_t bytes = 8;
  bool generic = false;
};

struct Variable {
  std::string name;
  Space space = Space::Global;
  uint32_t align = 1;
  uint64_t bytes = 0;
  bool external = false;
  std::vector<uint8_t> initial; // empty: none; else at most `bytes`, zeros follow
  std::vector<Relocation> relocations;
  uint32_t line = 0;
};

struct Operand {
  enum class Kind {
    None,
    Register,
    Integer,
    Float,
    Variable,
    Name,
    Address,
    Vector,
    List,
    Discard
  };
  Kind kind = Kind::None;
  // Register: in Function::registers; Variable: in Function::variables or Module::variables
  uint32_t index = 0;
  int32_t second = -1; // Register: the q of p|q
  bool moduleVariable = false;
  bool negated = false;          // !p
  uint64_t bits = 0;             // Integer; Float: the bits as written, 32 or 64 of them
  uint32_t floatBits = 0;        // Float: 32, 64, or 0 for a decimal number (bits are a double's)
  int64_t offset = 0;            // Address: [base + offset]; Variable: name + offset
  std::string text;              // Name: a label, function or special register
  std::vector<Operand> elements; // Vector, List; Address: the base first, then what follows a comma
};

struct Instruction {
  std::string opcode;                 // "ld"
  std::vector<std::string> modifiers; // "global", "u32"
  std::vector<Operand> operands;
  int32_t guard = -1; // register
  bool guardNegated = false;
  uint32_t line = 0;
  uint32_t scope = 0;
  uint32_t file = 0;
  uint32_t fileLine = 0;     // the last .loc; 0: none
  std::string text() const { // for messages: "ld.global.u32"
    std::string all = opcode;
    for (const std::string &m : modifiers)
      all += "." + m;
    return all;
  }
};

struct Label {
  std::string name;
  uint32_t scope = 0;
  uint32_t instruction = 0;
};

struct BranchTargets {
  std::string name;
  std::vector<std::string> labels;
};

struct Function {
  std::string name;
  bool entry = false;
  bool defined = false;
  uint32_t line = 0;
  std::vector<Register> registers;
  // .param and .local; formal parameters are the first
  std::vector<Variable> variables;
  uint32_t resultCount = 0;
  uint32_t parameterCount = 0;           // the first resultCount variables, then parameterCount
  std::vector<uint32_t> sharedVariables; // in Module::variables: those declared in the body
  // of resultCount + parameterCount: a .reg formal's register, or -1
  std::vector<int32_t> formalRegisters;
  std::vector<Instruction> instructions;
  std::vector<Label> labels;
  std::vector<BranchTargets> branchTargets;
  std::vector<uint32_t> scopeParents; // scope 0 is the body
  uint32_t maxThreads = 1024;
  uint32_t required[3] = {0, 0, 0};
  /// The instruction that `name` labels as seen from `scope`; -1 if there is none.
  int64_t label(const std::string &name, uint32_t scope) const;
};

struct Module {
  int version = 0;
  int target = 0;
  std::vector<Variable> variables;
  std::vector<Function> functions;
  std::vector<std::string> files; // by .file number
};

/// On failure false, and "line 12: ..." in `error`.
bool parse(std::string_view text, Module &module, std::string &error);

} // namespace syntax
} // namespace nysjit::emulator

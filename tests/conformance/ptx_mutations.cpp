// PTX as LLVM writes it, an instruction a statement, and the slips that are made in it.
#include "tests/conformance/ptx_mutations.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <sstream>

namespace nysjit::conformance {

//===- Text -----------------------------------------------------------------------------------===//

std::string PtxInstruction::text() const {
  std::string all = (guard.empty() ? "\t" : guard + " ") + opcode;
  for (size_t i = 0; i < operands.size(); ++i)
    all += (i ? ", " : " ") + operands[i];
  return all + ";";
}

static std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  const size_t last = text.find_last_not_of(" \t");
  return first == std::string_view::npos ? "" : std::string(text.substr(first, last - first + 1));
}

/// "a, {b, c}, [d]" at the commas outside braces.
static std::vector<std::string> splitOperands(std::string_view text) {
  std::vector<std::string> operands;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && (text[i] == '{' || text[i] == '}'))
      depth += text[i] == '{' ? 1 : -1;
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      if (std::string operand = trimmed(text.substr(start, i - start)); !operand.empty())
        operands.push_back(operand);
      start = i + 1;
    }
  }
  return operands;
}

/// Nothing for labels, directives and braces.
static std::optional<PtxInstruction> parse(std::string line) {
  line = trimmed(line.substr(0, line.find("//")));
  if (line.empty() || line.back() != ';' || line[0] == '.')
    return std::nullopt;
  line.pop_back();
  PtxInstruction instruction;
  if (line[0] == '@') {
    instruction.guard = line.substr(0, line.find_first_of(" \t"));
    line = trimmed(line.substr(instruction.guard.size()));
  }
  instruction.opcode = line.substr(0, line.find_first_of(" \t"));
  instruction.operands = splitOperands(std::string_view(line).substr(instruction.opcode.size()));
  return instruction;
}

PtxText::PtxText(const std::string &ptx) {
  std::istringstream stream(ptx);
  for (std::string line; std::getline(stream, line);)
    text.push_back(line);
  std::string kernel;
  for (size_t i = 0; i < text.size(); ++i) {
    if (const size_t at = text[i].find(".entry "); at != std::string::npos)
      kernel = text[i].substr(at + 7, text[i].find('(') - at - 7);
    kernels.push_back(kernel);
    if (text[i] == "}")
      kernel = "";
    const std::string line = trimmed(text[i]);
    if (line.starts_with("$") && line.find(':') != std::string::npos)
      labels[kernel + line.substr(0, line.find(':'))] = i;
    // mma's operands stand on lines of their own.
    if (line.starts_with("mma"))
      for (size_t next = i + 1; next < text.size() && text[i].find(';') == std::string::npos;
           ++next) {
        text[i] += " " + trimmed(text[next]);
        text[next] = "";
      }
    if (std::optional<PtxInstruction> instruction =
            kernel.empty() ? std::nullopt : parse(text[i])) {
      if (!instruction->operands.empty() && !instruction->is("st."))
        written[kernel + instruction->operands[0]].push_back(i);
      found.emplace(i, std::move(*instruction));
    }
  }
}

const std::vector<size_t> &PtxText::writers(size_t line, const std::string &name) const {
  static const std::vector<size_t> none;
  const auto known = written.find(kernels[line] + name);
  return known == written.end() ? none : known->second;
}

size_t PtxText::label(size_t line, const std::string &name) const {
  const auto known = labels.find(kernels[line] + name);
  return known == labels.end() ? line : known->second;
}

std::string moduleOf(const PtxText &ptx, const std::string &kernel, const Mutation *mutation) {
  std::string all;
  for (size_t i = 0; i < ptx.lines().size(); ++i)
    if (ptx.kernel(i).empty() || ptx.kernel(i) == kernel)
      all += (mutation && i == mutation->line ? mutation->text : ptx.lines()[i]) + "\n";
  return all;
}

//===- Mutations ------------------------------------------------------------------------------===//

namespace {

std::optional<int64_t> constantOf(const std::string &operand) {
  const bool isNumber =
      !operand.empty() && operand.find_first_not_of("-0123456789") == std::string::npos;
  return isNumber ? std::optional<int64_t>(std::stoll(operand)) : std::nullopt;
}

class Mutator {
public:
  explicit Mutator(const PtxText &ptx) : ptx(ptx) { findStages(); }

  std::vector<Mutation> all() {
    for (const auto &[line, instruction] : ptx.instructions()) {
      at = line;
      i = &instruction;
      synchronisation();
      predicates();
      stages();
      swizzles();
      products();
    }
    return std::move(mutations);
  }

private:
  void add(const char *kind, const std::string &text) { mutations.push_back({kind, at, text}); }
  void add(const char *kind, size_t operand, const std::string &value) {
    PtxInstruction changed = *i;
    changed.operands[operand] = value;
    add(kind, changed.text());
  }
  void addOpcode(const char *kind, const std::string &opcode) {
    PtxInstruction changed = *i;
    changed.opcode = opcode;
    add(kind, changed.text());
  }

  void synchronisation() {
    if (i->is("cp.async.wait_group")) {
      add("wait deleted", "");
      add("wait weakened", 0, std::to_string(*constantOf(i->operands[0]) + 1));
    }
    if (i->is("cp.async.commit_group"))
      add("commit deleted", "");
    if (i->is("bar.") || i->is("barrier."))
      add("barrier deleted", "");
  }

  void predicates() {
    if (!i->guard.empty()) {
      PtxInstruction changed = *i;
      changed.guard = "";
      add("predicate dropped", changed.text());
      changed.guard = i->guard[1] == '!' ? "@" + i->guard.substr(2) : "@!" + i->guard.substr(1);
      add("predicate negated", changed.text());
      if (i->is("bra")) // what it guarded is what it jumps over
        add("guarded code always runs", "");
    }
    static const std::map<std::string, std::string> neighbours = {{"setp.lt.", "setp.le."},
                                                                  {"setp.le.", "setp.lt."},
                                                                  {"setp.gt.", "setp.ge."},
                                                                  {"setp.ge.", "setp.gt."}};
    if (const auto other = neighbours.find(i->opcode.substr(0, 8));
        other != neighbours.end() && i->opcode.find(".f") == std::string::npos)
      addOpcode("bound off by one", other->second + i->opcode.substr(8));
    if (i->is("selp.b32") && i->operands[1] == "16" && i->operands[2] == "0")
      add("copy without a bound", "\tmov.b32 " + i->operands[0] + ", 16;");
  }

  /// Registers that hold the number of a stage or something computed from it: from "following =
  /// slot + 1; slot = following == stages ? 0 : following" on.
  void findStages() {
    for (const auto &[line, select] : ptx.instructions()) {
      if (!select.is("selp.b32") || select.operands[1] != "0")
        continue;
      const std::string &following = select.operands[2];
      for (size_t compare : ptx.writers(line, select.operands[3]))
        if (const PtxInstruction &test = *ptx.instruction(compare);
            test.is("setp.eq") && test.operands[1] == following && constantOf(test.operands[2])) {
          stageRegisters.insert(ptx.kernel(line) + select.operands[0]);
          stageRegisters.insert(ptx.kernel(line) + following);
          stageTests.insert(compare);
        }
    }
    // One step of arithmetic at a time: bytes of a stage, the stage before.
    for (int step = 0; step < 2; ++step) {
      std::set<std::string> further;
      for (const auto &[line, instruction] : ptx.instructions())
        if (isStageArithmetic(line, instruction))
          further.insert(ptx.kernel(line) + instruction.operands[0]);
      stageRegisters.merge(further);
    }
  }
  bool isStageArithmetic(size_t line, const PtxInstruction &instruction) const {
    static const std::set<std::string> opcodes = {
        "shl.b32", "add.s32", "selp.b32", "mul.lo.s32", "mad.lo.s32", "setp.eq.b32", "setp.ne.b32"};
    return opcodes.contains(instruction.opcode) &&
           std::any_of(
               instruction.operands.begin() + 1, instruction.operands.end(),
               [&](const std::string &o) { return stageRegisters.contains(ptx.kernel(line) + o); });
  }
  void stages() {
    if (!stageTests.contains(at) && !isStageArithmetic(at, *i))
      return;
    for (size_t operand = 1; operand < i->operands.size(); ++operand)
      if (std::optional<int64_t> constant = constantOf(i->operands[operand]))
        for (int64_t step : {-1, 1})
          add("stage off by one", operand,
              std::to_string(*constant + (std::abs(*constant) >= 16 ? 16 * step : step)));
  }

  void swizzles() {
    if (!i->is("xor.b32"))
      return;
    if (std::optional<int64_t> constant = constantOf(i->operands[2]))
      add("swizzle changed", 2, std::to_string(*constant ^ 16));
    for (size_t kept : {1, 2})
      if (!constantOf(i->operands[kept]))
        add("swizzle deleted", "\tmov.b32 " + i->operands[0] + ", " + i->operands[kept] + ";");
    const size_t own = at;
    const PtxInstruction *exclusive = i;
    for (size_t operand : {1, 2}) // the bits of the row
      for (size_t line : ptx.writers(own, exclusive->operands[operand])) {
        at = line;
        i = ptx.instruction(line);
        if ((i->is("shr.") || i->is("bfe.") || i->is("and.")) && rowBits.insert(line).second)
          if (std::optional<int64_t> constant = constantOf(i->operands[2]))
            add("swizzle's row bits changed", 2,
                std::to_string(i->is("and.") ? *constant >> 1 : *constant + 1));
      }
    at = own;
    i = exclusive;
  }

  void swap(const char *kind, size_t operand, bool isLast = false) {
    std::vector<std::string> registers = splitOperands(
        std::string_view(i->operands[operand]).substr(1, i->operands[operand].size() - 2));
    if (registers.size() < 2 || registers[0] == registers[isLast ? registers.size() - 1 : 1])
      return;
    std::swap(registers[0], registers[isLast ? registers.size() - 1 : 1]);
    std::string all;
    for (const std::string &name : registers)
      all += (all.empty() ? "{" : ", ") + name;
    add(kind, operand, all + "}");
  }
  void products() {
    if (i->is("mma.")) {
      swap("product's a swapped", 1);
      swap("product's b swapped", 2);
    }
    if (i->is("ldmatrix.")) {
      const size_t trans = i->opcode.find(".trans");
      addOpcode("ldmatrix transposed",
                trans == std::string::npos
                    ? std::string(i->opcode).insert(i->opcode.find(".shared"), ".trans")
                    : std::string(i->opcode).erase(trans, 6));
      // the first two may be rows of one sum
      swap("ldmatrix's results swapped", 0, /*isLast=*/true);
    }
  }

  const PtxText &ptx;
  std::set<std::string> stageRegisters; // by kernel and name
  std::set<size_t> stageTests;
  std::set<size_t> rowBits;
  std::vector<Mutation> mutations;
  size_t at = 0;
  const PtxInstruction *i = nullptr;
};

} // namespace

std::vector<Mutation> mutationsOf(const PtxText &ptx) { return Mutator(ptx).all(); }

} // namespace nysjit::conformance

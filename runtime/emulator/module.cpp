// Module: parsed text, its variables in memory, and a Function for each kernel.
#include "runtime/emulator/decoder.h"

#include <cstring>
#include <map>

namespace nysjit::emulator {

struct Module::State {
  syntax::Module syntax;
  Memory *memory = nullptr;
  std::vector<uint64_t> addresses; // of the variables
  std::map<std::string, Function, std::less<>> functions;
};

Module::Module() : own(std::make_unique<State>()) {}

Module::~Module() {
  for (uint64_t address : own->addresses)
    if (address)
      own->memory->free(address);
}

namespace {

/// Puts the variables in memory: addresses first, since initialisers may name any of them.
bool placeVariables(const syntax::Module &module, Memory &memory, std::vector<uint64_t> &addresses,
                    std::string &error) {
  auto fail = [&](const syntax::Variable &v, const std::string &message) {
    error = "line " + std::to_string(v.line) + ": " + v.name + ": " + message;
    return false;
  };
  for (const syntax::Variable &v : module.variables) {
    addresses.push_back(0);
    if (v.space == Space::Shared || v.external || v.bytes == 0)
      continue;
    if (v.align > 256)
      return fail(v, "expected an alignment of at most 256, found " + std::to_string(v.align));
    if (!(addresses.back() = memory.allocate(v.bytes)))
      return fail(v, "there is no memory for its " + std::to_string(v.bytes) + " bytes");
    // It is zero as it comes, and touched only where it is used.
    memory.state().find(addresses.back(), v.bytes)->markWritten(0, v.bytes);
  }
  for (size_t n = 0; n < module.variables.size(); ++n) {
    const syntax::Variable &v = module.variables[n];
    if (v.initial.empty() || !addresses[n])
      continue;
    std::vector<uint8_t> initial = v.initial;
    for (const syntax::Relocation &r : v.relocations) {
      uint64_t target = 0;
      uint64_t addend = 0;
      for (size_t t = 0; t < module.variables.size(); ++t)
        if (module.variables[t].name == r.symbol)
          target = addresses[t];
      if (!target || r.bytes != 8)
        return fail(v, "expected the address of a variable in global memory, found \"" + r.symbol +
                           "\"");
      std::memcpy(&addend, initial.data() + r.offset, 8);
      target += addend;
      std::memcpy(initial.data() + r.offset, &target, 8);
    }
    memory.copyIn(addresses[n], initial.data(), initial.size());
  }
  return true;
}

} // namespace

std::unique_ptr<Module> Module::load(std::string_view ptx, Memory &memory, std::string &error) {
  std::unique_ptr<Module> module(new Module());
  State &state = *module->own;
  state.memory = &memory;
  if (!syntax::parse(ptx, state.syntax, error) ||
      !placeVariables(state.syntax, memory, state.addresses, error))
    return nullptr;
  for (uint32_t f = 0; f < state.syntax.functions.size(); ++f) {
    const syntax::Function &text = state.syntax.functions[f];
    if (!text.entry || !text.defined)
      continue;
    auto code = std::make_shared<Code>();
    Function function;
    function.name = text.name;
    if (!Decoder(state.syntax, state.addresses, *code).run(f, function.parameters, error))
      return nullptr;
    function.parameterBytes = code->parameterBytes;
    function.staticSharedBytes = code->sharedBytes;
    function.localBytes = code->frameBytes;
    function.maxThreads = text.maxThreads;
    for (int d = 0; d < 3; ++d)
      function.requiredThreads[d] = text.required[d];
    function.code = std::move(code);
    state.functions.emplace(text.name, std::move(function));
  }
  return module;
}

const Function *Module::function(std::string_view name) const {
  auto found = own->functions.find(name);
  return found == own->functions.end() ? nullptr : &found->second;
}

std::vector<std::string> Module::functionNames() const {
  std::vector<std::string> names;
  for (const auto &[name, function] : own->functions)
    names.push_back(name);
  return names;
}

bool Module::variable(std::string_view name, uint64_t &address, uint64_t &bytes) const {
  for (size_t v = 0; v < own->syntax.variables.size(); ++v)
    if (own->syntax.variables[v].name == name && own->addresses[v]) {
      address = own->addresses[v];
      bytes = own->syntax.variables[v].bytes;
      return true;
    }
  return false;
}

int Module::ptxVersion() const { return own->syntax.version; }
int Module::target() const { return own->syntax.target; }

Outcome run(const Launch &launch, Memory &memory, const Options &options) {
  Execution execution(launch, memory, options, *launch.function->code);
  uint64_t threads = uint64_t(launch.block[0]) * launch.block[1] * launch.block[2];
  const Function &f = *launch.function;
  std::string wrong;
  if (threads == 0 || threads > f.maxThreads)
    wrong = "expected 1 to " + std::to_string(f.maxThreads) + " threads, found " +
            std::to_string(threads);
  else if (f.requiredThreads[0] &&
           (f.requiredThreads[0] != launch.block[0] || f.requiredThreads[1] != launch.block[1] ||
            f.requiredThreads[2] != launch.block[2]))
    wrong = "expected the threads of .reqntid, found others";
  else if (launch.parameters.size() != f.parameterBytes)
    wrong = "expected " + std::to_string(f.parameterBytes) + " bytes of parameters, found " +
            std::to_string(launch.parameters.size());
  if (!wrong.empty()) {
    execution.outcome.fault = Fault::Failed;
    execution.outcome.report.push_back("launch: " + f.name + ": " + wrong);
    return std::move(execution.outcome);
  }
  execution.run();
  return std::move(execution.outcome);
}

} // namespace nysjit::emulator

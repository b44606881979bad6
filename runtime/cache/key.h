// Cache keys. A program is known by what was asked for, the request, and by who made it, the maker.
// The key text says both, a line a fact; the key is its 128-bit hash and names the entry.
#pragma once
#include "runtime/device/cpu_identity.h"
#include "runtime/spec/request.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nysjit {

/// XXH3-128 as 32 hex digits.
std::string hashHex(std::string_view bytes);

/// All that a binary depends on beside the request. Each is known without running the compiler.
struct ProgramMaker {
  std::string compiler;           // the worker's build id
  std::string llvm;               // llvmIdentity of the worker
  std::string assembler = "none"; // toolIdentity of ptxas; of a GPU's program alone
};

struct ProgramKey {
  std::string request; // lines "spec", "config", "target", and for cpu:native "cpu"
  std::string maker;   // lines "format", "compiler", "llvm", and for a GPU "assembler"
  std::string text;    // both
  std::string hash;    // of the text: the key
};

ProgramKey programKey(const ProgramRequest &request, const CpuIdentity &cpu,
                      const ProgramMaker &maker);

/// The request in a key text.
std::string requestOf(const std::string &keyText);
/// The text's lines by their first word, in order: {"spec", "{…}"}.
std::vector<std::pair<std::string, std::string>> keyTextLines(const std::string &keyText);
/// One of them; "" if it is not there.
std::string keyTextLine(const std::string &keyText, const std::string &word);

} // namespace nysjit

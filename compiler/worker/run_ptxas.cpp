// What ptxas -v prints, for each kernel:
//   ptxas info    : Compiling entry function 'k' for 'sm_80'
//   ptxas info    : Function properties for k
//       0 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
//   ptxas info    : Used 40 registers, used 1 barriers, 4096 bytes smem, 400 bytes cmem[0]
#include "compiler/worker/run_ptxas.h"

#include "runtime/base/tool.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>

namespace nysjit {

namespace {

constexpr const char *source = "program.ptx";
constexpr const char *binary = "program.cubin"; // the same names give the same bytes

/// "sm_90a" where the PTX is for that, else "sm_90".
std::string architecture(const std::string &ptx, int sm) {
  const std::string plain = "sm_" + std::to_string(sm);
  const size_t target = ptx.find(".target " + plain);
  if (target == std::string::npos)
    return plain;
  const size_t start = target + 8;
  const size_t end = ptx.find_first_not_of("abcdefghijklmnopqrstuvwxyz", start + plain.size());
  return ptx.substr(start, std::min(end, ptx.size()) - start);
}

/// The number before `unit` in a line as "8 bytes spill stores, 12 bytes spill loads"; 0 if there
/// is none.
int64_t numberBefore(const std::string &line, const std::string &unit) {
  const size_t end = line.find(unit);
  if (end == std::string::npos)
    return 0;
  const size_t start = line.find_last_not_of("0123456789", end - 1);
  return std::strtoll(line.c_str() + (start == std::string::npos ? 0 : start + 1), nullptr, 10);
}

/// What stands between `before` and `after`, if both are there.
std::optional<std::string> between(const std::string &line, const std::string &before,
                                   const std::string &after) {
  const size_t start = line.find(before);
  if (start == std::string::npos)
    return std::nullopt;
  const size_t from = start + before.size();
  const size_t end = after.empty() ? line.size() : line.find(after, from);
  return end == std::string::npos ? std::nullopt : std::optional(line.substr(from, end - from));
}

/// A note that an optimization the kernel counts on was given up.
bool isLoss(const std::string &line) {
  const std::optional<std::string> code = between(line, "(C", ")");
  const long number = code ? std::strtol(code->c_str(), nullptr, 10) : 0;
  return number >= 7504 && number <= 7519;
}

/// The line of PTX that a message as "ptxas program.ptx, line 12; error : ..." is about; "" if it
/// says none.
std::string quotedLine(const std::string &message, const std::string &ptx) {
  const std::optional<std::string> number = between(message, std::string(source) + ", line ", ";");
  const long wanted = number ? std::strtol(number->c_str(), nullptr, 10) : 0;
  std::istringstream lines(ptx);
  std::string line;
  for (long i = 0; i < wanted; ++i)
    if (!std::getline(lines, line))
      return "";
  const size_t start = line.find_first_not_of(" \t");
  return wanted < 1 || start == std::string::npos ? "" : "\nat: " + line.substr(start);
}

/// What a ptxas says that is older than the PTX or its target.
bool isTooOld(const std::string &words) {
  for (const char *said : {"Unsupported .version", "Unsupported .target",
                           "is not defined for option 'gpu-name'", "Unknown option"})
    if (words.find(said) != std::string::npos)
      return true;
  return false;
}

/// It took the text for PTX and found something wrong with it.
bool isAboutPtx(const std::string &words) {
  return words.find(std::string(source) + ", line ") != std::string::npos;
}

std::vector<KernelResources> readResources(const std::string &words) {
  std::map<std::string, KernelResources> kernels;
  std::istringstream lines(words);
  KernelResources *entry = nullptr;
  KernelResources *function = nullptr; // what the next lines are about
  for (std::string line; std::getline(lines, line);) {
    if (const std::optional<std::string> name = between(line, "Compiling entry function '", "'")) {
      entry = function = &kernels[*name];
      entry->name = *name;
    } else if (const std::optional<std::string> name =
                   between(line, "Function properties for ", "")) {
      // else a function that a kernel calls
      function = entry && entry->name == *name ? entry : nullptr;
    } else if (function && line.find("bytes spill stores") != std::string::npos) {
      function->spillBytes =
          numberBefore(line, " bytes spill stores") + numberBefore(line, " bytes spill loads");
    } else if (entry && line.find(" registers") != std::string::npos) {
      entry->registers = numberBefore(line, " registers");
      entry->sharedBytes = numberBefore(line, " bytes smem");
    }
  }
  std::vector<KernelResources> list;
  for (auto &[name, resources] : kernels)
    list.push_back(std::move(resources));
  return list;
}

} // namespace

Result<AssembledCubin> assembleCubin(const std::string &ptx, int sm, const std::string &ptxasPath,
                                     int limitMs, AssemblerFault *fault) {
  AssemblerFault ignored;
  AssemblerFault &kind = fault ? *fault : ignored;
  kind = AssemblerFault::Broken;
  Result<ScratchFolder> folder = ScratchFolder::create();
  NYSJIT_RETURN_IF_ERROR(folder);
  NYSJIT_RETURN_IF_ERROR(folder->write(source, ptx));
  std::vector<std::string> arguments = {"-arch=" + architecture(ptx, sm), "-v", source, "-o",
                                        binary};
  if (ptx.find("\t.loc\t") != std::string::npos || ptx.find("\t.loc ") != std::string::npos)
    arguments.push_back("-lineinfo"); // changes no instruction
  // The kernels side by side, in a fixed number of threads, whatever the machine: the cubin's bytes
  // depend on it. A ptxas that does not know the option says so.
  const std::string sideBySide = "--split-compile";
  arguments.push_back(sideBySide + "=4");
  Result<ToolOutcome> outcome = runTool(ptxasPath, arguments, *folder, limitMs);
  if (outcome && !outcome->isDone && outcome->words.find(sideBySide) != std::string::npos) {
    arguments.pop_back();
    outcome = runTool(ptxasPath, arguments, *folder, limitMs);
  }
  NYSJIT_RETURN_IF_ERROR(outcome);
  if (outcome->ending.starts_with("took longer than"))
    kind = AssemblerFault::Late;
  else if (!outcome->isDone && isTooOld(outcome->words))
    kind = AssemblerFault::Old;
  else if (!outcome->isDone && isAboutPtx(outcome->words))
    kind = AssemblerFault::Refused;
  if (!outcome->isDone)
    return Error::mismatch(ErrorKind::CompileFailed, "ptxas", "PTX that " + ptxasPath + " takes",
                           "that it " + outcome->ending + ": " + outcome->words +
                               quotedLine(outcome->words, ptx));
  std::istringstream lines(outcome->words);
  for (std::string line; std::getline(lines, line);)
    if (isLoss(line)) {
      kind = AssemblerFault::Refused;
      return Error::mismatch(ErrorKind::CompileFailed, "ptxas",
                             "PTX of which it keeps every optimization", line);
    }
  Result<std::string> cubin = folder->read(binary);
  if (!cubin)
    cubin = std::string(); // it said that it was done, but wrote nothing
  if (!cubin->starts_with("\x7f"
                          "ELF"))
    return Error::mismatch(ErrorKind::CompileFailed, "ptxas", "a cubin from " + ptxasPath,
                           std::to_string(cubin->size()) + " bytes that are none");
  return AssembledCubin{std::move(*cubin), readResources(outcome->words)};
}

bool isPtxas(const std::string &path) {
  constexpr int limitMs = 10000;
  Result<ScratchFolder> folder = ScratchFolder::create();
  if (!folder)
    return false;
  Result<ToolOutcome> outcome = runTool(path, {"--version"}, *folder, limitMs);
  return outcome && outcome->words.find("ptxas") != std::string::npos;
}

} // namespace nysjit

// LLVM IR to PTX. What a target may be asked for is gpuInfo's table: LLVM ends the process where an
// instruction does not exist.
#include "compiler/worker/ptx_code.h"
#include "compiler/worker/functions.h"
#include "compiler/worker/llvm_passes.h"

#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <sstream>

namespace nysjit {

static constexpr const char *triple = "nvptx64-nvidia-cuda";

static Error compileError(const std::string &message) {
  return Error::plain(ErrorKind::CompileFailed, "llvm", "llvm: " + message);
}

static Result<std::unique_ptr<llvm::TargetMachine>> targetMachine(const GpuInfo &gpu) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    // Shared and local addresses in 32 bits. It is a process-wide option of LLVM's; the worker has
    // no other use of NVPTX.
    auto &options = llvm::cl::getRegisteredOptions();
    if (auto found = options.find("nvptx-short-ptr"); found != options.end())
      static_cast<llvm::cl::opt<bool> *>(found->second)->setValue(true);
  });
  std::string message;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(llvm::Triple(triple), message);
  if (!target)
    return compileError(message);
  const llvm::TargetOptions options;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      llvm::Triple(triple), "sm_" + std::to_string(gpu.sm), "+ptx" + std::to_string(gpu.ptxVersion),
      options, llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return compileError("no target machine for sm_" + std::to_string(gpu.sm));
  return machine;
}

Status optimiseForGpu(llvm::Module &module, const GpuInfo &gpu) {
  auto machine = targetMachine(gpu);
  NYSJIT_RETURN_IF_ERROR(machine);
  module.setTargetTriple(llvm::Triple(triple));
  module.setDataLayout((*machine)->createDataLayout());
  return runPasses(module, **machine,
                   "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,gvn,"
                   "instcombine<no-verify-fixpoint>,simplifycfg)");
}

static Result<std::string> generateModule(llvm::Module &module, const GpuInfo &gpu) {
  auto machine = targetMachine(gpu);
  NYSJIT_RETURN_IF_ERROR(machine);
  module.setTargetTriple(llvm::Triple(triple));
  module.setDataLayout((*machine)->createDataLayout());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes); // before the pass manager: it must outlive it
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return compileError("cannot emit PTX");
  passes.run(module);
  return std::string(bytes.data(), bytes.size());
}

/// One PTX text of several: the head of the first, the kernels of all, and at the end one list of
/// the source files that the lines of all are counted in (".file 2 "causal.cpp"", ".loc 2 LINE
/// COLUMN").
static std::string joinPtx(const std::vector<std::string> &texts) {
  const std::string file = "\t.file\t";
  const std::string loc = "\t.loc\t";
  const std::string end = "\n}\n";
  std::string joined;
  std::string tail;
  std::vector<std::string> files;
  for (const std::string &text : texts) {
    const size_t kernel = text.find(".visible .entry ");
    const size_t past = text.rfind(end) + end.size();
    if (joined.empty())
      joined = text.substr(0, kernel);
    std::map<std::string, size_t> numbers; // of this text's numbers, in `files`
    std::istringstream rest(text.substr(past));
    for (std::string line; std::getline(rest, line);) {
      if (!line.starts_with(file)) {
        if (files.empty())
          tail += line + "\n";
        continue;
      }
      const size_t space = line.find(' ', file.size());
      const std::string name = line.substr(space);
      auto known = std::find(files.begin(), files.end(), name);
      if (known == files.end())
        known = files.insert(files.end(), name);
      numbers[line.substr(file.size(), space - file.size())] =
          static_cast<size_t>(known - files.begin()) + 1;
    }
    std::istringstream lines(text.substr(kernel, past - kernel));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(loc)) {
        const size_t space = line.find(' ', loc.size());
        line.replace(loc.size(), space - loc.size(),
                     std::to_string(numbers[line.substr(loc.size(), space - loc.size())]));
      }
      joined += line + "\n";
    }
    joined += "\n";
  }
  joined.pop_back();
  joined += tail;
  for (size_t i = 0; i < files.size(); ++i)
    joined += file + std::to_string(i + 1) + files[i] + "\n";
  return joined;
}

Result<std::string> generatePtx(llvm::Module &module, const GpuInfo &gpu, bool isOptimised) {
  const auto generate = [&](llvm::Module &part) -> Result<std::string> {
    if (!isOptimised)
      NYSJIT_RETURN_IF_ERROR(optimiseForGpu(part, gpu));
    return generateModule(part, gpu);
  };
  const auto isPart = [](const llvm::Function &f) {
    return f.isDeclaration() ||
           (f.getCallingConv() == llvm::CallingConv::PTX_Kernel && f.hasExternalLinkage());
  };
  if (!canSplit(module) || !llvm::all_of(module, isPart)) // a text of somebody else's
    return generate(module);
  auto texts = forEachFunction(module, generate);
  NYSJIT_RETURN_IF_ERROR(texts);
  return joinPtx(*texts);
}

std::vector<PtxCounts> countInstructions(const std::string &ptx) {
  std::vector<PtxCounts> kernels;
  std::istringstream lines(ptx);
  for (std::string line; std::getline(lines, line);) {
    if (size_t entry = line.find(".entry "); entry != std::string::npos) {
      const size_t start = entry + 7;
      kernels.push_back({line.substr(start, line.find_first_of("( \t", start) - start)});
      continue;
    }
    const size_t first = line.find_first_not_of(" \t");
    if (kernels.empty() || first == std::string::npos)
      continue;
    std::string_view instruction = std::string_view(line).substr(first);
    if (instruction[0] == '@') // a predicate
      instruction.remove_prefix(std::min(instruction.size(), instruction.find_first_of(" \t") + 1));
    PtxCounts &counts = kernels.back();
    const bool isGlobal =
        instruction.starts_with("ld.global") || instruction.starts_with("st.global");
    const bool isSixteenBytes = instruction.find(".v4.b32") != std::string_view::npos ||
                                instruction.find(".v4.f32") != std::string_view::npos ||
                                instruction.find(".v4.u32") != std::string_view::npos ||
                                instruction.find(".v2.b64") != std::string_view::npos;
    counts.tensorCoreOps += instruction.starts_with("mma.sync");
    counts.asyncCopies +=
        instruction.starts_with("cp.async.cg") || instruction.starts_with("cp.async.ca");
    counts.loads16b += (isGlobal && isSixteenBytes) || instruction.starts_with("cp.async.cg");
    counts.barriers += instruction.starts_with("bar.sync") || instruction.starts_with("barrier");
  }
  return kernels;
}

} // namespace nysjit

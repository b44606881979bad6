#include "compiler/worker/functions.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/Support/ThreadPool.h"

#include <algorithm>

namespace nysjit {

namespace {

struct Part {
  llvm::StringRef function;
  size_t instructions;
  Result<std::string> made = std::string();
};

Result<std::string> workOn(llvm::StringRef bitcode, llvm::StringRef name,
                           const std::function<Result<std::string>(llvm::Module &)> &work) {
  llvm::LLVMContext context;
  auto module = llvm::getLazyBitcodeModule(llvm::MemoryBufferRef(bitcode, "nysjit"), context);
  if (!module)
    return Error::plain(ErrorKind::CompileFailed, "llvm",
                        "llvm: " + llvm::toString(module.takeError()));
  for (llvm::Function &function : **module)
    if (function.getName() != name && function.isMaterializable())
      function.deleteBody(); // never read
  if (llvm::Error error = (*module)->materializeAll())
    return Error::plain(ErrorKind::CompileFailed, "llvm",
                        "llvm: " + llvm::toString(std::move(error)));
  return work(**module);
}

} // namespace

bool canSplit(const llvm::Module &module) {
  const auto isDeclared = [](const llvm::GlobalVariable &variable) {
    return variable.isDeclaration();
  };
  const auto isDefined = [](const llvm::Function &function) { return !function.isDeclaration(); };
  return llvm::any_of(module, isDefined) && llvm::all_of(module.globals(), isDeclared) &&
         module.alias_empty() && module.ifunc_empty() && module.getModuleInlineAsm().empty();
}

Result<std::vector<std::string>>
forEachFunction(llvm::Module &module,
                const std::function<Result<std::string>(llvm::Module &)> &work) {
  std::vector<Part> parts;
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    parts.push_back({function.getName(), function.getInstructionCount()});
    if (function.hasLocalLinkage()) {
      function.setLinkage(llvm::GlobalValue::ExternalLinkage);
      function.setVisibility(llvm::GlobalValue::HiddenVisibility);
    }
  }
  llvm::SmallString<0> bitcode;
  llvm::raw_svector_ostream stream(bitcode);
  // as --emit llvm: it steers code generation
  llvm::WriteBitcodeToFile(module, stream, /*ShouldPreserveUseListOrder=*/true);
  std::vector<Part *> longestFirst;
  for (Part &part : parts)
    longestFirst.push_back(&part);
  // Equal ones as they stand: pointers into `parts`, which compare as their places do.
  std::sort(longestFirst.begin(), longestFirst.end(), [](const Part *a, const Part *b) {
    return std::pair(b->instructions, a) < std::pair(a->instructions, b);
  });
  llvm::ThreadPoolStrategy strategy =
      llvm::hardware_concurrency(static_cast<unsigned>(parts.size()));
  strategy.Limit = true; // to the CPUs there are
  llvm::DefaultThreadPool threads(strategy);
  for (Part *part : longestFirst)
    threads.async(
        [part, &bitcode, &work] { part->made = workOn(bitcode.str(), part->function, work); });
  threads.wait();
  std::vector<std::string> results;
  for (Part &part : parts) {
    NYSJIT_RETURN_IF_ERROR(part.made);
    results.push_back(std::move(*part.made));
  }
  return results;
}

} // namespace nysjit

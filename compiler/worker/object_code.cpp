// Code generation with LLVM.
#include "compiler/worker/object_code.h"
#include "compiler/worker/functions.h"
#include "compiler/worker/linker.h"
#include "compiler/worker/llvm_passes.h"

#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/MCAsmBackend.h"
#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCCodeEmitter.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCObjectFileInfo.h"
#include "llvm/MC/MCObjectWriter.h"
#include "llvm/MC/MCParser/MCAsmParser.h"
#include "llvm/MC/MCParser/MCTargetAsmParser.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCStreamer.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include <cctype>
#include <mutex>

namespace nysjit {

static constexpr const char *triple = "x86_64-unknown-linux-gnu";

static Error compileError(const std::string &where, const std::string &message) {
  return Error::plain(ErrorKind::CompileFailed, where, where + ": " + message);
}

static Result<const llvm::Target *> x86Target() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
  });
  std::string message;
  if (const llvm::Target *target =
          llvm::TargetRegistry::lookupTarget(llvm::Triple(triple), message))
    return target;
  return compileError("llvm", message);
}

static Result<std::unique_ptr<llvm::TargetMachine>> targetMachine(const TargetInfo &info) {
  auto target = x86Target();
  NYSJIT_RETURN_IF_ERROR(target);
  // AllowFPOpFusion stays Standard: a multiply and an add become an FMA only where the lowering
  // asked for one.
  std::unique_ptr<llvm::TargetMachine> machine((*target)->createTargetMachine(
      llvm::Triple(triple), info.cpu, info.features, llvm::TargetOptions(), llvm::Reloc::PIC_,
      std::nullopt, llvm::CodeGenOptLevel::Default));
  if (!machine)
    return compileError("llvm", "no machine for " + info.name);
  return machine;
}

Status optimise(llvm::Module &module, const TargetInfo &info) {
  auto machine = targetMachine(info);
  NYSJIT_RETURN_IF_ERROR(machine);
  module.setTargetTriple(llvm::Triple(triple));
  module.setDataLayout((*machine)->createDataLayout());
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("prefer-vector-width", std::to_string(info.vectorBits));
    function.addFnAttr("min-legal-vector-width", std::to_string(info.vectorBits));
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  // The loops are already as they should be; this cleans up addresses and moves what does not
  // change out of loops.
  return runPasses(module, **machine,
                   "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,loop-mssa("
                   "licm),gvn,simplifycfg)");
}

static Result<std::string> generateCode(llvm::Module &module, const TargetInfo &info,
                                        bool asAssembly) {
  auto machine = targetMachine(info);
  NYSJIT_RETURN_IF_ERROR(machine);
  module.setTargetTriple(llvm::Triple(triple));
  module.setDataLayout((*machine)->createDataLayout());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes); // before the pass manager: it must outlive it
  llvm::legacy::PassManager passes;
  const auto kind =
      asAssembly ? llvm::CodeGenFileType::AssemblyFile : llvm::CodeGenFileType::ObjectFile;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, kind))
    return compileError("llvm", "cannot emit this kind of file for " + info.name);
  passes.run(module);
  return std::string(bytes.data(), bytes.size());
}

/// Assembly text or an object of each function.
static Result<std::vector<std::string>>
generateFunctions(llvm::Module &module, const TargetInfo &info, bool isOptimised, bool asAssembly) {
  const auto generate = [&](llvm::Module &part) -> Result<std::string> {
    if (!isOptimised)
      NYSJIT_RETURN_IF_ERROR(optimise(part, info));
    return generateCode(part, info, asAssembly);
  };
  if (canSplit(module))
    return forEachFunction(module, generate);
  auto whole = generate(module); // a text of somebody else's
  NYSJIT_RETURN_IF_ERROR(whole);
  return std::vector<std::string>{std::move(*whole)};
}

Result<std::string> generateObject(llvm::Module &module, const TargetInfo &info, bool isOptimised) {
  auto objects = generateFunctions(module, info, isOptimised, false);
  NYSJIT_RETURN_IF_ERROR(objects);
  return joinObjects(std::move(*objects));
}

//===- Assembly text --------------------------------------------------------------------------===//
// Each function is generated and assembled alone, so that --from asm gives the bytes of the direct
// way. The text of all is one file that any assembler takes: a line ahead of each function's part,
// whose labels have the part's number.

static const std::string partLine = "# nysjit part ";

/// Replaces `what` where a label begins with it.
static void replaceLabels(std::string &text, const std::string &what, const std::string &by) {
  const auto isInName = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '$' ||
           c == '@';
  };
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos;) {
    const bool isLabel = at == 0 || !isInName(text[at - 1]);
    if (isLabel)
      text.replace(at, what.size(), by);
    at += isLabel ? by.size() : what.size();
  }
}

static std::string labelOf(const std::string &part) { return ".L" + part + "."; }

Result<std::string> generateAssembly(llvm::Module &module, const TargetInfo &info,
                                     bool isOptimised) {
  auto texts = generateFunctions(module, info, isOptimised, true);
  NYSJIT_RETURN_IF_ERROR(texts);
  std::string joined;
  for (size_t i = 0; i < texts->size(); ++i) {
    replaceLabels((*texts)[i], ".L", labelOf(std::to_string(i)));
    joined += partLine + std::to_string(i) + "\n" + (*texts)[i];
  }
  return joined;
}

static Result<std::string> assemblePart(const std::string &text, const TargetInfo &info) {
  auto found = x86Target();
  NYSJIT_RETURN_IF_ERROR(found);
  const llvm::Target &target = **found;
  const llvm::Triple tripleOf(triple);
  const llvm::MCTargetOptions options;
  std::string diagnostics;
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, "FILE"), llvm::SMLoc());
  sources.setDiagHandler(
      [](const llvm::SMDiagnostic &diagnostic, void *out) {
        llvm::raw_string_ostream stream(*static_cast<std::string *>(out));
        diagnostic.print(nullptr, stream, false);
      },
      &diagnostics);
  std::unique_ptr<llvm::MCRegisterInfo> registers(target.createMCRegInfo(tripleOf));
  std::unique_ptr<llvm::MCAsmInfo> syntax(target.createMCAsmInfo(*registers, tripleOf, options));
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget(
      target.createMCSubtargetInfo(tripleOf, info.cpu, info.features));
  std::unique_ptr<llvm::MCInstrInfo> instructions(target.createMCInstrInfo());
  llvm::MCContext context(tripleOf, syntax.get(), registers.get(), subtarget.get(), &sources,
                          &options);
  std::unique_ptr<llvm::MCObjectFileInfo> sections(
      target.createMCObjectFileInfo(context, /*PIC=*/true));
  context.setObjectFileInfo(sections.get());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  std::unique_ptr<llvm::MCAsmBackend> backend(
      target.createMCAsmBackend(*subtarget, *registers, options));
  std::unique_ptr<llvm::MCObjectWriter> writer = backend->createObjectWriter(stream);
  std::unique_ptr<llvm::MCCodeEmitter> encoder(target.createMCCodeEmitter(*instructions, context));
  std::unique_ptr<llvm::MCStreamer> streamer(target.createMCObjectStreamer(
      tripleOf, context, std::move(backend), std::move(writer), std::move(encoder), *subtarget));
  std::unique_ptr<llvm::MCAsmParser> parser(
      llvm::createMCAsmParser(sources, context, *streamer, *syntax));
  std::unique_ptr<llvm::MCTargetAsmParser> targetParser(
      target.createMCAsmParser(*subtarget, *parser, *instructions, options));
  parser->setTargetParser(*targetParser);
  if (parser->Run(/*NoInitialTextSection=*/false) || !diagnostics.empty())
    return Error::mismatch(ErrorKind::InvalidFile, "--from asm", "x86-64 assembly", diagnostics);
  return std::string(bytes.data(), bytes.size());
}

Result<std::string> assemble(const std::string &text, const TargetInfo &info) {
  if (text.empty())
    return Error::mismatch(ErrorKind::InvalidFile, "--from asm", "x86-64 assembly", "nothing");
  std::vector<std::string> objects;
  for (size_t start = 0; start < text.size();) {
    const size_t next = std::min(text.find("\n" + partLine, start), text.size() - 1) + 1;
    std::string part = text.substr(start, next - start);
    if (part.starts_with(partLine))
      replaceLabels(part, labelOf(part.substr(partLine.size(), part.find('\n') - partLine.size())),
                    ".L");
    auto object = assemblePart(part, info);
    NYSJIT_RETURN_IF_ERROR(object);
    objects.push_back(std::move(*object));
    start = next;
  }
  return joinObjects(std::move(objects));
}

} // namespace nysjit

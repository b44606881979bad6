// nvdisasm first: cuobjdump needs it, too.
#include "runtime/cli/disassembler.h"
#include "runtime/base/tool.h"
#include "runtime/cuda/find_ptxas.h"

namespace nysjit::cli {

namespace {

constexpr int limitMs = 60000;

struct Disassembler {
  std::string path;
  const char *option; // code only
};

Result<Disassembler> find() {
  Result<std::string> nvdisasm = findCudaTool("nvdisasm");
  Result<std::string> cuobjdump = findCudaTool("cuobjdump");
  if (nvdisasm)
    return Disassembler{*nvdisasm, "-c"};
  if (cuobjdump)
    return Disassembler{*cuobjdump, "-sass"};
  return Error::mismatch(
      ErrorKind::Unavailable, "--emit sass",
      "nvdisasm or cuobjdump in CUDA_HOME, CUDA_PATH, PATH or pip's nvidia or triton packages",
      nvdisasm.error().found);
}

} // namespace

Status checkDisassembler() {
  Result<Disassembler> found = find();
  return found ? Status() : Status(found.takeError());
}

Result<std::string> disassemble(const std::string &cubin) {
  Result<Disassembler> disassembler = find();
  NYSJIT_RETURN_IF_ERROR(disassembler);
  Result<ScratchFolder> folder = ScratchFolder::create();
  NYSJIT_RETURN_IF_ERROR(folder);
  NYSJIT_RETURN_IF_ERROR(folder->write("program.cubin", cubin));
  Result<ToolOutcome> outcome =
      runTool(disassembler->path, {disassembler->option, "program.cubin"}, *folder, limitMs);
  NYSJIT_RETURN_IF_ERROR(outcome);
  if (!outcome->isDone)
    return Error::mismatch(ErrorKind::CompileFailed, "--emit sass",
                           "a disassembly by " + disassembler->path,
                           "that it " + outcome->ending + ": " + outcome->words);
  return std::move(outcome->words);
}

} // namespace nysjit::cli

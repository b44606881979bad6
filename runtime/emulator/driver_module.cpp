// Modules of PTX text and their functions. A function's registers are reported as 0: the emulator
// allocates none.
#include "runtime/emulator/driver_state.h"

#include <algorithm>
#include <cstring>

using namespace nysjit::emulator;

namespace {

/// Where the driver leaves what its PTX compiler says.
class Logs {
public:
  /// False for options that are no CUjit_option.
  bool read(unsigned count, const CUjit_option *options, void **values) {
    if (count && (!options || !values))
      return false;
    for (unsigned i = 0; i < count; ++i) {
      const auto option = static_cast<unsigned>(options[i]);
      if (option > 40)
        return false;
      slots[option] = &values[i];
    }
    return true;
  }
  void write(const std::string &info, const std::string &error) {
    write(CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, info);
    write(CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, error);
  }

private:
  /// The size option's value is the room, and afterwards what was filled.
  void write(int buffer, int size, const std::string &text) {
    if (!slots[buffer] || !slots[size] || !*slots[buffer])
      return;
    const size_t room = reinterpret_cast<uintptr_t>(*slots[size]) & 0xffffffff;
    if (room == 0)
      return;
    const size_t length = std::min(text.size(), room - 1);
    std::memcpy(*slots[buffer], text.data(), length);
    static_cast<char *>(*slots[buffer])[length] = '\0';
    *slots[size] = reinterpret_cast<void *>(length ? length + 1 : 0);
  }
  void **slots[41] = {};
};

/// Whether the image is a cubin or a fat binary, which this device has no use for.
bool isBinary(const unsigned char *image) {
  static const unsigned char magics[][4] = {
      {0x7f, 'E', 'L', 'F'}, {0x50, 0xed, 0x55, 0xba}, {0xb1, 0x43, 0x62, 0x46}};
  for (const unsigned char *magic : magics) {
    int i = 0;
    while (i < 4 && image[i] == magic[i] && image[i])
      ++i;
    if (i == 4)
      return true;
  }
  return false;
}

/// The text after the first `directive` that stands outside a comment; empty if there is none.
std::string_view afterDirective(std::string_view ptx, std::string_view directive) {
  for (size_t at = 0; at < ptx.size();) {
    const std::string_view rest = ptx.substr(at);
    if (rest.substr(0, 2) == "//")
      at = std::min(ptx.find('\n', at), ptx.size());
    else if (rest.substr(0, 2) == "/*")
      at = std::min(ptx.find("*/", at + 2), ptx.size() - 2) + 2;
    else if (rest.substr(0, directive.size()) == directive)
      return rest.substr(
          std::min(rest.find_first_not_of(" \t\r\n", directive.size()), rest.size()));
    else
      ++at;
  }
  return {};
}

int readNumber(std::string_view &text) {
  int number = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9' && number < 100000) {
    number = number * 10 + (text[0] - '0');
    text.remove_prefix(1);
  }
  return number;
}

/// What the driver looks at before it compiles. Text without these directives is left to the
/// parser's message.
CUresult checkHeader(std::string_view ptx, int capability, std::string &error) {
  std::string_view version = afterDirective(ptx, ".version");
  const int major = readNumber(version);
  if (!version.empty())
    version.remove_prefix(1);
  const int minor = readNumber(version);
  if (major > 9 || (major == 9 && minor > 0)) {
    error = "expected .version 9.0 or older, found " + std::to_string(major) + "." +
            std::to_string(minor);
    return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  }
  std::string_view target = afterDirective(ptx, ".target");
  if (target.substr(0, 3) != "sm_")
    return CUDA_SUCCESS;
  target.remove_prefix(3);
  const int wanted = readNumber(target);
  const char suffix = target.empty() ? ' ' : target[0];
  // sm_90a is for 9.0 alone, sm_100f for 10.x.
  const bool runs = suffix == 'a'   ? wanted == capability
                    : suffix == 'f' ? wanted <= capability && wanted / 10 == capability / 10
                                    : wanted <= capability;
  if (runs)
    return CUDA_SUCCESS;
  error = "expected a .target that sm_" + std::to_string(capability) + " runs, found sm_" +
          std::to_string(wanted);
  if (suffix == 'a' || suffix == 'f')
    error += suffix;
  return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

/// As ptxas: static shared memory is at most 48 KiB on every target.
CUresult checkFunctions(const Module &module, std::string &error) {
  for (const std::string &name : module.functionNames())
    if (const Function *function = module.function(name);
        function->staticSharedBytes > unsigned(defaultSharedBytes)) {
      error = name + ": expected at most 49152 bytes of static shared memory, found " +
              std::to_string(function->staticSharedBytes);
      return CUDA_ERROR_INVALID_PTX;
    }
  return CUDA_SUCCESS;
}

CUresult compile(Driver &state, Context &context, const char *image,
                 std::unique_ptr<Module> &module, std::string &error) {
  NYSJIT_TRY(checkHeader(image, state.capability, error));
  module = Module::load(image, context.memory, error);
  if (!module)
    return CUDA_ERROR_INVALID_PTX;
  return checkFunctions(*module, error);
}

CUresult loadModule(Driver &state, CUmodule *handle, const void *image, Logs &logs) {
  Context *context;
  NYSJIT_TRY(state.current(context));
  if (!handle || !image)
    return CUDA_ERROR_INVALID_VALUE;
  NYSJIT_TRY(state.refuseWhileCapturing(*context));
  if (isBinary(static_cast<const unsigned char *>(image))) {
    logs.write("", "expected PTX text, found a binary");
    return CUDA_ERROR_INVALID_IMAGE;
  }
  auto loaded = std::make_shared<LoadedModule>();
  std::string error;
  if (CUresult result =
          compile(state, *context, static_cast<const char *>(image), loaded->module, error)) {
    logs.write("", error);
    return result;
  }
  logs.write("", "");
  *handle = context->modules.add(std::move(loaded));
  return CUDA_SUCCESS;
}

std::optional<int> functionAttribute(const LoadedFunction &loaded, int attribute, int capability) {
  const Function &function = *loaded.function;
  switch (attribute) {
  case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: return int(std::min(function.maxThreads, 1024u));
  case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: return int(function.staticSharedBytes);
  case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
  case CU_FUNC_ATTRIBUTE_NUM_REGS:
  case 7: // CACHE_MODE_CA
    return 0;
  case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: return int(function.localBytes);
  case CU_FUNC_ATTRIBUTE_PTX_VERSION: // of the virtual architecture, whatever the name says
    return loaded.module->module->target();
  case CU_FUNC_ATTRIBUTE_BINARY_VERSION: return capability;
  case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: return int(loaded.maxDynamicShared);
  case 9: // PREFERRED_SHARED_MEMORY_CARVEOUT
    return -1;
  }
  return std::nullopt;
}

} // namespace

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  return call(Symbol::cuModuleLoadData, [&](Driver &state) {
    Logs logs;
    return loadModule(state, module, image, logs);
  });
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned optionCount,
                            CUjit_option *options, void **optionValues) {
  return call(Symbol::cuModuleLoadDataEx, [&](Driver &state) {
    Logs logs;
    if (!logs.read(optionCount, options, optionValues))
      return CUDA_ERROR_INVALID_VALUE;
    return loadModule(state, module, image, logs);
  });
}

CUresult cuModuleUnload(CUmodule module) {
  return call(Symbol::cuModuleUnload, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.currentEvenFaulted(context));
    std::shared_ptr<LoadedModule> loaded = context->modules.find(module);
    if (!loaded)
      return CUDA_ERROR_INVALID_HANDLE;
    NYSJIT_TRY(state.refuseWhileCapturing(*context));
    for (const auto &[name, function] : loaded->functions)
      context->functions.erase(function);
    context->modules.erase(module);
    return context->synchronize();
  });
}

CUresult cuModuleGetFunction(CUfunction *handle, CUmodule module, const char *name) {
  return call(Symbol::cuModuleGetFunction, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    if (!handle || !name)
      return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<LoadedModule> loaded = context->modules.find(module);
    if (!loaded)
      return CUDA_ERROR_INVALID_HANDLE;
    const Function *function = loaded->module->function(name);
    if (!function)
      return CUDA_ERROR_NOT_FOUND;
    CUfunction &given = loaded->functions[name];
    if (!given) {
      const uint32_t room = unsigned(defaultSharedBytes) - function->staticSharedBytes;
      given = context->functions.add(
          std::make_shared<LoadedFunction>(LoadedFunction{loaded, function, room}));
    }
    *handle = given;
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module,
                              const char *name) {
  return call(Symbol::cuModuleGetGlobal, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    if ((!address && !bytes) || !name)
      return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<LoadedModule> loaded = context->modules.find(module);
    if (!loaded)
      return CUDA_ERROR_INVALID_HANDLE;
    uint64_t where;
    uint64_t size;
    if (!loaded->module->variable(name, where, size))
      return CUDA_ERROR_NOT_FOUND;
    if (address)
      *address = where;
    if (bytes)
      *bytes = size;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
  return call(Symbol::cuFuncGetAttribute, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    if (!value)
      return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<LoadedFunction> loaded = context->functions.find(function);
    if (!loaded)
      return CUDA_ERROR_INVALID_HANDLE;
    const std::optional<int> found = functionAttribute(*loaded, attribute, state.capability);
    if (!found)
      return CUDA_ERROR_INVALID_VALUE;
    *value = *found;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  return call(Symbol::cuFuncSetAttribute, [&](Driver &state) {
    Context *context;
    NYSJIT_TRY(state.current(context));
    std::shared_ptr<LoadedFunction> loaded = context->functions.find(function);
    if (!loaded)
      return CUDA_ERROR_INVALID_HANDLE;
    if (int(attribute) == 9) // PREFERRED_SHARED_MEMORY_CARVEOUT, a hint
      return value >= -1 && value <= 100 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    const int room =
        deviceFacts(state.capability).optInSharedBytes - int(loaded->function->staticSharedBytes);
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || value > room)
      return CUDA_ERROR_INVALID_VALUE;
    loaded->maxDynamicShared = unsigned(value);
    return CUDA_SUCCESS;
  });
}

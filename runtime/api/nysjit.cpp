// nysjit.h: each function checks its arguments, calls the C++ behind it and turns the outcome into
// a status.
#include "runtime/include/nysjit.h"
#include "runtime/api/border.h"
#include "runtime/api/handles.h"
#include "runtime/base/float_environment.h"

#include <climits>
#include <cstddef>
#include <cstring>
#include <string>
#include <unistd.h>

using namespace nysjit;

namespace {

Error isNull(const char *argument) {
  return Error::mismatch(ErrorKind::InvalidArgument, argument, "a pointer", "NULL");
}

/// The path from the folder that is the current one now, wherever the host goes later.
std::string fromHere(const std::string &path) {
  if (path.empty() || path[0] == '/')
    return path;
  char folder[PATH_MAX];
  return getcwd(folder, sizeof folder) ? std::string(folder) + "/" + path : path;
}

Status readBundles(const nysjit_context_options &given, ContextOptions &options) {
  if (!given.bundles != (given.bundle_count == 0))
    return Error::mismatch(ErrorKind::InvalidArgument,
                           given.bundles ? "options.bundle_count" : "options.bundles",
                           given.bundles ? "the number of bundles" : "bundle_count paths",
                           given.bundles ? "0" : "NULL");
  if (!given.bundle_data != (given.bundle_size == 0))
    return Error::mismatch(ErrorKind::InvalidArgument,
                           given.bundle_data ? "options.bundle_size" : "options.bundle_data",
                           given.bundle_data ? "the bundle's bytes" : "a pointer",
                           given.bundle_data ? "0" : "NULL");
  GivenBundles bundles;
  for (size_t i = 0; i < given.bundle_count; ++i) {
    if (!given.bundles[i] || !*given.bundles[i])
      return Error::mismatch(ErrorKind::InvalidArgument,
                             "options.bundles[" + std::to_string(i) + "]", "a path",
                             given.bundles[i] ? "an empty text" : "NULL");
    bundles.paths.push_back(fromHere(given.bundles[i]));
  }
  if (!given.bundles)
    for (const std::string &path : bundlePathsSet())
      bundles.paths.push_back(fromHere(path));
  if (given.bundle_data)
    bundles.memory = {static_cast<const char *>(given.bundle_data), given.bundle_size};
  options.bundles = std::move(bundles);
  return {};
}

Result<ContextOptions> readOptions(const nysjit_context_options *from) {
  ContextOptions options;
  nysjit_context_options given = {};
  if (from)
    NYSJIT_RETURN_IF_ERROR(readStruct(from, "options", sizeof(size_t), given));
  if (given.sealed > 1)
    return Error::mismatch(ErrorKind::InvalidArgument, "options.sealed", "0 or 1",
                           std::to_string(given.sealed));
  options.isSealed = given.sealed == 1;
  NYSJIT_RETURN_IF_ERROR(readBundles(given, options));
  constexpr uint32_t maxThreads = 4096;
  if (given.threads > maxThreads)
    return Error::mismatch(ErrorKind::InvalidArgument, "options.threads",
                           "at most " + std::to_string(maxThreads), std::to_string(given.threads));
  if (given.cache_dir)
    options.cacheFolder = given.cache_dir; // which the cache takes from here
  if (given.compiler)
    options.compiler = fromHere(given.compiler);
  options.threads = given.threads;
  options.parallelFor = given.parallel_for;
  options.parallelForContext = given.parallel_for_context;
  Result<DeviceKind> device = given.device ? parseDevice(given.device) : DeviceKind::Cpu;
  if (!device)
    return Error::mismatch(ErrorKind::UnknownDevice, "options.device", device.error().expected,
                           device.error().found);
  options.device = *device;
  if (!given.allocate != !given.release)
    return Error::mismatch(ErrorKind::InvalidArgument,
                           given.allocate ? "options.release" : "options.allocate",
                           "a function, as the other of the two is given", "NULL");
  options.memory = {given.allocate, given.release, given.callback_context};
  options.log = {given.log, given.callback_context};
  options.progress = given.progress;
  options.progressContext = given.callback_context;
  return options;
}

nysjit_status askSize(const nysjit_program *program, const nysjit_run_args *args, size_t *bytes,
                      size_t MemorySizes::*which) {
  return atBorder([&]() -> Status {
    if (!program)
      return isNull("program");
    if (!bytes)
      return isNull("bytes");
    nysjit_run_args whole;
    NYSJIT_RETURN_IF_ERROR(readStruct(args, "args", offsetof(nysjit_run_args, scale), whole));
    Result<MemorySizes> sizes = program->prepared.program->sizes(whole);
    if (!sizes)
      return sizes.takeError();
    *bytes = (*sizes).*which;
    return {};
  });
}

} // namespace

extern "C" {

uint32_t nysjit_abi_version(void) { return NYSJIT_ABI_VERSION; }

nysjit_status nysjit_context_create(const nysjit_context_options *options,
                                    nysjit_context **context) {
  return atBorder([&]() -> Status {
    if (!context)
      return isNull("context");
    Result<ContextOptions> read = readOptions(options);
    if (!read)
      return read.takeError();
    *context = new nysjit_context{RuntimeContext(std::move(*read))};
    return {};
  });
}

void nysjit_context_destroy(nysjit_context *context) { delete context; }

nysjit_status nysjit_prepare(nysjit_context *context, const char *spec_json,
                             const char *config_json, const char *target,
                             nysjit_program **program) {
  const DefaultFloatEnvironment environment; // of the numbers in JSON and the default scale
  return atBorder([&]() -> Status {
    if (!context)
      return isNull("context");
    if (!spec_json)
      return isNull("spec_json");
    if (!program)
      return isNull("program");
    Result<KernelSpec> spec = parseKernelSpec(std::string_view(spec_json));
    if (!spec)
      return spec.takeError();
    Result<ConfigChoice> config = config_json ? parseConfigChoice(config_json) : ConfigChoice();
    if (!config)
      return config.takeError();
    std::optional<Target> where;
    if (target) {
      Result<Target> named = parseTarget(target);
      NYSJIT_RETURN_IF_ERROR(named);
      where = *named;
    }
    Result<PreparedProgram> prepared = context->context.prepare(*spec, *config, where);
    if (!prepared)
      return prepared.takeError();
    *program = new nysjit_program{std::move(*prepared)};
    return {};
  });
}

void nysjit_program_release(nysjit_program *program) { delete program; }

nysjit_status nysjit_program_get_info(const nysjit_program *program, nysjit_program_info *info) {
  return atBorder([&]() -> Status {
    if (!program)
      return isNull("program");
    if (!info)
      return isNull("info");
    const size_t size = info->size;
    if (size < offsetof(nysjit_program_info, load_ms) || size > 1 << 16)
      return Error::mismatch(ErrorKind::InvalidArgument, "info.size",
                             "the struct's size, " + std::to_string(sizeof(nysjit_program_info)) +
                                 " in this version",
                             std::to_string(size));
    const PreparedProgram &prepared = program->prepared;
    const LoadedProgram &loaded = *prepared.program;
    nysjit_program_info filled = {};
    filled.size = size;
    filled.cache = cacheStateName(prepared.cache);
    filled.load_ms = prepared.loadMs;
    filled.compile_ms = prepared.compileMs;
    filled.key = loaded.key().c_str();
    filled.target = loaded.plan().target.c_str();
    filled.spec_json = loaded.plan().specJson.c_str();
    filled.config_json = loaded.configJson().c_str();
    filled.plan_json = loaded.planJson().c_str();
    filled.kernels_json = loaded.kernelsJson().c_str();
    filled.scratch_bytes_per_thread = loaded.scratchBytes();
    filled.object = loaded.object().empty() ? nullptr : loaded.object().data();
    filled.object_size = loaded.object().size();
    filled.stages_ms_json = prepared.stagesMsJson.c_str();
    filled.ptx = loaded.ptx().empty() ? nullptr : loaded.ptx().c_str();
    filled.config_source = prepared.configSource.c_str();
    if (size > sizeof filled) // a later version's fields: unknown here, so zero
      std::memset(reinterpret_cast<char *>(info) + sizeof filled, 0, size - sizeof filled);
    std::memcpy(info, &filled, size < sizeof filled ? size : sizeof filled);
    return {};
  });
}

nysjit_status nysjit_workspace_size(const nysjit_program *program, const nysjit_run_args *args,
                                    size_t *bytes) {
  return askSize(program, args, bytes, &MemorySizes::workspace);
}

nysjit_status nysjit_saved_size(const nysjit_program *program, const nysjit_run_args *args,
                                size_t *bytes) {
  return askSize(program, args, bytes, &MemorySizes::saved);
}

nysjit_status nysjit_run(const nysjit_program *program, const nysjit_run_args *args, void *stream) {
  return atBorder([&]() -> Status {
    if (!program)
      return isNull("program");
    nysjit_run_args whole;
    NYSJIT_RETURN_IF_ERROR(readStruct(args, "args", offsetof(nysjit_run_args, scale), whole));
    return program->prepared.program->run(whole, stream);
  });
}

} // extern "C"

// What is left open in a request: the target, the block sizes.
#include "runtime/api/context.h"
#include "runtime/base/environment.h"
#include "runtime/configs/device_facts.h"

namespace nysjit {

/// The default first, then the others, the newest before.
Result<std::vector<Target>> RuntimeContext::runnableTargets() {
  Result<Target> own = defaultTarget();
  NYSJIT_RETURN_IF_ERROR(own);
  std::vector<Target> targets = {*own};
  const std::span<const TargetRow> table = targetTable();
  for (auto row = table.rbegin(); row != table.rend(); ++row)
    if (!(row->target == *own) && checkRuns(row->target).ok())
      targets.push_back(row->target);
  return targets;
}

/// What a config is looked for by. Nothing where the device is not known: there is none here, and
/// programs are compiled for another machine.
Result<std::optional<ConfigQuery>> RuntimeContext::configQuery(const KernelSpec &spec,
                                                               const Target &target) {
  Result<std::optional<int64_t>> stale = environmentNumber("NYSJIT_STALE_CONFIGS", 0, 1);
  NYSJIT_RETURN_IF_ERROR(stale);
  ConfigQuery query{canonicalJson(spec), targetName(target), Json(), "", stale->value_or(0) == 1};
  if (!target.isCuda()) {
    query.device = cpuFacts(hostCpu(), threads->count());
  } else {
    Result<std::shared_ptr<CudaDevice>> device = cudaDevice();
    NYSJIT_RETURN_IF_ERROR(device);
    if (!*device)
      return std::optional<ConfigQuery>();
    if ((*device)->isEmulator()) {
      query.device = emulatorFacts();
    } else {
      Result<CudaGpu> gpu = (*device)->currentGpu();
      NYSJIT_RETURN_IF_ERROR(gpu);
      query.device = gpuFacts(gpu->capability, gpu->multiprocessors, gpu->memoryBytes);
    }
  }
  Result<ProgramMaker> by = maker(target);
  NYSJIT_RETURN_IF_ERROR(by);
  query.compiler = by->compiler;
  return std::optional(std::move(query));
}

Result<std::optional<Resolved>>
RuntimeContext::resolveInBundles(const KernelSpec &spec, const ConfigChoice &choice,
                                 const std::vector<Target> &targets) {
  if (bundles.isEmpty()) // each nysjit_prepare comes here
    return std::optional<Resolved>();
  Result<std::vector<std::shared_ptr<Bundle>>> opened = bundles.open();
  NYSJIT_RETURN_IF_ERROR(opened);
  for (const Target &target : targets) {
    ProgramRequest request(spec, choice.exact.value_or(KernelConfig()), target);
    const ProgramKey key = programKey(request, hostCpu(), {});
    for (const std::shared_ptr<Bundle> &bundle : *opened) {
      if (choice.exact && bundle->has(key))
        return std::optional(Resolved{std::move(request), "given"});
      const std::optional<std::string> text = choice.exact ? std::nullopt : bundle->configFor(key);
      if (!text)
        continue;
      Result<KernelConfig> config = parseKernelConfig(std::string_view(*text));
      if (!config)
        return Error::mismatch(ErrorKind::InvalidFile, "bundle " + bundle->name(),
                               "a config in each program's key", config.error().message);
      const bool isDefault = config->kernels.empty();
      return std::optional(Resolved{ProgramRequest(spec, std::move(*config), target),
                                    isDefault ? "default" : "bundle " + bundle->name()});
    }
  }
  return std::optional<Resolved>();
}

/// By a configs.json that was given: the first target of which a bundle has the program with the
/// target's own entry, else the default with its own; without an entry the defaults.
Result<Resolved> RuntimeContext::resolveInGiven(const KernelSpec &spec, const ConfigsFile &file,
                                                const std::vector<Target> &targets) {
  std::optional<KernelConfig> own;
  bool isStale = false;
  for (const Target &target : targets) {
    Result<std::optional<ConfigQuery>> query = configQuery(spec, target);
    NYSJIT_RETURN_IF_ERROR(query);
    ConfigMatch match = ConfigMatch::None;
    const TunedConfig *entry = *query ? file.find(**query, match) : nullptr;
    const bool isOther = match == ConfigMatch::Stale && !(*query)->takesStale;
    isStale = isStale || isOther;
    if (!entry || isOther)
      continue;
    Result<std::optional<Resolved>> bundled =
        resolveInBundles(spec, {.exact = entry->config}, {target});
    NYSJIT_RETURN_IF_ERROR(bundled);
    if (*bundled)
      return std::move(**bundled);
    if (target == targets.front())
      own = entry->config;
  }
  if (own)
    return Resolved{ProgramRequest(spec, std::move(*own), targets.front()), "given"};
  options.log.line(std::string("the configs that were given have no entry for this spec, target, "
                               "device and compiler: the defaults are used") +
                   (isStale ? "; `nysjit tune --stale -o FILE` tunes again what another build of "
                              "the compiler won"
                            : ""));
  Result<std::optional<Resolved>> bundled =
      resolveInBundles(spec, {.exact = KernelConfig()}, targets);
  NYSJIT_RETURN_IF_ERROR(bundled);
  ProgramRequest request =
      *bundled ? std::move((*bundled)->request) : ProgramRequest(spec, {}, targets.front());
  return Resolved{std::move(request), "default"};
}

Result<Resolved> RuntimeContext::resolve(const KernelSpec &spec, const ConfigChoice &choice,
                                         const std::optional<Target> &target) {
  std::vector<Target> targets;
  if (target) {
    targets = {*target};
  } else if (bundles.isEmpty()) {
    Result<Target> own = defaultTarget();
    NYSJIT_RETURN_IF_ERROR(own);
    targets = {*own};
  } else {
    Result<std::vector<Target>> all = runnableTargets();
    NYSJIT_RETURN_IF_ERROR(all);
    targets = std::move(*all);
  }
  if (choice.file)
    return resolveInGiven(spec, *choice.file, targets);
  const Target &first = targets.front();
  std::optional<ConfigQuery> query;
  if (!choice.exact && !configs.isEmpty()) {
    Result<std::optional<ConfigQuery>> made = configQuery(spec, first);
    NYSJIT_RETURN_IF_ERROR(made);
    query = std::move(*made);
  }
  if (query)
    if (std::optional<FoundConfig> set = configs.findSet(*query))
      return Resolved{ProgramRequest(spec, std::move(set->config), first), std::move(set->path),
                      /*isFound=*/true};
  Result<std::optional<Resolved>> bundled = resolveInBundles(spec, choice, targets);
  NYSJIT_RETURN_IF_ERROR(bundled);
  if (*bundled)
    return std::move(**bundled);
  if (choice.exact)
    return Resolved{ProgramRequest(spec, *choice.exact, first), "given"};
  if (query)
    if (std::optional<FoundConfig> found = configs.findInstalled(*query))
      return Resolved{ProgramRequest(spec, std::move(found->config), first), std::move(found->path),
                      /*isFound=*/true};
  return Resolved{ProgramRequest(spec, {}, first), "default"};
}

Result<PreparedProgram> RuntimeContext::prepare(Resolved resolved) {
  while (true) {
    Result<PreparedProgram> prepared = prepare(resolved.request);
    if (prepared)
      prepared->configSource = std::move(resolved.configSource);
    // What keys a config may have is the compiler's to say.
    if (prepared || !resolved.isFound || prepared.error().kind != ErrorKind::InvalidKey)
      return prepared;
    const ProgramRequest &request = resolved.request;
    options.log.line(resolved.configSource + ": the config for " + request.specJson +
                     " is not used: " + prepared.error().message);
    configs.forget(resolved.configSource, request.specJson, targetName(request.target));
    Result<Resolved> next = resolve(request.spec, {}, request.target);
    NYSJIT_RETURN_IF_ERROR(next);
    resolved = std::move(*next);
  }
}

Result<PreparedProgram> RuntimeContext::prepare(const KernelSpec &spec, const ConfigChoice &choice,
                                                const std::optional<Target> &target) {
  Result<Resolved> resolved = resolve(spec, choice, target);
  NYSJIT_RETURN_IF_ERROR(resolved);
  return prepare(std::move(*resolved));
}

} // namespace nysjit

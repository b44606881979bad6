// `nysjit bundle SPECS`, `bundle show FILE`, `bundle verify FILE`.
#include "runtime/bundle/bundle.h"
#include "runtime/bundle/write_bundle.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"
#include "runtime/cli/version.h"
#include "runtime/spec/json_text.h"

namespace nysjit::cli {

using nlohmann::json;

namespace {

Result<std::vector<KernelSpec>> readSpecs(const std::string &path) {
  Result<std::string> text = readFile("SPECS", path);
  NYSJIT_RETURN_IF_ERROR(text);
  Result<Json> array = parseJsonArray(*text);
  if (!array)
    return inFile(path, array.takeError());
  if (array->empty())
    return inFile(path, Error::mismatch(ErrorKind::InvalidJson, "SPECS", "an array of specs",
                                        "an empty one"));
  std::vector<KernelSpec> specs;
  for (size_t i = 0; i < array->size(); ++i) {
    const std::string place = path + ": [" + std::to_string(i) + "]";
    const Json &element = (*array)[i];
    Result<KernelSpec> spec =
        element.is_object()
            ? parseKernelSpec(element)
            : Result<KernelSpec>(Error::mismatch(ErrorKind::InvalidJson, "SPECS",
                                                 "an array of specs", describeJson(element)));
    if (!spec)
      return inFile(place, spec.takeError());
    specs.push_back(std::move(*spec));
  }
  return specs;
}

json entryJson(const Bundle &bundle, const BundleEntry &entry) {
  json facts = keyFacts(hashHex(entry.keyText), entry.keyText);
  for (size_t i = 0; i < entry.parts.size(); ++i)
    facts["parts"][bundlePartNames[i]] = {{"offset", entry.parts[i].offset},
                                          {"bytes", entry.parts[i].bytes},
                                          {"sha256", entry.parts[i].sha256}};
  if (const Result<CacheEntry> read = bundle.read(entry)) {
    const json info = parsed(read->infoJson);
    for (const char *name : {"config", "kernels"})
      if (info.contains(name))
        facts[name == std::string_view("config") ? "block_sizes" : name] = info[name];
  }
  return facts;
}

std::string programs(size_t count) {
  return std::to_string(count) + (count == 1 ? " program" : " programs");
}

Reply describe(const Bundle &bundle) {
  const BundleManifest &manifest = bundle.manifest();
  const std::string count = programs(manifest.entries.size());
  Reply reply{{{"bundle", bundle.name()},
               {"bytes", bundle.bytes()},
               {"sha256", bundle.sha256()},
               {"nysjit", manifest.version},
               {"entries", json::array()}},
              bundle.name() + ": " + count + ", " + std::to_string(bundle.bytes()) +
                  " bytes, by nysjit " + manifest.version + ", manifest SHA-256 " +
                  bundle.sha256() + "\n"};
  for (const BundleEntry &entry : manifest.entries) {
    reply.json["entries"].push_back(entryJson(bundle, entry));
    reply.text += "  " + keyTextLine(entry.keyText, "target") + "  " +
                  keyTextLine(entry.keyText, "spec") + "\n";
  }
  return reply;
}

Result<Reply> verify(const Bundle &bundle) {
  for (const BundleEntry &entry : bundle.manifest().entries)
    NYSJIT_RETURN_IF_ERROR(bundle.read(entry));
  const std::string count = programs(bundle.manifest().entries.size());
  return Reply{{{"bundle", bundle.name()},
                {"bytes", bundle.bytes()},
                {"sha256", bundle.sha256()},
                {"entries", bundle.manifest().entries.size()}},
               bundle.name() + ": whole, " + count + ", manifest SHA-256 " + bundle.sha256() +
                   "\n"};
}

/// A configs.json's entry for the target, on whichever machine it won: the bundle is for others.
/// What is found on this machine is not looked at, so that the same request gives the same bytes.
ConfigChoice choiceFor(const ConfigChoice &given, const KernelSpec &spec, const Target &target) {
  if (!given.file)
    return {.exact = given.exact.value_or(KernelConfig())};
  const TunedConfig *entry = given.file->findForTarget(canonicalJson(spec), targetName(target));
  return {.exact = entry ? entry->config : KernelConfig()};
}

/// Each spec for each target, from the cache or compiled.
Result<std::vector<CacheEntry>> programsOf(const std::vector<KernelSpec> &specs,
                                           const ConfigChoice &config,
                                           const std::vector<Target> &targets) {
  std::vector<CacheEntry> entries;
  for (const Target &target : targets) {
    RuntimeContext context(contextForCompiling(target));
    for (size_t i = 0; i < specs.size(); ++i) {
      Result<Resolved> resolved =
          context.resolve(specs[i], choiceFor(config, specs[i], target), target);
      NYSJIT_RETURN_IF_ERROR(resolved);
      Result<PreparedProgram> prepared = prepare(context, *resolved);
      if (!prepared)
        return inFile("[" + std::to_string(i) + "] for " + targetName(target),
                      prepared.takeError());
      entries.push_back(prepared->program->cacheEntry());
    }
  }
  return entries;
}

Result<Reply> make(const BundleOptions &options) {
  Result<std::vector<KernelSpec>> specs = readSpecs(options.file);
  NYSJIT_RETURN_IF_ERROR(specs);
  Result<ConfigChoice> config = readConfig(options.config);
  NYSJIT_RETURN_IF_ERROR(config);
  Result<OutputFile> output = OutputFile::create("-o", options.output);
  NYSJIT_RETURN_IF_ERROR(output);
  Result<std::vector<CacheEntry>> entries = programsOf(*specs, *config, options.targets);
  NYSJIT_RETURN_IF_ERROR(entries);
  const std::string bytes = bundleToBytes(std::move(*entries), version);
  Result<std::shared_ptr<Bundle>> bundle = Bundle::ofMemory(bytes, options.output);
  NYSJIT_RETURN_IF_ERROR(bundle);
  NYSJIT_RETURN_IF_ERROR(output->write(
      options.isC
          ? bundleToC(bytes, "A bundle of compiled programs, by nysjit " + std::string(version) +
                                 "; manifest SHA-256 " + (*bundle)->sha256())
          : bytes));
  Reply reply = describe(**bundle);
  reply.isOutputTaken = output->isStandardOutput();
  return reply;
}

} // namespace

Result<Reply> runBundle(const BundleOptions &options) {
  if (options.action == BundleOptions::Action::Make)
    return make(options);
  Result<std::shared_ptr<Bundle>> bundle = Bundle::open(options.file);
  NYSJIT_RETURN_IF_ERROR(bundle);
  return options.action == BundleOptions::Action::Show ? describe(**bundle) : verify(**bundle);
}

} // namespace nysjit::cli

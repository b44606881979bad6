// The command line by CLI11. All values are taken as texts; given_options.cpp converts them.
#include "runtime/cli/given.h"
#include "runtime/cli/version.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/tensor_table.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

namespace nysjit::cli {

namespace {

constexpr std::array commands = {"compile", "run",    "calibrate", "tune",
                                 "bench",   "bundle", "devices",   "cache"};
constexpr const char *commandsText =
    "compile, run, calibrate, tune, bench, bundle, devices or cache";
const std::string versionText = std::string("nysjit ") + version;

/// Insertions, removals and exchanges of letters that make one text of the other.
size_t editDistance(const std::string &a, const std::string &b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j)
      diagonal = std::exchange(
          row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row[b.size()];
}

/// " (--seqlens?)" where the command has a flag that is nearly the one given, else "".
std::string nearFlag(const CLI::App &app, const std::string &flag) {
  constexpr size_t near = 2;
  for (const CLI::App *command : app.get_subcommands())
    for (const CLI::Option *option : command->get_options())
      for (const std::string &name : option->get_lnames())
        if (flag.size() > near + 2 && flag.size() < 64 && flag != "--" + name &&
            editDistance(flag, "--" + name) <= near)
          return " (--" + name + "?)";
  return "";
}

/// CLI11's own complaint: an unknown flag, a flag without its value, one given twice.
Error parseError(const CLI::App &app, const CLI::ParseError &error) {
  std::string text = describeName(error.what());
  std::string flag = "command line";
  if (size_t start = text.find('-'); start != std::string::npos)
    flag = text.substr(start, text.find_first_of(" :=,", start) - start);
  return argumentError(flag, "arguments as `nysjit --help` and `nysjit COMMAND --help` list them",
                       text + nearFlag(app, flag));
}

void addJson(CLI::App *command, Given &given) {
  command->add_flag("--json", given.json, "exactly one JSON object on standard output")
      ->disable_flag_override();
}

/// What compile and run share.
void addSpec(CLI::App *command, Given &given) {
  command->add_option("SPEC", given.spec, "KernelSpec, a JSON file")->type_name("FILE")->required();
  command
      ->add_option("--target", given.target,
                   "cpu:native (default on the CPU), cpu:x86-64-v3, cpu:x86-64-v4, cuda:sm_80 "
                   "(default on the "
                   "emulator), 86, 89, 90, 100 or 120")
      ->type_name("NAME");
  command
      ->add_option("--config", given.config,
                   "KernelConfig, a JSON file: block sizes by kernel name; or a configs.json of "
                   "tuned ones; default what is found on this machine")
      ->type_name("FILE");
}

void addConfigRequired(CLI::App *command, Given &given) {
  command
      ->add_flag("--config-required", given.configRequired,
                 "no config for this spec and machine, given or found, is an error")
      ->disable_flag_override();
}

void addCompile(CLI::App &app, Given &given) {
  CLI::App *compile =
      app.add_subcommand("compile", "compile a spec into the cache, or show a stage of it");
  addSpec(compile, given);
  addConfigRequired(compile, given);
  compile
      ->add_option("--emit", given.emit,
                   "print a stage: tile, lowered, llvm, plan; for the CPU asm, object; for cuda "
                   "ptx, cubin, sass")
      ->type_name("STAGE");
  compile
      ->add_option("--from", given.from, "start from a stage's text instead of the spec's template")
      ->expected(2)
      ->type_name("STAGE FILE");
  compile
      ->add_option(
          "-o", given.output,
          "file for the stage, or without --emit for the program's shared object, cubin or PTX")
      ->type_name("FILE");
  addJson(compile, given);
}

void addRun(CLI::App &app, Given &given) {
  CLI::App *run = app.add_subcommand("run", "run a spec on tensors");
  addSpec(run, given);
  addConfigRequired(run, given);
  run->add_option("--device", given.device, "cpu (default), cuda or ptx-emulator")
      ->type_name("NAME");
  for (const TensorRow &row : tensorTable())
    if (row.flag)
      run->add_option(row.flag, given.tensors[row.name], row.flagHelp)->type_name("FILE");
  run->add_option(
         "--max-length", given.maxLength,
         "with --cu-seqlens or --seqlens: no sequence is longer; default the longest one's")
      ->type_name("N");
  run->add_option("--o-dtype", given.outputDtype,
                  "elements of -o and of gradients: float32 (default), or the spec's dtype, "
                  "float16 or bfloat16")
      ->type_name("NAME");
  run->add_option("--scale", given.scale,
                  "softmax scale, default 1/sqrt(d); finite, at most 2.35e38 in size")
      ->type_name("X");
  run->add_option("--repeat", given.repeat, "run N times and report the median")->type_name("N");
  run->add_option("--threads", given.threads, "threads, default one a CPU")->type_name("N");
  run->add_option(
         "--async", given.async,
         "emulator: asynchronous copies act when issued (eager, default) or waited for (lazy)")
      ->type_name("WHEN");
  run->add_option("--seed", given.seed, "emulator: the order of warps, default 0")->type_name("N");
  run->add_option(
         "--bundle", given.bundles,
         "a file of compiled programs, asked before the cache; may be given again; default "
         "those in $NYSJIT_BUNDLES")
      ->type_name("FILE")
      ->allow_extra_args(false);
  run->add_flag("--sealed", given.sealed,
                "compile nothing: a program that is not there is an error")
      ->disable_flag_override();
  run->add_flag("--recompute", given.recompute,
                "with --dout: keep nothing between forward and backward, which computes it again")
      ->disable_flag_override();
  run->add_flag("--check", given.check, "compare with the float64 reference")
      ->disable_flag_override();
  addJson(run, given);
}

/// Flags of calibrate that belong to the --q before them.
constexpr std::array queryTensors = {"q", "cu_seqlens", "seqlens", "seq_starts"};

void addCalibrate(CLI::App &app, Given &given) {
  CLI::App *calibrate = app.add_subcommand(
      "calibrate", "find the probes of a spec with landmark_source learned from queries");
  calibrate->add_option("SPEC", given.spec, "KernelSpec, a JSON file")
      ->type_name("FILE")
      ->required();
  for (const char *name : queryTensors) {
    const TensorRow &row = tensorRow(name);
    const bool isQueries = name == std::string_view("q");
    calibrate
        ->add_option(row.flag, given.queryFiles[name],
                     std::string(row.flagHelp) +
                         (isQueries ? "; may be given again" : "; of the --q before it"))
        ->type_name("FILE")
        ->allow_extra_args(false);
  }
  calibrate
      ->add_option("-o", given.output,
                   "probes [Hq, r, d], float32, as `run --landmark-q` takes them, or - for "
                   "standard output; needed")
      ->type_name("FILE");
  calibrate->add_option("--seed", given.seed, "where the search begins, default 0")->type_name("N");
  calibrate->add_option("--threads", given.threads, "threads, default one a CPU")->type_name("N");
  calibrate->add_flag("--quiet", given.quiet, "no progress on standard error")
      ->disable_flag_override();
  addJson(calibrate, given);
}

/// The files of calibrate in their order, which CLI11 keeps apart from the options' values.
void readQueries(const CLI::App &calibrate, Given &given) {
  std::map<const CLI::Option *, size_t> read;
  for (const CLI::Option *option : calibrate.parse_order())
    for (const char *name : queryTensors)
      if (option->get_name() == tensorRow(name).flag)
        given.queries.emplace_back(name, option->results()[read[option]++]);
}

void addTune(CLI::App &app, Given &given) {
  CLI::App *tune = app.add_subcommand(
      "tune", "find the block sizes that are fastest on this machine, and write them down");
  tune->add_option("TUNE", given.spec, "what to tune, a JSON file")->type_name("FILE");
  tune->add_option("--device", given.device, "cpu (default), cuda or ptx-emulator")
      ->type_name("NAME");
  tune->add_option("--target", given.target, "in place of the file's; default the device's own")
      ->type_name("NAME");
  tune->add_flag("--compile-only", given.compileOnly,
                 "compile the programs of the tune for the target into the bundle of -o, for a "
                 "machine that has no compiler, and tune nothing")
      ->disable_flag_override();
  tune->add_option("--bundle", given.bundles, "the programs to tune with, made by --compile-only")
      ->type_name("FILE");
  tune->add_flag("--resume", given.resume, "go on where a tune of this file stopped")
      ->disable_flag_override();
  tune->add_flag("--restart", given.restart, "begin anew, whatever the journal has")
      ->disable_flag_override();
  tune->add_option("-o", given.output,
                   "the file that what won is written to, beside what it has; default "
                   "nysjit/configs.json in $XDG_CONFIG_HOME, else in ~/.config")
      ->type_name("FILE");
  tune->add_flag("--stale", given.stale,
                 "tune again what the configs.json of -o, or the user's, has of another build")
      ->disable_flag_override();
  tune->add_option("--merge", given.merge,
                   "put the entries of these configs.json files into that of -o, and tune nothing")
      ->expected(1, 1000)
      ->type_name("FILE...");
  tune->add_option("--export", given.exported,
                   "write a journal's results as other tuners read them (t4) into the folder of -o")
      ->expected(2)
      ->type_name("t4 JOURNAL");
  tune->add_option("--svg", given.svg, "heat maps of what was timed")->type_name("FILE");
  tune->add_flag("--quiet", given.quiet, "no progress on standard error")->disable_flag_override();
  addJson(tune, given);
}

void addBench(CLI::App &app, Given &given) {
  CLI::App *bench = app.add_subcommand(
      "bench", "time a spec over sizes, against the machine's own rates and another program");
  addSpec(bench, given);
  bench->add_option("--device", given.device, "cpu (default) or cuda")->type_name("NAME");
  bench
      ->add_option("--vs", given.vs,
                   "what to compare with, a JSON file: another spec, or another KernelConfig or "
                   "configs.json for the same one; {}: the defaults")
      ->type_name("FILE");
  bench
      ->add_option("--sizes", given.sizes,
                   "positions of a sequence, by commas; default five sizes, each twice the one "
                   "before, up to 16384 or the longest that the spec has")
      ->type_name("N,N,..");
  bench->add_option("--batch", given.batch, "sequences, default 1")->type_name("N");
  bench->add_option("--heads", given.heads, "query heads, default 8")->type_name("N");
  bench->add_option("--kv-heads", given.kvHeads, "heads of keys and values, default --heads")
      ->type_name("N");
  bench->add_option("--threads", given.threads, "threads, default one a CPU")->type_name("N");
  bench
      ->add_option("--seconds", given.seconds,
                   "about how long to time, default 30; what that cuts is said")
      ->type_name("N");
  bench->add_option("--svg", given.svg, "a picture of time over size, and the roofline")
      ->type_name("FILE");
  bench->add_flag("--quiet", given.quiet, "no progress on standard error")->disable_flag_override();
  addJson(bench, given);
}

void addCache(CLI::App &app, Given &given) {
  CLI::App *cache = app.add_subcommand("cache", "look after the compiled programs on disk");
  cache->require_subcommand(1);
  CLI::App *list = cache->add_subcommand("list", "all entries");
  CLI::App *show = cache->add_subcommand("show", "one entry and its plan");
  show->add_option("KEY", given.key, "the entry's key, as `nysjit cache list` prints it")
      ->required();
  CLI::App *verify = cache->add_subcommand("verify", "read every entry and check it");
  CLI::App *whyMiss = cache->add_subcommand(
      "why-miss", "say whether `nysjit compile` with these arguments would find its program, and "
                  "if not what differs from the nearest entry");
  addSpec(whyMiss, given);
  CLI::App *gc = cache->add_subcommand(
      "gc", "remove what killed processes left, and the entries that were not used for longest "
            "while there are too many");
  gc->add_option("--max-bytes", given.maxBytes,
                 "of all entries, default $NYSJIT_CACHE_MAX_BYTES, else 2147483648; 0: no limit")
      ->type_name("N");
  gc->add_option("--max-entries", given.maxEntries,
                 "default $NYSJIT_CACHE_MAX_ENTRIES, else 20000; 0: no limit")
      ->type_name("N");
  CLI::App *clear = cache->add_subcommand("clear", "remove all entries");
  for (CLI::App *action : {list, show, verify, whyMiss, gc, clear})
    addJson(action, given);
}

void addBundle(CLI::App &app, Given &given) {
  CLI::App *bundle = app.add_subcommand(
      "bundle", "compile an array of specs for several targets into one file, or look at one");
  bundle->add_option("SPECS", given.spec, "a JSON file with an array of KernelSpecs")
      ->type_name("FILE");
  bundle
      ->add_option("--target", given.target,
                   "targets, separated by commas: cpu:x86-64-v3,cpu:x86-64-v4,cuda:sm_80,...")
      ->type_name("NAMES");
  bundle
      ->add_option("--config", given.config,
                   "KernelConfig, a JSON file: block sizes by kernel name, of all kernels")
      ->type_name("FILE");
  bundle->add_option("--emit", given.emit, "c: C source with the bundle's bytes")->type_name("c");
  bundle->add_option("-o", given.output, "the bundle")->type_name("FILE");
  addJson(bundle, given);
  CLI::App *show = bundle->add_subcommand("show", "what a bundle holds");
  CLI::App *verify = bundle->add_subcommand("verify", "check every byte of a bundle");
  for (CLI::App *action : {show, verify}) {
    action->add_option("FILE", given.bundle, "a bundle")->type_name("FILE")->required();
    addJson(action, given);
  }
}

/// The options of the command that was given; cache's action is its own subcommand.
Result<Options> optionsOf(const CLI::App &app, const Given &given) {
  if (app.got_subcommand("compile"))
    return compileOptions(given);
  if (app.got_subcommand("run"))
    return runOptions(given);
  if (app.got_subcommand("calibrate"))
    return calibrateOptions(given);
  if (app.got_subcommand("tune"))
    return tuneOptions(given);
  if (app.got_subcommand("bench"))
    return benchOptions(given);
  if (app.got_subcommand("bundle")) {
    const CLI::App *bundle = app.get_subcommand("bundle");
    using Action = BundleOptions::Action;
    return bundleOptions(given, bundle->got_subcommand("show")     ? Action::Show
                                : bundle->got_subcommand("verify") ? Action::Verify
                                                                   : Action::Make);
  }
  if (app.got_subcommand("devices"))
    return Options{DevicesOptions{}};
  if (!app.got_subcommand("cache"))
    return argumentError("command", commandsText, "nothing");
  using Action = CacheOptions::Action;
  const CLI::App *cache = app.get_subcommand("cache");
  const Action action = cache->got_subcommand("show")       ? Action::Show
                        : cache->got_subcommand("verify")   ? Action::Verify
                        : cache->got_subcommand("why-miss") ? Action::WhyMiss
                        : cache->got_subcommand("gc")       ? Action::Collect
                        : cache->got_subcommand("clear")    ? Action::Clear
                                                            : Action::List;
  return cacheOptions(given, action);
}

} // namespace

bool wantsJson(int argc, const char *const *argv) {
  return std::any_of(argv + 1, argv + std::max(argc, 1), [](const std::string &text) {
    return text == "--json" || text == "--json=true";
  });
}

Result<Options> parseCommandLine(int argc, const char *const *argv) {
  Given given;
  CLI::App app("Compiles and runs causal Nystrom attention kernels from a JSON spec.", "nysjit");
  app.set_version_flag("--version", versionText);
  addCompile(app, given);
  addRun(app, given);
  addCalibrate(app, given);
  addTune(app, given);
  addBench(app, given);
  addBundle(app, given);
  addJson(app.add_subcommand("devices", "list devices and their targets"), given);
  addCache(app, given);

  // CLI11 would call an unknown command an unexpected argument; its name deserves better.
  std::string first = argc > 1 ? argv[1] : "";
  bool isText = first == "--help" || first == "-h" || first == "--version";
  if (!isText && std::ranges::find(commands, first) == commands.end())
    return argumentError("command", commandsText, argc > 1 ? inQuotes(first) : "nothing");
  try {
    app.parse(argc, argv);
    readQueries(*app.get_subcommand("calibrate"), given);
  } catch (const CLI::CallForHelp &) {
    return Options{TextOptions{app.help()}};
  } catch (const CLI::CallForVersion &) {
    return Options{TextOptions{versionText + "\n"}};
  } catch (const CLI::ParseError &error) {
    return parseError(app, error);
  }

  return optionsOf(app, given);
}

} // namespace nysjit::cli

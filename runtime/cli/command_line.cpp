// The command line by CLI11. All values are taken as texts and converted here, so that every
// message has one form.
#include "runtime/cli/options.h"
#include "runtime/spec/json_text.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace nysjit::cli {

namespace {

constexpr std::array cpuStages = {"tile", "lowered", "llvm", "asm", "object", "plan"};
constexpr std::array cudaStages = {"tile",  "lowered", "llvm", "ptx",
                                   "cubin", "plan",    "sass"}; // the last: not for --from
constexpr std::array commands = {"compile", "run", "devices", "cache"};
constexpr const char *version = "nysjit 0.1.0";

using Text = std::optional<std::string>;

/// The flags as they were given; absent ones are empty.
struct Given {
  std::string spec;
  std::string key;
  Text target;
  Text config;
  Text emit;
  Text output;
  Text device;
  Text q;
  Text k;
  Text v;
  Text scale;
  Text repeat;
  Text threads;
  Text async;
  Text seed;
  Text landmarkQ;
  Text landmarkK;
  Text conv;
  Text cuSeqlens;
  Text seqlens;
  Text sourceLen;
  std::vector<std::string> from;
  bool check = false;
  bool json = false;
};

Error argumentError(const std::string &flag, std::string expected, std::string found) {
  return Error::mismatch(ErrorKind::InvalidArgument, flag, std::move(expected), std::move(found));
}
std::string inQuotes(const std::string &text) { return '"' + describeName(text) + '"'; }

Result<std::string> needed(const char *flag, const Text &value, const char *what) {
  if (!value || value->empty())
    return argumentError(flag, what, value ? "an empty text" : "no such flag");
  return *value;
}

Result<int> integer(const char *flag, const Text &value, int minimum, int maximum, int absent) {
  if (!value)
    return absent;
  int number = 0;
  const char *end = value->data() + value->size();
  std::from_chars_result read = std::from_chars(value->data(), end, number);
  if (read.ec == std::errc() && read.ptr == end && number >= minimum && number <= maximum)
    return number;
  return argumentError(flag,
                       "an integer, " + std::to_string(minimum) + " to " + std::to_string(maximum),
                       inQuotes(*value));
}

Result<std::optional<float>> finiteFloat(const char *flag, const Text &value) {
  if (!value)
    return std::optional<float>();
  double number = 0; // read as a double: a number too small for a float is a number, and 0
  const char *end = value->data() + value->size();
  std::from_chars_result read = std::from_chars(value->data(), end, number);
  if (read.ec == std::errc() && read.ptr == end && std::isfinite(float(number)))
    return std::optional(float(number));
  return argumentError(flag, "a finite number", inQuotes(*value));
}

/// "a, b or c"
std::string alternatives(std::span<const char *const> names) {
  std::string text = names[0];
  for (size_t i = 1; i < names.size(); ++i)
    text += std::string(i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

/// A stage of the way to this target.
Result<std::string> stage(const char *flag, const std::string &name, const Target &target) {
  std::span<const char *const> stages = cpuStages;
  if (target.isCuda())
    stages = std::span<const char *const>(cudaStages)
                 .first(cudaStages.size() - (flag == std::string_view("--from")));
  if (std::ranges::find(stages, name) != stages.end())
    return name;
  const bool isCudas = std::ranges::find(cudaStages, name) != cudaStages.end();
  return argumentError(flag,
                       alternatives(stages) + (target.isCuda() ? " for a cuda target"
                                               : isCudas       ? " without a --target cuda:..."
                                                               : ""),
                       inQuotes(name));
}

Error under(const char *flag, const Error &error) {
  return Error::mismatch(error.kind, flag, error.expected, error.found);
}

Result<Target> target(const Text &name) {
  Result<Target> parsed = name ? parseTarget(*name) : Target();
  return parsed ? parsed : under("--target", parsed.error());
}

/// --device and the flags that depend on it.
Status readDevice(const Given &given, RunOptions &options) {
  Result<DeviceKind> device = given.device ? parseDevice(*given.device) : DeviceKind::Cpu;
  if (!device)
    return under("--device", device.error());
  options.device = *device;
  if (given.target) {
    Result<Target> named = target(given.target);
    NYSJIT_RETURN_IF_ERROR(named);
    if (Status fits = checkTargetFits(*named, *device); !fits)
      return under("--target", fits.error());
    options.target = *named;
  }
  for (const auto &[flag, value] :
       {std::pair("--async", &given.async), std::pair("--seed", &given.seed)})
    if (*value && *device != DeviceKind::PtxEmulator)
      return argumentError(flag, "--device ptx-emulator beside it",
                           std::string("device ") + deviceName(*device));
  if (given.async && *given.async != "eager" && *given.async != "lazy")
    return argumentError("--async", "eager or lazy", inQuotes(*given.async));
  options.isLazy = given.async == "lazy";
  if (given.seed) {
    const char *end = given.seed->data() + given.seed->size();
    std::from_chars_result read = std::from_chars(given.seed->data(), end, options.seed);
    if (read.ec != std::errc() || read.ptr != end)
      return argumentError("--seed", "an integer, 0 to 18446744073709551615",
                           inQuotes(*given.seed));
  }
  return {};
}

/// With --json standard output holds one object and nothing else.
Status checkStandardOutput(const Given &given) {
  const std::string output = given.output.value_or("");
  if (given.json &&
      (output == "/dev/stdout" || output == "/dev/fd/1" || output == "/proc/self/fd/1"))
    return argumentError("-o", "a file other than standard output, which --json takes",
                         inQuotes(output));
  return {};
}

Result<Options> compileOptions(const Given &given) {
  NYSJIT_RETURN_IF_ERROR(checkStandardOutput(given));
  CompileOptions options{.spec = given.spec, .config = given.config, .output = given.output};
  Result<Target> parsed = target(given.target);
  NYSJIT_RETURN_IF_ERROR(parsed);
  options.target = *parsed;
  if (given.emit) {
    Result<std::string> name = stage("--emit", *given.emit, options.target);
    NYSJIT_RETURN_IF_ERROR(name);
    options.emit = *name;
  }
  if (!given.from.empty()) {
    Result<std::string> name = stage("--from", given.from[0], options.target);
    NYSJIT_RETURN_IF_ERROR(name);
    options.from = *name;
    options.fromFile = given.from[1];
  }
  if (given.output && given.output->empty())
    return argumentError("-o", "a file to write", "an empty text");
  if (given.json && given.emit && !given.output)
    return argumentError(
        "--json", "-o FILE beside --json and --emit, which would share standard output", "no -o");
  return Options{options};
}

Result<Options> runOptions(const Given &given) {
  NYSJIT_RETURN_IF_ERROR(checkStandardOutput(given));
  RunOptions options{.spec = given.spec, .config = given.config};
  NYSJIT_RETURN_IF_ERROR(readDevice(given, options));
  Result<std::string> q = needed("--q", given.q, "a .npy file");
  Result<std::string> k = needed("--k", given.k, "a .npy file");
  Result<std::string> v = needed("--v", given.v, "a .npy file");
  Result<std::string> o = needed("-o", given.output, "a file to write");
  for (const Result<std::string> *path : {&q, &k, &v, &o})
    if (!path->ok())
      return path->error();
  if (given.cuSeqlens && given.seqlens)
    return argumentError("--seqlens", "no such flag beside --cu-seqlens", inQuotes(*given.seqlens));
  Result<std::optional<float>> scale = finiteFloat("--scale", given.scale);
  NYSJIT_RETURN_IF_ERROR(scale);
  Result<int> repeat = integer("--repeat", given.repeat, 1, 1000000, 1);
  NYSJIT_RETURN_IF_ERROR(repeat);
  Result<int> threads = integer("--threads", given.threads, 1, 1024, 0);
  NYSJIT_RETURN_IF_ERROR(threads);
  options.inputs = {*q,
                    *k,
                    *v,
                    given.landmarkQ,
                    given.landmarkK,
                    given.conv,
                    given.cuSeqlens,
                    given.seqlens,
                    given.sourceLen};
  options.output = *o;
  options.scale = *scale;
  options.repeat = *repeat;
  options.threads = *threads;
  options.check = given.check;
  return Options{options};
}

/// CLI11's own complaint: an unknown flag, a flag without its value, one given twice.
Error parseError(const CLI::ParseError &error) {
  std::string text = describeName(error.what());
  std::string flag = "command line";
  if (size_t start = text.find('-'); start != std::string::npos)
    flag = text.substr(start, text.find_first_of(" :=,", start) - start);
  return argumentError(flag, "arguments as `nysjit --help` and `nysjit COMMAND --help` list them",
                       text);
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
  app.set_version_flag("--version", version);
  auto addJson = [&given](CLI::App *command) {
    command->add_flag("--json", given.json, "exactly one JSON object on standard output")
        ->disable_flag_override();
  };
  auto addSpec = [&given](CLI::App *command) {
    command->add_option("SPEC", given.spec, "KernelSpec, a JSON file")
        ->type_name("FILE")
        ->required();
    command
        ->add_option("--target", given.target,
                     "cpu:native (default on the CPU), cpu:x86-64-v3, cpu:x86-64-v4, cuda:sm_80 "
                     "(default on the "
                     "emulator), 86, 89, 90, 100 or 120")
        ->type_name("NAME");
    command
        ->add_option("--config", given.config,
                     "KernelConfig, a JSON file: block sizes by kernel name")
        ->type_name("FILE");
  };

  CLI::App *compile =
      app.add_subcommand("compile", "compile a spec into the cache, or show a stage of it");
  addSpec(compile);
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
  addJson(compile);

  CLI::App *run = app.add_subcommand("run", "run a spec on tensors");
  addSpec(run);
  run->add_option("--device", given.device, "cpu (default), cuda or ptx-emulator")
      ->type_name("NAME");
  run->add_option(
         "--q", given.q,
         "queries [B, Hq, n, d], with --cu-seqlens [total, Hq, d]; .npy, as all tensors; needed")
      ->type_name("FILE");
  run->add_option("--k", given.k, "keys [B, Hkv, n, d] or [total, Hkv, d]; needed")
      ->type_name("FILE");
  run->add_option("--v", given.v, "values in the shape of the keys; needed")->type_name("FILE");
  run->add_option("-o", given.output, "output in the shape of the queries, float32; needed")
      ->type_name("FILE");
  run->add_option("--landmark-q", given.landmarkQ,
                  "landmarks' queries [Hq, m, d]; needed with landmark_source learned")
      ->type_name("FILE");
  run->add_option("--landmark-k", given.landmarkK,
                  "landmarks' keys [Hkv, m, d]; needed with landmark_source learned")
      ->type_name("FILE");
  run->add_option("--conv", given.conv,
                  "taps of the convolution [Hq, c]; needed with conv_kernel c")
      ->type_name("FILE");
  run->add_option(
         "--cu-seqlens", given.cuSeqlens,
         "packed sequences: where each starts and ends in the rows [B + 1], int32 or int64")
      ->type_name("FILE");
  run->add_option("--seqlens", given.seqlens,
                  "padded sequences: the length of each [B], int32 or int64")
      ->type_name("FILE");
  run->add_option("--source-len", given.sourceLen,
                  "the source's positions of each sequence [B], int32 or int64; needed with layout "
                  "prefix_lm")
      ->type_name("FILE");
  run->add_option("--scale", given.scale, "softmax scale, default 1/sqrt(d)")->type_name("X");
  run->add_option("--repeat", given.repeat, "run N times and report the median")->type_name("N");
  run->add_option("--threads", given.threads, "threads, default one a CPU")->type_name("N");
  run->add_option(
         "--async", given.async,
         "emulator: asynchronous copies act when issued (eager, default) or waited for (lazy)")
      ->type_name("WHEN");
  run->add_option("--seed", given.seed, "emulator: the order of warps, default 0")->type_name("N");
  run->add_flag("--check", given.check, "compare with the float64 reference")
      ->disable_flag_override();
  addJson(run);

  CLI::App *devices = app.add_subcommand("devices", "list devices and their targets");
  addJson(devices);

  CLI::App *cache = app.add_subcommand("cache", "look after the compiled programs on disk");
  cache->require_subcommand(1);
  CLI::App *list = cache->add_subcommand("list", "all entries");
  CLI::App *show = cache->add_subcommand("show", "one entry and its plan");
  show->add_option("KEY", given.key, "the entry's key, as `nysjit cache list` prints it")
      ->required();
  CLI::App *verify = cache->add_subcommand("verify", "read every entry and check it");
  CLI::App *clear = cache->add_subcommand("clear", "remove all entries");
  for (CLI::App *action : {list, show, verify, clear})
    addJson(action);

  // CLI11 would call an unknown command an unexpected argument; its name deserves better.
  std::string first = argc > 1 ? argv[1] : "";
  bool isText = first == "--help" || first == "-h" || first == "--version";
  if (!isText && std::ranges::find(commands, first) == commands.end())
    return argumentError("command", "compile, run, devices or cache",
                         argc > 1 ? inQuotes(first) : "nothing");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp &) {
    return Options{TextOptions{app.help()}};
  } catch (const CLI::CallForVersion &) {
    return Options{TextOptions{std::string(version) + "\n"}};
  } catch (const CLI::ParseError &error) {
    return parseError(error);
  }

  if (compile->parsed())
    return compileOptions(given);
  if (run->parsed())
    return runOptions(given);
  if (devices->parsed())
    return Options{DevicesOptions{}};
  if (cache->parsed()) {
    using Action = CacheOptions::Action;
    Action action = show->parsed()     ? Action::Show
                    : verify->parsed() ? Action::Verify
                    : clear->parsed()  ? Action::Clear
                                       : Action::List;
    return Options{CacheOptions{action, given.key}};
  }
  return argumentError("command", "compile, run, devices or cache", "nothing");
}

} // namespace nysjit::cli

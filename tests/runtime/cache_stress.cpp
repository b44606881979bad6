// Many processes, a few keys, one cache folder, and a killer: what is promised of the cache, looked
// at from outside. Each round begins with an empty folder; each process prepares all keys in an
// order of its own, runs each program and checks what it computes. Meanwhile some processes and
// some compiler workers are killed.
//   cache_stress [--processes 64] [--keys 8] [--rounds 20] [--kills 6] [--seed N] [--any-compiles]
// Promised: a process that was not killed succeeds, with right results. A key is compiled once a
// round, but for compiles that were interrupted: a kill interrupts one at most. Two processes never
// both say that they compiled a key. With --any-compiles, for file systems that fail and so do not
// lock or keep, a key may be compiled more often. A last line has the figures; the exit status is 1
// if a promise was broken. With bad_files preloaded the folder's file system is slow and fails.
#include "runtime/include/nysjit.h"
#include "tests/runtime/fake_program.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <set>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

using namespace nysjit;

namespace {

struct Options {
  int processes = 64;
  int keys = 8;
  int rounds = 20;
  int kills = 6; // a round, half of them of workers
  unsigned seed = std::random_device()();
  bool anyCompiles = false;
};

struct Figures {
  int programs = 0; // that were prepared and ran
  int failures = 0;
  int wrong = 0;
  int compiled = 0; // programs that their process compiled
  int starts = 0;   // compiles that a worker began
  int killed = 0;
  int broken = 0; // promises about the number of compiles
};

std::string specOf(int key) {
  return R"({"layout":"exact_causal","head_dim":)" + std::to_string(16 + 8 * key) + "}";
}

void append(const std::string &path, const std::string &line) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  (void)!write(file, line.data(), line.size());
  close(file);
}

/// "ok", "compiled", "wrong" or the error of one program.
std::string tryProgram(nysjit_context *context, int key) {
  nysjit_program *program = nullptr;
  if (nysjit_prepare(context, specOf(key).c_str(), nullptr, "cpu:x86-64-v3", &program) != NYSJIT_OK)
    return std::string("failed: ") + nysjit_last_error();
  FakeCall call(1, 2, 5, 16 + 8 * key);
  const float scale = 0.5f;
  call.args.scale = &scale;
  nysjit_program_info info = {};
  info.size = sizeof info;
  const bool isRight = nysjit_run(program, &call.args, nullptr) == NYSJIT_OK &&
                       call.isRight(scale) && nysjit_program_get_info(program, &info) == NYSJIT_OK;
  const std::string word = !isRight                                ? "wrong"
                           : std::string(info.cache) == "compiled" ? "compiled"
                                                                   : "ok";
  nysjit_program_release(program);
  return word;
}

/// What one process does: each key once. Tells of each as it is done.
void beProcess(const Options &options, const TemporaryFolder &folder, int number, unsigned seed) {
  setenv("FAKE_WORKER_PID", (folder / ("worker-" + std::to_string(number))).c_str(), 1);
  const std::string cache = folder / "cache";
  nysjit_context_options given = {};
  given.size = sizeof given;
  given.cache_dir = cache.c_str();
  given.compiler = FAKE_WORKER;
  given.threads = 1;
  nysjit_context *context = nullptr;
  if (nysjit_context_create(&given, &context) != NYSJIT_OK)
    _exit(2);
  std::vector<int> keys;
  for (int key = 0; key < options.keys; ++key)
    keys.push_back(key);
  std::shuffle(keys.begin(), keys.end(), std::mt19937(seed));
  for (const int key : keys)
    append(folder / "told", std::to_string(key) + " " + tryProgram(context, key) + "\n");
  nysjit_context_destroy(context);
  _exit(0);
}

class Round {
public:
  Round(const Options &given, std::mt19937 &generator, Figures &sums)
      : options(given), random(generator), figures(sums) {}

  void run() {
    setenv("BAD_FILES_UNDER", (folder / "cache").c_str(), 1);
    setenv("FAKE_WORKER_LOG", (folder / "starts").c_str(), 1);
    setenv("FAKE_WORKER_MODE", "sleep-10", 1);
    for (int i = 0; i < options.processes; ++i) {
      const unsigned seed = static_cast<unsigned>(random());
      setenv("BAD_FILES_SEED", std::to_string(seed).c_str(), 1);
      children.push_back(fork());
      if (children.back() == 0)
        beProcess(options, folder, i, seed);
    }
    watch();
    judge();
  }

private:
  /// Waits for all, killing some meanwhile.
  void watch() {
    int running = options.processes;
    int left = options.kills;
    while (running > 0) {
      usleep(static_cast<useconds_t>(random() % 6000));
      if (left > 0 && kill(left % 2 == 0))
        --left;
      int status = 0;
      for (pid_t child; (child = waitpid(-1, &status, WNOHANG)) > 0; --running) {
        if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status) != 0)
          ++figures.failures;
        *std::find(children.begin(), children.end(), child) = 0;
      }
    }
  }

  /// Kills a process, or the first worker that one started: never two workers of one request, which
  /// would be an error by right.
  bool kill(bool isWorker) {
    const size_t which = random() % children.size();
    pid_t victim = children[which];
    if (victim == 0)
      return false;
    if (isWorker) {
      const std::string pids = readAll(folder / ("worker-" + std::to_string(which)));
      if (pids.find('\n') == std::string::npos || !hadWorkerKilled.insert(which).second)
        return false;
      victim = std::stoi(pids);
    }
    if (::kill(victim, SIGKILL) != 0)
      return false;
    ++killed;
    return true;
  }

  void judge() {
    std::map<int, int> compiled;
    std::istringstream lines(readAll(folder / "told"));
    for (std::string line; std::getline(lines, line);) {
      const std::string word = line.substr(line.find(' ') + 1);
      ++figures.programs;
      figures.wrong += word == "wrong";
      figures.compiled += word == "compiled";
      compiled[std::stoi(line)] += word == "compiled";
      if (word.starts_with("failed")) {
        ++figures.failures;
        std::fprintf(stderr, "%s\n", line.c_str());
      }
    }
    const std::string starts = readAll(folder / "starts");
    const int begun = static_cast<int>(std::count(starts.begin(), starts.end(), '\n'));
    figures.starts += begun;
    figures.killed += killed;
    if (options.anyCompiles)
      return;
    figures.broken += begun > options.keys + killed;
    for (const auto &[key, count] : compiled)
      figures.broken += count > 1;
    for (const auto &file : std::filesystem::directory_iterator(folder / "cache"))
      figures.broken += killed == 0 && file.path().extension() != ".nysjit" &&
                        file.path().has_extension(); // litter
  }

  const Options &options;
  std::mt19937 &random;
  Figures &figures;
  TemporaryFolder folder;
  std::vector<pid_t> children;
  std::set<size_t> hadWorkerKilled;
  int killed = 0;
};

Options readOptions(int argc, char **argv) {
  Options options;
  const std::map<std::string, int *> numbers = {{"--processes", &options.processes},
                                                {"--keys", &options.keys},
                                                {"--rounds", &options.rounds},
                                                {"--kills", &options.kills}};
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--any-compiles")
      options.anyCompiles = true;
    else if (i + 1 < argc && flag == "--seed")
      options.seed = static_cast<unsigned>(std::stoul(argv[++i]));
    else if (i + 1 < argc && numbers.count(flag))
      *numbers.at(flag) = std::stoi(argv[++i]);
  }
  return options;
}

} // namespace

int main(int argc, char **argv) {
  const Options options = readOptions(argc, argv);
  std::printf("seed %u\n", options.seed);
  std::fflush(stdout);
  std::mt19937 random(options.seed);
  Figures figures;
  for (int round = 0; round < options.rounds; ++round)
    Round(options, random, figures).run();
  std::printf("%d rounds of %d processes and %d keys: %d programs, %d failures, %d wrong results, "
              "%d compiles begun, %d compiled, %d kills, %d promises broken\n",
              options.rounds, options.processes, options.keys, figures.programs, figures.failures,
              figures.wrong, figures.starts, figures.compiled, figures.killed, figures.broken);
  return figures.failures + figures.wrong + figures.broken == 0 && figures.programs > 0 ? 0 : 1;
}

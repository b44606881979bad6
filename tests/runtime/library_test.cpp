// The shared library as a host that opens it at run time has it.
#include "tests/runtime/fake_program.h"

#include <dlfcn.h>
#include <thread>

namespace nysjit {
namespace {

size_t linesOf(const std::string &path) {
  const std::string text = readAll(path);
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// Opens, prepares, runs on two threads that end at once, closes.
void useOnce(const std::string &cache) {
  void *library = dlopen(NYSJIT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto call = [&](const char *name, auto pointer) {
    pointer = reinterpret_cast<decltype(pointer)>(dlsym(library, name));
    return pointer;
  };
  nysjit_context_options options = {};
  options.size = sizeof options;
  options.cache_dir = cache.c_str();
  options.compiler = FAKE_WORKER;
  options.threads = 2;
  nysjit_context *context = nullptr;
  nysjit_program *program = nullptr;
  const auto create = call("nysjit_context_create", &nysjit_context_create);
  const auto prepare = call("nysjit_prepare", &nysjit_prepare);
  const auto run = call("nysjit_run", &nysjit_run);
  ASSERT_EQ(create(&options, &context), NYSJIT_OK);
  ASSERT_EQ(prepare(context, fakeSpec(), nullptr, "cpu:x86-64-v3", &program), NYSJIT_OK);
  for (int i = 0; i < 2; ++i)
    std::thread([&] {
      FakeCall arguments(2, 2, 9);
      EXPECT_EQ(run(program, &arguments.args, nullptr), NYSJIT_OK);
      arguments.args.q = nullptr;
      EXPECT_NE(run(program, &arguments.args, nullptr), NYSJIT_OK); // keeps an error
    }).join();
  call("nysjit_program_release", &nysjit_program_release)(program);
  call("nysjit_context_destroy", &nysjit_context_destroy)(context);
  EXPECT_EQ(dlclose(library), 0);
}

TEST(Library, may_be_opened_and_closed_again_and_again) {
  const TemporaryFolder folder;
  const auto files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const std::string cache = folder / "cache";
  useOnce(cache);
  useOnce(cache);
  const size_t mappings = linesOf("/proc/self/maps");
  const auto open = files();
  for (int i = 0; i < 20; ++i)
    useOnce(cache);
  EXPECT_LE(linesOf("/proc/self/maps"), mappings + 4); // the allocator's own may come and go
  EXPECT_EQ(files(), open);
}

} // namespace
} // namespace nysjit

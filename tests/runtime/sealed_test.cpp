// Contexts with bundles, and sealed ones: where a program comes from, and what is said of one that
// is missing.
#include "runtime/bundle/write_bundle.h"
#include "runtime/cache/disk_cache.h"
#include "runtime/device/cpu_identity.h"
#include "tests/runtime/fake_program.h"
#include "tests/runtime/sandbox.h"

#include <gmock/gmock.h>

namespace nysjit {
namespace {

using testing::HasSubstr;

class Bundled : public FakeRuntime {
protected:
  void SetUp() override {
    FakeRuntime::SetUp();
    ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
    v3 = *DiskCache(folder / "cache").read(info().key).entry;
    writeAll(file, bundleToBytes({v3}, "0.0"));
    ASSERT_EQ(compiles(), 1u);
  }
  /// The entry as of another target.
  CacheEntry forTarget(const std::string &target) const {
    CacheEntry entry = v3;
    const std::string name = "cpu:x86-64-v3";
    for (std::string *text : {&entry.keyText, &entry.planJson})
      for (size_t at; (at = text->find(name)) != std::string::npos;)
        text->replace(at, name.size(), target);
    return entry;
  }
  nysjit_context_options options() {
    nysjit_context_options given = {};
    given.size = sizeof given;
    given.cache_dir = "";
    given.compiler = "/nowhere/nysjit-compiler";
    return given;
  }
  void create(const nysjit_context_options &given) {
    nysjit_context_destroy(context);
    context = nullptr;
    ASSERT_EQ(nysjit_context_create(&given, &context), NYSJIT_OK) << nysjit_last_error();
  }
  void createWithBundle(uint32_t sealed = 0) {
    nysjit_context_options given = options();
    given.sealed = sealed;
    createWithBundle(given);
  }
  void createWithBundle(nysjit_context_options given) {
    const char *paths[] = {file.c_str()};
    given.bundles = paths;
    given.bundle_count = 1;
    create(given);
  }
  void expectFromBundle() {
    EXPECT_STREQ(info().cache, "bundle");
    EXPECT_EQ(info().compile_ms, 0);
    FakeCall call(2, 2, 9);
    ASSERT_EQ(nysjit_run(program, &call.args, nullptr), NYSJIT_OK) << nysjit_last_error();
    EXPECT_TRUE(call.isRight(0.25f));
    EXPECT_EQ(compiles(), 1u);
  }
  const std::string file = folder / "programs";
  CacheEntry v3;
};

TEST_F(Bundled, a_program_is_found_and_run_without_a_compiler) {
  createWithBundle();
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  expectFromBundle();
  EXPECT_EQ(std::string(info().key), hashHex(v3.keyText));
  ASSERT_EQ(prepare(), NYSJIT_OK);
  EXPECT_STREQ(info().cache, "memory");
}

TEST_F(Bundled, the_bundle_is_asked_before_the_disk_and_the_disk_before_a_compile) {
  nysjit_context_options given = options();
  const std::string cache = folder / "cache";
  given.cache_dir = cache.c_str();
  given.compiler = FAKE_WORKER;
  createWithBundle(given);
  ASSERT_EQ(prepare(), NYSJIT_OK);
  EXPECT_STREQ(info().cache, "bundle");
  ASSERT_EQ(prepare(R"({"head_dim":32,"layout":"exact_causal"})"), NYSJIT_OK);
  EXPECT_STREQ(info().cache, "compiled");
  createWithBundle(given);
  ASSERT_EQ(prepare(R"({"head_dim":32,"layout":"exact_causal"})"), NYSJIT_OK);
  EXPECT_STREQ(info().cache, "disk");
}

TEST_F(Bundled, the_environment_names_bundles_and_seals) {
  writeAll(folder / "empty", bundleToBytes({}, "0.0"));
  const ScopedSetting bundles("NYSJIT_BUNDLES", folder / "empty" + "::" + file);
  create(options());
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  expectFromBundle();
  nysjit_context_options given = options();
  given.compiler = FAKE_WORKER;
  const ScopedSetting sealed("NYSJIT_SEALED", "1");
  create(given);
  EXPECT_EQ(prepare(R"({"head_dim":32,"layout":"exact_causal"})"), NYSJIT_UNAVAILABLE);
  EXPECT_EQ(compiles(), 1u);
  const ScopedSetting wrong("NYSJIT_SEALED", "yes");
  EXPECT_EQ(prepare(R"({"head_dim":32,"layout":"exact_causal"})"), NYSJIT_INVALID_ARGUMENT);
  EXPECT_THAT(nysjit_last_error(), HasSubstr("NYSJIT_SEALED"));
}

TEST_F(Bundled, paths_in_the_environment_are_from_where_the_context_was_made) {
  const nysjit_context_options given = options();
  for (const nysjit_context_options *from : {&given, static_cast<decltype(&given)>(nullptr)})
    EXPECT_EQ(inProcess([&]() -> std::string {
                setenv("NYSJIT_BUNDLES", "programs", 1);
                setenv("NYSJIT_CACHE_DIR", (folder / "other").c_str(), 1);
                setenv("NYSJIT_COMPILER", "/nowhere/nysjit-compiler", 1);
                nysjit_context *made = nullptr;
                if (chdir(folder.path.c_str()) != 0 ||
                    nysjit_context_create(from, &made) != NYSJIT_OK || chdir("/") != 0)
                  return "no context";
                std::swap(context, made);
                if (prepare() != NYSJIT_OK)
                  return nysjit_last_error();
                return info().cache;
              }),
              "bundle")
        << (from ? "options" : "NULL");
}

TEST_F(Bundled, a_bundle_may_lie_in_memory) {
  const std::string bytes = readAll(file);
  nysjit_context_options given = options();
  given.bundle_data = bytes.data();
  given.bundle_size = bytes.size();
  create(given);
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  expectFromBundle();
}

TEST_F(Bundled, the_one_in_memory_is_asked_first_then_the_files_in_their_order) {
  const auto madeBy = [&](const char *maker) {
    CacheEntry entry = v3;
    entry.keyText += std::string("compiler ") + maker + "\n";
    return entry;
  };
  const auto askedFor = [&](const CacheEntry &entry) { return hashHex(entry.keyText); };
  writeAll(file, bundleToBytes({madeBy("first")}, "0.0"));
  writeAll(folder / "second", bundleToBytes({madeBy("second")}, "0.0"));
  const std::string bytes = bundleToBytes({madeBy("memory")}, "0.0");
  const std::string second = folder / "second";
  const char *paths[] = {file.c_str(), second.c_str()};
  nysjit_context_options given = options();
  given.bundles = paths;
  given.bundle_count = 2;
  create(given);
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  EXPECT_EQ(info().key, askedFor(madeBy("first")));
  given.bundle_data = bytes.data();
  given.bundle_size = bytes.size();
  create(given);
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  EXPECT_EQ(info().key, askedFor(madeBy("memory")));
}

TEST_F(Bundled, a_sealed_context_says_what_is_missing_and_what_is_nearest) {
  createWithBundle(1);
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  ASSERT_EQ(prepare(R"({"head_dim":32,"layout":"exact_causal"})"), NYSJIT_UNAVAILABLE);
  EXPECT_THAT(nysjit_last_error(), HasSubstr("\"head_dim\":32"));
  EXPECT_THAT(nysjit_last_error(), HasSubstr("sealed"));
  EXPECT_THAT(nysjit_last_error(), HasSubstr("bundle " + file));
  EXPECT_THAT(nysjit_last_error(), HasSubstr("spec.head_dim: 16 in the entry, 32 asked"));
}

TEST_F(Bundled, a_sealed_context_takes_what_the_cache_has) {
  nysjit_context_options given = options();
  const std::string cache = folder / "cache";
  given.cache_dir = cache.c_str();
  given.sealed = 1;
  create(given);
  ASSERT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  EXPECT_STREQ(info().cache, "disk");
}

TEST_F(Bundled, without_a_compiler_the_nearest_is_named_too) {
  createWithBundle();
  ASSERT_EQ(prepare(R"({"head_dim":32,"layout":"exact_causal"})"), NYSJIT_UNAVAILABLE);
  EXPECT_THAT(nysjit_last_error(), HasSubstr("no compiler"));
  EXPECT_THAT(nysjit_last_error(), HasSubstr("spec.head_dim: 16 in the entry, 32 asked"));
}

TEST_F(Bundled, without_a_target_the_best_that_runs_here_is_taken) {
  const bool hasV4 = checkTargetRunsOn(*parseTarget("cpu:x86-64-v4"), hostCpu()).ok();
  for (const bool isV4There : {false, true}) {
    std::vector<CacheEntry> entries = {v3};
    if (isV4There)
      entries.push_back(forTarget("cpu:x86-64-v4"));
    writeAll(file, bundleToBytes(entries, "0.0"));
    createWithBundle(1);
    nysjit_program_release(program);
    program = nullptr;
    ASSERT_EQ(nysjit_prepare(context, fakeSpec(), nullptr, nullptr, &program), NYSJIT_OK)
        << nysjit_last_error();
    EXPECT_STREQ(info().target, isV4There && hasV4 ? "cpu:x86-64-v4" : "cpu:x86-64-v3");
    expectFromBundle();
  }
  // One that was asked for is not replaced.
  EXPECT_EQ(nysjit_prepare(context, fakeSpec(), nullptr, "cpu:native", &program),
            NYSJIT_UNAVAILABLE);
}

TEST_F(Bundled, one_for_other_machines_says_so) {
  writeAll(file, bundleToBytes({forTarget("cuda:sm_90")}, "0.0"));
  createWithBundle(1);
  nysjit_program *none = nullptr;
  ASSERT_EQ(nysjit_prepare(context, fakeSpec(), nullptr, nullptr, &none), NYSJIT_UNAVAILABLE);
  EXPECT_THAT(nysjit_last_error(), HasSubstr("nearest is one for cuda:sm_90"));
}

TEST_F(Bundled, one_that_is_damaged_or_not_there_is_an_error_until_it_is_mended) {
  const std::string whole = readAll(file);
  std::string changed = whole;
  changed[changed.size() / 2] ^= 1;
  writeAll(file, changed);
  nysjit_context_options given = options();
  given.compiler = FAKE_WORKER; // which would do
  createWithBundle(given);
  EXPECT_EQ(prepare(), NYSJIT_INVALID_FILE);
  EXPECT_THAT(nysjit_last_error(), HasSubstr("bundle " + file));
  std::filesystem::remove(file);
  EXPECT_EQ(prepare(), NYSJIT_IO);
  EXPECT_THAT(nysjit_last_error(), HasSubstr("No such file"));
  writeAll(file, whole);
  EXPECT_EQ(prepare(), NYSJIT_OK) << nysjit_last_error();
  expectFromBundle();
}

TEST_F(Bundled, one_that_is_replaced_or_gone_after_it_was_opened_is_an_error) {
  nysjit_context_options given = options();
  given.compiler = FAKE_WORKER; // which would do
  createWithBundle(given);
  ASSERT_EQ(prepare(R"({"head_dim":32,"layout":"exact_causal"})"), NYSJIT_OK); // opens it
  CacheEntry other = v3;
  other.object = "another" + other.object;
  writeAll(file, bundleToBytes({other}, "0.0"));
  EXPECT_EQ(prepare(), NYSJIT_INVALID_FILE);
  EXPECT_THAT(nysjit_last_error(), HasSubstr("bundle " + file));
  std::filesystem::remove(file);
  EXPECT_EQ(prepare(), NYSJIT_IO);
  EXPECT_THAT(nysjit_last_error(), HasSubstr("bundle " + file));
}

TEST_F(Bundled, no_file_stays_open) {
  createWithBundle();
  EXPECT_EQ(inProcess([&]() -> std::string {
              if (prepare() != NYSJIT_OK)
                return nysjit_last_error();
              for (const auto &link : std::filesystem::directory_iterator("/proc/self/fd")) {
                std::error_code gone;
                if (std::filesystem::read_symlink(link, gone) == file)
                  return "open";
              }
              return "";
            }),
            "");
}

TEST_F(Bundled, options_that_contradict_are_refused_by_name) {
  const char *none[] = {""};
  const auto refused = [&](const nysjit_context_options &given, const char *name) {
    nysjit_context *made = nullptr;
    EXPECT_EQ(nysjit_context_create(&given, &made), NYSJIT_INVALID_ARGUMENT) << name;
    EXPECT_THAT(nysjit_last_error(), HasSubstr(name));
  };
  nysjit_context_options given = options();
  given.bundles = none;
  refused(given, "options.bundle_count");
  given.bundle_count = 1;
  refused(given, "options.bundles[0]");
  given.bundles = nullptr;
  refused(given, "options.bundles");
  given = options();
  given.bundle_size = 4;
  refused(given, "options.bundle_data");
  given.bundle_data = none;
  given.bundle_size = 0;
  refused(given, "options.bundle_size");
  given = options();
  given.sealed = 2;
  refused(given, "options.sealed");
}

} // namespace
} // namespace nysjit

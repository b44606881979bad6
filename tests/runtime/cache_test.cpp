// The disk cache: what is stored comes back, what is damaged does not, one holds the lock.
#include "runtime/cache/disk_cache.h"
#include "runtime/cache/key.h"
#include "tests/runtime/temporary_folder.h"

#include <atomic>
#include <csignal>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace nysjit {
namespace {

CacheEntry sampleEntry() {
  return {"format 2\nspec {\"a\":1}\ntarget cpu:native\n", "{\"plan\":1}", "{}",
          std::string("\x7f"
                      "ELF\0\1",
                      6),
          ".version 7.0"};
}

TEST(CacheEntry, round_trip) {
  const CacheEntry entry = sampleEntry();
  const auto read = entryFromBytes(entryToBytes(entry));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->keyText, entry.keyText);
  EXPECT_EQ(read->planJson, entry.planJson);
  EXPECT_EQ(read->object, entry.object);
  EXPECT_EQ(read->ptx, entry.ptx);
}

TEST(CacheEntry, any_flipped_bit_is_damage) {
  const std::string bytes = entryToBytes(sampleEntry());
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << i % 8));
    EXPECT_FALSE(entryFromBytes(damaged)) << "bit " << i;
  }
}

TEST(CacheEntry, any_truncation_is_damage) {
  const std::string bytes = entryToBytes(sampleEntry());
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(entryFromBytes(bytes.substr(0, length))) << length;
  EXPECT_FALSE(entryFromBytes(bytes + "x"));
}

TEST(DiskCache, gives_back_what_was_stored) {
  const TemporaryFolder folder;
  const DiskCache cache(folder / "deep/cache");
  const CacheEntry entry = sampleEntry();
  const std::string key = hashHex(entry.keyText);
  EXPECT_FALSE(cache.load(key, entry.keyText));
  ASSERT_TRUE(cache.store(key, entry));
  ASSERT_TRUE(cache.load(key, entry.keyText));
  EXPECT_EQ(cache.load(key, entry.keyText)->object, entry.object);
}

TEST(DiskCache, another_key_text_is_a_miss) {
  const TemporaryFolder folder;
  const DiskCache cache(folder.path);
  CacheEntry entry = sampleEntry();
  const std::string key = hashHex(entry.keyText);
  entry.keyText += "x"; // as if two key texts had one hash
  ASSERT_TRUE(cache.store(key, entry));
  EXPECT_FALSE(cache.load(key, sampleEntry().keyText));
  EXPECT_FALSE(cache.show(key));
}

TEST(DiskCache, lists_valid_and_damaged_entries_and_clears_all) {
  const TemporaryFolder folder;
  const DiskCache cache(folder.path);
  const CacheEntry entry = sampleEntry();
  const std::string key = hashHex(entry.keyText);
  const std::string other = hashHex("other");
  cache.store(key, entry);
  writeAll(folder / (other + ".nysjit"), "rubbish");
  writeAll(folder / (other + ".nysjit.abcdef.tmp"), "left by a killed writer");
  writeAll(folder / "notes.txt", "somebody's");
  const std::vector<CacheListing> listings = cache.list();
  ASSERT_EQ(listings.size(), 2u);
  for (const CacheListing &listing : listings) {
    EXPECT_EQ(listing.isValid, listing.key == key);
    EXPECT_EQ(listing.specJson, listing.key == key ? "{\"a\":1}" : "");
  }
  EXPECT_EQ(cache.clear().entries, 2u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path), {}), 1); // notes.txt
}

TEST(DiskCache, what_is_no_file_is_a_miss_and_is_cleared) {
  const TemporaryFolder folder;
  const DiskCache cache(folder.path);
  const std::string first = hashHex("first");
  const std::string second = hashHex("second");
  // opening it for reading would wait for a writer
  ASSERT_EQ(mkfifo((folder / (first + ".nysjit")).c_str(), 0600), 0);
  ASSERT_TRUE(std::filesystem::create_directory(folder / (second + ".nysjit")));
  EXPECT_FALSE(cache.show(first));
  EXPECT_FALSE(cache.show(second));
  EXPECT_EQ(cache.clear().entries, 2u);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path));
}

TEST(DiskCache, a_folder_that_is_not_there_is_empty) {
  const DiskCache cache("/proc/nothing/here");
  EXPECT_FALSE(cache.store(hashHex("x"), sampleEntry()));
  EXPECT_EQ(cache.lock(hashHex("x"), 0), nullptr);
  EXPECT_TRUE(cache.list().empty());
  EXPECT_EQ(cache.clear().entries, 0u);
}

TEST(DiskCache, a_key_cannot_leave_the_folder) {
  const TemporaryFolder folder;
  EXPECT_FALSE(DiskCache(folder.path).show("../../../../../etc/passwd"));
}

constexpr int patience = 60000; // ms

TEST(FileLock, one_holds_it_at_a_time) {
  const TemporaryFolder folder;
  std::vector<std::thread> threads;
  std::atomic<int> entered{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const FileLock lock(folder / "lock", patience);
        ASSERT_TRUE(lock.isHeld());
        const int others = entered.fetch_add(1);
        EXPECT_EQ(others, 0);
        entered.fetch_sub(1);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_FALSE(std::filesystem::exists(folder / "lock")); // no litter
}

TEST(FileLock, a_holder_that_never_lets_go_is_not_waited_for) {
  const TemporaryFolder folder;
  const FileLock first(folder / "lock", patience);
  {
    const FileLock second(folder / "lock", 20);
    EXPECT_FALSE(second.isHeld());
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "lock")); // still the first one's
}

TEST(FileLock, a_killed_holder_gives_it_up) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FileLock lock(folder / "lock", patience);
    (void)!write(ready[1], "x", 1);
    pause();
    _exit(0);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  kill(child, SIGKILL);
  const FileLock lock(folder / "lock", patience); // would wait for ever
  EXPECT_TRUE(lock.isHeld());
  waitpid(child, nullptr, 0);
  close(ready[0]), close(ready[1]);
}

KernelSpec sampleSpec() {
  KernelSpec spec;
  spec.layout = Layout::ExactCausal;
  spec.headDim = 64;
  return spec;
}

TEST(CacheKey, depends_on_each_of_its_parts) {
  const KernelSpec spec = sampleSpec();
  KernelSpec otherSpec = spec;
  otherSpec.headDim = 128;
  const KernelConfig config;
  KernelConfig otherConfig;
  otherConfig.kernels["k"].blockM = 32;
  CpuIdentity cpu;
  CpuIdentity otherCpu;
  otherCpu.leaf7Ebx = 1;
  const Target native;
  const Target v3{CpuLevel::V3};
  const std::string base = cacheKeyText({spec, config, native}, cpu, "id");
  EXPECT_EQ(base, cacheKeyText({spec, config, native}, cpu, "id"));
  EXPECT_NE(base, cacheKeyText({otherSpec, config, native}, cpu, "id"));
  EXPECT_NE(base, cacheKeyText({spec, otherConfig, native}, cpu, "id"));
  EXPECT_NE(base, cacheKeyText({spec, config, v3}, cpu, "id"));
  EXPECT_NE(base, cacheKeyText({spec, config, native}, otherCpu, "id"));
  EXPECT_NE(base, cacheKeyText({spec, config, native}, cpu, "id2"));
  // A named level is the same code on every CPU.
  EXPECT_EQ(cacheKeyText({spec, config, v3}, cpu, "id"),
            cacheKeyText({spec, config, v3}, otherCpu, "id"));
}

TEST(CacheKey, a_gpus_depends_on_the_assembler_and_no_cpu) {
  const KernelSpec spec = sampleSpec();
  const KernelConfig config;
  CpuIdentity cpu;
  CpuIdentity otherCpu;
  otherCpu.leaf7Ebx = 1;
  const Target sm80 = *parseTarget("cuda:sm_80");
  const Target sm90 = *parseTarget("cuda:sm_90");
  const std::string base = cacheKeyText({spec, config, sm80}, cpu, "id", "one");
  EXPECT_EQ(keyTextLine(base, "assembler"), "one");
  EXPECT_EQ(keyTextLine(base, "cpu"), "");
  EXPECT_EQ(base, cacheKeyText({spec, config, sm80}, otherCpu, "id", "one"));
  EXPECT_NE(base, cacheKeyText({spec, config, sm80}, cpu, "id", "two"));
  EXPECT_NE(base, cacheKeyText({spec, config, sm90}, cpu, "id", "one"));
  EXPECT_EQ(keyTextLine(cacheKeyText({spec, config, Target()}, cpu, "id", "one"), "assembler"), "");
}

TEST(ToolIdentity, changes_with_the_file) {
  const TemporaryFolder folder;
  writeAll(folder / "tool", "#!/bin/sh\nexec /one/ptxas\n");
  const std::string first = *toolIdentity(folder / "tool");
  EXPECT_EQ(first, *toolIdentity(folder / "tool"));
  const auto time = std::filesystem::last_write_time(folder / "tool");
  writeAll(folder / "tool", "#!/bin/sh\nexec /two/ptxas\n"); // of the same size and, below, time
  std::filesystem::last_write_time(folder / "tool", time);
  EXPECT_NE(first, *toolIdentity(folder / "tool"));
  writeAll(folder / "large", std::string(1 << 20, 'x'));
  const std::string large = *toolIdentity(folder / "large");
  std::filesystem::last_write_time(folder / "large", time);
  EXPECT_NE(large, *toolIdentity(folder / "large"));
  std::filesystem::create_symlink(folder / "tool", folder / "link");
  EXPECT_EQ(*toolIdentity(folder / "link"), *toolIdentity(folder / "tool"));
  EXPECT_FALSE(toolIdentity(folder / "absent").ok());
}

TEST(CacheKey, hash_is_xxh3_128) {
  // the published value of XXH3-128 of nothing
  EXPECT_EQ(hashHex(""), "99aa06d3014798d86001c324468d497f");
}

TEST(BuildId, an_elf_file_has_one_and_another_file_has_a_hash) {
  const TemporaryFolder folder;
  writeAll(folder / "script", "#!/bin/sh\n");
  const Result<std::string> script = buildId(folder / "script");
  ASSERT_TRUE(script.ok());
  EXPECT_EQ(*script, "hash " + hashHex("#!/bin/sh\n"));
  const Result<std::string> self = buildId("/proc/self/exe");
  ASSERT_TRUE(self.ok());
  EXPECT_TRUE(self->rfind("build-id ", 0) == 0 || self->rfind("hash ", 0) == 0) << *self;
  EXPECT_FALSE(buildId(folder / "absent").ok());
}

} // namespace
} // namespace nysjit

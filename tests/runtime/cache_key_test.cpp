// The key: what it depends on, and how each part of the maker is known without running it.
#include "runtime/cache/identity.h"
#include "runtime/cache/key.h"
#include "runtime/cache/nearest.h"
#include "tests/runtime/cache_fixture.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace nysjit {
namespace {

class Key : public testing::Test {
protected:
  std::string text(const KernelSpec &of, const KernelConfig &blocks, const Target &target,
                   const CpuIdentity &host, const ProgramMaker &by) {
    const ProgramKey key = programKey({of, blocks, target}, host, by);
    EXPECT_EQ(key.hash, hashHex(key.text));
    EXPECT_EQ(key.text, key.request + key.maker);
    return key.text;
  }
  KernelSpec spec = *parseKernelSpec(R"({"layout": "exact_causal", "head_dim": 64})");
  KernelConfig config;
  CpuIdentity cpu;
  ProgramMaker maker = {"id", "llvm", "ptxas"};
  Target native;
  Target v3{CpuLevel::V3};
  Target sm80 = *parseTarget("cuda:sm_80");
};

TEST_F(Key, depends_on_each_of_its_parts) {
  KernelSpec otherSpec = spec;
  otherSpec.headDim = 128;
  KernelConfig otherConfig;
  otherConfig.kernels["k"].blockM = 32;
  CpuIdentity otherCpu;
  otherCpu.leaf7Ebx = 1;
  const std::string base = text(spec, config, native, cpu, maker);
  EXPECT_EQ(base, text(spec, config, native, cpu, maker));
  EXPECT_NE(base, text(otherSpec, config, native, cpu, maker));
  EXPECT_NE(base, text(spec, otherConfig, native, cpu, maker));
  EXPECT_NE(base, text(spec, config, v3, cpu, maker));
  EXPECT_NE(base, text(spec, config, native, otherCpu, maker));
  EXPECT_NE(base, text(spec, config, native, cpu, {"id2", "llvm", "ptxas"}));
  EXPECT_NE(base, text(spec, config, native, cpu, {"id", "llvm2", "ptxas"}));
  // A CPU's program needs no ptxas, and that of a named level is the same on every CPU.
  EXPECT_EQ(base, text(spec, config, native, cpu, {"id", "llvm", "ptxas2"}));
  EXPECT_EQ(text(spec, config, v3, cpu, maker), text(spec, config, v3, otherCpu, maker));
}

TEST_F(Key, of_a_gpu_depends_on_the_assembler_and_no_cpu) {
  CpuIdentity otherCpu;
  otherCpu.leaf7Ebx = 1;
  const std::string base = text(spec, config, sm80, cpu, maker);
  EXPECT_EQ(keyTextLine(base, "assembler"), "ptxas");
  EXPECT_EQ(keyTextLine(base, "cpu"), "");
  EXPECT_EQ(base, text(spec, config, sm80, otherCpu, maker));
  EXPECT_NE(base, text(spec, config, sm80, cpu, {"id", "llvm", "ptxas2"}));
  EXPECT_NE(base, text(spec, config, *parseTarget("cuda:sm_90"), cpu, maker));
}

TEST_F(Key, has_the_request_apart_from_its_maker) {
  const ProgramKey one = programKey({spec, config, native}, cpu, maker);
  const ProgramKey other = programKey({spec, config, native}, cpu, {"id2", "llvm2", "ptxas2"});
  EXPECT_EQ(one.request, other.request);
  EXPECT_NE(one.maker, other.maker);
}

TEST_F(Key, differences_are_named_value_by_value) {
  const KernelSpec causal = *parseKernelSpec(
      R"({"layout": "causal", "head_dim": 64, "landmarks": 8, "segment_len": 64})");
  KernelSpec asked = causal;
  asked.segmentLen = 16;
  asked.window = 1;
  KernelConfig blocks;
  blocks.kernels["causal_output"].blockM = 32;
  const auto differences = keyDifferences(text(causal, config, v3, cpu, maker),
                                          text(asked, blocks, v3, cpu, {"id2", "llvm", "ptxas"}));
  std::vector<std::string> sentences;
  for (const KeyDifference &difference : differences)
    sentences.push_back(difference.sentence());
  EXPECT_EQ(sentences, (std::vector<std::string>{

                           "spec.segment_len: 64 in the entry, 16 asked",
                           "spec.window: 0 in the entry, 1 asked",
                           "config.causal_output.block_m: nothing in the entry, 32 asked",
                           "compiler: id in the entry, id2 asked"}));
}

TEST_F(Key, the_nearest_differs_least) {
  KernelSpec near = spec;
  near.headDim = 32;
  KernelSpec far = near;
  far.dtype = DType::Float16;
  const std::string asked = text(spec, config, v3, cpu, maker);
  const auto nearest =
      nearestKey({text(far, config, v3, cpu, maker), text(near, config, v3, cpu, maker)}, asked);
  ASSERT_TRUE(nearest);
  ASSERT_EQ(nearest->differences.size(), 1u);
  EXPECT_EQ(nearest->differences[0].field, "spec.head_dim");
  EXPECT_FALSE(nearestKey({}, asked));
}

TEST(ToolIdentity, is_the_files_contents) {
  const TemporaryFolder folder;
  const OpenFolder none("/proc/none");
  writeAll(folder / "tool", "#!/bin/sh\nexec /one/ptxas\n");
  const std::string first = *toolIdentity(folder / "tool", none);
  EXPECT_EQ(first, *toolIdentity(folder / "tool", none));
  std::filesystem::copy(folder / "tool", folder / "copy"); // installed at another time
  EXPECT_EQ(first, *toolIdentity(folder / "copy", none));
  const auto time = std::filesystem::last_write_time(folder / "tool");
  writeAll(folder / "tool", "#!/bin/sh\nexec /two/ptxas\n"); // of the same size and, below, time
  std::filesystem::last_write_time(folder / "tool", time);
  EXPECT_NE(first, *toolIdentity(folder / "tool", none));
  std::filesystem::create_symlink(folder / "copy", folder / "link");
  EXPECT_EQ(first, *toolIdentity(folder / "link", none));
  EXPECT_FALSE(toolIdentity(folder / "absent", none).ok());
}

TEST(ToolIdentity, is_kept_beside_what_it_was_computed_from) {
  const TemporaryFolder folder;
  const OpenFolder cache(folder.path);
  writeAll(folder / "tool", std::string(1 << 20, 'x'));
  const std::string first = *toolIdentity(folder / "tool", cache);
  const std::string kept = readAll(folder / "assembler");
  EXPECT_TRUE(kept.ends_with(first));
  writeAll(folder / "assembler", kept.substr(0, kept.size() - 4) + "kept");
  EXPECT_TRUE(toolIdentity(folder / "tool", cache)->ends_with("kept")); // it is what is read
  const auto time = std::filesystem::last_write_time(folder / "tool");
  writeAll(folder / "tool", std::string(1 << 20, 'y'));
  std::filesystem::last_write_time(folder / "tool", time); // the time of its change stays
  const std::string second = *toolIdentity(folder / "tool", cache);
  EXPECT_FALSE(second.ends_with("kept"));
  EXPECT_NE(second, first);
}

TEST(LlvmIdentity, names_the_libraries_of_the_worker) {
  if (access(NYSJIT_BINARY_DIR "/bin/nysjit-compiler", X_OK) != 0)
    GTEST_SKIP() << "this build has no compiler";
  const std::string identity = llvmIdentity(NYSJIT_BINARY_DIR "/bin/nysjit-compiler");
  for (const char *library : {"libLLVM", "libMLIR"})
    EXPECT_NE(identity.find(library), std::string::npos) << identity;
  EXPECT_EQ(identity.find("absent"), std::string::npos) << identity;
}

TEST(LlvmIdentity, of_what_has_none) {
  const TemporaryFolder folder;
  writeAll(folder / "script", "#!/bin/sh\n");
  EXPECT_EQ(llvmIdentity(folder / "script"), "of a script");
  EXPECT_EQ(llvmIdentity("/proc/self/exe"), "linked in");
}

TEST(LlvmIdentity, changes_with_the_library_the_loader_would_take) {
  const TemporaryFolder folder;
  for (const char *version : {"old", "new"}) {
    std::filesystem::create_directory(folder / version);
    writeAll(folder / (std::string(version) + "/libLLVM-nysjit-test.so"), version);
  }
  const auto identityIn = [](const std::string &path) {
    setenv("LD_LIBRARY_PATH", path.c_str(), 1);
    const std::string identity = llvmIdentity(LINKED_WITH_LLVM);
    unsetenv("LD_LIBRARY_PATH");
    return identity;
  };
  // Its RUNPATH names the folder it lies in, which LD_LIBRARY_PATH goes before.
  const std::string own = identityIn("/proc/none");
  EXPECT_TRUE(own.starts_with("libLLVM-nysjit-test.so ")) << own;
  EXPECT_EQ(own.find("hash"), std::string::npos) << own; // a build id
  const std::string old = identityIn(folder / "old");
  EXPECT_EQ(old, "libLLVM-nysjit-test.so hash " + hashHex("old"));
  EXPECT_NE(old, identityIn(folder / "new"));
  EXPECT_EQ(old, identityIn("/proc/none:" + (folder / "old")));
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

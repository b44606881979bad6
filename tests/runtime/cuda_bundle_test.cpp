// Bundles and configs on device "cuda": those for this GPU.
#include "runtime/bundle/write_bundle.h"
#include "runtime/cache/disk_cache.h"
#include "tests/runtime/cuda_fixture.h"

namespace nysjit {
namespace {

class CudaBundled : public Cuda {
protected:
  CacheEntry entryFor(const char *target) {
    EXPECT_EQ(prepareFor(target), NYSJIT_OK) << message();
    return *DiskCache(folder / "cache").read(info().key).entry;
  }
  /// The target that a GPU of this capability takes from a bundle of these; else the error.
  std::string takenOn(int capability, const std::vector<CacheEntry> &entries) {
    fake_driver_capability(capability);
    writeAll(folder / "programs", bundleToBytes(entries, "0.0"));
    const ScopedSetting bundles("NYSJIT_BUNDLES", folder / "programs");
    const ScopedSetting sealed("NYSJIT_SEALED", "1");
    std::filesystem::remove_all(folder / "cache");
    openDevice("cuda");
    if (prepareFor() != NYSJIT_OK)
      return message();
    EXPECT_STREQ(info().cache, "bundle");
    expectRight();
    return info().target;
  }
};

TEST_F(CudaBundled, without_a_target_its_own_or_the_newest_that_it_runs_is_taken) {
  const CacheEntry sm90 = entryFor("cuda:sm_90");
  const CacheEntry sm89 = entryFor("cuda:sm_89");
  const CacheEntry sm86 = entryFor("cuda:sm_86");
  const CacheEntry sm80 = entryFor("cuda:sm_80");
  EXPECT_EQ(takenOn(89, {sm80, sm89, sm90}), "cuda:sm_89");
  EXPECT_EQ(takenOn(89, {sm80, sm86, sm90}), "cuda:sm_86");
  EXPECT_EQ(takenOn(89, {sm80, sm90}), "cuda:sm_80");
  EXPECT_EQ(takenOn(80, {sm80, sm86}), "cuda:sm_80");
  EXPECT_EQ(takenOn(120, {sm80, sm89, sm90}), "cuda:sm_90"); // through its PTX
  EXPECT_NE(takenOn(89, {sm90}).find("nearest is one for cuda:sm_90"), std::string::npos);
}

class CudaConfigured : public Cuda {
protected:
  /// Where the config of a program is from that is prepared with one entry, for this device.
  std::string sourceWith(const std::string &facts) {
    const std::string document = std::string(R"({"entries": [{"spec": )") + fakeSpec() +
                                 R"(, "target": "cuda:sm_90", "device": )" + facts +
                                 R"(, "compiler": "", "config": {"k": {"num_warps": 8}}}]})";
    const ScopedSetting stale("NYSJIT_STALE_CONFIGS", "1");
    nysjit_program_release(program);
    program = nullptr;
    if (nysjit_prepare(context, fakeSpec(), document.c_str(), "cuda:sm_90", &program) != NYSJIT_OK)
      return message();
    return info().config_source;
  }
};

TEST_F(CudaConfigured, an_entry_is_for_a_gpu_of_the_same_numbers_or_for_the_emulator) {
  const auto gpu = [](const char *capability, int multiprocessors, int gib) {
    return std::string(R"({"kind": "cuda", "compute_capability": ")") + capability +
           R"(", "multiprocessors": )" + std::to_string(multiprocessors) + R"(, "memory_gib": )" +
           std::to_string(gib) + "}";
  };
  const std::string emulator = R"({"kind": "ptx-emulator"})";
  EXPECT_EQ(sourceWith(gpu("9.0", fake_multiprocessors, 8)), "given");
  EXPECT_EQ(sourceWith(gpu("8.9", fake_multiprocessors, 8)), "default");
  EXPECT_EQ(sourceWith(gpu("9.0", fake_multiprocessors + 1, 8)), "default");
  EXPECT_EQ(sourceWith(gpu("9.0", fake_multiprocessors, 9)), "default");
  EXPECT_EQ(sourceWith(emulator), "default");
  openDevice("ptx-emulator");
  EXPECT_EQ(sourceWith(emulator), "given");
  EXPECT_EQ(sourceWith(gpu("9.0", fake_multiprocessors, 8)), "default");
}

} // namespace
} // namespace nysjit

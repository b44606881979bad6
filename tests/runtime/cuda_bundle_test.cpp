// Bundles on device "cuda": of several GPUs' programs the one for this GPU.
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

} // namespace
} // namespace nysjit

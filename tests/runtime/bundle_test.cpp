// Bundles as bytes: what is written is read, in whichever order it was given, and nothing else is.
#include "runtime/bundle/bundle.h"
#include "runtime/bundle/checksum.h"
#include "runtime/bundle/sha256.h"
#include "runtime/bundle/write_bundle.h"
#include "tests/runtime/temporary_folder.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <sys/stat.h>

namespace nysjit {
namespace {

// FIPS 180-4's examples.
TEST(Sha256, is_that_of_the_standard) {
  EXPECT_EQ(sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

class BundleBytes : public testing::Test {
protected:
  static CacheEntry entry(const std::string &request, const std::string &maker = "format 3\n") {
    return {request + maker, "plan of " + request, "info", "object of " + request, ""};
  }
  static std::string request(const std::string &spec, const std::string &config = "{}",
                             const std::string &target = "cpu:x86-64-v3") {
    return "spec " + spec + "\nconfig " + config + "\ntarget " + target + "\n";
  }
  static ProgramKey asked(const std::string &request) {
    return {request, "format 3\ncompiler another\n", request, ""};
  }
  static Result<std::shared_ptr<Bundle>> opened(const std::string &bytes) {
    return Bundle::ofMemory(bytes, "this");
  }
  static std::string reason(const std::string &bytes) {
    const Result<std::shared_ptr<Bundle>> bundle = opened(bytes);
    if (bundle)
      return "";
    EXPECT_EQ(bundle.error().kind, ErrorKind::InvalidFile);
    return bundle.error().message;
  }
  /// The bytes with the checksum that they should have.
  static std::string summed(std::string bytes) {
    bytes.resize(bytes.size() - bundleChecksumBytes);
    BundleChecksum checksum;
    checksum.add(bytes);
    return bytes + checksum.bytes();
  }
  const std::string one = request("1");
  const std::string two = request("2", R"({"kernel":{"block_m":32}})");
  const std::string bytes = bundleToBytes({entry(one), entry(two)}, "0.0");
};

TEST_F(BundleBytes, what_is_written_is_read_whoever_made_it) {
  const auto bundle = opened(bytes);
  ASSERT_TRUE(bundle) << bundle.error().message;
  const EntryRead read = (*bundle)->find(asked(one));
  ASSERT_EQ(read.state, EntryState::Whole) << read.reason;
  EXPECT_EQ(read.entry->keyText, one + "format 3\n");
  EXPECT_EQ(read.entry->planJson, "plan of " + one);
  EXPECT_EQ(read.entry->infoJson, "info");
  EXPECT_EQ(read.entry->object, "object of " + one);
  EXPECT_EQ(read.entry->ptx, "");
  EXPECT_EQ((*bundle)->find(asked(request("3"))).state, EntryState::Absent);
  EXPECT_EQ((*bundle)->find(asked(request("1", "{}", "cpu:x86-64-v4"))).state, EntryState::Absent);
  EXPECT_EQ((*bundle)->keyTexts().size(), 2u);
  EXPECT_EQ((*bundle)->manifest().version, "0.0");
}

TEST_F(BundleBytes, its_own_config_is_the_default) {
  const auto bundle = opened(bytes);
  ASSERT_TRUE(bundle);
  EXPECT_EQ((*bundle)->find(asked(two)).entry->keyText, two + "format 3\n");
  EXPECT_EQ((*bundle)->configFor(asked(request("2"))), R"({"kernel":{"block_m":32}})");
  EXPECT_EQ((*bundle)->configFor(asked(request("1"))), "{}");
  EXPECT_EQ((*bundle)->configFor(asked(request("3"))), std::nullopt);
  // Who asks for a config gets that one or none, the defaults included.
  for (const char *config : {R"({"kernel":{"block_m":64}})", "{}"})
    EXPECT_EQ((*bundle)->find(asked(request("2", config))).state, EntryState::Absent);
  const std::string twice = bundleToBytes({entry(two), entry(request("2"))}, "0.0");
  const auto both = opened(twice);
  EXPECT_EQ((*both)->configFor(asked(request("2"))), "{}");
}

TEST_F(BundleBytes, are_the_same_in_whichever_order) {
  EXPECT_EQ(bytes, bundleToBytes({entry(two), entry(one)}, "0.0"));
  EXPECT_EQ(bytes, bundleToBytes({entry(two), entry(one), entry(one, "format 3\nx\n")}, "0.0"));
}

TEST_F(BundleBytes, with_any_byte_changed_are_refused) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 + random() % 255));
    EXPECT_NE(reason(changed), "") << at;
  }
}

TEST_F(BundleBytes, cut_off_or_longer_are_refused) {
  for (size_t count = 0; count < bytes.size(); ++count)
    EXPECT_NE(reason(bytes.substr(0, count)), "") << count;
  EXPECT_NE(reason(bytes + '\0'), "");
  EXPECT_NE(reason(bytes + bytes), "");
}

// Even where the checksum is right: each part has its own.
TEST_F(BundleBytes, parts_that_are_not_the_manifests_are_refused) {
  for (const std::string &text : {"plan of " + one, "object of " + two}) {
    std::string changed = bytes;
    changed[changed.rfind(text)] ^= 1;
    const std::string whole = summed(changed);
    const auto bundle = opened(whole);
    ASSERT_TRUE(bundle) << bundle.error().message;
    int refused = 0;
    for (const std::string &request : {one, two}) {
      const EntryRead read = (*bundle)->find(asked(request));
      refused += read.state == EntryState::Damaged && !read.entry &&
                 read.reason.find("SHA-256") != std::string::npos;
    }
    EXPECT_EQ(refused, 1);
  }
}

TEST_F(BundleBytes, another_manifest_is_refused) {
  std::string changed = bytes;
  changed[changed.find("config")] ^= 1;
  EXPECT_NE(reason(summed(changed)).find("a manifest with the SHA-256"), std::string::npos);
}

TEST_F(BundleBytes, a_manifest_outside_of_the_file_is_refused) {
  for (const auto &[byte, value] : {std::pair(7, 0x40), std::pair(2, 0x10)}) { // of its length
    std::string changed = bytes;
    changed[16 + byte] = static_cast<char>(value);
    EXPECT_NE(reason(summed(changed)).find("a manifest inside of it"), std::string::npos);
  }
}

TEST_F(BundleBytes, another_version_is_refused_by_name) {
  for (const size_t at : {8, 12}) {
    std::string changed = bytes;
    changed[at] = 77;
    EXPECT_NE(reason(summed(changed)).find("another version made it"), std::string::npos);
    EXPECT_NE(reason(changed), "");
  }
  EXPECT_NE(reason("{}").find("another file"), std::string::npos);
  EXPECT_NE(reason("").find("empty"), std::string::npos);
}

TEST_F(BundleBytes, parts_outside_of_the_file_are_refused) {
  const uint64_t far = ~uint64_t(0);
  for (const BundlePart &part : {BundlePart{99, 2, ""}, BundlePart{9, 1, ""},
                                 BundlePart{10, far, ""}, BundlePart{far, 2, ""}}) {
    BundleManifest manifest{"0.0", {{one, {BundlePart{10, 0, ""}, {10, 90, ""}, {100, 0, ""}}}}};
    EXPECT_FALSE(manifestFromJson(manifestToJson(manifest), 10, 100)); // offset 0 of the last
    manifest.entries[0].parts[3] = {50, 50, ""};
    EXPECT_TRUE(manifestFromJson(manifestToJson(manifest), 10, 100));
    manifest.entries[0].parts[3] = part;
    EXPECT_FALSE(manifestFromJson(manifestToJson(manifest), 10, 100));
  }
}

TEST_F(BundleBytes, c_source_has_the_same) {
  const std::string source = bundleToC(bytes, "a comment");
  std::string read;
  for (size_t at = source.find('{') + 1; at < source.find('}');) {
    read += static_cast<char>(std::stoi(source.substr(at)));
    at = source.find(',', at) + 1;
    at = source.find_first_not_of('\n', at);
  }
  EXPECT_EQ(read, bytes);
  EXPECT_TRUE(source.starts_with("/* a comment */"));
}

TEST_F(BundleBytes, that_cannot_be_read_are_the_systems_fault) {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const auto &[path, word] :
       {std::pair(folder / "none", "No such file"), std::pair(folder.path, "a folder"),
        std::pair(pipe, "regular")}) {
    const auto bundle = Bundle::open(path);
    ASSERT_FALSE(bundle);
    EXPECT_EQ(bundle.error().kind, ErrorKind::Io);
    EXPECT_NE(bundle.error().message.find(word), std::string::npos) << bundle.error().message;
  }
  writeAll(folder / "bundle", bytes);
  const auto bundle = Bundle::open(folder / "bundle");
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ((*bundle)->find(asked(one)).entry->planJson, "plan of " + one);
  // What replaces it later is not believed, nor is its absence an end.
  writeAll(folder / "bundle", bundleToBytes({entry(request("5")), entry(request("6"))}, "0.0"));
  EXPECT_EQ((*bundle)->find(asked(one)).state, EntryState::Damaged);
  std::filesystem::remove(folder / "bundle");
  EXPECT_EQ((*bundle)->find(asked(one)).state, EntryState::Unreadable);
}

} // namespace
} // namespace nysjit

// The worker as one file compiles what the dynamic one does, byte for byte, and the cache tells the
// two apart.
#include "runtime/cache/elf.h"
#include "runtime/cache/file.h"
#include "runtime/cache/identity.h"
#include "runtime/spec/json_text.h"
#include "runtime/worker/client.h"
#include "tests/conformance/specs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

namespace nysjit {
namespace {

constexpr int timeoutMs = 120000;
constexpr const char *scanSpec = R"({"layout": "scan", "head_dim": 32, "landmarks": 16, )"
                                 R"("landmark_source": "first_k", "first_k": 32})";

Message compileRequest(const std::string &spec, const std::string &target) {
  auto parsed = parseJsonObject(spec);
  EXPECT_TRUE(parsed.ok());
  return {{{"request", "compile"}, {"spec", std::move(*parsed)}, {"target", target}}, {}};
}

/// Both workers, kept for the next test.
class StaticWorker : public testing::Test {
protected:
  static void SetUpTestSuite() {
    one = std::make_unique<WorkerClient>(STATIC_WORKER, timeoutMs);
    other = std::make_unique<WorkerClient>(DYNAMIC_WORKER, timeoutMs);
  }
  static void TearDownTestSuite() {
    one.reset();
    other.reset();
  }
  /// Plan, object and PTX.
  static void expectTheSame(const std::string &spec, const std::string &target, size_t blobs) {
    const Message request = compileRequest(spec, target);
    Result<Message> mine = one->request(request);
    Result<Message> theirs = other->request(request);
    ASSERT_TRUE(mine) << mine.error().message;
    ASSERT_TRUE(theirs) << theirs.error().message;
    ASSERT_EQ(mine->blobs.size(), blobs);
    EXPECT_FALSE(mine->blobs.back().empty());
    EXPECT_TRUE(mine->blobs == theirs->blobs) << spec << " for " << target;
  }
  static inline std::unique_ptr<WorkerClient> one;
  static inline std::unique_ptr<WorkerClient> other;
};

TEST_F(StaticWorker, compiles_each_layout_for_cpus_to_the_same_bytes) {
  for (const char *spec :
       {conformance::causalSpec, conformance::exactSpec, conformance::bidirectionalSpec,
        conformance::segmentSpec, conformance::prefixSpec, scanSpec})
    expectTheSame(spec, "cpu:x86-64-v3", 2);
  expectTheSame(conformance::streamingSpec, "cpu:x86-64-v4", 2);
  expectTheSame(conformance::causalSpec, "cpu:native", 2);
}

TEST_F(StaticWorker, compiles_layouts_for_gpus_to_the_same_bytes) {
  for (const char *spec : {conformance::causalSpec, conformance::prefixSpec, scanSpec})
    expectTheSame(spec, "cuda:sm_90", 3);
  expectTheSame(conformance::inDtype(conformance::exactSpec, "bfloat16"), "cuda:sm_80", 3);
}

TEST_F(StaticWorker, has_the_same_errors) {
  const Message request = compileRequest(R"({"layout": "exact_causal"})", "cpu:x86-64-v3");
  Result<Message> mine = one->request(request);
  Result<Message> theirs = other->request(request);
  ASSERT_FALSE(mine);
  ASSERT_FALSE(theirs);
  EXPECT_EQ(mine.error().message, theirs.error().message);
}

TEST_F(StaticWorker, is_another_maker_with_its_llvm_in_its_build_id) {
  Result<std::string> mine = buildId(STATIC_WORKER);
  Result<std::string> theirs = buildId(DYNAMIC_WORKER);
  ASSERT_TRUE(mine && theirs);
  EXPECT_TRUE(mine->starts_with("build-id ")) << *mine;
  EXPECT_NE(*mine, *theirs);
  EXPECT_EQ(llvmIdentity(STATIC_WORKER), "linked in");
  EXPECT_NE(llvmIdentity(DYNAMIC_WORKER).find("libLLVM"), std::string::npos);
}

TEST_F(StaticWorker, needs_the_c_library_alone) {
  OpenFile file(STATIC_WORKER);
  const ElfLinks links = elfLinks(file);
  EXPECT_FALSE(links.libraries.empty());
  for (const std::string &library : links.libraries)
    EXPECT_TRUE(library == "libc.so.6" || library == "libm.so.6" || library.starts_with("ld-linux"))
        << library;
  EXPECT_TRUE(links.folders.empty());
}

} // namespace
} // namespace nysjit

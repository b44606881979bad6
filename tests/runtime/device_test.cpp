// The CPU device's parts: loading from memory, per-thread memory, what a CPU must have.
#include "runtime/device/cpu_identity.h"
#include "runtime/device/memory.h"
#include "runtime/device/prepared_plan.h"
#include "runtime/device/shared_object.h"
#include "tests/runtime/temporary_folder.h"

#include <algorithm>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <unistd.h>
#include <vector>

namespace nysjit {
namespace {

TEST(SharedObject, loads_from_memory_and_from_a_private_file) {
  const std::string bytes = readAll(FAKE_KERNELS);
  for (LoadVia via : {LoadVia::MemoryThenFile, LoadVia::FileOnly}) {
    Result<SharedObject> object = SharedObject::load(bytes, "", via);
    ASSERT_TRUE(object.ok()) << object.error().message;
    EXPECT_NE(object->symbol("row_sum"), nullptr);
    EXPECT_EQ(object->symbol("column_sum"), nullptr);
  }
}

TEST(SharedObject, two_loads_are_two_libraries) {
  const std::string bytes = readAll(FAKE_KERNELS);
  Result<SharedObject> first = SharedObject::load(bytes, "");
  Result<SharedObject> second = SharedObject::load(bytes, "");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->symbol("row_sum"), second->symbol("row_sum"));
}

TEST(SharedObject, a_file_number_used_again_gives_the_new_library) {
  const std::string bytes = readAll(FAKE_KERNELS);
  Result<SharedObject> first = SharedObject::load(bytes, "");
  ASSERT_TRUE(first.ok());
  // A host that closes files it does not know: the next load gets the first one's number.
  for (int file = 3; file < 64; ++file) {
    char target[64] = {};
    if (readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), target, sizeof target - 1) >
            0 &&
        std::string(target).find("memfd:nysjit") != std::string::npos)
      close(file);
  }
  Result<SharedObject> second = SharedObject::load(bytes, "");
  ASSERT_TRUE(second.ok());
  EXPECT_NE(first->symbol("row_sum"), second->symbol("row_sum"));
}

TEST(SharedObject, bytes_that_are_no_library_are_an_error) {
  const std::string bytes = readAll(FAKE_KERNELS);
  for (const std::string &damaged : {std::string(), std::string("nonsense"), bytes.substr(0, 100)})
    EXPECT_FALSE(SharedObject::load(damaged, "").ok());
}

TEST(Memory, is_aligned_and_kept) {
  AlignedMemory memory;
  void *first = memory.reserve(1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  EXPECT_EQ(memory.reserve(10), first);
  EXPECT_NE(memory.reserve(0), nullptr);
  EXPECT_EQ(memory.reserve(SIZE_MAX - 10), nullptr);
}

TEST(Memory, a_nested_run_has_a_workspace_of_its_own) {
  const WorkspaceLease outer(100);
  void *inside;
  {
    const WorkspaceLease inner(100);
    inside = inner.memory();
    EXPECT_NE(inside, outer.memory());
  }
  EXPECT_NE(outer.memory(), nullptr);
}

TEST(CpuIdentity, this_machine_is_described_the_same_twice) {
  EXPECT_EQ(describe(hostCpu()), describe(hostCpu()));
  EXPECT_FALSE(hostCpu().vendor.empty());
}

/// The alignment that a float16 tensor [2, 3, 8] with these strides gets at this address.
int64_t alignmentOf(uint64_t address, std::vector<int64_t> strides,
                    std::vector<int64_t> shape = {2, 3, 8}) {
  strides.push_back(1);
  Plan plan;
  plan.target = "cuda:sm_80";
  plan.arguments = {{"q", false, {"float16"}, "", {}, {}, "align"}};
  for (const char *symbol : {"a", "b", "c"})
    plan.arguments[0].shape.push_back(Expression::symbol(symbol));
  for (const char *symbol : {"x", "y"})
    plan.arguments[0].strides.push_back(Expression::symbol(symbol));
  plan.arguments[0].strides.push_back(Expression(1));
  Result<PreparedPlan> prepared = PreparedPlan::create(plan);
  EXPECT_TRUE(prepared.ok());
  DLTensor tensor = {reinterpret_cast<void *>(address),
                     {kDLCUDA, 0},
                     3,
                     {kDLFloat, 16, 1},
                     shape.data(),
                     strides.data(),
                     0};
  const DLTensor *tensors[] = {&tensor};
  RunNumbers numbers;
  ProgramRun run;
  run.tensors = tensors;
  Status status = prepared->bind(run, {kDLCUDA, -1}, numbers);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return numbers.values[5]; // after a, b, c, x, y
}

TEST(PreparedPlan, alignment_is_what_divides_address_and_strides) {
  EXPECT_EQ(alignmentOf(4096, {24, 8}), 16);
  EXPECT_EQ(alignmentOf(4096 + 8, {24, 8}), 8);
  EXPECT_EQ(alignmentOf(4096 + 2, {24, 8}), 2);
  EXPECT_EQ(alignmentOf(4096, {25, 8}), 2);
  EXPECT_EQ(alignmentOf(4096, {36, 12}), 8);
  EXPECT_EQ(alignmentOf(4096, {-24, -8}), 16);
  EXPECT_EQ(alignmentOf(4096, {0, 0}), 16);
  EXPECT_EQ(alignmentOf(4096, {25, 8}, {1, 3, 8}), 16);     // never stepped over
  EXPECT_EQ(alignmentOf(4096 + 2, {25, 3}, {2, 0, 8}), 16); // nothing to load
}

/// The number of "lse_is_given" of a plan with an optional output [2], or why it was not bound.
Result<int64_t> presenceOf(bool isOptional, const DLTensor *lse) {
  Plan plan;
  plan.target = "cpu:native";
  PlanArgument argument;
  argument.name = "lse";
  argument.isOutput = true;
  argument.isOptional = isOptional;
  argument.dtypes = {"float32"};
  argument.presenceSymbol = "lse_is_given";
  argument.shape = {Expression(2)};
  argument.strides = {Expression(1)};
  plan.arguments = {argument};
  auto prepared = PreparedPlan::create(plan);
  NYSJIT_RETURN_IF_ERROR(prepared);
  RunNumbers numbers;
  ProgramRun run;
  run.tensors = &lse;
  NYSJIT_RETURN_IF_ERROR(prepared->bind(run, {kDLCPU, -1}, numbers));
  return numbers.values[0];
}

TEST(TensorMemory, strides_whose_sum_wraps_leave_the_address_space) {
  // Four dimensions of 2^124 elements each reach 2^126: in bytes 2^128, which is 0 in 128 bits.
  int64_t shape[4];
  TensorStrides strides;
  std::fill_n(shape, 4, (int64_t(1) << 62) + 1);
  for (int64_t stride : {int64_t(1) << 62, -(int64_t(1) << 62)}) {
    std::fill_n(strides.values, 4, stride);
    DLTensor tensor = {};
    tensor.ndim = 4;
    tensor.dtype = {kDLFloat, 32, 1};
    tensor.shape = shape;
    AddressRange range;
    EXPECT_FALSE(addressRange(tensor, strides, range)) << stride;
  }
}

TEST(PreparedPlan, presence_is_whether_the_optional_output_is_given) {
  float elements[2];
  int64_t extent = 2;
  const DLTensor lse = {elements, {kDLCPU, 0}, 1, {kDLFloat, 32, 1}, &extent, nullptr, 0};
  EXPECT_EQ(*presenceOf(true, &lse), 1);
  EXPECT_EQ(*presenceOf(true, nullptr), 0);
  EXPECT_EQ(presenceOf(false, nullptr).error().message.substr(0, 4), "lse:");
}

CpuIdentity level4Cpu() {
  CpuIdentity cpu;
  cpu.vendor = "TestVendor";
  cpu.leaf1Ecx = cpu.leaf7Ebx = cpu.extendedEcx = ~0u;
  cpu.xcr0 = 0xe7;
  return cpu;
}

TEST(CpuIdentity, a_missing_feature_is_named) {
  EXPECT_TRUE(checkTargetRunsOn({CpuLevel::V4}, level4Cpu()).ok());
  CpuIdentity cpu = level4Cpu();
  cpu.leaf7Ebx &= ~(1u << 30);
  EXPECT_TRUE(checkTargetRunsOn({CpuLevel::V3}, cpu).ok());
  const Status status = checkTargetRunsOn({CpuLevel::V4}, cpu);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::Unavailable);
  EXPECT_NE(status.error().message.find("avx512bw"), std::string::npos);
  cpu.leaf1Ecx &= ~(1u << 12);
  EXPECT_NE(checkTargetRunsOn({CpuLevel::Native}, cpu).error().message.find("fma"),
            std::string::npos);
}

TEST(CpuIdentity, registers_the_system_does_not_save_are_missing) {
  CpuIdentity cpu = level4Cpu();
  cpu.xcr0 = 0x7;
  EXPECT_TRUE(checkTargetRunsOn({CpuLevel::V3}, cpu).ok());
  EXPECT_FALSE(checkTargetRunsOn({CpuLevel::V4}, cpu).ok());
}

} // namespace
} // namespace nysjit

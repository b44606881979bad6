// How many CPUs there are to use: affinity, and quotas in made-up trees of /proc and cgroups.
#include "runtime/device/cpus.h"
#include "tests/runtime/temporary_folder.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <sched.h>

namespace nysjit {
namespace {

/// A root with a hierarchy of version 2 at /sys/fs/cgroup, in which this process is in `cgroup`.
class CgroupTree {
public:
  CgroupTree(const std::string &cgroup, const std::string &shown = "/") {
    write("/proc/self/cgroup", "0::" + cgroup + "\n");
    write("/proc/self/mountinfo",
          "22 1 0:20 / / rw - ext4 /dev/vda rw\n"
          "30 22 0:26 " +
              shown + " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  void write(const std::string &path, const std::string &text) {
    std::filesystem::create_directories(std::filesystem::path(folder.path + path).parent_path());
    writeAll(folder.path + path, text);
  }
  size_t cpus() { return quotaCpus(folder.path); }

  TemporaryFolder folder;
};

TEST(Cpus, a_quota_is_rounded_up) {
  for (const auto &[quota, cpus] : {std::pair{"50000 100000\n", size_t(1)},
                                    {"100000 100000\n", 1},
                                    {"150000 100000\n", 2},
                                    {"1000 100000\n", 1},
                                    {"400000 50000\n", 8},
                                    {"max 100000\n", SIZE_MAX}}) {
    CgroupTree tree("/service");
    tree.write("/sys/fs/cgroup/service/cpu.max", quota);
    EXPECT_EQ(tree.cpus(), cpus) << quota;
  }
}

TEST(Cpus, the_least_quota_of_all_ancestors_counts) {
  CgroupTree tree("/a/b/c");
  tree.write("/sys/fs/cgroup/a/cpu.max", "200000 100000");
  tree.write("/sys/fs/cgroup/a/b/cpu.max", "max 100000");
  tree.write("/sys/fs/cgroup/a/b/c/cpu.max", "300000 100000");
  EXPECT_EQ(tree.cpus(), 2u);
  tree.write("/sys/fs/cgroup/cpu.max", "100000 100000"); // a container's own root
  EXPECT_EQ(tree.cpus(), 1u);
}

TEST(Cpus, a_mount_may_show_a_part_of_the_hierarchy) {
  CgroupTree tree("/docker/x/job", "/docker/x");
  tree.write("/sys/fs/cgroup/job/cpu.max", "300000 100000");
  tree.write("/sys/fs/cgroup/docker/x/job/cpu.max", "100000 100000"); // not this one
  EXPECT_EQ(tree.cpus(), 3u);
}

TEST(Cpus, version_1_has_files_of_its_own) {
  CgroupTree tree("/");
  tree.write("/proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/job\n0::/\n");
  tree.write("/proc/self/mountinfo",
             "31 22 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
             "32 22 0:28 / /cg/cpuset rw - cgroup cgroup rw,cpuset\n"
             "33 22 0:29 / /cg/cpu rw shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n");
  tree.write("/cg/cpu/job/cpu.cfs_period_us", "100000\n");
  tree.write("/cg/cpu/job/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(tree.cpus(), SIZE_MAX);
  tree.write("/cg/cpu/job/cpu.cfs_quota_us", "250000\n");
  EXPECT_EQ(tree.cpus(), 3u);
}

TEST(Cpus, what_cannot_be_read_is_no_quota) {
  EXPECT_EQ(quotaCpus("/nonexistent"), SIZE_MAX); // no /proc, no /sys
  for (const char *quota :
       {"", "\n", "100000", "0 0", "x y z", "-5 100000", "1 0", "99999999999999999999999999 1"}) {
    CgroupTree tree("/job");
    tree.write("/sys/fs/cgroup/job/cpu.max", quota);
    EXPECT_GE(tree.cpus(), 1u << 20) << quota;
  }
  CgroupTree outside("/../other"); // as seen from another cgroup namespace
  EXPECT_EQ(outside.cpus(), SIZE_MAX);
  CgroupTree words("/job");
  words.write("/proc/self/mountinfo", "30 22\n - - - -\n\n");
  words.write("/proc/self/cgroup", "nonsense\n::::\n");
  EXPECT_EQ(words.cpus(), SIZE_MAX);
}

TEST(Cpus, affinity_is_the_calling_threads) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(affinityCpus(), size_t(CPU_COUNT(&before)));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (size_t cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before))
      CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(affinityCpus(), 1u);
  EXPECT_EQ(availableCpus(), 1u);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

} // namespace
} // namespace nysjit

// Where ptxas is found, in folders of the test's own.
#include "runtime/cuda/find_ptxas.h"
#include "tests/runtime/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace nysjit {
namespace {

class AssemblerPlaces : public testing::Test {
protected:
  void SetUp() override {
    for (const char *name : {"NYSJIT_PTXAS", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV"})
      unsetenv(name);
    setenv("HOME", (folder / "home").c_str(), 1);
    setenv("PATH", (folder / "bin").c_str(), 1);
  }
  std::string executable(const std::string &name) {
    const std::string path = folder / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    writeAll(path, "#!/bin/sh\n");
    chmod(path.c_str(), 0700);
    return path;
  }
  static std::string found() {
    Result<std::string> path = findPtxas();
    return path ? std::filesystem::weakly_canonical(*path).string() : path.error().message;
  }
  TemporaryFolder folder;
};

TEST_F(AssemblerPlaces, come_in_order) {
  // From the last to the first: each hides those before it.
  for (const char *name :
       {"home/.local/lib/python3.9/site-packages/triton/backends/nvidia/bin/ptxas",
        "home/.local/lib/python3.9/site-packages/nvidia/cuda_nvcc/bin/ptxas",
        "home/.local/lib/python3.9/site-packages/nvidia/cu13/bin/ptxas",
        "lib/python3.11/site-packages/triton/backends/nvidia/bin/ptxas",
        "venv/lib/python3.12/site-packages/nvidia/cu13/bin/ptxas", "bin/ptxas", "path/bin/ptxas",
        "cuda/bin/ptxas", "mine"}) {
    const std::string path = executable(name);
    executable("bin/python3");
    if (std::string(name).starts_with("venv/"))
      setenv("VIRTUAL_ENV", (folder / "venv").c_str(), 1);
    if (std::string(name) == "path/bin/ptxas")
      setenv("CUDA_PATH", (folder / "path").c_str(), 1);
    if (std::string(name) == "cuda/bin/ptxas")
      setenv("CUDA_HOME", (folder / "cuda").c_str(), 1);
    if (std::string(name) == "mine")
      setenv("NYSJIT_PTXAS", path.c_str(), 1);
    EXPECT_EQ(found(), path);
  }
}

TEST_F(AssemblerPlaces, a_virtual_environments_python_is_a_link_out_of_it) {
  executable("system/bin/python3");
  std::filesystem::create_directories(folder / "bin");
  std::filesystem::create_symlink(folder / "system/bin/python3", folder / "bin/python3");
  const std::string system =
      executable("system/lib/python3.11/site-packages/nvidia/cu13/bin/ptxas");
  EXPECT_EQ(found(), system);
  EXPECT_EQ(found(), system);
  const std::string own = executable("lib/python3.11/site-packages/nvidia/cu13/bin/ptxas");
  EXPECT_EQ(found(), own);
}

TEST_F(AssemblerPlaces, the_one_that_is_named_is_the_only_one) {
  executable("bin/ptxas");
  setenv("NYSJIT_PTXAS", "/absent/ptxas", 1);
  for (const ErrorKind kind : {findPtxas().error().kind, findAssemblers().error().kind})
    EXPECT_EQ(kind, ErrorKind::InvalidArgument);
  EXPECT_EQ(found(), "NYSJIT_PTXAS: expected the path of a ptxas that can be executed, or none, "
                     "found \"/absent/ptxas\", No such file or directory");
  setenv("NYSJIT_PTXAS", (folder / "bin").c_str(), 1);
  EXPECT_TRUE(found().ends_with("a folder")) << found();
  setenv("NYSJIT_PTXAS", "none", 1);
  EXPECT_EQ(findAssemblers()->size(), 0u);
  EXPECT_EQ(found(), "ptxas: expected a ptxas, found none, as NYSJIT_PTXAS says");
  setenv("NYSJIT_PTXAS", "", 1); // as if it were not set
  EXPECT_EQ(found(), folder / "bin/ptxas");
}

TEST_F(AssemblerPlaces, all_are_found_in_order_each_once) {
  const std::string cuda = executable("cuda/bin/ptxas");
  const std::string second = executable("bin2/ptxas");
  std::filesystem::create_directories(folder / "bin");
  std::filesystem::create_symlink(cuda, folder / "bin/ptxas");
  setenv("CUDA_HOME", (folder / "cuda").c_str(), 1);
  setenv("PATH", ((folder / "bin") + ":" + (folder / "bin2")).c_str(), 1);
  const Result<std::vector<std::string>> all = findAssemblers();
  ASSERT_GE(all->size(), 2u); // the system's python may have one, too
  EXPECT_EQ((*all)[0], cuda);
  EXPECT_EQ((*all)[1], second);
}

TEST_F(AssemblerPlaces, none_is_unavailable_with_the_places) {
  setenv("CUDA_HOME", "/absent/cuda", 1);
  Result<std::string> path = findPtxas();
  if (path)
    GTEST_SKIP() << "skipped, the system's python has a ptxas";
  EXPECT_EQ(path.error().kind, ErrorKind::Unavailable);
  for (const std::string &place :
       {std::string("no ptxas"), std::string("/absent/cuda/bin"), folder / "bin"})
    EXPECT_NE(path.error().message.find(place), std::string::npos) << path.error().message;
}

TEST_F(AssemblerPlaces, folders_and_texts_are_no_programs) {
  std::filesystem::create_directories(folder / "cuda/bin/ptxas");
  setenv("CUDA_HOME", (folder / "cuda").c_str(), 1);
  const std::string real = executable("bin/ptxas");
  EXPECT_EQ(found(), real);
}

} // namespace
} // namespace nysjit

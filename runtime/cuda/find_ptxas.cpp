// Files by pattern; python itself is not started.
#include "runtime/cuda/find_ptxas.h"
#include "runtime/base/environment.h"
#include "runtime/base/installed_paths.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <glob.h>
#include <set>
#include <sys/stat.h>

namespace nysjit {

namespace {

std::vector<std::string> pathFolders() {
  std::vector<std::string> folders;
  const std::string path = environmentSetting("PATH");
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find(':', start), path.size());
    if (end > start)
      folders.push_back(path.substr(start, end - start));
    start = end + 1;
  }
  return folders;
}

/// The folders that `python3` would import from, as patterns.
std::vector<std::string> sitePackages() {
  std::vector<std::string> patterns;
  const std::string under = "/lib/python3*/site-packages";
  if (const std::string environment = environmentSetting("VIRTUAL_ENV"); !environment.empty())
    patterns.push_back(environment + under);
  for (const std::string &folder : pathFolders()) {
    const std::string python = folder + "/python3";
    if (!isExecutableFile(python))
      continue;
    patterns.push_back(folder + "/.." + under);
    if (folder.ends_with("/shims")) // pyenv's
      patterns.push_back(folder + "/../versions/*" + under);
    if (char *real = realpath(python.c_str(), nullptr)) {
      const std::string target(real);
      std::free(real);
      const std::string there = target.substr(0, target.find_last_of('/'));
      if (there != folder)
        patterns.push_back(there + "/.." + under);
    }
    break;
  }
  patterns.push_back("/usr/lib/python3/dist-packages");
  patterns.push_back("/usr/local/lib/python3*/dist-packages");
  if (const std::string home = environmentSetting("HOME"); !home.empty())
    patterns.push_back(home + "/.local" + under);
  return patterns;
}

/// The first executable that the pattern names, in the order of names; "" if there is none.
std::string firstExecutable(const std::string &pattern) {
  if (isExecutableFile(pattern)) // a name that only looks like a pattern
    return pattern;
  glob_t found = {};
  std::string first;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc && first.empty(); ++i)
      if (isExecutableFile(found.gl_pathv[i]))
        first = found.gl_pathv[i];
  globfree(&found);
  return first;
}

/// The folders that were looked into, in few words.
std::string noneAt(const std::string &tool) {
  std::string text = "no " + tool + " in ";
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const std::string home = environmentSetting(variable); !home.empty())
      text += home + "/bin, ";
  return text + "PATH (" + environmentSetting("PATH") + ") and the packages of " +
         joined(sitePackages());
}

std::string whyNotExecutable(const std::string &path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0)
    return std::strerror(errno);
  if (S_ISDIR(status.st_mode))
    return "a folder";
  return S_ISREG(status.st_mode) ? "a file that may not be executed" : "no regular file";
}

} // namespace

std::vector<std::string> cudaToolPaths(const std::string &tool) {
  std::vector<std::string> places;
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const std::string home = environmentSetting(variable); !home.empty())
      places.push_back(home + "/bin/" + tool);
  for (const std::string &folder : pathFolders())
    places.push_back(folder + "/" + tool);
  for (const std::string &packages : sitePackages())
    for (const char *package :
         {"/nvidia/cu13/bin/", "/nvidia/cuda_nvcc/bin/", "/nvidia/cuda_cuobjdump/bin/",
          "/nvidia/cuda_nvdisasm/bin/", "/triton/backends/nvidia/bin/"})
      places.push_back(packages + package + tool);
  return places;
}

Result<std::string> findCudaTool(const std::string &tool) {
  const std::vector<std::string> places = cudaToolPaths(tool);
  for (const std::string &place : places)
    if (std::string path = firstExecutable(place); !path.empty())
      return path;
  return Error::mismatch(ErrorKind::Unavailable, tool,
                         tool + " in CUDA_HOME, CUDA_PATH, PATH or pip's nvidia or triton packages",
                         noneAt(tool));
}

Result<std::vector<std::string>> findAssemblers() {
  const std::string set = environmentSetting(ptxasVariable);
  if (set == "none")
    return std::vector<std::string>();
  if (!set.empty()) {
    if (isExecutableFile(set))
      return std::vector{set};
    return Error::mismatch(ErrorKind::InvalidArgument, ptxasVariable,
                           "the path of a ptxas that can be executed, or none",
                           "\"" + set + "\", " + whyNotExecutable(set));
  }
  std::vector<std::string> paths;
  std::set<std::string> files;
  for (const std::string &place : cudaToolPaths("ptxas")) {
    const std::string path = firstExecutable(place);
    char *real = path.empty() ? nullptr : realpath(path.c_str(), nullptr);
    if (real && files.insert(real).second)
      paths.push_back(path);
    std::free(real);
  }
  return paths;
}

Result<std::string> findPtxas() {
  Result<std::vector<std::string>> found = findAssemblers();
  NYSJIT_RETURN_IF_ERROR(found);
  if (!found->empty())
    return found->front();
  if (environmentSetting(ptxasVariable) == "none")
    return Error::mismatch(ErrorKind::Unavailable, "ptxas", "a ptxas",
                           std::string("none, as ") + ptxasVariable + " says");
  return findCudaTool("ptxas"); // which says where it looked
}

} // namespace nysjit

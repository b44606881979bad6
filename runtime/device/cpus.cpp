// /proc/self/cgroup says in which cgroup of each hierarchy this process is, /proc/self/mountinfo
// where a hierarchy is mounted and which of its cgroups the mount point shows. Without either file,
// and with words in them that are not as expected, there is no quota.
#include "runtime/device/cpus.h"
#include "runtime/base/descriptor.h"

#include <algorithm>
#include <cstdint>
#include <fcntl.h>
#include <new>
#include <optional>
#include <sched.h>
#include <unistd.h>
#include <vector>

namespace nysjit {

namespace {

/// A file of /proc or /sys whole, "" if it cannot be read.
std::string contents(const std::string &path) {
  std::string text;
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.isOpen())
    return text;
  char buffer[4096];
  for (ssize_t count; (count = read(file.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(count));
  return text;
}

std::vector<std::string> split(const std::string &text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == at)
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

bool isListed(const std::string &list, const char *name) {
  const std::vector<std::string> names = split(list, ',');
  return std::ranges::find(names, name) != names.end();
}

/// A decimal number of more than 0 that text begins with; "max", "-1" and others are none.
std::optional<int64_t> number(const std::string &text) {
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > INT64_MAX / 16)
      break;
    value = value * 10 + (c - '0');
  }
  return value > 0 ? std::optional(value) : std::nullopt;
}

/// Where a hierarchy is mounted, and which of its cgroups is there.
struct Mount {
  std::string point;
  std::string cgroup;
};

/// Of version 2, or of version 1's controller "cpu".
std::optional<Mount> findMount(const std::string &root, bool isVersion2) {
  for (const std::string &line : split(contents(root + "/proc/self/mountinfo"), '\n')) {
    // ID PARENT MAJOR:MINOR CGROUP POINT OPTIONS [TAGS] - TYPE SOURCE SUPER_OPTIONS
    const std::vector<std::string> words = split(line, ' ');
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 6 || words.end() - dash < 4)
      continue;
    if (isVersion2 ? dash[1] == "cgroup2" : dash[1] == "cgroup" && isListed(dash[3], "cpu"))
      return Mount{words[4], words[3]};
  }
  return std::nullopt;
}

/// This process's cgroup in the hierarchy.
std::optional<std::string> findCgroup(const std::string &root, bool isVersion2) {
  for (const std::string &line : split(contents(root + "/proc/self/cgroup"), '\n')) {
    // ID:CONTROLLERS:CGROUP, of version 2 0::CGROUP
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (isVersion2 ? controllers.empty() : isListed(controllers, "cpu"))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

/// CPUs that one cgroup's folder grants.
size_t quotaOf(const std::string &folder, bool isVersion2) {
  std::optional<int64_t> quota;
  std::optional<int64_t> period;
  if (isVersion2) {
    const std::vector<std::string> words = split(contents(folder + "/cpu.max"), ' ');
    quota = number(words[0]);
    period = words.size() > 1 ? number(words[1]) : std::nullopt;
  } else {
    quota = number(contents(folder + "/cpu.cfs_quota_us"));
    period = number(contents(folder + "/cpu.cfs_period_us"));
  }
  if (!quota || !period)
    return SIZE_MAX;
  return static_cast<size_t>(*quota / *period + (*quota % *period != 0));
}

/// The least of this process's cgroup and those it is in, as far as the mount shows them.
size_t hierarchyCpus(const std::string &root, bool isVersion2) {
  const std::optional<Mount> mount = findMount(root, isVersion2);
  const std::optional<std::string> cgroup = findCgroup(root, isVersion2);
  if (!mount || !cgroup)
    return SIZE_MAX;
  const std::string shown = mount->cgroup == "/" ? "" : mount->cgroup;
  const bool isShown = cgroup->starts_with(shown) && !cgroup->starts_with("/..");
  std::string below = isShown ? cgroup->substr(shown.size()) : "";
  size_t least = SIZE_MAX;
  for (;;) {
    least = std::min(least, quotaOf(root + mount->point + below, isVersion2));
    const size_t slash = below.rfind('/');
    if (slash == std::string::npos)
      return least;
    below.resize(slash);
  }
}

} // namespace

size_t affinityCpus() noexcept {
  cpu_set_t sets[16]; // 16384 CPUs; Linux has 8192 at most and refuses a set that lacks room
  if (sched_getaffinity(0, sizeof sets, sets) == 0 && CPU_COUNT_S(sizeof sets, sets) > 0)
    return static_cast<size_t>(CPU_COUNT_S(sizeof sets, sets));
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<size_t>(online) : 1;
}

size_t quotaCpus(const std::string &root) noexcept {
  try {
    return std::min(hierarchyCpus(root, /*isVersion2=*/true),
                    hierarchyCpus(root, /*isVersion2=*/false));
  } catch (const std::bad_alloc &) {
    return SIZE_MAX;
  }
}

size_t availableCpus() noexcept { return std::min(affinityCpus(), quotaCpus()); }

} // namespace nysjit

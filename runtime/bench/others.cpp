// "cpu  user nice system idle iowait irq softirq steal ...", in ticks.
#include "runtime/bench/others.h"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>

namespace nysjit::bench {

std::optional<double> busySeconds(std::string_view stat, double ticksPerSecond) {
  std::istringstream words{std::string(stat.substr(0, stat.find('\n')))};
  std::string name;
  words >> name;
  double user = 0;
  double nice = 0;
  double system = 0;
  double idle = 0;
  double wait = 0;
  double irq = 0;
  double softIrq = 0;
  double steal = 0;
  words >> user >> nice >> system >> idle >> wait >> irq >> softIrq >> steal;
  if (name != "cpu" || !words)
    return std::nullopt;
  return (user + nice + system + irq + softIrq + steal) / ticksPerSecond;
}

std::optional<double> othersCpuSeconds() {
  std::ifstream file("/proc/stat");
  std::string line;
  std::getline(file, line);
  const std::optional<double> busy = busySeconds(line, double(sysconf(_SC_CLK_TCK)));
  if (!busy)
    return std::nullopt;
  timespec own = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  return *busy - double(own.tv_sec) - double(own.tv_nsec) / 1e9;
}

} // namespace nysjit::bench

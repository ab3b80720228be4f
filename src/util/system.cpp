#include <excitor/util/system.h>

#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace excitor {

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

void reset_peak_memory() {
  std::ofstream("/proc/self/clear_refs") << "5";  // proc(5): the high water mark becomes the resident size
}

int64_t available_memory_bytes() {
  int64_t available = std::numeric_limits<int64_t>::max();
  std::ifstream system("/proc/meminfo");
  for (std::string key; system >> key;) {
    if (int64_t kibibytes = 0; key == "MemAvailable:" && system >> kibibytes) available = kibibytes * 1024;
  }
  // Control groups of version 2; "max" is no number and leaves `limit` unread.
  std::ifstream limit_file("/sys/fs/cgroup/memory.max"), used_file("/sys/fs/cgroup/memory.current");
  int64_t limit = 0, used = 0;
  if (limit_file >> limit && used_file >> used) available = std::min(available, limit - used);
  return available;
}

Cores count_cores(const std::filesystem::path& control_group) {
  Cores cores;
  cores.online = std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
  cpu_set_t set;
  CPU_ZERO(&set);
  // It fails on machines of more cores than a cpu_set_t holds.
  cores.allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : cores.online;
  cores.usable = cores.allowed;
  std::ifstream file(control_group / "cpu.max");  // "200000 100000": microseconds of each period; or "max …"
  if (double quota = 0, period = 0; file >> quota >> period && period > 0)
    cores.usable = std::clamp<int64_t>(std::llround(quota / period), 1, cores.allowed);
  return cores;
}

double seconds_since_process_start() {
  // Field 22 of /proc/self/stat is the start in clock ticks since boot; fields count from behind the name's
  // ')'.
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i) {
  }
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double started = std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - started;
}

bool stderr_is_terminal() {
  return isatty(STDERR_FILENO) != 0;
}

}  // namespace excitor
